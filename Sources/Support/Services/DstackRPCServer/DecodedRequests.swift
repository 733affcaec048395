import DstackRPC
import Synchronization

/// The requests of one method that were decoded last, by their bytes: who asks for the same again and again is not read
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

    private struct State {
        var known: [Key: Question] = [:]
        /// The one that was asked last, to be compared with before anything is hashed.
        var last: (key: Key, question: Question)?
    }

    private static let maximumCount = 256
    private static let maximumBytes = 512

    private let state = Mutex(State())

    /// The question that a request is, made by `decode` if it is not known.
    func question(_ payload: RPCPayload, _ decode: () throws -> Question) rethrows -> Question {
        guard let body = payload.body, body.count <= Self.maximumBytes else { return try decode() }
        let key = Key(encoding: payload.encoding, body: body)
        if let known = state.withLock({ Self.find(key, &$0) }) { return known }
        let question = try decode()
        state.withLock { state in
            // Which ones go matters little: those that are asked for come back.
            if state.known.count >= Self.maximumCount { state.known.removeAll(keepingCapacity: true) }
            state.known[key] = question
        }
        return question
    }

    private static func find(_ key: Key, _ state: inout State) -> Question? {
        if let last = state.last, last.key == key { return last.question }
        guard let question = state.known[key] else { return nil }
        state.last = (key, question)
        return question
    }
}
