package import DstackAttestation
package import DstackHTTPServer
import DstackSystem

extension HTTPPeer {
    /// Who is at the other end, by evidence that was accepted as being about the key of this very connection.
    ///
    /// - Throws: ``KMSServiceError``: `notAttested`, in upstream's words where there is none; `unavailable` where evidence could
    ///   not be verified for want of collateral.
    package func attestedCaller() throws(KMSServiceError) -> AttestedPeer {
        guard let verdict = verdict as? CallerVerdict else {
            throw KMSServiceError(
                .notAttested, "caller", "No attestation provided",
                hint: "connect with a client certificate that carries evidence about its key")
        }
        switch verdict.finding {
        case .attested(let peer): return peer
        case .refused(let error): throw KMSServiceError(error)
        case .noCertificate: throw KMSServiceError(.notAttested, "caller", "No attestation provided")
        }
    }
}

extension KMSServiceError {
    /// Why evidence was not accepted.
    package init(_ error: AttestedTLSError) {
        switch error.code {
        case .noEvidence:
            self.init(
                .notAttested, "caller", "No attestation provided",
                hint: "connect with a client certificate that carries evidence about its key")
        case .collateralUnavailable:
            self.init(
                .unavailable, "caller's evidence", SafeText.line(error.reason, limit: 512),
                hint: "it cannot be verified without the platform's collateral; try again")
        default:
            self.init(.notAttested, "caller's evidence", "\(error.check): \(SafeText.line(error.reason, limit: 512))")
        }
    }
}
