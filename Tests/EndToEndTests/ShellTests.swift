import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import Foundation
import TestKit
import Testing

/// What holds for the programs as a person or a script calls them.
@Suite("Programs", .enabled(if: Program.path("dstack-verifier") != nil, "dstack-verifier is not built"))
struct ShellTests {
    private let files: ScratchDirectory

    init() async throws {
        files = try ScratchDirectory()
        let made = try await Program.dstack("mock-tee", files.path("e"), "--json")
        let object = try made.object()
        #expect(object["directory"] as? String == files.path("e"))
        #expect((object["files"] as? [String])?.contains("root.pem") == true)
    }

    private func path(_ name: String) -> String { files.path("e/" + name) }

    /// Runs a line of a shell, with the programs on its path and the evidence as its directory.
    private func shell(_ line: String) async throws -> Program.Output {
        let programs = try #require(Program.directory?.path)
        return try await Program.run(
            "/bin/sh", ["-c", line], environment: ["PATH": programs + ":/usr/bin:/bin"],
            in: URL(fileURLWithPath: files.path("e")))
    }

    private static let verify = "dstack-verifier verify --trust-root root.pem"

    @Test(
        "every file can come by standard input",
        arguments: [
            "verify --quote - --collateral collateral.json --trust-root root.pem < quote.bin",
            "verify --quote quote.bin --collateral - --trust-root root.pem < collateral.json",
            "verify --quote quote.bin --collateral collateral.json --trust-root - < root.pem",
            "verify --attestation - --collateral collateral.json --trust-root root.pem < attestation.bin",
            "verify --quote quote.bin --collateral collateral.json --trust-root root.pem --event-log - < event-log.json",
            "parse - < quote.bin", "replay - < event-log.json", "compose-hash - < app-compose.json",
            "replay --quote - event-log.json < quote.bin",
        ])
    func standardInput(_ line: String) async throws {
        let result = try await shell("dstack-verifier " + line)
        #expect(result.status == 0, "\(result)")
        #expect(!result.output.isEmpty)
    }

    @Test(
        "every result is one JSON object where that is asked for, with nothing beside it",
        arguments: [
            ("dstack-verifier verify --trust-root root.pem --quote quote.bin --collateral collateral.json", 0),
            ("dstack-verifier verify --quote quote.bin --collateral collateral.json", 1),
            ("dstack-verifier verify --trust-root root.pem --quote quote.bin --collateral root.pem", 2),
            ("dstack-verifier verify --quote quote.bin --fetch --url http://127.0.0.1:1", 1),
            ("dstack-verifier verify --trust-root root.pem --quote quote.bin --fetch --url http://127.0.0.1:1", 3),
            ("dstack-verifier verify --quote nothing --collateral collateral.json", 2),
            ("dstack-verifier verify --quote . --collateral collateral.json", 2),
            ("dstack-verifier verify --quote quote.bin", 2), ("dstack-verifier parse quote.bin", 0),
            ("dstack-verifier parse root.pem", 2), ("dstack-verifier replay event-log.json", 0),
            ("dstack-verifier replay event-log.json --quote quote.bin", 0), ("dstack-verifier replay root.pem", 2),
            ("dstack-verifier compose-hash app-compose.json", 0), ("dstack-verifier compose-hash root.pem", 2),
            ("dstack-verifier fetch-collateral --quote quote.bin --url http://127.0.0.1:1", 3),
            ("dstack-verifier fetch-collateral --quote quote.bin --update never", 2),
            ("dstack-verifier fetch-collateral --quote root.pem", 2),
            ("dstack-verifier fetch-collateral --quote quote.bin", 2),
            ("dstack-verifier verify --trust-root root.pem --quote quote.bin --fetch", 2),
            ("dstack-verifier verify --quote root.pem --collateral collateral.json", 1),
            ("dstack-verifier verify --quote quote.bin --collateral collateral.json --app-compose root.pem", 2),
            ("dstack-verifier verify --quote quote.bin --collateral collateral.json --report-data 0x", 2),
            ("dstack-verifier report-data 00112233 --tag x", 0), ("dstack-verifier report-data 0x --tag x", 2),
            ("dstack mock-tee nowhere --app-compose root.pem", 2),
            ("dstack dev up --dir nowhere --app-compose root.pem", 2),
            ("dstack-verifier version", 0), ("dstack-auth version", 0), ("dstack version", 0),
            ("dstack-kms version", 0), ("dstack-kms epoch list --admin http://127.0.0.1:1", 3),
            ("dstack-kms audit check root.pem --root root.pem", 1),
            ("dstack-kms audit check root.pem --root collateral.json", 2),
            ("dstack-guest-agent version", 0),
            ("dstack-guest-agent", 2), ("dstack dev status --dir nowhere", 1), ("dstack dev down --dir nowhere", 0),
            ("dstack dev up --dir nowhere --listen foo", 2), ("dstack verify https://127.0.0.1:1", 3),
            ("dstack verify http://127.0.0.1:1", 2), ("dstack frobnicate", 2),
        ])
    func json(_ line: String, status: Int32) async throws {
        let result = try await shell(line + " --json")
        #expect(result.status == status, "\(result)")
        let object = try result.object()
        if status == 0 { return }
        if let reason = object["reason"] as? [String: Any] {
            #expect(Set(reason.keys) == ["code", "check", "message", "found", "expected", "hint"])
            #expect(!reason.values.contains { $0 as? String == "" }, "nothing is null, not an empty text")
            #expect(object["verdict"] as? String == (status == 1 ? "rejected" : "error"))
        }
    }

