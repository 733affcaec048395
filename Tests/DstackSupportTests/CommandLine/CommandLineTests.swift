import DstackCommandLine
import DstackSystem
import Foundation
import TestKit
import Testing

@Suite("Command lines")
struct CommandLineTests {
    @Test("the sample's declarations have no mistakes")
    func noMistakes() {
        #expect(SampleShell.root.mistakes == [])
    }

    @Test("mistakes in declarations are found")
    func mistakes() {
        let twice = Flag("twice", short: "t", "")
        let other = Flag("other", short: "t", "")
        let files = Positional(repeated: .file, "")
        let more = Positional(required: .text("MORE"), "")
        let bad = Command(
            "bad", "", examples: [], arguments: [twice, twice, other, Flag("help", ""), files, more],
            rules: [.atMostOne(of: twice, Flag("stranger", ""))]
        ) { _, _ in .done }
        #expect(
            Command("top", "", examples: ["top bad"], subcommands: [bad, bad]).mistakes.filter { $0.contains("bad") }
                .count
                == 14)
        #expect(bad.mistakes.contains("bad: --twice is declared twice"))
        #expect(bad.mistakes.contains("bad: -t is declared twice"))
        #expect(bad.mistakes.contains("bad: --help is built in"))
        #expect(bad.mistakes.contains("bad: MORE can never be reached after FILE"))
        #expect(bad.mistakes.contains("bad: a rule names --stranger, which is not declared"))
        #expect(bad.mistakes.contains("bad: has no example"))
    }

    @Test(
        "values arrive with their types, in every way of writing them",
        arguments: [
            ("verify --quote q --collateral c", "policy=standard at=now json=false\n"),
            ("verify --quote=q --collateral=c --policy=my.toml -j --at 5", "policy=my.toml at=5 json=true\n"),
            ("verify --at -5 --quote q --collateral c", "policy=standard at=-5 json=false\n"),
            ("verify --at 5 --policy ./STRICT --quote q --collateral c", "policy=./STRICT at=5 json=false\n"),
            (
                "--config x verify --collateral - --quote q --at 1970-01-02T00:00:00Z",
                "policy=standard at=86400 json=false\n"
            ),
            ("fetch-collateral a b", "[\"a\", \"b\"] 3 30.0 seconds []\n"),
            (
                "fetch-collateral -n5 a --header x -H y -Hz --timeout 1m b",
                "[\"a\", \"b\"] 5 60.0 seconds [\"x\", \"y\", \"z\"]\n"
            ),
            ("fetch-collateral -- --tries -n", "[\"--tries\", \"-n\"] 3 30.0 seconds []\n"),
            ("fetch-collateral --header=--odd a", "[\"a\"] 3 30.0 seconds [\"--odd\"]\n"),
            ("--config x", "root config=x verify=-\n"),
            ("--verify x", "root config=- verify=x\n"),
            ("", "root config=- verify=-\n"),
        ])
    func accepts(line: String, output: String) async {
        let result = await SampleShell.run(line)
        #expect(result.output == output)
        #expect(result.status == (line.contains("verify --") && !line.hasPrefix("--verify") ? .no : .done))
    }

    @Test(
        "a wrong command line ends with status 2, says what is wrong and last what to do",
        arguments: [
            ("verfy", "unknown command `verfy`", "did you mean `dstack-verifier verify`?"),
            ("frobnicate", "unknown command `frobnicate`", "`dstack-verifier --help` lists the commands"),
            ("verify --colateral c", "unknown option --colateral", "did you mean --collateral?"),
            ("verify --hlep", "unknown option --hlep", "did you mean --help?"),
            (
                "verify --tries 3", "unknown option --tries",
                "--tries belongs to `dstack-verifier fetch-collateral`: see `dstack-verifier fetch-collateral --help`"
            ),
            (
                "verify -x", "unknown option -x",
                "`dstack-verifier verify --help` shows an example and all options"
            ),
            ("verify --quote", "--quote needs a value: --quote FILE", nil),
            (
                "verify --quote --json", "--quote needs a value: --quote FILE",
                "to give a value that begins with `-`, write --quote=--json"
            ),
            ("verify --json=yes", "--json takes no value", nil),
            ("verify --quote a --quote b", "--quote is given twice", nil),
            ("verify --quote a", "missing: --collateral FILE", nil),
            ("fetch-collateral", "missing: FILE", nil),
            ("verify --collateral c", "one of --quote or --attestation is needed", nil),
            (
                "verify --collateral c --quote q --attestation a", "--quote and --attestation exclude each other", nil
            ),
            (
                "verify --collateral c --event-log q --attestation a",
                "--attestation and --event-log exclude each other",
                nil
            ),
            ("verify --collateral c --quote q --app-compose a", "--app-compose needs --event-log as well", nil),
            (
                "verify --at tomorrow --quote q --collateral c",
                "--at needs seconds since 1970 or a time such as 2025-03-01T12:00:00Z, not `tomorrow`", nil
            ),
            (
                "verify --at 1795900000000 --quote q --collateral c",
                "--at needs seconds since 1970 or a time such as 2025-03-01T12:00:00Z, not `1795900000000`",
                "this counts milliseconds: in seconds it is 1795900000"
            ),
            (
                "verify --at 1795900000000000000 --quote q --collateral c",
                "--at needs seconds since 1970 or a time such as 2025-03-01T12:00:00Z, not `1795900000000000000`",
                "this counts nanoseconds: in seconds it is 1795900000"
            ),
            (
                "verify --at -9223372036854775808 --quote q --collateral c",
                "--at needs seconds since 1970 or a time such as 2025-03-01T12:00:00Z, not `-9223372036854775808`", nil
            ),
            (
                "verify --at 1795900000.5 --quote q --collateral c",
                "--at needs seconds since 1970 or a time such as 2025-03-01T12:00:00Z, not `1795900000.5`",
                "leave out the fraction: 1795900000"
            ),
            (
                "verify --at 2026-10-20 --quote q --collateral c",
                "--at needs seconds since 1970 or a time such as 2025-03-01T12:00:00Z, not `2026-10-20`",
                "say the whole of it, with the zone: 2026-10-20T00:00:00Z"
            ),
            (
                "verify --policy STRICT --quote q --collateral c",
                "--policy needs one of authentic, standard, strict, or the path of a file, not `STRICT`",
                "write it in lower case: strict"
            ),
            ("verify --quote q --collateral c more", "unexpected argument `more`", nil),
            ("verify --quote= --collateral c", "--quote needs the path of a file, not ``", nil),
            ("fetch-collateral --tries 11 a", "--tries needs a whole number from 1 to 10, not `11`", nil),
            ("fetch-collateral --tries +1 a", "--tries needs a whole number from 1 to 10, not `+1`", nil),
            (
                "fetch-collateral --token ab a",
                "--token needs 4 bytes in hexadecimal (8 digits), not `ab`", nil
            ),
            ("--verify f verify", "--verify cannot be used together with the command `verify`", nil),
            ("--verify f --verify-cert g", "--verify and --verify-cert exclude each other", nil),
            ("cache", "a command is needed: show, clear", "`dstack-verifier cache --help` says what each does"),
            ("completions", "the name of a shell is needed: `dstack-verifier completions bash|zsh|fish`", nil),
            (
                "completions tcsh",
                "completions needs the name of one shell: `dstack-verifier completions bash|zsh|fish`", nil
            ),
        ] as [(String, String, String?)])
    func refuses(line: String, message: String, hint: String?) async {
        let result = await SampleShell.run(line)
        #expect(result.status == .wrongRequest)
        #expect(result.output.isEmpty != line.contains("--json"))
        let lines = result.errors.split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines.first == "error: \(message)")
        #expect(lines.last?.hasPrefix("hint: ") == true)
        if let hint { #expect(lines.last == "hint: \(hint)") }
    }

    @Test("the environment speaks where the command line is silent")
    func environment() async {
        let variables = ["DSTACK_AT": "7", "DSTACK_VERIFIER_CONFIG": "from-env"]
        #expect(await SampleShell.run("", environment: variables).output == "root config=from-env verify=-\n")
        #expect(await SampleShell.run("--config x", environment: variables).output == "root config=x verify=-\n")
        let line = "verify --quote q --collateral c"
        #expect(await SampleShell.run(line, environment: variables).output.contains("at=7"))
        #expect(await SampleShell.run(line + " --at 8", environment: variables).output.contains("at=8"))
        // A value that got lost is not the same as none.
        let empty = await SampleShell.run(line, environment: ["DSTACK_AT": ""])
        #expect(empty.status == .wrongRequest && empty.errors.contains("the environment variable DSTACK_AT needs"))
        #expect(await SampleShell.run(line + " --at 8", environment: ["DSTACK_AT": ""]).output.contains("at=8"))
        let wrong = await SampleShell.run(line, environment: ["DSTACK_AT": "noon"])
        #expect(wrong.status == .wrongRequest)
        #expect(
            wrong.errors == """
                error: the environment variable DSTACK_AT needs seconds since 1970 or a time such as \
                2025-03-01T12:00:00Z, not `noon`
                hint: correct or unset DSTACK_AT, or give --at UNIX-SECONDS|RFC3339

                """)
    }

    @Test("an error of a command decides the status, and hostile text in it cannot reach the terminal")
    func failure() async {
        let result = await SampleShell.run("cache clear")
        #expect(result.status == .worldFailed)
        #expect(result.errors == "error: disk \\u{1b}[31mgone\nhint: plug it in\n")
    }

    @Test("results go to standard output, progress to standard error")
    func streams() async {
        let result = await SampleShell.run("fetch-collateral a")
        #expect(result.output == "[\"a\"] 3 30.0 seconds []\n")
        #expect(result.errors == "fetched\n")
    }

    @Test("a result that cannot be written is a failure, but a reader that has seen enough is not")
    func lostOutput() async {
        let full = await SampleShell.run("fetch-collateral a", output: FailingSink(code: ENOSPC))
        #expect(full.status == .worldFailed)
        #expect(
            full.errors.hasSuffix(
                """
                error: cannot write to standard output: No space left on device
                hint: the result is incomplete: make room or write elsewhere, and run it again

                """))
        let gone = await SampleShell.run("verify --quote q --collateral c", output: FailingSink(code: EPIPE))
        #expect(gone.status == .no)
        #expect(gone.errors == "")
    }

    @Test("a file that cannot be read is a wrong request that names its option")
    func unreadableFile() async throws {
        let quote = Option(required: "quote", .file, "")
        let log = Option("event-log", .file, "")
        let file = Positional(required: .file, "")
        let directory = try ScratchDirectory()
        let path = try directory.write("abc", "q")
        func run(_ words: String...) async -> (DstackSystem.ExitStatus, String, String) { await run(words) }
        func run(_ words: [String]) async -> (DstackSystem.ExitStatus, String, String) {
            let (output, errors) = (MemorySink(), MemorySink())
            let command = Command("read", "", examples: [""], arguments: [quote, log, file, Flag.json]) {
                arguments, console in
                let log = try arguments.read(log, limit: 3)?.count ?? 0
                console.print(
                    "\(try arguments.read(quote, limit: 3).count) \(log) \(try arguments.read(file, limit: 3).count)")
                return .done
            }
            let console = Console(output: output, errors: errors)
            let shell = Shell(
                command, build: BuildInfo(version: "1", commit: nil), console: console, environment: Environment([:]),
                standardInput: StandardInput { limit throws(SystemError) in
                    if limit < 2 { throw SystemError("read", "standard input", code: EFBIG) }
                    return [1, 2]
                })
            return (await shell.run(words), output.text, errors.text)
        }
        #expect(await run("--quote", path, path) == (.done, "3 0 3\n", ""))
        #expect(await run("--quote", path, "--event-log", path, path) == (.done, "3 3 3\n", ""))
        #expect(await run("--quote", "-", path) == (.done, "2 0 3\n", ""))
        // An empty file is not an option that was left out.
        let empty = try directory.write("", "empty")
        for words in [
            ["--quote", empty, path], ["--quote", path, "--event-log", empty, path], ["--quote", path, empty],
        ] {
            let refusal = await run(words)
            #expect(refusal.0 == .wrongRequest && refusal.1.isEmpty && refusal.2.contains("is empty"), "\(words)")
        }
        #expect(await run("--quote", path, "-") == (.done, "3 0 2\n", ""))
        let twice = await run("--quote", "-", "-")
        #expect(twice.0 == .wrongRequest)
        #expect(twice.2.hasPrefix("error: standard input can be read once only, and both --quote and FILE are `-`\n"))

        let message = "FILE: cannot open /nonexistent: No such file or directory"
        #expect(
            await run("--quote", path, "/nonexistent") == (
                .wrongRequest, "", "error: \(message)\nhint: check the path\n"
            ))
        #expect(
            await run("--quote", "/dev/zero", path).2.hasPrefix("error: --quote: cannot read /dev/zero: it is larger"))
        #expect(await run("--quote", directory.path, path).2.hasSuffix("hint: name a file in the directory\n"))
    }

    @Test(
        "with --json every failure is one object of the same form, null where there is nothing",
        arguments: [
            ("cache --json", "--json belongs to `dstack-verifier verify`: see `dstack-verifier verify --help`"),
            ("verfy --json", "did you mean `dstack-verifier verify`?"),
            ("verify --json --quote", "`dstack-verifier verify --help` shows an example and all options"),
            (
                "cache clear --json",
                "--json belongs to `dstack-verifier verify`: see `dstack-verifier verify --help`"
            ),
            ("version --json extra", "`dstack-verifier --help` shows an example and all options"),
        ])
    func failureObject(line: String, hint: String) async throws {
        let result = await SampleShell.run(line)
        #expect(result.status == .wrongRequest)
        let object = try #require(JSONSerialization.jsonObject(with: Data(result.output.utf8)) as? [String: Any])
        #expect(object["verdict"] as? String == "error")
        let reason = try #require(object["reason"] as? [String: Any])
        #expect(Set(reason.keys) == ["code", "check", "message", "found", "expected", "hint"])
        #expect(reason["code"] as? String == "wrong_request")
        #expect(reason["hint"] as? String == hint)
        for name in ["check", "found", "expected"] { #expect(reason[name] is NSNull) }
        #expect(result.errors == "error: \(reason["message"] as? String ?? "")\nhint: \(hint)\n")
    }

    @Test("--quiet leaves results and errors, and nothing else", arguments: ["--quiet", "-q"])
    func quiet(flag: String) async {
        let result = await SampleShell.run("fetch-collateral \(flag) a")
        #expect(result.output == "[\"a\"] 3 30.0 seconds []\n")
        #expect(result.errors == "")
        #expect(await SampleShell.run("cache clear \(flag)").errors.hasPrefix("error: disk"))
    }

    @Test(
        "where to listen is an address and a port",
        arguments: [
            ("127.0.0.1:0", true), ("[::1]:8443", true), ("localhost:65535", true), ("foo", false), ("foo:", false),
            (":80", false), ("::1:80", false), ("[::g]:80", false), ("a:65536", false), ("a:-1", false),
            ("a:+1", false),
            ("a b:1", false), ("a/b:1", false), ("[127.0.0.1]:1", false),
        ])
    func listenAddress(text: String, isRight: Bool) {
        #expect((ArgumentType.listenAddress.parse(text) != nil) == isRight)
    }

    @Test("a secret is never repeated, wherever it was given")
    func secrets() async {
        let token = Option("token", .secret("TOKEN"), environment: "T_TOKEN", "")
        let pin = Option(
            "pin", ArgumentType<Int>("PIN", expecting: "four digits", isSecret: true) { Int($0) }, environment: "T_PIN",
            "")
        let command = Command("log-in", "", examples: [""], arguments: [token, pin]) { _, _ in .done }
        for (words, variables) in [
            (["--pin", "hunter2"], [:]), (["--pin=hunter2"], [:]), ([], ["T_PIN": "hunter2"]),
        ] as [([String], [String: String])] {
            let errors = MemorySink()
            let shell = Shell(
                command, build: BuildInfo(version: "1", commit: nil),
                console: Console(output: MemorySink(), errors: errors), environment: Environment(variables))
            #expect(await shell.run(words) == .wrongRequest)
            #expect(errors.text.contains("needs four digits\n") && !errors.text.contains("hunter2"))
        }
    }

    @Test("words of an enumeration are completed, checked and typed")
    func enumeration() async {
        enum Shape: String, CaseIterable { case round, square }
        let shape = Option("shape", .choice, default: Shape.round, shown: "round", "")
        let output = MemorySink()
        let command = Command("draw", "", examples: [""], arguments: [shape]) { arguments, console in
            console.print("\(arguments[shape]) \(arguments.has(shape))")
            return .done
        }
        let shell = Shell(
            command, build: BuildInfo(version: "1", commit: nil),
            console: Console(output: output, errors: MemorySink()),
            environment: Environment([:]))
        #expect(await shell.run(["--shape", "square"]) == .done)
        #expect(await shell.run([]) == .done)
        #expect(await shell.run(["--shape", "flat"]) == .wrongRequest)
        #expect(output.text == "square true\nround false\n")
        #expect(shape.specification.completion == .words(["round", "square"]))
    }

    @Test("colour marks errors, warnings and headings, only where it is welcome")
    func color() async {
        let terminal = Terminal(isInteractive: true, usesColor: true)
        #expect(
            await SampleShell.run("verfy", terminal: terminal).errors
                == "\u{1b}[31merror:\u{1b}[0m unknown command `verfy`\n"
                + "\u{1b}[36mhint:\u{1b}[0m did you mean `dstack-verifier verify`?\n")
        #expect(await SampleShell.run("--help", terminal: terminal).output.contains("\u{1b}[1mUsage\u{1b}[0m\n"))
        let errors = MemorySink()
        Console(output: MemorySink(), errors: errors, errorTerminal: terminal).warn("slow\u{7}")
        #expect(errors.text == "\u{1b}[33mwarning:\u{1b}[0m slow\\u{7}\n")
        #expect(await SampleShell.run("--help").output.contains("\u{1b}") == false)
    }

    @Test("--version names version and commit, wherever it stands")
    func version() async {
        #expect(await SampleShell.run("--version").output == "dstack-verifier 0.1.0 (commit 1234abc)\n")
        #expect(await SampleShell.run("verify --version").output == "dstack-verifier 0.1.0 (commit 1234abc)\n")
        #expect(await SampleShell.run("version").output == "dstack-verifier 0.1.0 (commit 1234abc)\n")
        #expect(
            await SampleShell.run("version --json").output
                == #"{"name":"dstack-verifier","version":"0.1.0","commit":"1234abc"}"# + "\n")
    }

    @Test("random command lines are answered with one of the four statuses")
    func mutations() async {
        var random = SeededGenerator(seed: 42)
        let words = [
            "verify", "fetch-collateral", "cache", "show", "--quote", "--collateral", "--at", "-n", "-j", "-jn", "--",
            "-",
            "--json", "--at=5", "--quote=", "--=", "-", "x", "é", "--policy", "strict", "-H", "--config",
            "--header=\u{0}",
        ]
        for _ in 0..<3_000 {
            let line = (0..<Int.random(in: 0...7, using: &random)).compactMap { _ in words.randomElement(using: &random)
            }
            let result = await SampleShell.run(line.joined(separator: " "))
            if result.status == .wrongRequest { #expect(result.errors.split(separator: "\n").count == 2) }
            #expect(result.status != .worldFailed)
        }
    }
}

/// Fails every write.
private struct FailingSink: ByteSink {
    let code: Int32

    func write(_ bytes: [UInt8]) throws(SystemError) {
        throw SystemError("write to", "standard output", code: code)
    }
}
