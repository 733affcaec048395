import DstackEncoding
import DstackRPC
import Synchronization

/// The requests of one method that were decoded last, by their bytes: who asks for the same again and again is not read
/// anew each time.
final class DecodedRequests<Message: RPCMessage>: Sendable {
    private struct Key: Hashable {
        let encoding: RPCEncoding
        let body: [UInt8]
    }

    private static var maximumCount: Int { 256 }
    private static var maximumBytes: Int { 512 }

    private let known = Mutex<[Key: Message]>([:])

    func message(_ payload: RPCPayload, _ limits: RPCLimits) throws(DecodingFailure) -> Message {
        guard !Message.isVoid, let body = payload.body, body.count <= Self.maximumBytes else {
            return try payload.message(limits)
        }
        let key = Key(encoding: payload.encoding, body: body)
        if let message = known.withLock({ $0[key] }) { return message }
        let message: Message = try payload.message(limits)
        known.withLock { known in
            // Which ones go matters little: those that are asked for come back.
            if known.count >= Self.maximumCount { known.removeAll(keepingCapacity: true) }
            known[key] = message
        }
        return message
    }
}
