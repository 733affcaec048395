/// What can be told of evidence without collateral.
extension QuoteVerifier {
    /// Whether a quote's signatures lead, unbroken, from its body to Intel's root: PCK certificate, quoting enclave,
    /// attestation key, quote. Nothing else is looked at, neither revocation nor times nor the platform's state.
    package static func leadsToIntel(_ quote: [UInt8]) -> Bool {
        let checks = QuoteVerifier().verifyWithoutCollateral(Evidence(quote: quote), policy: .standard, at: 0).checks
        let needed: [CheckID] = [.pckChain, .qeReportSignature, .attestationKeyBinding, .quoteSignature]
        return needed.allSatisfy { id in checks.contains { $0.id == id && $0.outcome == .passed } }
    }

    /// As far as a verification comes without collateral: never to a yes.
    package func verifyWithoutCollateral(
        _ evidence: Evidence, policy: VerificationPolicy, at time: Int64
    ) -> VerificationReport {
        let nothing = QuoteCollateral(
            pckCRLIssuerChain: "", rootCACRL: [], pckCRL: [], tcbInfoIssuerChain: "", tcbInfo: "",
            tcbInfoSignature: [], qeIdentityIssuerChain: "", qeIdentity: "", qeIdentitySignature: [])
        return verify(evidence, collateral: nothing, policy: policy, at: time)
    }
}

extension VerificationReport {
    /// The check that fails if the platform's certificates do not lead to the trust anchor: no collateral makes the answer
    /// a yes then. Nil if they do, or are not in the evidence.
    package var failureToReachAnchor: Failure? {
        checks.lazy.compactMap { check in
            guard check.id == .pckChain, case .failed(let code) = check.outcome else { return nil }
            return Failure(
                check: check.id, code: code, message: check.message, found: check.found, expected: check.expected)
        }.first
    }
}
