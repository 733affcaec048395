import DstackAttestation
import DstackHTTPClient
import DstackNetwork
import DstackSystem
import Synchronization

/// Decides about a KMS's connections in their handshakes, and remembers what a client has learned of the KMS.
final class KMSServerJudge: Sendable {
    private struct State {
        /// The root that every connection is verified by; learned where it was not known beforehand.
        var caPublicKey: [UInt8]?
        /// The server of the connection that was accepted last.
        var server: AcceptedKMS?
        /// The first leaf, where none but the first server will do.
        var onlyLeaf: [UInt8]?
    }

    let trust: KMSTrust
    private let staysWithFirstServer: Bool
    private let clock: any WallClock
    private let state: Mutex<State>

    init(_ trust: KMSTrust, staysWithFirstServer: Bool, clock: any WallClock) {
        self.trust = trust
        self.staysWithFirstServer = staysWithFirstServer
        self.clock = clock
        state = Mutex(State(caPublicKey: trust.caPublicKey))
    }

    /// The root's key, once it is known.
    var caPublicKey: [UInt8]? { state.withLock { $0.caPublicKey } }

    var server: AcceptedKMS? { state.withLock { $0.server } }

    /// Has later connections verified by a root, too.
    func learn(caPublicKey: [UInt8]) { state.withLock { $0.caPublicKey = $0.caPublicKey ?? caPublicKey } }

    /// For connections of which everything is demanded that is known.
    func serverTrust() -> ServerTrust {
        // Where evidence says which code answers, by which name it was called plays no part.
        var trust = ServerTrust.only(checksHost: self.trust.verifier == nil) {
            [self] peer in verdict(peer)
        }
        guard let verifier = self.trust.verifier else { return trust }
        trust.stillAccepts = { connection in
            guard let peer = (connection.attachment as? AcceptedKMS)?.peer else { return false }
            return verifier.stillHolds(peer)
        }
        return trust
    }

    /// For the one connection that nothing is demanded of.
    static func unverified() -> ServerTrust { .only(checksHost: false) { _ in .accepted } }

    private func verdict(_ peer: ServerTrust.Peer) -> ServerTrust.Verdict {
        do throws(KMSCertificate.Refusal) {
            let server = try judge(peer.certificates)
            peer.connection.attachment = server
            return .accepted
        } catch {
            return .refused(error.reason)
        }
    }

    private func judge(_ certificates: [[UInt8]]) throws(KMSCertificate.Refusal) -> AcceptedKMS {
        guard let leaf = certificates.first else { throw .init("it presented no certificate") }
        let certificate = try KMSCertificate(leaf, usage: .kmsRPC, at: clock.unixSeconds)
        let (caPublicKey, onlyLeaf) = state.withLock { ($0.caPublicKey, $0.onlyLeaf) }
        if let caPublicKey { try certificate.check(signedBy: caPublicKey) }
        var peer: AttestedPeer?
        if let verifier = trust.verifier {
            switch verifier.verify(certificates, as: .server) {
            case .success(let accepted): peer = accepted
            case .failure(let error): throw .init(error.description)
            }
        }
        guard caPublicKey != nil || peer != nil else { throw .init("there is nothing to verify it by") }
        // What was decided about the first server outside of its handshake holds for this very evidence and no other.
        if let onlyLeaf, onlyLeaf != leaf { throw .init("it is not the server that answered first") }
        let server = AcceptedKMS(certificates: certificates, publicKey: certificate.publicKey, peer: peer)
        state.withLock { state in
            state.server = server
            if staysWithFirstServer, state.onlyLeaf == nil { state.onlyLeaf = leaf }
        }
        return server
    }

    /// Whether a refusal was for want of collateral that is there now. Waits until it is fetched.
    func acceptsAfterFetching(_ connection: HTTPClientConnection?) async -> Bool {
        guard let verifier = trust.verifier, let certificates = connection?.certificates,
            case .failure(let first) = verifier.verify(certificates, as: .server), first.isAboutCollateral
        else { return false }
        guard case .success = await verifier.verify(certificates, as: .server, askedBy: nil) else { return false }
        return true
    }
}

extension AttestedTLSError {
    /// Whether it is not about the peer alone, so that a second look may find something else.
    fileprivate var isAboutCollateral: Bool { code == .collateralUnavailable || code == .evidenceRejected }
}
