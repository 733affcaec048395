internal import DstackEncoding

extension QuoteVerifier {
    /// Verifies the evidence in a certificate and that it is about the certificate's key.
    ///
    /// The report's `expected_report_data` check is the binding to the key. Not part of it: who signed the certificate,
    /// for which names and times it is (``RATLSCertificate/profile(at:)``), and whether the other side has the key, which
    /// only a handshake shows.
    ///
    /// - Throws: ``AttestationError`` with code `invalid_certificate` if the certificate has no evidence, and with
    ///   `invalid_policy` if the policy expects report data other than the certificate's, which no quote could satisfy.
    public func verify(
        _ certificate: RATLSCertificate, collateral: QuoteCollateral, policy: VerificationPolicy = .standard,
        at time: Int64, floors: CollateralFloors? = nil
    ) throws(AttestationError) -> VerificationReport {
        var report = verify(
            try certificate.requiredEvidence(), collateral: collateral, policy: try certificate.binding(policy),
            at: time, floors: floors)
        report.binding = .keyBound
        return report
    }
}

extension PreparedCollateral {
    /// Verifies the evidence in a certificate; the same answer as `verify(_:collateral:policy:at:)` of ``QuoteVerifier``
    /// with the same collateral.
    public func verify(
        _ certificate: RATLSCertificate, policy: VerificationPolicy = .standard, at time: Int64,
        floors: CollateralFloors? = nil
    ) throws(AttestationError) -> VerificationReport {
        var report = verify(
            try certificate.requiredEvidence(), policy: try certificate.binding(policy), at: time, floors: floors)
        report.binding = .keyBound
        return report
    }
}

extension RATLSCertificate {
    /// For a certificate that has no evidence.
    package var missingEvidence: AttestationError {
        AttestationError(
            .invalidCertificate, subject: "certificate", reason: "RA-TLS attestation extension missing",
            hint: "a certificate without evidence can only be checked through its issuer")
    }

    func requiredEvidence() throws(AttestationError) -> Evidence {
        guard let evidence else { throw missingEvidence }
        return evidence
    }

    /// The policy with the certificate's key as what the report data must say.
    func binding(_ policy: VerificationPolicy) throws(AttestationError) -> VerificationPolicy {
        try policy.expecting(expectedReportData, "of this certificate", "its key")
    }
}