    @Test(
        "no hint names an option that the command does not have",
        arguments: [
            ("verify --quote quote.bin --collateral collateral.json", "--trust-root FILE"),
            (
                "verify --trust-root root.pem --quote quote.bin --collateral collateral.json --at 2100-01-01T00:00:00Z",
                "--fetch"
            ),
            (
                "verify --trust-root root.pem --quote quote.bin --collateral collateral.json --at 1990-01-01T00:00:00Z",
                "(--at "
            ),
            (
                "verify --trust-root root.pem --quote quote.bin --collateral collateral.json --app-compose app-compose.json",
                "--event-log FILE, --attestation FILE"
            ),
            (
                "verify --trust-root root.pem --quote quote.bin --collateral collateral.json --policy strict",
                "(--policy standard)"
            ),
            ("verify --quote quote.bin --fetch", "--trust-root FILE"),
        ])
    func hints(_ line: String, way: String) async throws {
        let result = try await shell("dstack-verifier " + line)
        #expect(result.status == 1, "\(result)")
        try await Program.expectOwnOptions("dstack-verifier", "verify", result, naming: way)
        // In JSON the words hold for every program.
        let reason = try await shell("dstack-verifier " + line + " --json").object()["reason"] as? [String: Any]
        #expect((reason?["hint"] as? String)?.contains("--") == false, "\(result)")
    }

