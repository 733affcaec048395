import DstackAttestation
import DstackCommandLine
import DstackEncoding
import DstackSystem
import Synchronization

/// `verify`: evidence in, report out.
enum VerifyCommand {
    private static let quote = Option("quote", .file, "the quote, binary or hexadecimal")
    private static let attestation = Option(
        "attestation", .file, "an attestation envelope in place of quote and event log, binary or hexadecimal")
    private static let collateral = Option(required: "collateral", .file, "Intel's collateral, JSON")
    private static let eventLog = Option("event-log", .file, "the event log, dstack's JSON or binary (CCEL)")
    private static let appCompose = Option(
        "app-compose", .file, "your own copy of app-compose.json, to compare with the measured one")
    private static let vmConfig = Option("vm-config", .file, "the VM configuration, JSON, to verify the OS image")
    private static let policy = Option(
        "policy", .choiceOrFile(["authentic", "standard", "strict"]), default: "standard",
        "what to accept: a preset or a policy file")
    private static let trustRoot = Option(
        "trust-root", .file, "another root certificate than Intel's, PEM or DER; for simulated TEEs")
    private static let at = Option("at", .time, "the time to verify at, Unix seconds or RFC 3339; now if left out")
    private static let json = Flag("json", "print one JSON object")
    private static let checks = Flag("checks", "list every check, not only those that failed")

    static let command = Command(
        "verify", "decides whether a quote or an attestation is genuine and acceptable",
        examples: [
            "dstack-verifier verify --quote q.bin --collateral c.json --policy strict",
            "dstack-verifier verify --attestation a.bin --collateral c.json --at 2026-10-20T00:00:00Z --json",
        ],
        notes: [
            "Presets: authentic (genuine, not revoked, not debug; any other TCB status passes and is reported), standard "
                + "(UpToDate or SWHardeningNeeded), strict (UpToDate only; no dynamic platform, cached keys or "
                + "multithreading). A policy file is a JSON object; docs/verification.md lists its members."
        ],
        arguments: [
            quote, attestation, collateral, eventLog, appCompose, vmConfig, policy, trustRoot, at, json, checks,
        ],
        rules: [
            .exactlyOne(of: quote, attestation), .atMostOne(of: attestation, eventLog),
            .atMostOne(of: attestation, vmConfig),
        ],
        run: run)

    private static let answered = Mutex(false)
    /// Whether the result has been printed.
    static var hasAnswered: Bool { answered.withLock { $0 } }

    /// The most bytes read of any file.
    private static let limit = 16 << 20

    private static func run(_ arguments: Arguments, _ console: Console) throws -> ExitStatus {
        let anchor: TrustAnchor
        let evidence: Evidence
        let collateralBytes: [UInt8]
        let chosenPolicy: VerificationPolicy
        do {
            anchor =
                try arguments[trustRoot].map { try TrustAnchor(certificate: File.read($0, limit: limit)) } ?? .intel
            chosenPolicy = try policy(named: arguments[policy])
            collateralBytes = try File.read(arguments[collateral], limit: limit)
            evidence = try readEvidence(arguments)
        } catch let error as AttestationError {
            throw CommandFailure(.wrongRequest, error.description, hint: error.hint.isEmpty ? nil : error.hint)
        } catch let error as SystemError {
            throw CommandFailure(.wrongRequest, error.description)
        }
        let parsed: QuoteCollateral
        do throws(AttestationError) {
            parsed = try QuoteCollateral(parsingJSON: collateralBytes)
        } catch {
            if arguments[json] {
                answer(refusal(check: "collateral_format", code: "malformed", error.description), console)
            } else {
                answer(
                    "REJECTED collateral that cannot be read\n  because \(SafeText.line(error.description))", console)
            }
            if !error.hint.isEmpty { console.note("hint: \(error.hint)") }
            return .no
        }
        let report = QuoteVerifier(trustAnchor: anchor).verify(
            evidence, collateral: parsed, policy: chosenPolicy, at: arguments[at] ?? SystemWallClock().unixSeconds)
        if arguments[json] {
            answer(String(decoding: report.json(), as: UTF8.self), console)
        } else {
            let style = VerificationReport.TextStyle(
                isColored: console.outputTerminal.usesColor, listsChecks: arguments[checks],
                shortensHashes: console.outputTerminal.isInteractive)
            answer(String(report.text(style: style).dropLast()), console)
        }
        return report.verdict == .accepted ? .yes : .no
    }

    private static func answer(_ text: String, _ console: Console) {
        answered.withLock { $0 = true }
        console.print(text)
    }

    private static func readEvidence(_ arguments: Arguments) throws -> Evidence {
        let compose = try arguments[appCompose].map { try File.read($0, limit: limit) }
        if let path = arguments[attestation] {
            return Evidence(attestation: Evidence.binary(from: try File.read(path, limit: limit)), appCompose: compose)
        }
        guard let path = arguments[quote] else { throw CommandFailure(.wrongRequest, "--quote is needed") }
        return Evidence(
            quote: Evidence.binary(from: try File.read(path, limit: limit)),
            eventLog: try arguments[eventLog].map { try File.read($0, limit: limit) },
            configuration: try arguments[vmConfig].map { try File.readText($0, limit: limit) } ?? "",
            appCompose: compose)
    }

    private static func policy(named name: String) throws -> VerificationPolicy {
        if let preset = VerificationPolicy.preset(named: name) { return preset }
        return try VerificationPolicy(parsingJSON: File.read(name, limit: 1 << 20))
    }

    /// The JSON object for what never came to a verification; the members of a report that a program looks at first.
    static func refusal(check: String, code: String, _ message: String) -> String {
        var writer = JSONWriter()
        writer.object { object in
            object.member("verdict", "rejected")
            object.object("reason") { reason in
                reason.member("code", code)
                reason.member("check", check)
                reason.member("message", message)
                reason.member("found", "")
                reason.member("expected", "")
            }
            object.member("status", String?.none)
            object.member("advisory_ids", [])
        }
        return writer.text
    }
}
