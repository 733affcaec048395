import DstackEncoding

/// A prime curve of NIST (SP 800-186) with the digest it is used with: ``P256`` or ``P384``.
package protocol NISTCurve: Sendable {
    /// "P-256", for messages.
    static var name: String { get }
    /// Bytes of a coordinate, of a scalar, and of each half of a signature.
    static var size: Int { get }
    /// SubjectPublicKeyInfo (RFC 5480) up to the point, for an uncompressed one.
    static var uncompressedPrefix: [UInt8] { get }
    /// The same for a compressed point.
    static var compressedPrefix: [UInt8] { get }
    /// PKCS#8 (RFC 5958, version 1) up to the scalar, and from there up to the public point. See
    /// ``NISTPrivateKey/pkcs8``.
    static var pkcs8Prefix: [UInt8] { get }
    static var pkcs8Middle: [UInt8] { get }
    /// ECPrivateKey (RFC 5915) likewise, with the curve in `[0]`.
    static var sec1Prefix: [UInt8] { get }
    static var sec1Middle: [UInt8] { get }
    /// `ecdsa-with-SHA256` or `ecdsa-with-SHA384` (RFC 5758).
    static var signatureAlgorithm: X509.Algorithm { get }
    /// SHA-256 for P-256, SHA-384 for P-384.
    static func digest(_ message: RawSpan) -> [UInt8]
}

/// NIST P-256 (secp256r1, prime256v1), with SHA-256.
package enum P256: NISTCurve {
    package typealias PrivateKey = NISTPrivateKey<P256>
    package typealias PublicKey = NISTPublicKey<P256>
    package typealias Signature = NISTSignature<P256>

    package static let name = "P-256"
    package static let size = 32
    package static let uncompressedPrefix = prefix("3059301306072a8648ce3d020106082a8648ce3d030107034200")
    package static let compressedPrefix = prefix("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    package static let pkcs8Prefix = prefix(
        "308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420")
    package static let pkcs8Middle = prefix("a144034200")
    package static let sec1Prefix = prefix("30770201010420")
    package static let sec1Middle = prefix("a00a06082a8648ce3d030107a144034200")
    package static let signatureAlgorithm = X509.Algorithm.ecdsaWithSHA256
    package static func digest(_ message: RawSpan) -> [UInt8] { SHA256.hash(message).bytes }
}

/// NIST P-384 (secp384r1), with SHA-384.
package enum P384: NISTCurve {
    package typealias PrivateKey = NISTPrivateKey<P384>
    package typealias PublicKey = NISTPublicKey<P384>
    package typealias Signature = NISTSignature<P384>

    package static let name = "P-384"
    package static let size = 48
    package static let uncompressedPrefix = prefix("3076301006072a8648ce3d020106052b81040022036200")
    package static let compressedPrefix = prefix("3046301006072a8648ce3d020106052b81040022033200")
    package static let pkcs8Prefix = prefix(
        "3081b6020100301006072a8648ce3d020106052b8104002204819e30819b0201010430")
    package static let pkcs8Middle = prefix("a164036200")
    package static let sec1Prefix = prefix("3081a40201010430")
    package static let sec1Middle = prefix("a00706052b81040022a164036200")
    package static let signatureAlgorithm = X509.Algorithm.ecdsaWithSHA384
    package static func digest(_ message: RawSpan) -> [UInt8] { SHA384.hash(message).bytes }
}

/// A constant written in hexadecimal; a wrong digit would show as an empty prefix in every test.
private func prefix(_ hex: String) -> [UInt8] { (try? Hex.decode(hex, subject: "constant")) ?? [] }

extension NISTCurve {
    /// The number libraries know the curve by: its size in bits.
    static var bits: Int32 { Int32(size * 8) }
}
