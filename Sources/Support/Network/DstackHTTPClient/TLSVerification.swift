import CCurl
import DstackNetwork
import Synchronization

/// One transfer's side of TLS: hands the peer's certificates to the caller's verifier and keeps its reason.
///
/// An `SSL_CTX` holds a reference, because a kept connection outlives its first transfer. Everything here happens on
/// the thread that has the client's handles; the lock is for the compiler, which cannot know that.
final class TLSVerification: Sendable {
    private struct State {
        /// Why the peer was refused, if it was.
        var refusal: String?
        var refusedConnection: HTTPClientConnection?
        var accepted: HTTPClientConnection?
    }

    private let trust: ServerTrust
    private let host: String
    private let identity: TLSIdentityHandle?
    private let state = Mutex(State())

    /// Why the peer was refused, and the connection that was.
    var refusal: (reason: String, connection: HTTPClientConnection?)? {
        state.withLock { state in state.refusal.map { ($0, state.refusedConnection) } }
    }

    /// The connection that was accepted. By then the peer has not shown yet that it has the certificate's key: the rest of
    /// the handshake does.
    var accepted: HTTPClientConnection? { state.withLock { $0.accepted } }

    init(_ trust: ServerTrust, host: String, identity: TLSIdentityHandle?) {
        self.trust = trust
        self.host = host
        self.identity = identity
    }

    /// Called with each new `SSL_CTX`, after libcurl's own settings. False fails the transfer.
    func configure(_ context: OpaquePointer) -> Bool {
        var hook = TLSVerifier(checksChain: trust.checksChain, decision: nil)
        hook.chainRefused = { [self] reason in state.withLock { $0.refusal = reason } }
        if let verifier = trust.verifier {
            hook.decision = { [self] connection, certificates in decide(verifier, connection, certificates) }
        }
        guard TLSClientContext.prepare(context, identity: identity), hook.install(in: context) else { return false }
        return trust.configureTLS?(context) ?? true
    }

    private func decide(_ verifier: ServerTrust.Verifier, _ tls: OpaquePointer, _ certificates: [[UInt8]]) -> Bool {
        let connection = HTTPClientConnection(
            certificates: certificates, host: host, tlsVersion: TLSConnection.version(tls))
        switch verifier(ServerTrust.Peer(certificates: certificates, host: host, connection: connection)) {
        case .accepted:
            state.withLock { $0.accepted = connection }
            return TLSConnection.keep(connection, in: tls)
        case .refused(let reason):
            state.withLock { state in
                state.refusal = reason
                state.refusedConnection = connection
            }
            return false
        }
    }
}
