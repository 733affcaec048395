import Synchronization

/// What comes in over a connection for a handler that reads it as it comes: a request's body, or whatever an upgraded
/// connection carries. One reader at a time.
///
/// Reading slowly holds the client up: beyond 64 KiB that nobody has read, nothing more is taken from its connection.
package final class IncomingBytes: Sendable {
    private struct State {
        var bytes: [UInt8] = []
        var outcome: Result<Void, IncomingFailure>?
        /// Whether the connection waits for room.
        var isHeldUp = false
        var reader: CheckedContinuation<Result<[UInt8]?, IncomingFailure>, Never>?
    }

    private let state = Mutex(State())
    private let roomMade: @Sendable () -> Void
    private static let highWater = 64 << 10

    /// - Parameter roomMade: called where the connection was held up and may go on.
    init(roomMade: @escaping @Sendable () -> Void) { self.roomMade = roomMade }

    // MARK: The loop's thread

    /// Whether more is wanted; where not, the connection is held up until room is made.
    var takesMore: Bool {
        state.withLock { state in
            state.isHeldUp = state.bytes.count >= Self.highWater
            return !state.isHeldUp
        }
    }

    func append(_ bytes: UnsafeBufferPointer<UInt8>) {
        let reader = state.withLock { state in
            guard let reader = state.reader.take() else {
                state.bytes.append(contentsOf: bytes)
                return nil as CheckedContinuation<Result<[UInt8]?, IncomingFailure>, Never>?
            }
            return reader
        }
        reader?.resume(returning: .success([UInt8](bytes)))
    }

    /// Nothing more comes; what came before is read first.
    func end(_ outcome: Result<Void, IncomingFailure>) {
        let reader = state.withLock { state in
            if state.outcome == nil { state.outcome = outcome }
            return state.reader.take()
        }
        reader?.resume(returning: outcome.map { nil })
    }

    // MARK: The reader

    /// What has come since the last call, waiting until there is something; nil at the end.
    ///
    /// - Throws: where it broke off: the client is gone, too slow, over the limit, or was answered before it was through.
    package func next() async throws(IncomingFailure) -> [UInt8]? {
        let result: Result<[UInt8]?, IncomingFailure> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let (answer, hasRoom) = state.withLock { state -> (Result<[UInt8]?, IncomingFailure>?, Bool) in
                    if !state.bytes.isEmpty {
                        let bytes = state.bytes
                        state.bytes = []
                        return (.success(bytes), state.isHeldUp)
                    }
                    if let outcome = state.outcome { return (outcome.map { nil }, false) }
                    // A second reader would take what the first one waits for.
                    guard state.reader == nil else { return (.failure(.secondReader), false) }
                    state.reader = continuation
                    return (nil, false)
                }
                if hasRoom { roomMade() }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            end(.failure(.cancelled))
        }
        return try result.get()
    }

    /// All of it.
    ///
    /// - Throws: also where it is longer than `limit` bytes.
    package func collect(limit: Int) async throws(IncomingFailure) -> [UInt8] {
        var bytes: [UInt8] = []
        while let piece = try await next() {
            guard piece.count <= limit - bytes.count else { throw .tooLarge }
            bytes += piece
        }
        return bytes
    }
}

/// Why a body, or what an upgraded connection carries, broke off.
package enum IncomingFailure: Error, Sendable, Hashable, CustomStringConvertible {
    /// The connection has ended.
    case clientGone
    case tooSlow
    case tooLarge
    /// The handler has answered before it had read all.
    case answered
    /// The reader's task was cancelled.
    case cancelled
    case secondReader

    package var description: String {
        switch self {
        case .clientGone: "the client has closed the connection"
        case .tooSlow: "the body took too long"
        case .tooLarge: "the body is over its limit"
        case .answered: "the request was answered before its body was read"
        case .cancelled: "the task was cancelled"
        case .secondReader: "somebody else is reading it already"
        }
    }
}
