import DstackHTTP
import DstackNetwork
import Synchronization

/// One request on one connection: its place in the loop's table, and what tells it from others that had the place.
struct ExchangeID: Sendable, Hashable {
    let slot: Int
    let connection: UInt64
    let request: UInt64
}

/// The only way from tasks to the loop's thread: messages under a lock, and a descriptor that wakes the loop.
final class ServerMailbox: Sendable {
    enum Message: Sendable {
        /// A handler's answer, whose place it took, and what an upgraded connection will carry.
        case response(ExchangeID, HTTPPeer.Identity, HTTPServerResponse, IncomingBytes?)
        /// A reader has made room for more.
        case roomMade(ExchangeID)
        /// The continuation gets whether the bytes were taken, once there is room for more.
        case bodyPart(ExchangeID, [UInt8], CheckedContinuation<Bool, Never>)
        case bodyEnd(ExchangeID, isComplete: Bool)
        /// A judge's word on a client, and whose place it took.
        case judged(ExchangeID, HTTPPeer.Identity, any TLSPeerJudge, TLSJudgement)
        case session(ExchangeID, String, limit: Int, CheckedContinuation<HTTPTLSSession.Answer, Never>)
        case changeTLS(
            listener: String, @Sendable (inout HTTPServerTLS) -> Void, CheckedContinuation<HTTPServerError?, Never>)
        case reload(
            HTTPServerConfiguration, CheckedContinuation<Result<[HTTPBoundListener], HTTPServerError>, Never>)
        /// A request that comes over no connection; see ``HTTPServer/probe(_:_:)``.
        case probe(HTTPServerRequest, @Sendable (HTTPServerResponse?) -> Void)
        /// Finish what is under way, but end at this moment of the monotonic clock (nanoseconds).
        case stop(deadline: UInt64)
    }

    private struct State {
        var messages: [Message] = []
        var isClosed = false
    }

    private let state = Mutex(State())
    private let wakeUp = WakeUp()

    /// Readable where there are messages; -1 if there was none to be had.
    var descriptor: Int32 { wakeUp.descriptor }

    func post(_ message: Message) {
        let (isFirst, isClosed) = state.withLock { state in
            guard !state.isClosed else { return (false, true) }
            state.messages.append(message)
            return (state.messages.count == 1, false)
        }
        if isClosed { return Self.refuse(message) }
        // The loop takes all messages at once, so only the first of a batch has to wake it.
        if isFirst { wakeUp.post() }
    }

    func takeAll() -> [Message] {
        wakeUp.take()
        return state.withLock { state in
            defer { state.messages = [] }
            return state.messages
        }
    }

    /// From now on every message is answered with a refusal.
    func close() {
        let rest = state.withLock { state in
            defer { state.messages = [] }
            state.isClosed = true
            return state.messages
        }
        for message in rest { Self.refuse(message) }
    }

    private static func refuse(_ message: Message) {
        switch message {
        case .bodyPart(_, _, let continuation): continuation.resume(returning: false)
        case .session(_, _, _, let continuation): continuation.resume(returning: .unavailable)
        case .changeTLS(let name, _, let continuation):
            continuation.resume(returning: HTTPServerError(.state, name, "the server is not running"))
        case .probe(_, let answer): answer(nil)
        case .reload(_, let continuation):
            continuation.resume(returning: .failure(HTTPServerError(.state, "server", "it is not running")))
        case .response, .roomMade, .bodyEnd, .judged, .stop: break
        }
    }
}
