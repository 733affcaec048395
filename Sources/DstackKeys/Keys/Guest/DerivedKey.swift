package import DstackCrypto

/// A key that was derived for a container, with the chain that proves whose it is. Wiped when it goes.
public struct DerivedKey: ~Copyable, Sendable {
    /// What kind of key it is.
    public let algorithm: KeyAlgorithm
    /// 32 bytes: a scalar, big-endian, or an Ed25519 seed.
    package let secret: SecretBytes
    /// 33 bytes (SEC 1 compressed) for secp256k1, 32 for Ed25519.
    public let publicKey: [UInt8]
    /// The application's root key on this key, then the KMS's signature on the root key; the second is empty where no KMS
    /// issued it.
    public let signatureChain: [[UInt8]]

    init(algorithm: KeyAlgorithm, secret: consuming SecretBytes, publicKey: [UInt8], signatureChain: [[UInt8]]) {
        self.algorithm = algorithm
        self.secret = secret
        self.publicKey = publicKey
        self.signatureChain = signatureChain
    }

    /// Calls `body` with the private key's 32 bytes in place; the pointer must not leave it.
    public borrowing func withUnsafeBytes<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try secret.withUnsafeBytes(body)
    }
}
