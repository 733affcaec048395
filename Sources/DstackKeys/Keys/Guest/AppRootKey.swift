public import DstackAttestation
package import DstackCrypto
import DstackEncoding

/// An application's root key: parent of the keys that its containers ask for, on which it also signs.
///
/// ```swift
/// let key = try root.derivedKey(path: "wallet/0", purpose: "ethereum", algorithm: .secp256k1)
/// ```
///
/// It is the same in every instance of the application and after every restart, as long as the KMS has the same keys.
public struct AppRootKey: ~Copyable, Sendable {
    package let key: Secp256k1.PrivateKey
    /// The KMS's signature on the key, as it came: 65 bytes, or none where no KMS issued it. Passed on, not checked;
    /// whoever relies on a chain verifies it.
    public let issuance: [UInt8]
    private let parent: KeyParent
    private let parentV1: KeyParent

    package init(key: consuming Secp256k1.PrivateKey, issuance: [UInt8]) {
        parent = KeyParent(key.scalar.bytes)
        parentV1 = KeyParent(key.scalar.bytes, family: .guestV1)
        self.key = key
        self.issuance = issuance
    }

    /// A key from 32 bytes that live elsewhere; wiping those is the caller's duty.
    ///
    /// - Throws: ``KeysError/Code/invalidKey`` for another number of bytes, zero, and numbers not below the order.
    public init(copying bytes: RawSpan, issuance: [UInt8] = []) throws(KeysError) {
        let scalar = SecretBytes(copying: bytes)
        do {
            self.init(key: try Secp256k1.PrivateKey(scalar: scalar), issuance: issuance)
        } catch {
            throw KeysError(.invalidKey, error)
        }
    }

    /// The public half, compressed: the second key of every chain.
    public var publicKey: FixedBytes<33> { key.publicKey.compressed }

    // MARK: Keys for containers

    /// The key of a path, with the chain that proves whose it is.
    ///
    /// The purpose is in the chain alone: the same path gives the same 32 bytes for every purpose, and for both
    /// algorithms. ``derivedKey(domain:algorithm:)`` keeps these apart.
    ///
    /// - Parameter path: any text; there is no hierarchy in it.
    public borrowing func derivedKey(
        path: String, purpose: String, algorithm: KeyAlgorithm
    ) throws(KeysError) -> DerivedKey {
        try derivedKey(.path(path), purpose: purpose, algorithm: algorithm)
    }

    /// The key of a domain in version 1 of the guest's interface. Different domains and algorithms give unrelated keys.
    public borrowing func derivedKey(domain: String, algorithm: KeyAlgorithm) throws(KeysError) -> DerivedKey {
        try handedOut(
            try parentV1.bytes(.framedKey(domain: domain, algorithm: algorithm)), algorithm
        ) { .framedDerivedKey(algorithm: algorithm, domain: domain, publicKey: $0) }
    }

    /// The TLS key of a path, for the older interface. It has the same 32 bytes as the path's other keys.
    public borrowing func tlsKey(path: String) throws(KeysError) -> TLSKey {
        TLSKey(try parent.p256Key(.path(path)))
    }

    /// What the chain of a ``MessageSigner`` says that its keys are for.
    private static let messageSigningPurpose = "signing"

    /// Whether a path leads to the very bytes that ``messageSigner()`` signs with, whatever the purpose and the algorithm.
    public static func isMessageSigner(path: String) -> Bool { KeyContext.path(path) == .messageSigning }

    /// Whether the chain of a key for this purpose is one that ``messageSigner()`` could have: who verifies a message then
    /// takes the key for the signer's.
    public static func isMessageSigner(purpose: String) -> Bool {
        purpose.utf8.elementsEqual(messageSigningPurpose.utf8)
    }

    /// What signs messages for containers.
    public borrowing func messageSigner() throws(KeysError) -> MessageSigner {
        let purpose = Self.messageSigningPurpose
        let first = try derivedKey(.messageSigning, purpose: purpose, algorithm: .secp256k1)
        let second = try derivedKey(.messageSigning, purpose: purpose, algorithm: .ed25519)
        do {
            return MessageSigner(
                secp256k1: try Secp256k1.PrivateKey(scalar: first.secret.duplicate()), chain: first.signatureChain,
                ed25519: try Ed25519.PrivateKey(seed: second.secret.duplicate()), chain: second.signatureChain)
        } catch {
            throw KeysError(.invalidKey, error)
        }
    }

    private borrowing func derivedKey(
        _ context: KeyContext, purpose: String, algorithm: KeyAlgorithm
    ) throws(KeysError) -> DerivedKey {
        try handedOut(try parent.bytes(context), algorithm) { .derivedKey(purpose: purpose, publicKey: $0) }
    }

    private borrowing func handedOut(
        _ secret: consuming SecretBytes, _ algorithm: KeyAlgorithm, claim: ([UInt8]) -> KeyStatement
    ) throws(KeysError) -> DerivedKey {
        do {
            let publicKey = try algorithm.publicKey(of: secret)
            let signature = try key.signature(on: claim(publicKey))
            return DerivedKey(
                algorithm: algorithm, secret: secret, publicKey: publicKey,
                signatureChain: [signature.bytes.bytes, issuance])
        } catch {
            throw KeysError(.invalidKey, error)
        }
    }
}
