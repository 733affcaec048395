import DstackCrypto
import DstackEncoding
import DstackRPC

/// A private key that the guest agent derived for this application, with the proof of whose it is. The same for every
/// instance of the application, and after every restart. Wiped when it goes.
///
/// The answer came through memory that is wiped, too; what the operating system has on its way is out of reach.
///
/// ```swift
/// let key = try await client.key(path: "wallet", purpose: "ethereum")
/// print(key.ethereumAddress ?? "", key.publicKey)
/// try key.verifyChain(appID: appID, kmsKey: kmsKey)
/// ```
public struct AgentKey: ~Copyable, Sendable {
    /// What is public of the key, for others to check.
    public let proof: KeyProof
    /// 32 bytes: a scalar, big-endian, or an Ed25519 seed.
    let secret: SecretBytes

    /// What kind of key it is.
    public var algorithm: KeyAlgorithm { proof.algorithm }
    /// 33 bytes (SEC 1 compressed) for secp256k1, 32 for Ed25519.
    public var publicKey: [UInt8] { proof.publicKey }
    /// ``KeyProof/signatureChain``
    public var signatureChain: [[UInt8]] { proof.signatureChain }

    /// Calls `body` with the private key's 32 bytes in place; the pointer must not leave it.
    public borrowing func withUnsafeBytes<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try secret.withUnsafeBytes(body)
    }

    /// ``KeyProof/verify(appID:kmsKey:)``
    @discardableResult
    public borrowing func verifyChain(appID: AppID, kmsKey: [UInt8]) throws(DstackClientError) -> FixedBytes<33> {
        try proof.verify(appID: appID, kmsKey: kmsKey)
    }

    // MARK: Signing

    /// Signs a message: Ed25519, or ECDSA on secp256k1 over its SHA-256 as r ‖ s. 64 bytes, the same every time.
    public borrowing func signature(for message: [UInt8]) throws(DstackClientError) -> [UInt8] {
        switch algorithm {
        case .ed25519:
            do {
                return try Ed25519.PrivateKey(seed: secret.duplicate()).signature(for: message).bytes
            } catch {
                throw DstackClientError(.invalidRequest, "signature", error)
            }
        case .secp256k1:
            return [UInt8](try recoverableSignature(forDigest: SHA256.hash(message)).bytes.prefix(64))
        }
    }

    /// Signs a digest with a secp256k1 key: r ‖ s ‖ recovery id, s at most n/2, as Ethereum wants it.
    ///
    /// - Throws: ``DstackClientError/Code/invalidRequest`` for an Ed25519 key.
    public borrowing func recoverableSignature(
        forDigest digest: FixedBytes<32>
    ) throws(DstackClientError) -> FixedBytes<65> {
        guard algorithm == .secp256k1 else {
            throw DstackClientError(
                .invalidRequest, subject: "signature", reason: "an Ed25519 key signs messages and no digests")
        }
        do {
            return try Secp256k1.PrivateKey(scalar: secret.duplicate()).signature(forDigest: digest).bytes
        } catch {
            throw DstackClientError(.invalidRequest, "signature", error)
        }
    }

    // MARK: Wallets

    /// The key's address on Ethereum, with the checksum of EIP-55; nil for an Ed25519 key.
    public var ethereumAddress: String? {
        guard algorithm == .secp256k1, let key = try? Secp256k1.PublicKey(sec1: publicKey) else { return nil }
        return WalletAddress.ethereum(key.ethereumAddress)
    }

    /// The key's address on Solana; nil for a secp256k1 key.
    public var solanaAddress: String? {
        algorithm == .ed25519 ? WalletAddress.base58(publicKey) : nil
    }

    // MARK: From answers

    /// - Parameters:
    ///   - secret: the private key.
    ///   - publicKey: as the agent states it, if it does.
    init(
        _ method: String, _ secret: RPCSecret, algorithm: KeyAlgorithm, claim: KeyProof.Claim,
        chain: [[UInt8]], publicKey stated: [UInt8]? = nil
    ) throws(DstackClientError) {
        let secret = secret.duplicate()
        let publicKey: [UInt8]
        do {
            publicKey = try algorithm.publicKey(of: secret)
        } catch {
            throw DstackClientError(.invalidResponse, method, error)
        }
        guard stated == nil || stated == publicKey else {
            throw DstackClientError(
                .notAuthentic, subject: method, reason: "the stated public key is not that of the private one")
        }
        let chain = try KeyProof.checkedChain(chain, 2, method)
        proof = KeyProof(algorithm: algorithm, publicKey: publicKey, claim: claim, signatureChain: chain)
        self.secret = secret
    }
}

/// Public keys as wallets show them.
package enum WalletAddress {
    /// EIP-55: a letter is a capital where the digit of Keccak-256 of the lower-case address is 8 or more.
    static func ethereum(_ address: FixedBytes<20>) -> String {
        let digits = Array(address.hex.utf8)
        let hash = Keccak.hash256(digits)
        let text = digits.enumerated().map { index, digit in
            let nibble = index.isMultiple(of: 2) ? hash[index / 2] >> 4 : hash[index / 2] & 15
            return digit >= UInt8(ascii: "a") && nibble >= 8 ? digit - 32 : digit
        }
        return "0x" + String(decoding: text, as: UTF8.self)
    }

    private static let alphabet = Array("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".utf8)

    /// Base 58 in Bitcoin's alphabet: the number, and a "1" for each leading zero byte.
    package static func base58(_ bytes: [UInt8]) -> String {
        var digits: [UInt8] = []
        for byte in bytes {
            var carry = Int(byte)
            for index in digits.indices {
                carry += Int(digits[index]) << 8
                digits[index] = UInt8(carry % 58)
                carry /= 58
            }
            while carry > 0 {
                digits.append(UInt8(carry % 58))
                carry /= 58
            }
        }
        let zeros = [UInt8](repeating: alphabet[0], count: bytes.prefix { $0 == 0 }.count)
        return String(decoding: zeros + digits.reversed().map { alphabet[Int($0)] }, as: UTF8.self)
    }
}