    @Test("whoever obeys the hint keeps his challenge, and a yes to another one is not to be had")
    func challenge() async throws {
        let call = Self.verify + " --quote quote.bin --collateral collateral.json"
        let other = String(repeating: "ab", count: 64)
        try Data(#"{"expected_report_data":"\#(other)","require_os_image":false}"#.utf8)
            .write(to: URL(fileURLWithPath: path("my policy.json")))
        let file = try await shell(call + " --policy 'my policy.json'")
        #expect(file.status == 1 && !file.errors.contains("standard"), "\(file)")
        #expect(file.errors.contains("(in my policy.json)"), "\(file)")
        for policy in ["authentic", "standard", "strict"] {
            let result = try await shell(call + " --policy \(policy) --report-data \(other)")
            #expect(result.status == 1, "\(result)")
        }
        #expect(try await shell(call + " --report-data \(other)").output.contains("[expected_report_data: mismatch]"))
        #expect(try await shell(call + " --report-data 00").status == 0)
        // Neither of two that differ overrules the other.
        let both = try await shell(call + " --policy 'my policy.json' --report-data 00")
        #expect(both.status == 2 && both.errors.contains("my policy.json expects another value, abab"), "\(both)")
    }

    @Test("application and image are expected by options on top of any policy")
    func expectations() async throws {
        let call =
            Self.verify + " --quote quote.bin --collateral collateral.json --event-log event-log.json "
            + "--vm-config vm-config.json"
        let hash = try await shell("dstack-verifier compose-hash app-compose.json --json").object()
        let info = try #require(try await shell(call + " --json").object()["app_info"] as? [String: Any])
        let own = try #require(hash["compose_hash"] as? String)
        let application = try #require(hash["app_id"] as? String)
        let image = try #require(info["os_image_hash"] as? String)
        let right = " --compose-hash \(own) --app-id \(application) --os-image-hash \(image)"
        #expect(try await shell(call + right).status == 0)
        #expect(try await shell(call + right + " --policy authentic").status == 0)
        for (option, count) in [("--compose-hash", 32), ("--app-id", 20), ("--os-image-hash", 32)] {
            let wrong = try await shell(call + " --policy authentic \(option) " + String(repeating: "07", count: count))
            #expect(wrong.status == 1 && wrong.output.contains("is not the expected one"), "\(wrong)")
        }
    }

    @Test(
        "what is wrong with a file is said with its option and its own name, and with what to do",
        arguments: [
            (Self.verify + " --quote quote.bin --collateral root.pem", "--collateral: root.pem: this is a certificate"),
            (
                "dstack-verifier verify --quote quote.bin --collateral collateral.json --trust-root collateral.json",
                "--trust-root: collateral.json: this is collateral; a root certificate is needed"
            ),
            (
                "dstack-verifier verify --quote quote.bin --collateral collateral.json --trust-root /etc/passwd",
                "--trust-root: /etc/passwd: this is a text of another kind"
            ),
            (
                "dstack verify https://127.0.0.1:1 --app-compose root.pem",
                "--app-compose: root.pem: this is a certificate; a compose file is needed"
            ),
            (
                "dstack verify https://127.0.0.1:1 --app-compose cut.json",
                "--app-compose: cut.json at byte 6: the JSON text ends too early"
            ),
            ("dstack mock-tee x --app-compose cut.json", "--app-compose: cut.json at byte 6: "),
            ("dstack dev up --dir x --app-compose cut.json", "--app-compose: cut.json at byte 6: "),
            ("dstack simulate x --app-compose cut.json", "--app-compose: cut.json at byte 6: "),
            ("dstack-simulator x --app-compose cut.json --background", "--app-compose: cut.json at byte 6: "),
            ("dstack-guest-agent --simulate x --app-compose cut.json", "--app-compose: cut.json at byte 6: "),
            (
                "dstack-guest-agent --simulate x --app-compose cut.json --background",
                "--app-compose: cut.json at byte 6: "
            ),
            ("dstack-verifier compose-hash quote.bin", "error: quote.bin: this is a quote; a compose file is needed"),
            ("dstack-verifier parse event-log.json", "error: event-log.json: this is an event log (JSON)"),
            ("dstack-verifier replay event-log.json --quote root.pem", "--quote: root.pem: this is a certificate"),
        ])
    func wrongFiles(_ line: String, message: String) async throws {
        try Data(#"{"a": "#.utf8).write(to: URL(fileURLWithPath: path("cut.json")))
        let result = try await shell(line)
        #expect(result.status == 2 && result.errors.contains(message), "\(result)")
        #expect(result.errors.split(separator: "\n").last?.hasPrefix("hint: ") == true, "\(result)")
        #expect(!FileManager.default.fileExists(atPath: path("x")))
    }

    @Test(
        "a file that is no evidence is named by its option and its own name",
        arguments: [
            ("verify --collateral collateral.json --quote root.pem", "--quote: root.pem: this is a certificate"),
            (
                "verify --collateral collateral.json --attestation root.pem",
                "--attestation: root.pem: this is a certificate"
            ),
            (
                "verify --collateral collateral.json --quote quote.bin --event-log root.pem",
                "--event-log: root.pem: this is a certificate"
            ),
            (
                "verify --collateral collateral.json --quote quote.bin --event-log event-log.json --vm-config root.pem",
                "--vm-config: root.pem: this is a certificate"
            ),
            (
                "verify --collateral collateral.json --quote - < root.pem",
                "--quote: standard input: this is a certificate"
            ),
            ("verify --collateral collateral.json --quote cut.bin", "--quote: cut.bin"),
            ("verify --fetch --url http://127.0.0.1:1 --quote root.pem", "--quote: root.pem: this is a certificate"),
            ("--verify root.pem", "--verify: root.pem: "), ("--verify missing", "cannot open missing"),
            ("--verify-cert quote.bin", "--verify-cert: quote.bin: "),
            ("--verify-cert missing", "--verify-cert: cannot open missing"),
        ])
    func namedEvidence(_ line: String, words: String) async throws {
        try files.write(Array(Data(contentsOf: URL(fileURLWithPath: path("quote.bin"))).prefix(700)), "e/cut.bin")
        let arguments =
            line.hasPrefix("verify") ? line.replacing("verify ", with: "verify --trust-root root.pem ") : line
        let result = try await shell("dstack-verifier " + arguments)
        #expect(result.status == 1, "\(result)")
        #expect((result.output + result.errors).contains(words), "\(result)")
    }

    @Test("a status that nobody knows is a no with the same exit status, however the question was asked")
    func unknownStatus() async throws {
        let strange = files.text("e/collateral.json").replacing(#"\"UpToDate\""#, with: #"\"Splendid\""#)
        #expect(strange != files.text("e/collateral.json"))
        try files.write(strange, "e/strange.json")
        let envelope = Hex.encode(Array(try Data(contentsOf: URL(fileURLWithPath: path("attestation.bin")))))
        try files.write(#"{"attestation":"\#(envelope)"}"#, "e/request.json")
        try files.write(
            """
            [attestation]
            insecure_allow_external_trust_anchors = true
            [attestation.root_ca]
            tdx = "root.pem"
            [collateral]
            offline = "strange.json"
            """, "e/verifier.toml")
        for line in [
            Self.verify + " --quote quote.bin --collateral strange.json",
            "dstack-verifier --config verifier.toml --verify request.json",
        ] {
            let result = try await shell(line)
            #expect(result.status == 1 && result.output.contains("unknown TCB status"), "\(result)")
        }
    }

    @Test("a policy file with a mistake is named, and a component that refuses its request ends the command with 2")
    func wrongRequests() async throws {
        try Data(#"{"allow_smx":true}"#.utf8).write(to: URL(fileURLWithPath: path("my.json")))
        let policy = try await shell(Self.verify + " --quote quote.bin --collateral collateral.json --policy my.json")
        #expect(policy.status == 2 && policy.errors.contains("--policy: my.json: allow_smx"), "\(policy)")
        #expect(policy.errors.contains("did you mean allow_smt?"), "\(policy)")
        // What only the agent finds.
        try Data(#"{"manifest_version":2}"#.utf8).write(to: URL(fileURLWithPath: path("nameless.json")))
        for background in ["", " --background"] {
            let agent = try await shell("dstack-guest-agent --simulate y --app-compose nameless.json" + background)
            #expect(agent.status == 2 && agent.errors.contains("--app-compose: nameless.json"), "\(agent)")
        }
    }

    @Test("a service whose disk fails does not forget in silence what it verified")
    func forgetfulService() async throws {
        let envelope = Hex.encode(Array(try Data(contentsOf: URL(fileURLWithPath: path("attestation.bin")))))
        let cache = files.path("cache")
        try FileManager.default.createDirectory(atPath: cache, withIntermediateDirectories: false)
        let socket = try LocalPort(0)
        socket.close()
        let settings = """
            address = "127.0.0.1"
            port = \(socket.number)
            [attestation]
            insecure_allow_external_trust_anchors = true
            [attestation.root_ca]
            tdx = "\(path("root.pem"))"
            [collateral]
            offline = "\(path("collateral.json"))"
            cache_dir = "\(cache)"
            """
        try files.write(settings, "verifier.toml")
        let service = try StartedProgram("dstack-verifier", ["serve", "--config", files.path("verifier.toml")])
        try #require(try await eventually { service.errors.contains("listening on http") }, "\(service.errors)")
        try FileManager.default.removeItem(atPath: cache)
        let line = try #require(service.errors.split(separator: "\n").first { $0.hasPrefix("listening on ") })
        let answer = try await HTTPClient().send(
            HTTPRequest(
                .post, line.dropFirst("listening on ".count) + "/verify", headers: ["Content-Type": "application/json"],
                body: Array(#"{"attestation":"\#(envelope)"}"#.utf8)))
        #expect(String(decoding: answer.body, as: UTF8.self).contains(#""is_valid":true"#), "\(answer)")
        #expect(try await eventually { service.errors.contains("cannot keep what was verified") }, "\(service.errors)")
        service.signal(SIGTERM)
        await service.expectEnd()
    }

    @Test("what cannot be written whole is said, and who has read enough is no failure")
    func output() async throws {
        let call = Self.verify + " --quote quote.bin --collateral collateral.json"
        let full = try await shell(call + " > /dev/full")
        #expect(full.status == 3, "\(full)")
        #expect(full.errors.contains("cannot write to standard output"))
        let gone = try await shell("(\(call); echo \"status $?\" >&2) | head -n 1")
        #expect(gone.output.hasPrefix("ACCEPTED"))
        #expect(gone.errors == "status 0\n")
        let closed = try await shell("\(call) >&-")
        #expect(closed.status == 3, "\(closed)")
    }

    @Test("colour and drawing are for terminals, and NO_COLOR is obeyed")
    func terminal() async throws {
        guard FileManager.default.isExecutableFile(atPath: "/usr/bin/script") else { return }
        let call = Self.verify + " --quote quote.bin --collateral collateral.json"
        let plain = try await shell("env -u NO_COLOR TERM=xterm \(call)")
        #expect(!plain.output.contains("\u{1B}") && !plain.output.contains("✓"))
        let drawn = try await shell(
            "env -u NO_COLOR LC_ALL=C.UTF-8 TERM=xterm script -qec 'stty cols 60; \(call)' /dev/null")
        #expect(drawn.output.contains("\u{1B}[1;32mACCEPTED\u{1B}[0m") && drawn.output.contains("✓"), "\(drawn)")
        let ascii = try await shell("env LC_ALL=C TERM=xterm script -qec 'stty cols 60; \(call)' /dev/null")
        #expect(ascii.output.utf8.allSatisfy { $0 < 0x80 } && ascii.output.contains("ok   hardware root"), "\(ascii)")
        let uncolored = try await shell(
            "env LC_ALL=C.UTF-8 TERM=xterm NO_COLOR=1 script -qec 'stty cols 60; \(call)' /dev/null")
        #expect(!uncolored.output.contains("\u{1B}") && uncolored.output.contains("✓"))
        for line in uncolored.output.split(whereSeparator: \.isNewline) where line.split(separator: " ").count > 3 {
            #expect(line.count <= 60, "\(line)")
        }
    }

    @Test("an agent that is started alone says how to run it without a TEE")
    func agentAlone() async throws {
        let result = try await shell("dstack-guest-agent")
        #expect(result.status == 2, "\(result)")
        #expect(result.errors.split(separator: "\n").last?.contains("--simulate ./simulation") == true, "\(result)")
    }

    @Test("an address that is none is a wrong request, and nothing is started")
    func wrongListenAddress() async throws {
        let result = try await shell("dstack dev up --dir fresh --listen foo")
        #expect(result.status == 2, "\(result)")
        #expect(!FileManager.default.fileExists(atPath: path("fresh")))
    }

    @Test("a question on standard input is answered on standard output, and no file is written for it")
    func upstreamCommands() async throws {
        let before = try FileManager.default.contentsOfDirectory(atPath: files.path("e")).sorted()
        let request = try await shell("echo '{}' | dstack-verifier --verify -")
        #expect(request.status == 1)
        #expect(try request.object()["is_valid"] as? Bool == false)
        let certificate = try await shell("dstack-verifier --verify-cert - < root.pem")
        #expect(certificate.status == 1)
        #expect(try FileManager.default.contentsOfDirectory(atPath: files.path("e")).sorted() == before)
    }

    @Test(
        "the pages and the help of every program are whole",
        arguments: ["dstack", "dstack-verifier", "dstack-auth", "dstack-kms", "dstack-guest-agent", "dstack-simulator"])
    func manual(_ program: String) async throws {
        let page = try await shell("\(program) man")
        #expect(page.status == 0)
        #expect(page.output.hasPrefix(".TH \"\(program.uppercased().replacingOccurrences(of: "-", with: "\\-"))\""))
        if FileManager.default.isExecutableFile(atPath: "/usr/bin/groff") {
            let checked = try await shell("\(program) man | groff -man -ww -Tutf8")
            #expect(checked.errors == "", "\(checked.errors)")
            #expect(checked.output.contains("say nothing but results"))
        }
        let commands = page.output.split(separator: "\n").filter { $0.hasPrefix(".SS \"") }
            .map { $0.dropFirst(5).dropLast().replacingOccurrences(of: "\\-", with: "-") }
        let listing = try String(
            contentsOf: URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("../../docs/commands.md"), encoding: .utf8)
        for command in commands {
            let isListed = listing.contains("\(program) \(command)") || listing.contains("PROGRAM \(command)")
            #expect(isListed || ["dev", "version"].contains(command), "docs/commands.md lists every command")
            let help = try await shell("\(program) help \(command)")
            #expect(help.status == 0)
            #expect(help.output.components(separatedBy: "Exit status").count == 2, "\(command)")
        }
    }
}
