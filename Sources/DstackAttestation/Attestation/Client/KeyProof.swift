import DstackCrypto
import DstackEncoding

/// What makes a public key an application's: the application's root key signed it for a purpose, a KMS signed the root
/// key.
///
/// ```swift
/// try proof.verify(appID: appID, kmsKey: kmsKey)
/// ```
///
/// Anybody can check it, anywhere. The KMS's key has to come from somewhere else: from its attested metadata, or from the
/// contract that it is registered with.
public struct KeyProof: Sendable, Hashable {
    /// What the root key's signature says that the key is for.
    public enum Claim: Sendable, Hashable {
        /// The purpose that was asked for. It is not in the key: one path has the same key for every purpose.
        case purpose(String)
        /// The domain that the key was derived for, in version 1 of the interface.
        case domain(String)
    }

    /// What kind of key it is.
    public let algorithm: KeyAlgorithm
    /// 33 bytes (SEC 1 compressed) for secp256k1, 32 for Ed25519.
    public let publicKey: [UInt8]
    /// What it is for.
    public let claim: Claim
    /// The root key's signature on key and claim, then the KMS's on the root key: 65 bytes each, r ‖ s ‖ recovery id. The
    /// second is empty where no KMS issued the application's keys.
    public let signatureChain: [[UInt8]]

    /// A proof from its parts, as the key's owner passed them on. Nothing is checked yet.
    public init(algorithm: KeyAlgorithm, publicKey: [UInt8], claim: Claim, signatureChain: [[UInt8]]) {
        self.algorithm = algorithm
        self.publicKey = publicKey
        self.claim = claim
        self.signatureChain = signatureChain
    }

    /// Checks that the chain leads from key and claim, through the application's root key, to a KMS.
    ///
    /// - Parameters:
    ///   - appID: the application whose key it must be.
    ///   - kmsKey: the KMS's secp256k1 key, SEC 1, 33 or 65 bytes.
    /// - Returns: the application's root key, 33 bytes.
    /// - Throws: ``DstackClientError/Code/notAuthentic`` for a chain that leads elsewhere or nowhere,
    ///   ``DstackClientError/Code/invalidRequest`` for a KMS key that is none.
    @discardableResult
    public func verify(appID: AppID, kmsKey: [UInt8]) throws(DstackClientError) -> FixedBytes<33> {
        let root: Secp256k1.PublicKey
        do {
            root = try Secp256k1.PublicKey(sec1: kmsKey)
        } catch {
            throw DstackClientError(.invalidRequest, "KMS key", error)
        }
        // Keys of other lengths would let one claim's text be read as another's: a purpose is any text, and may be built like
        // the beginning of a claim for a domain whose "key" then takes in the rest.
        guard hasKeyOfItsAlgorithm else {
            throw DstackClientError(
                .notAuthentic, subject: "key", reason: "\(publicKey.count) bytes that are no \(algorithm.rawValue) key")
        }
        do throws(CryptoFailure) {
            let chain = try KeySignatureChain(links: signatureChain)
            return try chain.verified(for: statement, appID: appID.bytes, root: root).appKey.compressed
        } catch {
            // A chain that cannot be read leads nowhere either.
            throw DstackClientError(.notAuthentic, subject: "key", reason: error.description)
        }
    }

    private var hasKeyOfItsAlgorithm: Bool {
        switch algorithm {
        case .ed25519: publicKey.count == 32
        case .secp256k1: publicKey.count == 33 && (try? Secp256k1.PublicKey(sec1: publicKey)) != nil
        }
    }

    private var statement: KeyStatement {
        switch claim {
        case .purpose(let purpose): .derivedKey(purpose: purpose, publicKey: publicKey)
        case .domain(let domain):
            .framedDerivedKey(algorithm: algorithm, domain: domain, publicKey: publicKey)
        }
    }

    /// Refuses what no version of the interface sends.
    static func checkedChain(_ links: [[UInt8]], _ count: Int, _ method: String) throws(DstackClientError) -> [[UInt8]]
    {
        guard links.count == count else {
            throw DstackClientError(
                .invalidResponse, subject: method,
                reason: "\(links.count) links in the signature chain, \(count) expected")
        }
        return links
    }
}
