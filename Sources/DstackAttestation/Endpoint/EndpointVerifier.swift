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
    /// Where the platform's collateral comes from.
    public var collateral: any CollateralProvider

    /// A verifier under a root, Intel's unless said otherwise.
    public init(quoteVerifier: QuoteVerifier = QuoteVerifier(), collateral: any CollateralProvider) {
        self.quoteVerifier = quoteVerifier
        self.collateral = collateral
    }

    /// Connects to a service and verifies it.
    ///
    /// - Parameters:
    ///   - address: where it is.
    ///   - time: the time to verify at, Unix seconds.
    /// - Returns: the report; ``EndpointReport/verdict`` is the answer.
    /// - Throws: ``AttestationError`` where no verdict is possible: `endpoint_unavailable` if the service cannot be reached,
    ///   `collateral_unavailable` if its platform's collateral cannot be had.
    public func verify(_ address: EndpointAddress, at time: Int64) async throws(AttestationError) -> EndpointReport {
        let certificates = try await EndpointConnection().certificates(of: address)
        return try await verify(certificates, of: address, at: time)
    }

    /// Verifies what a service presented on a connection whose handshake is complete.
    func verify(
        _ certificates: [[UInt8]], of address: EndpointAddress, at time: Int64
    ) async throws(AttestationError) -> EndpointReport {
        func rejected(
            _ check: EndpointReport.Check, _ error: AttestationError, _ certificate: RATLSCertificate? = nil
        ) -> EndpointReport {
            EndpointReport(
                address: address, certificate: certificate, evidence: nil, time: time, verifier: self,
                problem: EndpointReport.Failure(check, .malformed, error))
        }
        guard let leaf = certificates.first else {
            return rejected(
                .certificateFormat,
                AttestationError(.invalidCertificate, subject: "certificate", reason: "the service presented none"))
        }
        let certificate: RATLSCertificate
        do throws(AttestationError) {
            certificate = try RATLSCertificate(parsing: leaf)
        } catch {
            return rejected(.certificateFormat, error)
        }
        guard var evidence = certificate.evidence, let attestation = certificate.attestation else {
            return EndpointReport(
                address: address, certificate: certificate, evidence: nil, time: time, verifier: self,
                problem: EndpointReport.Failure(
                    check: .certificateEvidence, code: .missing,
                    message: "the certificate has no evidence: the service does not prove what it runs"))
        }
        evidence.appCompose = appCompose
        let quote: Quote
        let expecting: VerificationPolicy
        do throws(AttestationError) {
            quote = try attestation.parsedQuote()
            expecting = try certificate.binding(policy)
        } catch {
            // A policy that expects other report data than this key's asks for another key.
            return error.code == .invalidPolicy
                ? EndpointReport(
                    address: address, certificate: certificate, evidence: nil, time: time, verifier: self,
                    problem: EndpointReport.Failure(.certificateEvidence, .mismatch, error))
                : rejected(.certificateEvidence, error, certificate)
        }
        let collateral = try await collateral(for: quote)
        let report = quoteVerifier.verify(evidence, collateral: collateral, policy: expecting, at: time)
        return EndpointReport(
            address: address, certificate: certificate, evidence: report, time: time, verifier: self, problem: nil)
    }

    private func collateral(for quote: Quote) async throws(AttestationError) -> QuoteCollateral {
        do {
            return try await collateral.collateral(for: quote)
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
    var identifiesCode: Bool {
        appCompose != nil || policy.expected.composeHash != nil || policy.expected.mrAggregated != nil
            || policy.expected.rtMr3 != nil
    }
}
