package import DstackCrypto

/// A secret from which keys are derived: HKDF-SHA256 with the extract step done.
///
/// The salt is frozen like the contexts. Version 1 of the guest's interface and the later keys of a KMS have one of their own,
/// so that their keys are others than those of the first kind whatever the contexts.
package struct KeyParent: ~Copyable, Sendable {
    /// What keeps two families of derived keys apart.
    package enum Family: Sendable {
        /// Everything that upstream derives, too.
        case standard
        /// Keys of version 1 of the guest's interface.
        case guestV1
        /// Keys of a KMS's epochs beyond the first, and new kinds of keys.
        case kmsV2

        fileprivate var salt: [UInt8] {
            switch self {
            case .standard: Array("RATLS".utf8)
            case .guestV1: Array("dstack-guest-v1".utf8)
            case .kmsV2: Array("dstack-kms-v2".utf8)
            }
        }
    }

    private let pseudorandomKey: SecretBytes

    /// - Parameter material: a seed, or the scalar of a private key, 32 bytes big-endian. Any length will do.
    package init(_ material: RawSpan, family: Family = .standard) {
        pseudorandomKey = HKDFSHA256.extract(material, salt: family.salt)
    }

    /// Derived bytes.
    ///
    /// - Parameter count: at most 8160 (255 blocks).
    package borrowing func bytes(_ context: KeyContext, count: Int = 32) throws(KeysError) -> SecretBytes {
        do {
            return try HKDFSHA256.expand(pseudorandomKey, info: context.info, count: count)
        } catch {
            throw KeysError(.invalidKey, error)
        }
    }

    /// The P-256 key whose scalar is derived. Bytes that are no scalar are an error and never seen in practice: one
    /// context in 2³² has them. They are neither reduced nor drawn again, because everyone else fails there too.
    package borrowing func p256Key(_ context: KeyContext) throws(KeysError) -> P256.PrivateKey {
        let scalar = try bytes(context)
        do {
            return try P256.PrivateKey(scalar: scalar)
        } catch {
            throw KeysError(.invalidKey, error)
        }
    }

    /// The secp256k1 key whose scalar is derived; the same rule.
    package borrowing func secp256k1Key(_ context: KeyContext) throws(KeysError) -> Secp256k1.PrivateKey {
        let scalar = try bytes(context)
        do {
            return try Secp256k1.PrivateKey(scalar: scalar)
        } catch {
            throw KeysError(.invalidKey, error)
        }
    }

    /// A secret that is derived by way of a P-256 key: SHA-256 of its PKCS#8 form, byte for byte as
    /// ``NISTPrivateKey/pkcs8`` writes it.
    package borrowing func diffieHellmanSecret(_ context: KeyContext) throws(KeysError) -> SecretBytes {
        let key = try p256Key(context)
        let encoded = key.pkcs8
        return SHA256.secretHash(encoded.bytes)
    }
}
