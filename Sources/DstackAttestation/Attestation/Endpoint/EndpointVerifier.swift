/// Decides whether the service behind a URL is the application that its operator thinks it is.
///
/// ```swift
/// var verifier = EndpointVerifier(collateral: CollateralService())
/// verifier.appCompose = try readMyOwnCopy()
/// let report = try await verifier.verify(EndpointAddress("https://app.example.org"), at: now)
/// print(report.text())
/// ```
///
/// It connects as a stranger would, takes the certificate with the evidence in it, and verifies everything from the
/// hardware's root down to this connection. What the service says of itself (names in the certificate, its own copy of the
/// compose file, what its pages show) counts for nothing: what was measured is compared with ``appCompose``, the caller's
/// own copy, or with values that the policy expects.
public struct EndpointVerifier: Sendable {
    /// Under which root quotes are believed.
    public var quoteVerifier: QuoteVerifier
    /// What is accepted, and what is expected of the application.
    public var policy = VerificationPolicy.standard
    /// The caller's own copy of app-compose.json.
    public var appCompose: [UInt8]?
    /// What the evidence must be tied to; nil for the best that the service offers: the connection, or else its key. The
    /// report says which, and why not the other.
    public var binding: EvidenceBinding?
    /// Where the platform's collateral comes from.
    public var collateral: any CollateralProvider
    /// What was verified before, so that older collateral and an earlier time are not accepted: what the collateral provider
    /// keeps, unless said otherwise. Nil for verifications as of another time than now.
    public var floors: CollateralFloors?

    /// A verifier under a root, Intel's unless said otherwise.
    public init(quoteVerifier: QuoteVerifier = QuoteVerifier(), collateral: any CollateralProvider) {
        self.quoteVerifier = quoteVerifier
        self.collateral = collateral
        floors = collateral.floors
    }

    /// Connects to a service and verifies it.
    ///
    /// - Parameters:
    ///   - address: where it is.
    ///   - time: the time to verify at, Unix seconds.
    /// - Returns: the report; ``EndpointReport/verdict`` is the answer.
    /// - Throws: ``AttestationError`` where no verdict is possible: `invalid_policy` if the policy expects report data, which
    ///   here follows from connection and key, `endpoint_unavailable` if the service cannot be reached,
    ///   `collateral_unavailable` if its platform's collateral cannot be had.
    public func verify(_ address: EndpointAddress, at time: Int64) async throws(AttestationError) -> EndpointReport {
        guard policy.expected.reportData == nil else {
            throw AttestationError(
                .invalidPolicy, subject: "expected_report_data",
                reason: "it follows from the service's key and connection, and must not be given")
        }
        let connection = EndpointConnection()
        let presentation =
            binding == .keyBound
            ? try await connection.certificates(of: address) : try await connection.session(of: address)
        return try await verify(presentation, of: address, at: time)
    }

    /// Verifies what a service presented on a connection whose handshake is complete.
    func verify(
        _ presentation: EndpointConnection.Presentation, of address: EndpointAddress, at time: Int64
    ) async throws(AttestationError) -> EndpointReport {
        var report = EndpointReport(address: address, time: time, verifier: self, presentation: presentation)
        let claim: Claim
        do throws(EndpointReport.Failure) {
            guard let leaf = presentation.certificates.first else {
                throw .init(check: .certificateFormat, code: .missing, message: "the service presented no certificate")
            }
            let certificate = try Self.checked(.certificateFormat) { () throws(AttestationError) in
                try RATLSCertificate(parsing: leaf)
            }
            report.certificate = certificate
            claim = try self.claim(certificate, presentation)
        } catch {
            report.problem = error
            return report
        }
        var evidence = claim.evidence
        evidence.appCompose = appCompose
        var policy = policy
        policy.expected.reportData = claim.reportData.bytes
        report.binding = claim.binding
        let collateral: QuoteCollateral
        do throws(AttestationError) {
            collateral = try await self.collateral(for: claim.quote)
        } catch {
            // What does not lead to the root is a no, whether or not there is collateral for it.
            report.evidence = quoteVerifier.verifyWithoutCollateral(evidence, policy: policy, at: time)
            report.evidence?.binding = claim.binding
            guard let failure = report.evidence?.failureToReachAnchor else { throw error }
            report.problem = EndpointReport.Failure(failure)
            report.collateralAbsence =
                error.code == .untrustedQuote ? "not asked for: none could make this a yes" : error.message
            return report
        }
        report.evidence = quoteVerifier.verify(
            evidence, collateral: collateral, policy: policy, at: time, floors: floors)
        report.evidence?.binding = claim.binding
        return report
    }

    /// What the service claims: evidence, and what its quote must say for it to be about this connection or its key.
    private struct Claim {
        let evidence: Evidence
        let quote: Quote
        let reportData: ReportData
        let binding: EvidenceBinding
    }

    private func claim(
        _ certificate: RATLSCertificate, _ presentation: EndpointConnection.Presentation
    ) throws(EndpointReport.Failure) -> Claim {
        if let session = presentation.session {
            return try Self.checked(.sessionEvidence) { () throws(AttestationError) in
                // Exporter and key are this side's own view of the connection; of what the other side says only the
                // evidence counts.
                let binding = try SessionBinding(
                    exporter: session.exporter, nonce: session.nonce, publicKey: certificate.publicKey)
                return Claim(
                    evidence: Evidence(attestation: session.response.attestation),
                    quote: try Attestation(decoding: session.response.attestation).parsedQuote(),
                    reportData: binding.reportData, binding: .sessionBound)
            }
        }
        guard binding != .sessionBound else {
            throw .init(
                check: .sessionEvidence, code: .missing,
                message: presentation.sessionAbsence ?? "there is no evidence about the connection")
        }
        guard let evidence = certificate.evidence, let attestation = certificate.attestation else {
            throw .init(
                check: .certificateEvidence, code: .missing,
                message: "the certificate has no evidence: the service does not prove what it runs")
        }
        return try Self.checked(.certificateEvidence) { () throws(AttestationError) in
            Claim(
                evidence: evidence, quote: try attestation.parsedQuote(),
                reportData: certificate.expectedReportData, binding: .keyBound)
        }
    }

    private static func checked<Value>(
        _ check: EndpointReport.Check, _ body: () throws(AttestationError) -> Value
    ) throws(EndpointReport.Failure) -> Value {
        do throws(AttestationError) {
            return try body()
        } catch {
            throw EndpointReport.Failure(check: check, code: .malformed, message: error.message, hint: error.hint)
        }
    }

    private func collateral(for quote: Quote) async throws(AttestationError) -> QuoteCollateral {
        do {
            return try await collateral.collateral(for: quote, verifiedBy: quoteVerifier)
        } catch let error as AttestationError {
            throw error
        } catch {
            throw AttestationError(.collateralUnavailable, subject: "collateral", reason: "\(error)")
        }
    }

    /// Whether anything was given that says which code the application should be.
    ///
    /// An application id alone does not: whoever starts a virtual machine chooses it, and only a key management service
    /// that hands out keys by it makes it mean something.
    var identifiesCode: Bool { appCompose != nil || policy.expected.namesCode }
}
