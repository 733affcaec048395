import DstackConcurrency
import DstackCrypto
import DstackEncoding
import DstackKeys
import DstackRPC
import DstackRPCServer
import Synchronization

/// A derived key as it is answered, in memory that is wiped when the last holder lets go of it.
final class KeyAnswer: Sendable {
    let secret: RPCSecret
    let publicKey: [UInt8]
    let signatureChain: [[UInt8]]
    /// ``response`` as JSON, ready to be sent.
    private let json: EncodedMessage
    /// By what logs know the path: the beginning of its hash.
    let pathLabel: String

    init(_ key: consuming DerivedKey, path: String) {
        publicKey = key.publicKey
        signatureChain = key.signatureChain
        secret = RPCSecret(key.withUnsafeBytes { SecretBytes(copying: $0.bytes) })
        pathLabel = Self.label(path)
        json = Self.response(secret, signatureChain).encoded(as: .json)
    }

    /// The answer of GetKey in the form of a call.
    func reply(to call: RPCCall) -> RPCReply<AgentRPC.GetKeyResponse> {
        call.encoding == .json ? RPCReply(encoded: json) : RPCReply(Self.response(secret, signatureChain))
    }

    private static func response(_ secret: RPCSecret, _ chain: [[UInt8]]) -> AgentRPC.GetKeyResponse {
        var response = AgentRPC.GetKeyResponse()
        response.key = secret
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
