package import DstackCrypto
import DstackEncoding

/// Signs messages for an application's containers, with keys that lead to the application's root key.
///
/// Nothing is added to a message: whoever may have messages signed may have *any* message signed. Verifiers should not
/// take a signature for more than "a container of this application asked for it".
public struct MessageSigner: ~Copyable, Sendable {
    private let secp256k1: Secp256k1.PrivateKey
    private let ed25519: Ed25519.PrivateKey
    private let secp256k1Chain: [[UInt8]]
    private let ed25519Chain: [[UInt8]]

    init(
        secp256k1: consuming Secp256k1.PrivateKey, chain secp256k1Chain: [[UInt8]],
        ed25519: consuming Ed25519.PrivateKey, chain ed25519Chain: [[UInt8]]
    ) {
        self.secp256k1 = secp256k1
        self.ed25519 = ed25519
        self.secp256k1Chain = secp256k1Chain
        self.ed25519Chain = ed25519Chain
    }

    /// A signature with what is needed to verify it.
    public struct SignedMessage: Sendable, Hashable {
        /// 64 bytes: Ed25519, or r ‖ s with s at most n/2.
        public let signature: [UInt8]
        /// 32 bytes for Ed25519, 33 (SEC 1 compressed) for secp256k1.
        public let publicKey: [UInt8]
        /// The application's root key on the public key, for the purpose `signing`, then the KMS's signature on that.
        public let keyChain: [[UInt8]]

        /// The three links that the guest's interface gives: the signature, then ``keyChain``.
        public var signatureChain: [[UInt8]] { [signature] + keyChain }
    }

    /// The public key for an algorithm.
    public borrowing func publicKey(_ algorithm: KeyAlgorithm) -> [UInt8] {
        switch algorithm {
        case .secp256k1: secp256k1.publicKey.compressed.bytes
        case .ed25519: ed25519.publicKey.bytes.bytes
        }
    }

    /// Signs a message. The same message gives the same signature.
    ///
    /// - Throws: ``KeysError/Code/invalidRequest`` for a digest that does not have 32 bytes.
    public borrowing func sign(
        _ message: [UInt8], algorithm: MessageSignatureAlgorithm
    ) throws(KeysError) -> SignedMessage {
        let signature: FixedBytes<64>
        do throws(CryptoFailure) {
            switch algorithm {
            case .ed25519: signature = try ed25519.signature(for: message)
            case .secp256k1:
                signature = try secp256k1.signature(forDigest: SHA256.hash(message)).withoutRecoveryID
            case .secp256k1Prehashed:
                guard let digest = FixedBytes<32>(message) else {
                    throw CryptoFailure(
                        .malformed, "data", "\(message.count) bytes where a digest to sign has 32")
                }
                signature = try secp256k1.signature(forDigest: digest).withoutRecoveryID
            }
        } catch {
            throw KeysError(.invalidRequest, error)
        }
        let keyAlgorithm = algorithm.keyAlgorithm
        return SignedMessage(
            signature: signature.bytes, publicKey: publicKey(keyAlgorithm),
            keyChain: keyAlgorithm == .ed25519 ? ed25519Chain : secp256k1Chain)
    }

    /// What evidence about a signing key has as report data: a text that names algorithm and key.
    ///
    /// - Returns: up to 64 bytes, to be filled up with zeros (``ReportData/init(padding:)``).
    public borrowing func keyReportData(_ algorithm: KeyAlgorithm) -> [UInt8] {
        let name = algorithm == .ed25519 ? "ed25519-pk" : "secp256k1c-pk"
        let key = Base64.encode(publicKey(algorithm), alphabet: .urlSafe, padding: false)
        return Array("dip1::\(name):\(key)".utf8)
    }

    /// Whether a public key made a signature over a message.
    ///
    /// - Returns: false for a signature that is well-formed and not of this key and message, or has a high s.
    /// - Throws: ``KeysError/Code/invalidRequest`` for a key or a signature that is not well-formed.
    public static func isValidSignature(
        _ signature: [UInt8], over message: [UInt8], publicKey: [UInt8], algorithm: MessageSignatureAlgorithm
    ) throws(KeysError) -> Bool {
        do {
            return try algorithm.isValidSignature(signature, over: message, publicKey: publicKey)
        } catch {
            throw KeysError(.invalidRequest, error)
        }
    }
}
