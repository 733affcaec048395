import DstackEncoding

/// The algorithms of keys that applications derive; the raw value is the label in requests and claims.
public enum KeyAlgorithm: String, Sendable, Hashable, CaseIterable {
    /// ECDSA on secp256k1; a public key is 33 bytes, SEC 1 compressed.
    case secp256k1
    /// Ed25519; a public key is 32 bytes.
    case ed25519

    /// The algorithm that a request names. No name and `k256` mean secp256k1; the case of letters matters.
    public init?(label: String) {
        switch label {
        case "", "k256": self = .secp256k1
        default: self.init(rawValue: label)
        }
    }

    /// The public key, as claims have it, of a private one of 32 bytes.
    ///
    /// - Throws: ``CryptoFailure`` for bytes that are no private key of the algorithm.
    package func publicKey(of privateKey: borrowing SecretBytes) throws(CryptoFailure) -> [UInt8] {
        switch self {
        case .secp256k1: try Secp256k1.PublicKey(of: privateKey).compressed.bytes
        case .ed25519: try Ed25519.PrivateKey(seed: privateKey.duplicate()).publicKey.bytes.bytes
        }
    }
}

/// The algorithms by which a guest signs messages and verifies such signatures; the raw value is the label in requests.
/// Every signature has 64 bytes.
public enum MessageSignatureAlgorithm: String, Sendable, Hashable, CaseIterable {
    /// Ed25519 over the message.
    case ed25519
    /// ECDSA on secp256k1 over SHA-256 of the message: r ‖ s, no recovery id.
    case secp256k1
    /// ECDSA on secp256k1 over a message that is a digest already, 32 bytes.
    case secp256k1Prehashed = "secp256k1_prehashed"

    /// The algorithm that a request names. `k256` means secp256k1; unlike a key's, it must be named.
    public init?(label: String) {
        if label == "k256" { self = .secp256k1 } else { self.init(rawValue: label) }
    }

    /// The algorithm of the keys that make such signatures.
    public var keyAlgorithm: KeyAlgorithm { self == .ed25519 ? .ed25519 : .secp256k1 }

    /// Whether a public key made a signature over a message.
    ///
    /// A secp256k1 signature with s above n/2 is not valid, nor is a prehashed one over anything but 32 bytes.
    ///
    /// - Parameters:
    ///   - publicKey: 32 bytes for Ed25519; a SEC 1 point, compressed or not, for secp256k1.
    /// - Throws: ``CryptoFailure`` for a key or a signature that is not well-formed: of a wrong length, not a point (or
    ///   one of small order), or with r or s not in 1 ..< n. Nothing can have been signed with these.
    package func isValidSignature(
        _ signature: [UInt8], over message: [UInt8], publicKey: [UInt8]
    ) throws(CryptoFailure) -> Bool {
        guard let bytes = FixedBytes<64>(signature) else {
            throw CryptoFailure(.malformed, "signature", "\(signature.count) bytes where \(rawValue) has 64")
        }
        switch self {
        case .ed25519:
            guard let point = FixedBytes<32>(publicKey) else {
                throw CryptoFailure(
                    .malformed, "Ed25519 public key", "\(publicKey.count) bytes where a public key has 32")
            }
            return try Ed25519.PublicKey(point).isValidSignature(bytes, for: message)
        case .secp256k1:
            return try Self.isValid(bytes, digest: SHA256.hash(message), publicKey)
        case .secp256k1Prehashed:
            return try Self.isValid(bytes, digest: FixedBytes<32>(message), publicKey)
        }
    }

    private static func isValid(
        _ signature: FixedBytes<64>, digest: FixedBytes<32>?, _ publicKey: [UInt8]
    ) throws(CryptoFailure) -> Bool {
        let key = try Secp256k1.PublicKey(sec1: publicKey)
        let bytes = signature.bytes
        for half in [bytes.prefix(32), bytes.suffix(32)] {
            guard half.contains(where: { $0 != 0 }), half.lexicographicallyPrecedes(order) else {
                throw CryptoFailure(.outOfRange, "secp256k1 signature", "r or s is zero or not below the order")
            }
        }
        guard let digest else { return false }
        return key.isValidSignature(signature, forDigest: digest)
    }

    /// n of secp256k1 (SEC 2 section 2.4.1).
    private static let order =
        FixedBytes<32>(hex: "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")?.bytes ?? []
}
