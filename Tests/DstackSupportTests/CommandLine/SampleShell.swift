import DstackCommandLine
import DstackSystem

/// A shell like the verifier's, as a stand-in for all of them: options that act without a command, options that all
/// commands share, alternatives, every kind of value.
enum SampleShell {
    static let config = Option("config", .file, environment: "DSTACK_VERIFIER_CONFIG", "the configuration")
    static let verifyFile = Option("verify", .file, "verify the request in a file")
    static let verifyCertificate = Option("verify-cert", .file, "verify the certificate in a file")

    static let quote = Option("quote", .file, "the quote, binary or hexadecimal")
    static let attestation = Option("attestation", .file, "an envelope, in place of quote and event log")
    static let collateral = Option(required: "collateral", .file, "the collateral as JSON")
    static let eventLog = Option("event-log", .file, "the event log as JSON or CCEL")
    static let appCompose = Option("app-compose", .file, "the app-compose.json that should be running")
    static let policy = Option(
        "policy", .choiceOrFile(["authentic", "standard", "strict"]), default: "standard",
        "what is accepted: genuine and not revoked, also up to date, or nothing but that; or a policy file")
    static let trustRoot = Option("trust-root", .file.named("PEM-OR-DER"), "the root to trust in place of Intel's")
    static let at = Option("at", .time, environment: "DSTACK_AT", "judge as of this time, not now")
    static let json = Flag("json", short: "j", "print one JSON object")

    static let url = Option("url", .text("URL"), default: "https://pccs.example", "where collateral comes from")
    static let tries = Option(
        "tries", .integer("N", in: 1...10), short: "n", default: 3, shown: "3", "how often to try")
    static let timeout = Option("timeout", .duration, default: .seconds(30), shown: "30s", "for each try")
    static let header = Option(repeated: "header", .text("NAME:VALUE"), short: "H", "a header to send")
    static let token = Option("token", .hex("TOKEN", bytes: 4), environment: "DSTACK_TOKEN", "who asks")
    static let quotes = Positional(repeated: .file, atLeastOne: true, "the quotes")

    static let verify = Command(
        "verify", "decide whether a quote is genuine, and what it proves",
        examples: ["dstack-verifier verify --quote q.bin --collateral c.json"],
        notes: ["Nothing is fetched: the collateral decides, together with the pinned root."],
        arguments: [quote, attestation, collateral, eventLog, appCompose, policy, trustRoot, at, json],
        rules: [
            .exactlyOne(of: quote, attestation), .atMostOne(of: attestation, eventLog),
            .argument(appCompose, requires: eventLog),
        ],
        statuses: [.yes: "accepted", .no: "rejected"]
    ) { arguments, console in
        console.print(
            "policy=\(arguments[policy]) at=\(arguments[at].map { "\($0)" } ?? "now") json=\(arguments[json])")
        return .no
    }

    static let fetch = Command(
        "fetch-collateral", "get what is needed to verify quotes offline",
        examples: [
            "dstack-verifier fetch-collateral q.bin > c.json",
            "dstack-verifier fetch-collateral --tries 5 *.bin > c.json",
        ],
        arguments: [url, tries, timeout, header, token, quotes]
    ) { arguments, console in
        console.print("\(arguments[quotes]) \(arguments[tries]) \(arguments[timeout]) \(arguments[header])")
        console.note("fetched")
        return .done
    }

    static let cache = Command(
        "cache", "look after stored collateral", examples: ["dstack-verifier cache show"],
        subcommands: [
            Command("show", "list it", examples: ["dstack-verifier cache show"]) { _, _ in .done },
            Command("clear", "remove it", examples: ["dstack-verifier cache clear"]) { _, _ in
                throw CommandFailure(.worldFailed, "disk \u{1b}[31mgone", hint: "plug it in")
            },
        ])

    static let root = Command(
        "dstack-verifier", "verify attestation quotes offline, or serve verification over HTTP",
        examples: [
            "dstack-verifier verify --quote q.bin --collateral c.json", "dstack-verifier --config verifier.toml",
        ],
        arguments: [verifyFile, verifyCertificate], shared: [config],
        rules: [.atMostOne(of: verifyFile, verifyCertificate)], subcommands: [verify, fetch, cache]
    ) { arguments, console in
        console.print("root config=\(arguments[config] ?? "-") verify=\(arguments[verifyFile] ?? "-")")
        return .yes
    }

    /// Runs a command line, its words separated by spaces.
    static func run(
        _ line: String, environment: [String: String] = [:], output: (any ByteSink)? = nil,
        terminal: Terminal = .plain, input: String = ""
    ) async -> (status: ExitStatus, output: String, errors: String) {
        let results = MemorySink()
        let errors = MemorySink()
        let console = Console(
            output: output ?? results, errors: errors, outputTerminal: terminal, errorTerminal: terminal)
        let shell = Shell(
            root, build: BuildInfo(version: "0.1.0", commit: "1234abc"), console: console,
            environment: Environment(environment), standardInput: StandardInput { _ in Array(input.utf8) })
        let status = await shell.run(line.split(separator: " ").map(String.init))
        return (status, results.text, errors.text)
    }
}
