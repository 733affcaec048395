package import DstackNetwork

/// The judge of a server's clients by the evidence in their certificates.
package final class AttestedClientJudge: TLSPeerJudge {
    private let verifier: AttestedPeerVerifier

    package init(_ verifier: AttestedPeerVerifier) { self.verifier = verifier }

    package func judge(_ certificates: [[UInt8]], askedBy client: String) async -> TLSJudgement {
        switch await verifier.verify(certificates, as: .client, askedBy: client) {
        case .success(let peer): .accepted(AttestedClientVerdict(peer: peer, verifier: verifier))
        case .failure(let error): .refused(error.description)
        }
    }

    /// What a handshake can refuse by itself, so that it fails where nothing has to be found out.
    package func check(_ certificates: [[UInt8]]) -> TLSVerifier.Verdict {
        do throws(AttestedTLSError) {
            try verifier.checkClaim(certificates, as: .client)
            return .accepted
        } catch {
            return .refused(error.description)
        }
    }
}

/// A client that was accepted, by the policy and the collateral of one verifier.
package struct AttestedClientVerdict: TLSPeerVerdict {
    package let peer: AttestedPeer
    private let verifier: AttestedPeerVerifier

    init(peer: AttestedPeer, verifier: AttestedPeerVerifier) {
        self.peer = peer
        self.verifier = verifier
    }

    /// Within the validity of everything that it rests on, and nothing newer is known that may revoke it.
    package var holds: Bool { verifier.stillHolds(peer) }
}
