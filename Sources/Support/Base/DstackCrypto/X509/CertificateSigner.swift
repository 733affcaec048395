import DstackEncoding

/// A private key that can sign certificates, revocation lists and requests.
package protocol CertificateSigner: ~Copyable {
    /// The algorithm as certificates name it.
    var signatureAlgorithm: X509.Algorithm { get }
    /// SubjectPublicKeyInfo of the key, DER.
    var subjectPublicKeyInfo: [UInt8] { get }
    /// The content of the signature's BIT STRING.
    func certificateSignature(over message: [UInt8]) throws(CryptoFailure) -> [UInt8]
}

extension NISTPrivateKey: CertificateSigner {
    package var signatureAlgorithm: X509.Algorithm { Curve.signatureAlgorithm }
    package var subjectPublicKeyInfo: [UInt8] { publicKey.spki }
    package func certificateSignature(over message: [UInt8]) throws(CryptoFailure) -> [UInt8] {
        try signature(for: message).der
    }
}

/// SEQUENCE { message, algorithm, BIT STRING signature }: the form of all three signed structures.
enum SignedStructure {
    static func encode<Signer: CertificateSigner & ~Copyable>(
        _ message: [UInt8], by signer: borrowing Signer, algorithm: X509.Algorithm?
    ) throws(CryptoFailure) -> [UInt8] {
        encode(
            message, algorithm: algorithm ?? signer.signatureAlgorithm,
            signature: try signer.certificateSignature(over: message))
    }

    static func encode(_ message: [UInt8], algorithm: X509.Algorithm, signature: [UInt8]) -> [UInt8] {
        DER.sequence(message, algorithm.der, DER.bitString(signature))
    }
}
