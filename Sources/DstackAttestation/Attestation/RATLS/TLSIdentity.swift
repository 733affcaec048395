import DstackCrypto
import DstackEncoding

/// A private key and the certificates that go with it: who a TLS server or client is.
///
/// ```swift
/// let identity = try TLSIdentity(privateKeyPEM: key, certificateChainPEM: chain)
/// ```
///
/// The key is kept in memory that is wiped, locked and left out of core dumps as far as the system allows; it is never
/// printed. An identity is immutable: a renewed certificate is a new identity.
public final class TLSIdentity: Sendable {
    private let key: SecretBytes
    private let leaf: Certificate
    /// The certificates, DER: the leaf, then those above it.
    public let certificateChain: [[UInt8]]

    /// The most certificates of a chain.
    public static let maximumCertificateCount = 16

    /// An identity from a key and certificates in DER.
    ///
    /// - Parameters:
    ///   - privateKeyPEM: a text with a `PRIVATE KEY` or `EC PRIVATE KEY` block; P-256 or P-384. It is copied; wiping the
    ///     original is the caller's duty.
    ///   - certificateChain: the leaf, then those above it, DER.
    /// - Throws: ``AttestationError/Code/invalidTLSIdentity`` for a key that cannot be read, for no or too many certificates,
    ///   for a leaf that cannot be read or is for another key.
    public init(privateKeyPEM: RawSpan, certificateChain: [[UInt8]]) throws(AttestationError) {
        guard (1...Self.maximumCertificateCount).contains(certificateChain.count) else {
            throw AttestationError(
                .invalidTLSIdentity, subject: "certificate chain",
                reason: "\(certificateChain.count) certificates; 1 to \(Self.maximumCertificateCount) are needed")
        }
        let leaf = try AttestationError.decoding(.invalidTLSIdentity) { () throws(DecodingFailure) in
            try Certificate(der: certificateChain[0])
        }
        guard try Self.publicKey(of: privateKeyPEM) == Array(leaf.subjectPublicKeyInfo) else {
            throw AttestationError(
                .invalidTLSIdentity, subject: "certificate", reason: "the first of the chain is for another key",
                hint: "give the leaf first, and the key that it was made for")
        }
        self.leaf = leaf
        self.certificateChain = certificateChain
        key = SecretBytes(copying: privateKeyPEM)
    }

    /// An identity from a key and certificates in PEM; the same as `init(privateKeyPEM:certificateChain:)` otherwise.
    public convenience init(privateKeyPEM: RawSpan, certificateChainPEM: [UInt8]) throws(AttestationError) {
        let chain = try AttestationError.decoding(.invalidTLSIdentity) { () throws(DecodingFailure) in
            try PEM.decode(certificateChainPEM, label: "CERTIFICATE")
        }
        try self.init(privateKeyPEM: privateKeyPEM, certificateChain: chain)
    }

    /// The key's public half: SubjectPublicKeyInfo, DER.
    public var publicKey: [UInt8] { Array(leaf.subjectPublicKeyInfo) }

    /// First second of the leaf's validity, Unix seconds.
    public var notBefore: Int64 { leaf.notBefore }

    /// Last second of the leaf's validity, Unix seconds.
    public var notAfter: Int64 { leaf.notAfter }

    /// The certificates as PEM, leaf first.
    public var certificateChainPEM: String { certificateChain.map { PEM.encode("CERTIFICATE", $0) }.joined() }

    /// Calls `body` with the private key's PEM text in place; the pointer must not leave it.
    public func withUnsafePrivateKeyPEM<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try key.withUnsafeBytes(body)
    }

    private static func publicKey(of pem: RawSpan) throws(AttestationError) -> [UInt8] {
        if let key = try? P384.PrivateKey(pem: pem) { return key.publicKey.spki }
        do throws(CryptoFailure) {
            return try P256.PrivateKey(pem: pem).publicKey.spki
        } catch {
            throw AttestationError(.invalidTLSIdentity, subject: error.subject, reason: error.reason)
        }
    }
}

extension TLSIdentity: CustomStringConvertible {
    /// The leaf's name; never the key.
    public var description: String { "TLS identity of \"\(leaf.subjectCommonName)\"" }
}

extension AttestationError.Code {
    /// A private key and certificates do not make a TLS identity.
    public static let invalidTLSIdentity = Self(rawValue: "invalid_tls_identity")
}
