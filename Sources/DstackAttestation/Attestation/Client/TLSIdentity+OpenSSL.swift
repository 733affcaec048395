package import DstackNetwork

extension TLSIdentity {
    /// Makes this what an `SSL_CTX` of OpenSSL presents in later handshakes, in place of what it had; connections that
    /// stand keep theirs.
    ///
    /// ```swift
    /// let context = SSL_CTX_new(TLS_server_method())
    /// try identity.install(in: context)
    /// ```
    ///
    /// - Parameter context: an `SSL_CTX *` of the OpenSSL 3 that this process is linked with, used by nobody else during the
    ///   call.
    /// - Throws: ``AttestationError/Code/invalidTLSIdentity`` if OpenSSL does not take it; the context is then as it was.
    public func install(in context: OpaquePointer) throws(AttestationError) {
        do throws(TLSFailure) {
            try credentials.load().install(in: context)
        } catch {
            throw AttestationError(.invalidTLSIdentity, subject: "TLS identity", reason: error.reason)
        }
    }

    /// For clients and servers of this package.
    package var credentials: TLSCredentials {
        TLSCredentials(chain: certificateChain) { [self] body in withUnsafePrivateKeyPEM { body($0) } }
    }
}
