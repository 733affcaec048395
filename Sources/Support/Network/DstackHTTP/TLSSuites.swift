/// The cipher suites that clients and servers here offer.
package enum TLSSuites {
    /// Of TLS 1.2, as OpenSSL writes lists: authenticated encryption with forward secrecy only (RFC 9325, section 4.2). CBC
    /// suites, those whose keys the certificate's key gives away later, and those without encryption are never offered. TLS
    /// 1.3 has no others.
    package static let tls12 = "ECDHE+AESGCM:ECDHE+CHACHA20"
}
