import DstackAttestation
import DstackCommandLine
import DstackEncoding
import DstackSystem

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
            quote, attestation, collateral, eventLog, appCompose, vmConfig, policy, trustRoot, at, Flag.json, checks,
        ],
        rules: [
            .exactlyOne(of: quote, attestation), .atMostOne(of: attestation, eventLog),
            .atMostOne(of: attestation, vmConfig),
        ],
        run: run)

    /// The most bytes read of any file.
    private static let limit = 16 << 20

    private static func run(_ arguments: Arguments, _ console: Console) throws -> ExitStatus {
        let anchor = try arguments.read(trustRoot, limit: limit).map { bytes throws(CommandFailure) in
            try wrongRequest { () throws(AttestationError) in try TrustAnchor(certificate: bytes) }
        }
        let chosenPolicy = try policy(arguments)
        let collateralBytes = try arguments.read(collateral, limit: limit)
        let evidence = try readEvidence(arguments)
        let parsed: QuoteCollateral
        do throws(AttestationError) {
            parsed = try QuoteCollateral(parsingJSON: collateralBytes)
        } catch {
            if arguments[Flag.json] {
                console.print(refusal(check: "collateral_format", code: "malformed", error.description))
            } else {
                console.print(
                    "REJECTED collateral that cannot be read\n  because \(SafeText.line(error.description))")
            }
            if !error.hint.isEmpty { console.hint(error.hint) }
            return .no
        }
        let report = QuoteVerifier(trustAnchor: anchor ?? .intel).verify(
            evidence, collateral: parsed, policy: chosenPolicy, at: arguments[at] ?? SystemWallClock().unixSeconds)
        if arguments[Flag.json] {
            console.print(String(decoding: report.json(), as: UTF8.self))
        } else {
            let style = VerificationReport.TextStyle(
                isColored: console.outputTerminal.usesColor, listsChecks: arguments[checks],
                shortensHashes: console.outputTerminal.isInteractive)
            console.print(String(report.text(style: style).dropLast()))
        }
        return report.verdict == .accepted ? .yes : .no
    }

    private static func readEvidence(_ arguments: Arguments) throws -> Evidence {
        let compose = try arguments.read(appCompose, limit: limit)
        if let bytes = try arguments.read(attestation, limit: limit) {
            return Evidence(attestation: Evidence.binary(from: bytes), appCompose: compose)
        }
        return Evidence(
            quote: Evidence.binary(from: try arguments.read(quote, limit: limit) ?? []),
            eventLog: try arguments.read(eventLog, limit: limit),
            configuration: try arguments.read(vmConfig, limit: limit).map { String(decoding: $0, as: UTF8.self) } ?? "",
            appCompose: compose)
    }

    private static func policy(_ arguments: Arguments) throws -> VerificationPolicy {
        if let preset = VerificationPolicy.preset(named: arguments[policy]) { return preset }
        let bytes = try arguments.read(policy, limit: 1 << 20)
        return try wrongRequest { () throws(AttestationError) in try VerificationPolicy(parsingJSON: bytes) }
    }

    /// A root or a policy that makes no sense is a mistake in the request, not a verdict on evidence.
    private static func wrongRequest<Value>(
        _ body: () throws(AttestationError) -> Value
    ) throws(CommandFailure) -> Value {
        do throws(AttestationError) {
            return try body()
        } catch {
            throw CommandFailure(.wrongRequest, error.description, hint: error.hint.isEmpty ? nil : error.hint)
        }
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
