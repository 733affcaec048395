import DstackEncoding
import DstackNetwork

// For programs with TLS of their own. OpenSSL's types are pointers without a type here: `SSL_CTX *` and `SSL *`.
extension AttestedPeerVerifier {
    /// Makes an OpenSSL context verify its peers by their evidence, in place of any chain of authorities.
    ///
    /// From then on every full handshake of the context needs a peer certificate that this verifier accepts. Sessions are not
    /// resumed, since a resumed one would skip the verification, unless the program itself sets one (`SSL_set_session`):
    /// OpenSSL asks nobody then. A connection without a ``verdict(of:)`` was not verified. The
    /// verifier lives as long as the context. Not to be called while another thread makes connections of the context.
    ///
    /// - Parameters:
    ///   - context: an `SSL_CTX *`.
    ///   - role: which side the peers are: `.server` for a client's context.
    /// - Throws: ``AttestationError`` where memory is short.
    public func install(in context: OpaquePointer, verifyingPeersAs role: Role) throws(AttestationError) {
        let verifier = TLSVerifier(checksChain: false) { [self] connection, certificates in
            let verdict = verify(certificates, as: role)
            TLSConnection.keep(PeerVerdict(verdict), in: connection)
            if case .success = verdict { return true }
            return false
        }
        guard verifier.installRequired(in: context) else {
            throw AttestationError(
                .invalidTLSIdentity, subject: "OpenSSL context", reason: "no memory for the verifier")
        }
    }

    /// How the peer of a connection was judged; nil before the handshake came to it, and for a session that the program
    /// resumed by itself, whose peer nobody judged.
    ///
    /// - Parameter connection: an `SSL *` of a context with a verifier.
    public static func verdict(of connection: OpaquePointer) -> Result<AttestedPeer, AttestedTLSError>? {
        (TLSConnection.kept(in: connection) as? PeerVerdict)?.result
    }
}

extension SessionBinding {
    /// The exporter value of a connection whose handshake is complete: 32 bytes that only its two ends know.
    ///
    /// - Parameter connection: an `SSL *`.
    /// - Throws: ``AttestationError/Code/invalidSessionEvidence`` where it is not of TLS 1.3. Older exporters do not cover
    ///   the whole handshake.
    public static func exporter(of connection: OpaquePointer) throws(AttestationError) -> FixedBytes<32> {
        guard let value = TLSConnection.export(exporterLabel, from: connection), let fixed = FixedBytes<32>(value)
        else {
            throw AttestationError(
                .invalidSessionEvidence, subject: "TLS connection",
                reason: "no exporter value: a completed handshake of TLS 1.3 is needed")
        }
        return fixed
    }
}

/// What stays with a connection.
private final class PeerVerdict: Sendable {
    let result: Result<AttestedPeer, AttestedTLSError>

    init(_ result: Result<AttestedPeer, AttestedTLSError>) { self.result = result }
}
