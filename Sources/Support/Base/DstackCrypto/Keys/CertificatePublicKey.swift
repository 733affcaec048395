import DstackEncoding

/// A public key as certificates and requests carry it, of one of the algorithms that this module verifies.
package enum CertificatePublicKey: Sendable, Hashable {
    case p256(P256.PublicKey)
    case p384(P384.PublicKey)
    case ed25519(Ed25519.PublicKey)

    /// Reads SubjectPublicKeyInfo, DER.
    ///
    /// - Throws: ``CryptoFailure`` for other algorithms (RSA among them), curves given by their numbers, bytes that are no
    ///   key.
    package init(spki: [UInt8]) throws(CryptoFailure) {
        // The algorithm's identifier decides which reader's complaint is the useful one.
        if spki.starts(with: P256.uncompressedPrefix) || spki.starts(with: P256.compressedPrefix) {
            self = .p256(try P256.PublicKey(spki: spki))
        } else if spki.starts(with: P384.uncompressedPrefix) || spki.starts(with: P384.compressedPrefix) {
            self = .p384(try P384.PublicKey(spki: spki))
        } else if let key = try? Ed25519.PublicKey(spki: spki) {
            self = .ed25519(key)
        } else {
            throw CryptoFailure(
                .unsupported, "public key", "not a SubjectPublicKeyInfo with P-256, P-384 (by name) or Ed25519")
        }
    }

    /// SubjectPublicKeyInfo, DER.
    package var spki: [UInt8] {
        switch self {
        case .p256(let key): key.spki
        case .p384(let key): key.spki
        case .ed25519(let key): key.spki
        }
    }

    /// Whether a signature in the form of certificates (RFC 5758, RFC 8410) is by this key. False too for an algorithm
    /// that is not one of this key, and for SHA-1.
    ///
    /// - Parameter algorithm: the AlgorithmIdentifier, DER. ECDSA's has no parameters; one that has some is refused.
    package func isValidSignature(_ signature: [UInt8], algorithm: X509.Algorithm, over message: [UInt8]) -> Bool {
        switch self {
        case .p256(let key):
            guard let digest = Self.digest(message, algorithm), let read = try? P256.Signature(der: signature) else {
                return false
            }
            return key.isValidSignature(read, forDigest: digest)
        case .p384(let key):
            guard let digest = Self.digest(message, algorithm), let read = try? P384.Signature(der: signature) else {
                return false
            }
            return key.isValidSignature(read, forDigest: digest)
        case .ed25519(let key):
            guard algorithm == .ed25519, let read = FixedBytes<64>(signature) else { return false }
            return key.isValidSignature(read, for: message)
        }
    }

    private static func digest(_ message: [UInt8], _ algorithm: X509.Algorithm) -> [UInt8]? {
        switch algorithm {
        case .ecdsaWithSHA256: SHA256.hash(message).bytes
        case .ecdsaWithSHA384: SHA384.hash(message).bytes
        case .ecdsaWithSHA512: SHA512.hash(message).bytes
        default: nil
        }
    }
}
