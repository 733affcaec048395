extension QuoteVerifier {
    /// Whether a quote's signatures lead, unbroken, from its body to Intel's root: PCK certificate, quoting enclave,
    /// attestation key, quote. Nothing else is looked at, neither revocation nor times nor the platform's state.
    package static func leadsToIntel(_ quote: [UInt8]) -> Bool {
        let nothing = QuoteCollateral(
            pckCRLIssuerChain: "", rootCACRL: [], pckCRL: [], tcbInfoIssuerChain: "", tcbInfo: "",
            tcbInfoSignature: [], qeIdentityIssuerChain: "", qeIdentity: "", qeIdentitySignature: [])
        let checks = QuoteVerifier().verify(quote, collateral: nothing, at: 0).checks
        let needed: [CheckID] = [.pckChain, .qeReportSignature, .attestationKeyBinding, .quoteSignature]
        return needed.allSatisfy { id in
            checks.contains { check in
                guard check.id == id, case .passed = check.outcome else { return false }
                return true
            }
        }
    }
}
