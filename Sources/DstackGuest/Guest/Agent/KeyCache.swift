import DstackCrypto
import DstackEncoding
import DstackKeys
import DstackRPC
import DstackRPCServer
import Synchronization

/// A derived key as it is answered. The key itself lies in memory that is wiped when the last holder lets go of it.
final class KeyAnswer: Sendable {
    let secret: SecretBytes
    let publicKey: [UInt8]
    let signatureChain: [[UInt8]]
    /// ``response`` as JSON, ready to be sent.
    private let json: SecretBytes
    /// By what logs know the path: the beginning of its hash.
    let pathLabel: String

    init(_ key: consuming DerivedKey, path: String) {
        publicKey = key.publicKey
        signatureChain = key.signatureChain
        secret = key.withUnsafeBytes { SecretBytes(copying: $0.bytes) }
        pathLabel = Self.label(path)
        json = Self.json(secret, signatureChain)
    }

    /// The answer of GetKey, in memory that nothing wipes, as what is sent is.
    var response: AgentRPC.GetKeyResponse { Self.response(secret, signatureChain) }

    /// The same, in the form of a call.
    func reply(to call: RPCCall) -> RPCReply<AgentRPC.GetKeyResponse> {
        call.encoding == .json ? RPCReply(encoded: json.copiedToUnprotectedMemory()) : RPCReply(response)
    }

    /// The JSON that ``response`` has, put together where it is wiped: arrays leave unwiped pieces behind as they grow. What
    /// is not secret is encoded as always, with zeros in the place of the key.
    private static func json(_ secret: borrowing SecretBytes, _ chain: [[UInt8]]) -> SecretBytes {
        let text = response(SecretBytes(copying: [UInt8](repeating: 0, count: secret.count)), chain).json
        let digits = "{\"key\":\"".utf8.count
        return SecretBytes(count: text.count) { (buffer: UnsafeMutableRawBufferPointer) in
            buffer.copyBytes(from: text)
            secret.withUnsafeBytes { Hex.encode($0, into: UnsafeMutableRawBufferPointer(rebasing: buffer[digits...])) }
        }
    }

    private static func response(_ secret: borrowing SecretBytes, _ chain: [[UInt8]]) -> AgentRPC.GetKeyResponse {
        var response = AgentRPC.GetKeyResponse()
        response.key = secret.copiedToUnprotectedMemory()
        response.signatureChain = chain
        return response
    }

    /// Paths name what an application keeps under them, so that logs have their hash alone.
    static func label(_ path: String) -> String {
        Hex.encode(Array(SHA256.hash(Array(path.utf8)).bytes.prefix(8)))
    }
}

/// Answers that were computed once, as many as are set; keys of applications are few and asked for often.
final class KeyCache: Sendable {
    struct Request: Hashable, Sendable {
        enum Derivation: Hashable, Sendable {
            case path(purpose: String)
            case domain
        }

        let derivation: Derivation
        /// The path or the domain.
        let name: String
        let algorithm: KeyAlgorithm

        /// Strings compare by what they look like (canonical equivalence), keys are derived from bytes.
        static func == (left: Request, right: Request) -> Bool {
            guard left.algorithm == right.algorithm, left.name.utf8.elementsEqual(right.name.utf8) else { return false }
            return switch (left.derivation, right.derivation) {
            case (.domain, .domain): true
            case (.path(let left), .path(let right)): left.utf8.elementsEqual(right.utf8)
            default: false
            }
        }

        var byteCount: Int {
            if case .path(let purpose) = derivation { name.utf8.count + purpose.utf8.count } else { name.utf8.count }
        }
    }

    /// A longer request is not worth its memory.
    private static let maximumRequestBytes = 1_024

    private let answers: Mutex<LRUCache<Request, KeyAnswer>>

    init(capacity: Int) { answers = Mutex(LRUCache(capacity: capacity)) }

    func answer(to request: Request) -> KeyAnswer? { answers.withLock { $0.value(of: request) } }

    func keep(_ answer: KeyAnswer, for request: Request) {
        guard request.byteCount <= Self.maximumRequestBytes else { return }
        // What is pushed out is wiped outside the lock at the latest when its last reader is done.
        answers.withLock { $0.insert(answer, for: request) }
    }
}
