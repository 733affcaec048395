/// What evidence is tied to by its report data.
public enum EvidenceBinding: String, Sendable, Hashable, CaseIterable {
    /// The key of a certificate. The evidence shows that attested code had this key quoted; whoever else gets the key, or
    /// has attested code quote a key of his own, can show the same evidence (CVE-2026-33697).
    case keyBound = "key-bound"
    /// One TLS connection, by its exporter value, with the certificate's key and a fresh nonce. The evidence shows that the
    /// attested code ends this very connection.
    case sessionBound = "session-bound"

    /// For a person.
    var meaning: String {
        switch self {
        case .keyBound: "the evidence is about the certificate's key"
        case .sessionBound: "the evidence is about this TLS connection"
        }
    }
}

extension QuoteVerifier {
    /// Verifies evidence that must be about one TLS connection.
    ///
    /// The report's `expected_report_data` check is the binding to the connection. All three parts of `session` must be
    /// what the caller knows of its own connection; taken from the other side they would prove nothing.
    ///
    /// - Parameter attestation: an attestation envelope.
    /// - Throws: ``AttestationError`` with code `invalid_policy` if the policy expects other report data.
    public func verify(
        _ attestation: [UInt8], for session: SessionBinding, collateral: QuoteCollateral,
        policy: VerificationPolicy = .standard, at time: Int64, floors: CollateralFloors? = nil
    ) throws(AttestationError) -> VerificationReport {
        var report = verify(
            Evidence(attestation: attestation), collateral: collateral, policy: try session.binding(policy), at: time,
            floors: floors)
        report.binding = .sessionBound
        return report
    }
}

extension PreparedCollateral {
    /// Verifies evidence that must be about one TLS connection; the same answer as
    /// `verify(_:for:collateral:policy:at:)` of ``QuoteVerifier`` with the same collateral.
    public func verify(
        _ attestation: [UInt8], for session: SessionBinding, policy: VerificationPolicy = .standard, at time: Int64,
        floors: CollateralFloors? = nil
    ) throws(AttestationError) -> VerificationReport {
        var report = verify(
            Evidence(attestation: attestation), policy: try session.binding(policy), at: time, floors: floors)
        report.binding = .sessionBound
        return report
    }
}

extension SessionBinding {
    /// The policy with this connection as what the report data must say.
    func binding(_ policy: VerificationPolicy) throws(AttestationError) -> VerificationPolicy {
        try policy.expecting(reportData, "of this connection", "the connection")
    }
}

extension VerificationPolicy {
    /// The policy with what the report data must say for evidence to be about something.
    ///
    /// - Throws: ``AttestationError/Code/invalidPolicy`` for a policy that expects something else.
    func expecting(
        _ reportData: ReportData, _ whose: StaticString, _ object: StaticString
    ) throws(AttestationError) -> VerificationPolicy {
        let bound = reportData.bytes
        if let other = expected.reportData, other != bound {
            throw AttestationError(
                .invalidPolicy, subject: Expectation.reportData.member,
                reason: "the report data \(whose) must be \(bound), which binds it to \(object)")
        }
        var policy = self
        policy.expected.reportData = bound
        return policy
    }
}
