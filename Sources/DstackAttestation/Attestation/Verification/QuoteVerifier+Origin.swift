import DstackCrypto
import DstackEncoding

/// What can be told of a quote before there is collateral: whether it leads to the trust anchor at all.
extension QuoteVerifier {
    /// Whether a quote's signatures lead, unbroken, from its body to the trust anchor: PCK certificate, quoting enclave,
    /// attestation key, quote. Nothing else is looked at, neither revocation nor times nor the platform's state.
    ///
    /// Whoever fetches collateral asks this first. Anybody can make up a quote that names any platform; only a genuine
    /// platform can make one for which fetching is not in vain. It costs a few signatures, and no quote for which it fails is
    /// ever accepted.
    ///
    /// - Parameters:
    ///   - quote: the quote, which has been parsed and not verified.
    ///   - pckCertificateChain: PEM, leaf first; in place of the one in the quote.
    /// - Returns: the first of the checks that fails; nil if the quote leads to the anchor.
    public func originFailure(of quote: Quote, pckCertificateChain: String? = nil) -> VerificationReport.Failure? {
        var nothing = QuoteCollateral.nothing
        nothing.pckCertificateChain = pckCertificateChain
        let chain: Result<[Certificate], DecodingFailure>
        switch PlatformEvaluation.chainText(quote, nothing) {
        case .failure(let issue): return VerificationReport.Failure(.pckCertificateSource, issue)
        case .success(let text):
            chain = DecodedCollateral.result { () throws(DecodingFailure) in
                try DecodedCollateral.chain(text, "PCK certificate chain")
            }
        }
        var evaluation = QuoteEvaluation(quote)
        let batch = SignatureBatch(PlatformEvaluation.signatures(chain) + evaluation.signatures)
        let collateral = CollateralEvaluation(
            DecodedCollateral(nothing), anchor: trustAnchor, tables: tables, SignatureBatch([]))
        let platform = PlatformEvaluation(chain, collateral, tables: tables, batch)
        let signedBytes = quote.signedBytes
        _ = evaluation.evaluate(
            signedBytes: signedBytes.span.bytes, pckKey: platform.pckKey, identity: nil, tables: tables, batch,
            cache: nil)
        var checks = platform.checks
        checks.merge(evaluation.checks)
        return checks.checks.lazy.filter { CheckID.ofOrigin.contains($0.id) }.compactMap(
            VerificationReport.Failure.init
        )
        .first
    }

    /// Whether a quote leads to Intel's root.
    package static func leadsToIntel(_ bytes: [UInt8]) -> Bool {
        guard let quote = try? Quote(parsing: bytes) else { return false }
        return QuoteVerifier().originFailure(of: quote) == nil
    }

    /// The same as an error, for those who fetch.
    ///
    /// - Throws: ``AttestationError/Code/untrustedQuote`` with the check that fails as its subject.
    func requireOrigin(of quote: Quote, pckCertificateChain: String? = nil) throws(AttestationError) {
        guard let failure = originFailure(of: quote, pckCertificateChain: pckCertificateChain) else { return }
        throw AttestationError(.untrustedQuote, subject: failure.check.name, reason: failure.message)
    }

    /// As far as a verification comes without collateral: never to a yes.
    package func verifyWithoutCollateral(
        _ evidence: Evidence, policy: VerificationPolicy, at time: Int64
    ) -> VerificationReport {
        verify(evidence, collateral: .nothing, policy: policy, at: time)
    }
}

extension CheckID {
    /// From the trust anchor down to the quote's body, without a gap; what only collateral shows is not among them.
    fileprivate static let ofOrigin: [CheckID] = [
        .pckChain, .pckExtension, .qeReportSignature, .attestationKeyBinding, .quoteSignature,
    ]
}

extension VerificationReport {
    /// The check that fails if the quote does not lead to the trust anchor: no collateral makes the answer a yes then. Nil if
    /// it does, or if there is no certificate to tell it by.
    package var failureToReachAnchor: Failure? {
        checks.lazy.filter { CheckID.ofOrigin.contains($0.id) }.compactMap { check in
            // What an earlier failure left open is not known to fail.
            if case .failed = check.outcome { Failure(check) } else { nil }
        }.first
    }
}

extension VerificationReport.Failure {
    /// A check that failed or was never made; nil for one that passed or does not apply.
    init?(_ check: VerificationCheck) {
        switch check.outcome {
        case .passed, .notApplicable: return nil
        case .failed(let code):
            self.init(
                check: check.id, code: code, message: check.message, found: check.found, expected: check.expected)
        case .notReached:
            self.init(check: check.id, code: .notChecked, message: "was not checked", found: "", expected: "")
        }
    }

    fileprivate init(_ check: CheckID, _ issue: CheckIssue) {
        self.init(
            check: check, code: issue.code, message: issue.message, found: issue.found.text,
            expected: issue.expected.text)
    }
}

extension QuoteCollateral {
    /// No statement about anything.
    static let nothing = QuoteCollateral(
        pckCRLIssuerChain: "", rootCACRL: [], pckCRL: [], tcbInfoIssuerChain: "", tcbInfo: "",
        tcbInfoSignature: [], qeIdentityIssuerChain: "", qeIdentity: "", qeIdentitySignature: [])
}
