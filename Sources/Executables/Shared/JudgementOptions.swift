package import DstackAttestation
package import DstackCommandLine
import DstackSystem

/// Options about what is believed and accepted, the same wherever a command gives a verdict.
package enum JudgementOptions {
    package static let policy = Option(
        "policy", .choiceOrFile(["authentic", "standard", "strict"]), default: "standard",
        "what to accept: a preset or a policy file")
    package static let trustRoot = Option(
        "trust-root", .file, "another root certificate than Intel's, PEM or DER; for simulated TEEs")
    package static let at = Option("at", .time, "the time to verify at, Unix seconds or RFC 3339; now if left out")
    package static let checks = Flag("checks", "list every check, not only those that failed")

    package static let declarations: [any ArgumentDeclaration] = [policy, trustRoot, at, Flag.json, checks]

    /// The most bytes read of a certificate or a policy.
    private static let limit = 1 << 20

    package static func verifier(_ arguments: Arguments) throws(CommandFailure) -> QuoteVerifier {
        guard let bytes = try arguments.read(trustRoot, limit: limit) else { return QuoteVerifier() }
        return try CommandFailure.wrongFile(trustRoot, arguments) { () throws(AttestationError) in
            QuoteVerifier(trustAnchor: try TrustAnchor(certificate: bytes))
        }
    }

    package static func policy(_ arguments: Arguments) throws(CommandFailure) -> VerificationPolicy {
        if let preset = VerificationPolicy.preset(named: arguments[policy]) { return preset }
        let bytes = try arguments.read(policy, limit: limit)
        return try CommandFailure.wrongFile(policy, arguments) { () throws(AttestationError) in
            try VerificationPolicy(parsingJSON: bytes)
        }
    }

    /// The policy file that was given; nil for a preset, and for a command that takes no policy.
    static func policyFile(_ arguments: Arguments) -> String? {
        guard arguments.label(of: "policy") != nil, VerificationPolicy.preset(named: arguments[policy]) == nil else {
            return nil
        }
        return arguments.fileName(policy)
    }

    /// Whether evidence is judged as of a time that was given. The answer then depends on what is given alone, today and in ten
    /// years: what was verified before does not bind it (docs/verification.md).
    package static func isAtGivenTime(_ arguments: Arguments) -> Bool { arguments.has(at) }

    package static func time(_ arguments: Arguments) -> Int64 { arguments[at] ?? SystemWallClock().unixSeconds }
}
