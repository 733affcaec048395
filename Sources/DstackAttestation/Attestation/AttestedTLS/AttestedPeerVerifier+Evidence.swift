/// Evidence that was accepted as being about something.
package struct AcceptedAttestation: Sendable {
    /// How it was judged: accepted.
    package let report: VerificationReport
    /// The last second for which that holds, Unix seconds.
    package let validUntil: Int64
}

extension AttestedPeerVerifier {
    /// Judges evidence that comes in a message: what it is about is known from there, and must be what its report data says.
    ///
    /// Waits for collateral as ``verify(_:as:askedBy:)`` does.
    ///
    /// - Parameters:
    ///   - reportData: of what the evidence has to be about.
    ///   - client: who waits; the same text for all that should count as one.
    package func verify(
        _ attestation: Attestation, expecting reportData: ReportData, askedBy client: String?
    ) async -> Result<AcceptedAttestation, AttestedTLSError> {
        let first = verify(attestation, expecting: reportData)
        guard case .failure(let error) = first, error.mayFindOtherCollateral, let quote = error.quote else {
            return first
        }
        do {
            guard try await collateral.prepare(for: quote, askedBy: client) else { return first }
        } catch {
            return .failure(
                AttestedTLSError(.collateralUnavailable, check: "collateral", reason: "\(error)", quote: quote))
        }
        return verify(attestation, expecting: reportData)
    }

    private func verify(
        _ attestation: Attestation, expecting reportData: ReportData
    ) -> Result<AcceptedAttestation, AttestedTLSError> {
        Result { () throws(AttestedTLSError) in
            let quote = try Self.quote(of: attestation)
            let ready = try ready(for: quote)
            let report = try Self.policyChecked { () throws(AttestationError) in
                judge(
                    Evidence(attestation: attestation.encoded.bytes), nil,
                    try policy.expecting(reportData, "of this evidence", "what it came with"), with: ready)
            }
            try Self.require(report, quote)
            collateral.noteAccepted(quote)
            return AcceptedAttestation(report: report, validUntil: report.validUntil ?? .min)
        }
    }
}
