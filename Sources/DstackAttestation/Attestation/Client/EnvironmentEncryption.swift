import DstackCrypto
import DstackEncoding

/// The key to which environment variables for an application are encrypted, once a KMS's signature on it was checked.
///
/// ```swift
/// let key = try EnvironmentEncryptionKey(answer, timestamp: time, signature: signature, appID: appID, kmsKey: kms, now: now)
/// let sealed = try key.encrypt([("DATABASE_PASSWORD", password)])
/// ```
///
/// What it encrypts can be read by the application only. It proves nothing of who wrote it: anybody knows the key.
public struct EnvironmentEncryptionKey: Sendable, Hashable {
    /// X25519, 32 bytes.
    public let key: FixedBytes<32>

    /// A key that a KMS gave out for an application, if it is that.
    ///
    /// - Parameters:
    ///   - key: as the KMS sent it.
    ///   - timestamp: when the KMS signed it, Unix seconds; nil for the older form, which can be replayed for ever.
    ///   - signature: 65 bytes, r ‖ s ‖ recovery id.
    ///   - kmsKey: the KMS's secp256k1 key, SEC 1, from somewhere else than the same answer.
    ///   - now: Unix seconds.
    ///   - maximumAge: in seconds.
    ///   - tolerance: how many seconds the KMS's clock may be ahead.
    /// - Throws: ``DstackClientError/Code/notAuthentic`` for a signature of anything else, by anybody else or at another
    ///   time.
    public init(
        _ key: FixedBytes<32>, timestamp: UInt64?, signature: [UInt8], appID: AppID, kmsKey: [UInt8], now: Int64,
        maximumAge: UInt64 = 300, tolerance: UInt64 = 60
    ) throws(DstackClientError) {
        let subject = "environment key"
        let root: Secp256k1.PublicKey
        do {
            root = try Secp256k1.PublicKey(sec1: kmsKey)
        } catch {
            throw DstackClientError(.invalidRequest, "KMS key", error)
        }
        do throws(CryptoFailure) {
            let signed = SignedEnvironmentKey(
                appID: appID.bytes, key: key, timestamp: timestamp,
                signature: try Secp256k1.Signature(signature, acceptingOffset: true))
            let signer = try signed.signer(now: now, maximumAge: maximumAge, tolerance: tolerance)
            guard signer == root else {
                throw CryptoFailure(.notAuthentic, "signature", "by \(signer.compressed.hex), not by the KMS")
            }
        } catch {
            throw DstackClientError(.notAuthentic, subject: subject, reason: error.description)
        }
        self.key = key
    }

    /// The most variables that a guest takes.
    public static let maximumCount = 1024
    /// The longest text that a guest takes, as JSON.
    public static let maximumByteCount = 1 << 20

    /// Encrypts variables: the public half of a fresh X25519 key, 12 bytes of nonce, then their JSON in AES-256-GCM with the
    /// shared secret as its key.
    ///
    /// - Throws: ``DstackClientError/Code/invalidRequest`` for what a guest would not take: a name that is none for a shell
    ///   or has over 255 bytes, a name twice, a value over 128 KiB, too many of them.
    public func encrypt(_ variables: [(name: String, value: String)]) throws(DstackClientError) -> [UInt8] {
        try Self.check(variables)
        var json = ByteWriter(capacity: 256)
        json.append("{\"env\":[".utf8)
        for (index, variable) in variables.enumerated() {
            if index > 0 { json.u8(UInt8(ascii: ",")) }
            json.append("{\"key\":".utf8)
            json.jsonString(variable.name)
            json.append(",\"value\":".utf8)
            json.jsonString(variable.value)
            json.u8(UInt8(ascii: "}"))
        }
        json.append("]}".utf8)
        var text = json.bytes
        guard text.count <= Self.maximumByteCount else {
            throw Self.refused("\(text.count) bytes in all, at most \(Self.maximumByteCount)")
        }
        let secret = SecretBytes(absorbing: &text)
        do throws(CryptoFailure) {
            let ephemeral = X25519.PrivateKey()
            let shared = try ephemeral.sharedSecret(with: X25519.PublicKey(key))
            let sealed = try AES256GCM.seal(secret.bytes, key: shared)
            return ephemeral.publicKey.bytes.bytes + sealed.combined
        } catch {
            throw DstackClientError(.invalidRequest, "environment", error)
        }
    }

    private static func check(_ variables: [(name: String, value: String)]) throws(DstackClientError) {
        guard variables.count <= maximumCount else {
            throw refused("\(variables.count) variables, at most \(maximumCount)")
        }
        var names: Set<[UInt8]> = []
        for (index, variable) in variables.enumerated() {
            let name = Array(variable.name.utf8)
            guard (1...255).contains(name.count), !name[0].isDigit, name.allSatisfy({ $0.isOfName }) else {
                throw refused("variable \(index) needs a name of letters, digits and underscores, not over 255 bytes")
            }
            guard names.insert(name).inserted else { throw refused("\(variable.name) occurs twice") }
            guard variable.value.utf8.count <= 128 << 10 else {
                throw refused("the value of \(variable.name) has over 128 KiB")
            }
        }
    }

    private static func refused(_ reason: String) -> DstackClientError {
        DstackClientError(.invalidRequest, subject: "environment", reason: reason)
    }
}

extension UInt8 {
    fileprivate var isDigit: Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(self) }

    fileprivate var isOfName: Bool {
        isDigit || self == UInt8(ascii: "_") || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(self | 0x20)
    }
}
