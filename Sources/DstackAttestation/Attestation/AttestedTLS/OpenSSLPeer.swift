import COpenSSL
import DstackCrypto
import DstackEncoding
import Synchronization

// For programs with TLS of their own. OpenSSL's types are pointers without a type here: `SSL_CTX *` and `SSL *`.
extension AttestedPeerVerifier {
    /// Makes an OpenSSL context verify its peers by their evidence, in place of any chain of authorities.
    ///
    /// From then on every full handshake of the context needs a peer certificate that this verifier accepts. Sessions are not
    /// resumed, since a resumed one would skip the verification, unless the program itself sets one (`SSL_set_session`):
    /// OpenSSL asks nobody then. A connection without a ``verdict(of:)`` was not verified. The verifier lives as long as the context. Not to be
    /// called while another thread makes connections of the context.
    ///
    /// - Parameters:
    ///   - context: an `SSL_CTX *`.
    ///   - role: which side the peers are: `.server` for a client's context.
    /// - Throws: ``AttestationError`` where memory is short.
    public func install(in context: OpaquePointer, verifyingPeersAs role: Role) throws(AttestationError) {
        let installed = InstalledVerifier(self, role)
        let reference = Unmanaged.passRetained(installed)
        guard ExtraData.contextIndex >= 0, ExtraData.connectionIndex >= 0,
            // A verifier that is there already goes: setting an index does not release what was at it.
            ExtraData.replace(in: context, by: reference)
        else {
            reference.release()
            throw AttestationError(
                .invalidTLSIdentity, subject: "OpenSSL context", reason: "no memory for the verifier")
        }
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nil)
        SSL_CTX_set_cert_verify_callback(
            context,
            { store, argument in
                guard let store, let argument else { return 0 }
                return Unmanaged<InstalledVerifier>.fromOpaque(argument).takeUnretainedValue().verify(store)
            }, reference.toOpaque())
        SSL_CTX_ctrl(context, SSL_CTRL_SET_SESS_CACHE_MODE, Int(SSL_SESS_CACHE_OFF), nil)
        SSL_CTX_set_num_tickets(context, 0)
        // SSL_OP_NO_TICKET and SSL_OP_NO_RENEGOTIATION, whose macros Swift does not read (OpenSSL 3, ssl.h).
        SSL_CTX_set_options(context, 1 << 14 | 1 << 30)
    }

    /// How the peer of a connection was judged; nil before the handshake came to it, and for a session that the program
    /// resumed by itself, whose peer nobody judged.
    ///
    /// - Parameter connection: an `SSL *` of a context with a verifier.
    public static func verdict(of connection: OpaquePointer) -> Result<AttestedPeer, AttestedTLSError>? {
        guard let pointer = SSL_get_ex_data(connection, ExtraData.connectionIndex) else { return nil }
        return Unmanaged<PeerVerdict>.fromOpaque(pointer).takeUnretainedValue().result
    }
}

extension SessionBinding {
    /// The exporter value of a connection whose handshake is complete: 32 bytes that only its two ends know.
    ///
    /// - Parameter connection: an `SSL *`.
    /// - Throws: ``AttestationError/Code/invalidSessionEvidence`` where it is not of TLS 1.3. Older exporters do not cover
    ///   the whole handshake.
    public static func exporter(of connection: OpaquePointer) throws(AttestationError) -> FixedBytes<32> {
        var value = [UInt8](repeating: 0, count: 32)
        guard SSL_version(connection) == TLS1_3_VERSION, SSL_is_init_finished(connection) == 1,
            SSL_export_keying_material(
                connection, &value, value.count, exporterLabel, exporterLabel.utf8.count, nil, 0, 1) == 1,
            let fixed = FixedBytes<32>(value)
        else {
            throw AttestationError(
                .invalidSessionEvidence, subject: "TLS connection",
                reason: "no exporter value: a completed handshake of TLS 1.3 is needed")
        }
        return fixed
    }
}

/// A verifier in a context.
private final class InstalledVerifier: Sendable {
    private let verifier: AttestedPeerVerifier
    private let role: AttestedPeerVerifier.Role

    init(_ verifier: AttestedPeerVerifier, _ role: AttestedPeerVerifier.Role) {
        self.verifier = verifier
        self.role = role
    }

    func verify(_ store: OpaquePointer) -> Int32 {
        let verdict = verifier.verify(Self.leaf(store).map { [$0] } ?? [], as: role)
        if let connection = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()) {
            ExtraData.keep(PeerVerdict(verdict), in: OpaquePointer(connection))
        }
        switch verdict {
        case .success:
            X509_STORE_CTX_set_error(store, X509_V_OK)
            return 1
        case .failure:
            X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION)
            return 0
        }
    }

    private static func leaf(_ store: OpaquePointer) -> [UInt8]? {
        guard let certificate = X509_STORE_CTX_get0_cert(store) else { return nil }
        let count = Int(i2d_X509(certificate, nil))
        guard count > 0, count <= RATLSCertificate.maximumByteCount else { return nil }
        var bytes = [UInt8](repeating: 0, count: count)
        let written = bytes.withUnsafeMutableBufferPointer { buffer in
            var position = buffer.baseAddress
            return i2d_X509(certificate, &position)
        }
        return Int(written) == count ? bytes : nil
    }
}

private final class PeerVerdict: Sendable {
    let result: Result<AttestedPeer, AttestedTLSError>

    init(_ result: Result<AttestedPeer, AttestedTLSError>) { self.result = result }
}

/// References that OpenSSL's objects hold, released when these end.
private enum ExtraData {
    static let contextIndex = index(CRYPTO_EX_INDEX_SSL_CTX)
    static let connectionIndex = index(CRYPTO_EX_INDEX_SSL)

    private static func index(_ kind: Int32) -> Int32 {
        CRYPTO_get_ex_new_index(
            kind, 0, nil, nil, nil,
            { _, reference, _, _, _, _ in
                guard let reference else { return }
                Unmanaged<AnyObject>.fromOpaque(reference).release()
            })
    }

    static func replace(in context: OpaquePointer, by reference: Unmanaged<InstalledVerifier>) -> Bool {
        let old = SSL_CTX_get_ex_data(context, contextIndex)
        guard SSL_CTX_set_ex_data(context, contextIndex, reference.toOpaque()) == 1 else { return false }
        if let old { Unmanaged<AnyObject>.fromOpaque(old).release() }
        return true
    }

    static func keep(_ verdict: PeerVerdict, in connection: OpaquePointer) {
        let reference = Unmanaged.passRetained(verdict)
        let old = SSL_get_ex_data(connection, connectionIndex)
        guard SSL_set_ex_data(connection, connectionIndex, reference.toOpaque()) == 1 else {
            return reference.release()
        }
        if let old { Unmanaged<AnyObject>.fromOpaque(old).release() }
    }
}
