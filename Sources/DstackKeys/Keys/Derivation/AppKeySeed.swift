package import DstackCrypto

/// The 32 bytes from which all keys of an application follow where there is no KMS: random and kept on disk, sealed by a
/// TPM, or from a provider in an SGX enclave.
public struct AppKeySeed: ~Copyable, Sendable {
    private let parent: KeyParent

    /// Bytes that live elsewhere; wiping those is the caller's duty.
    ///
    /// - Throws: ``KeysError/Code/invalidKey`` for another number of bytes than 32.
    public init(copying bytes: RawSpan) throws(KeysError) {
        guard bytes.byteCount == 32 else {
            throw KeysError(.invalidKey, subject: "seed", reason: "\(bytes.byteCount) bytes where a seed has 32")
        }
        parent = KeyParent(bytes)
    }

    /// The key of the application's CA.
    package borrowing func caKey() throws(KeysError) -> P256.PrivateKey { try parent.p256Key(.seededAppCA) }

    /// What the disk is encrypted with, 32 bytes.
    package borrowing func diskKey() throws(KeysError) -> SecretBytes {
        try parent.diffieHellmanSecret(.seededDisk)
    }

    /// The application's root key. No KMS vouches for it.
    public borrowing func rootKey() throws(KeysError) -> AppRootKey {
        AppRootKey(key: try parent.secp256k1Key(.seededAppRoot), issuance: [])
    }
}
