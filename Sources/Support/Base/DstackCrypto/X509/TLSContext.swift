internal import COpenSSL

/// What an application's own `SSL_CTX` is given.
package enum TLSContext {
    /// Makes key and certificates those that a context presents in later handshakes, in place of what it had.
    ///
    /// - Parameters:
    ///   - context: an `SSL_CTX *`, used by nobody else during the call.
    ///   - privateKeyPEM: unencrypted.
    ///   - chain: the leaf, then those above it, DER.
    /// - Throws: ``CryptoFailure`` for what cannot be read or does not go together; the context is then as it was.
    package static func use(
        privateKeyPEM: UnsafeRawBufferPointer, chain: [[UInt8]], in context: OpaquePointer
    ) throws(CryptoFailure) {
        // One buffer for all certificates: their addresses must hold at the same time.
        let all = chain.flatMap { $0 }
        let status = all.withUnsafeBufferPointer { bytes in
            var start = bytes.baseAddress
            let certificates = chain.map { certificate in
                defer { start = start?.advanced(by: certificate.count) }
                return dstack_certificate(bytes: start, count: certificate.count)
            }
            return dstack_ssl_use_identity(
                context, privateKeyPEM.baseAddress?.assumingMemoryBound(to: UInt8.self), privateKeyPEM.count,
                certificates, certificates.count)
        }
        switch status {
        case 1: break
        case 0:
            throw CryptoFailure(
                .malformed, "TLS identity", "key or certificates cannot be read, or the leaf is for another key")
        default: throw .library("TLS identity")
        }
    }
}
