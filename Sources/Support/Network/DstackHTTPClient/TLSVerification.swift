import CCurl
import DstackHTTP
import Glibc

/// One transfer's side of the TLS hook: hands the peer's certificates to the caller's verifier and keeps its reason.
///
/// An `SSL_CTX` holds a reference, because a kept connection outlives its first transfer. Everything here happens on
/// the client's thread.
final class TLSVerification {
    private let trust: ServerTrust
    private let host: String
    /// Why the peer was refused, if it was.
    private(set) var refusal: String?
    /// The connection that was refused.
    private(set) var refusedConnection: HTTPClientConnection?
    /// The connection that was accepted. By then the peer has not shown yet that it has the certificate's key: the rest of
    /// the handshake does.
    private(set) var accepted: HTTPClientConnection?

    init(_ trust: ServerTrust, host: String) {
        self.trust = trust
        self.host = host
    }

    /// The hook for this object. Its pointer to the object holds no reference: each `SSL_CTX` takes its own.
    func makeHook() -> dstack_curl_tls_hook {
        dstack_curl_tls_hook(
            context: Unmanaged.passUnretained(self).toOpaque(),
            retain: { _ = Unmanaged<TLSVerification>.fromOpaque($0).retain() },
            release: { Unmanaged<TLSVerification>.fromOpaque($0).release() },
            configure: trust.configureTLS == nil ? nil : { TLSVerification.at($0).configure($1) },
            checks_chain: trust.checksChain,
            verify: trust.verifier == nil ? nil : { TLSVerification.at($0).verify($1, $2, $3, $4) },
            release_connection: { Unmanaged<HTTPClientConnection>.fromOpaque($0).release() },
            chain_refused: { TLSVerification.at($0).refusal = String(cString: $1) })
    }

    private static func at(_ context: UnsafeMutableRawPointer) -> TLSVerification {
        Unmanaged<TLSVerification>.fromOpaque(context).takeUnretainedValue()
    }

    private func configure(_ context: OpaquePointer) -> Bool {
        trust.configureTLS?(context) ?? true
    }

    private func verify(
        _ chain: UnsafePointer<dstack_curl_certificate>, _ count: Int, _ version: UnsafePointer<CChar>,
        _ kept: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    ) -> Bool {
        guard let verifier = trust.verifier else { return false }
        let certificates = Self.copy(chain, count)
        let connection = HTTPClientConnection(
            certificates: certificates, host: host, tlsVersion: String(cString: version))
        switch verifier(ServerTrust.Peer(certificates: certificates, host: host, connection: connection)) {
        case .accepted:
            accepted = connection
            kept.pointee = Unmanaged.passRetained(connection).toOpaque()
            return true
        case .refused(let reason):
            refusal = reason
            refusedConnection = connection
            return false
        }
    }

    static func copy(_ chain: UnsafePointer<dstack_curl_certificate>, _ count: Int) -> [[UInt8]] {
        UnsafeBufferPointer(start: chain, count: count).map {
            [UInt8](UnsafeBufferPointer(start: $0.bytes, count: $0.count))
        }
    }
}
