package import DstackAttestation
import DstackConcurrency
import DstackCrypto
import DstackEncoding
package import DstackNetwork
package import DstackSystem
import Synchronization

/// Finds out who connects, and lets everybody in: what needs nobody's evidence is for all, and who is refused keys should read
/// why. Upstream's clients show certificates of the temporary CA, whose key is public; who issued one does not count, only the
/// evidence in it.
///
/// The same certificate is judged once, as long as what was found holds: a host with a thousand machines, or a machine whose
/// connection broke, costs one look-up then. That it is the same is SHA-256 of all of it; that the client has its key, each
/// handshake shows anew.
package final class CallerJudge: TLSPeerJudge {
    private let verifier: AttestedPeerVerifier
    private let log: LimitedLog
    private let known = Mutex(LRUCache<FixedBytes<32>, AttestedPeer>(capacity: CallerJudge.capacity))

    /// A peer is some tens of kilobytes.
    private static let capacity = 2_048

    /// - Parameter verifier: whose policy is that of ``BootJudge``.
    package init(_ verifier: AttestedPeerVerifier, log: LimitedLog = LimitedLog(Log("kms.callers"))) {
        self.verifier = verifier
        self.log = log
    }

    package func judge(_ certificates: [[UInt8]], askedBy client: String) async -> TLSJudgement {
        guard let leaf = certificates.first else {
            return .accepted(CallerVerdict(.noCertificate, verifier))
        }
        let digest = SHA256.hash(leaf)
        if let peer = known.withLock({ $0.value(of: digest) }), verifier.stillHolds(peer) {
            return .accepted(CallerVerdict(.attested(peer), verifier))
        }
        switch await verifier.verify(certificates, as: .client, askedBy: client) {
        case .success(let peer):
            known.withLock { $0.insert(peer, for: digest) }
            return .accepted(CallerVerdict(.attested(peer), verifier))
        case .failure(let error):
            // Without evidence it is no mistake: there are methods for everybody.
            if error.code != .noEvidence {
                log.warn("a caller's evidence was refused", ["peer": client, "reason": error.description])
            }
            return .accepted(CallerVerdict(.refused(error), verifier))
        }
    }
}

/// What is known of the other end of a connection.
package struct CallerVerdict: TLSPeerVerdict {
    package enum Finding: Sendable {
        case attested(AttestedPeer)
        case refused(AttestedTLSError)
        case noCertificate
    }

    package let finding: Finding
    private let verifier: AttestedPeerVerifier
    private let foundAt = ContinuousClock.now

    /// How long a refusal is not looked at again: collateral may have come meanwhile, and a stranger must not have his evidence
    /// verified with each of his requests.
    private static let refusalLifetime = Duration.seconds(5)

    init(_ finding: Finding, _ verifier: AttestedPeerVerifier) {
        self.finding = finding
        self.verifier = verifier
    }

    package var holds: Bool {
        switch finding {
        case .attested(let peer): verifier.stillHolds(peer)
        case .refused: foundAt.duration(to: .now) < Self.refusalLifetime
        case .noCertificate: true
        }
    }
}
