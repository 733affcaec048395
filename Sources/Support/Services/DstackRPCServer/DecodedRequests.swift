import DstackRPC
import Synchronization

/// Requests of one method that were decoded, by their bytes: who asks for the same again and again is not read
/// anew each time.
///
/// What is kept is not the request but what asks the handler about it. So nothing here has the method's types, whose
/// look-up in generic code costs more than all the rest.
final class DecodedRequests: Sendable {
    /// Asks the handler about a request that was decoded.
    typealias Question = @Sendable (RPCCall) throws -> EncodedMessage?

    private struct Key: Hashable {
        let encoding: RPCEncoding
        let body: [UInt8]

        func hash(into hasher: inout Hasher) {
            hasher.combine(encoding)
            body.withUnsafeBytes { hasher.combine(bytes: $0) }
        }
    }

    private static let maximumCount = 256
    private static let maximumBytes = 512

    private let known = Mutex([Key: Question]())

    /// The question that a request is, made by `decode` if it is not known.
    func question(_ payload: RPCPayload, _ decode: () throws -> Question) rethrows -> Question {
        guard let body = payload.body, body.count <= Self.maximumBytes else { return try decode() }
        let key = Key(encoding: payload.encoding, body: body)
        if let question = known.withLock({ $0[key] }) { return question }
        let question = try decode()
        known.withLock { known in
            // Which ones go matters little: those that are asked for come back.
            if known.count >= Self.maximumCount { known.removeAll(keepingCapacity: true) }
            known[key] = question
        }
        return question
    }
}
