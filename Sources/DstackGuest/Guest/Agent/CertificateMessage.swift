/// The message in which TLS sends a chain of certificates: whoever receives it takes so many bytes and no more.
enum CertificateMessage {
    /// What every library in use takes: rustls and Go's crypto/tls read handshake messages of less than 64 KiB.
    static let widelyTakenBytes = 0xFFFF
    /// What OpenSSL takes, unless an application asks for more (SSL_MAX_CERT_LIST_DEFAULT).
    static let maximumBytes = 100 << 10

    /// The size for a chain, DER (RFC 8446, section 4.4.2): beside the certificates a byte for the context, three for the
    /// list's length, and for each certificate three for its own length and two for that of its extensions.
    static func byteCount(_ chain: [[UInt8]]) -> Int { chain.reduce(4) { $0 + $1.count + 5 } }
}
