package import DstackHTTP
import Synchronization

/// A response whose body is still coming. Dropping it ends the transfer.
package final class HTTPResponseStream: Sendable {
    package let status: Int
    package let headers: HTTPHeaders
    private let arrivals: ResponseArrivals
    private let stop: @Sendable () -> Void
    private let wake: @Sendable () -> Void

    init(
        status: Int, headers: HTTPHeaders, arrivals: ResponseArrivals, stop: @escaping @Sendable () -> Void,
        wake: @escaping @Sendable () -> Void
    ) {
        self.status = status
        self.headers = headers
        self.arrivals = arrivals
        self.stop = stop
        self.wake = wake
    }

    deinit { stop() }

    /// What has come since the last call, waiting until there is something; nil at the end of the body. One reader at a
    /// time.
    ///
    /// - Throws: where the body broke off. Cancelling the waiting task ends the transfer.
    package func next() async throws(HTTPClientError) -> [UInt8]? {
        let stop = stop
        let (piece, wasFull) = await withTaskCancellationHandler {
            await arrivals.next()
        } onCancel: {
            stop()
        }
        if wasFull { wake() }
        return try piece.get()
    }

    /// Ends the transfer; who waits for the next piece is told that it broke off.
    package func cancel() { stop() }

    /// The rest of the body.
    ///
    /// - Throws: also where it is longer than `limit` bytes.
    package func collect(limit: Int) async throws(HTTPClientError) -> [UInt8] {
        var bytes = [UInt8]()
        while let piece = try await next() {
            guard piece.count <= limit - bytes.count else {
                throw HTTPClientError(
                    .tooLarge, .receiving, subject: "streamed response",
                    reason: "the body is over the limit of \(limit) bytes")
            }
            bytes += piece
        }
        return bytes
    }
}

/// What has come of a streamed response and was not read yet: between the client's thread and the task that reads.
final class ResponseArrivals: Sendable {
    typealias Head = Result<(Int, HTTPHeaders), HTTPClientError>
    typealias Piece = (Result<[UInt8]?, HTTPClientError>, wasFull: Bool)

    private struct State {
        var head: (Int, HTTPHeaders)?
        var bytes: [UInt8] = []
        var outcome: Result<Void, HTTPClientError>?
        /// Whether the transfer is paused until there is room.
        var isPaused = false
        var headReader: CheckedContinuation<Head, Never>?
        var reader: CheckedContinuation<Piece, Never>?
    }

    private let state = Mutex(State())
    /// Above this much unread the sender is held up.
    private static let highWater = 256 << 10

    // MARK: The client's thread

    func begin(_ status: Int, _ headers: HTTPHeaders) {
        let reader = state.withLock { state in
            state.head = (status, headers)
            return state.headReader.take()
        }
        reader?.resume(returning: .success((status, headers)))
    }

    /// False if there is no room: the same bytes are then offered again after ``takeResumption()``.
    func offer(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let (isTaken, reader) = state.withLock { state -> (Bool, CheckedContinuation<Piece, Never>?) in
            guard state.bytes.count < Self.highWater else {
                state.isPaused = true
                return (false, nil)
            }
            guard let reader = state.reader.take() else {
                state.bytes.append(contentsOf: bytes)
                return (true, nil)
            }
            return (true, reader)
        }
        reader?.resume(returning: (.success([UInt8](bytes)), false))
        return isTaken
    }

    /// Whether a paused transfer may go on; true once for each pause.
    func takeResumption() -> Bool {
        state.withLock { state in
            guard state.isPaused, state.bytes.count < Self.highWater else { return false }
            state.isPaused = false
            return true
        }
    }

    func end(_ outcome: Result<Void, HTTPClientError>) {
        let (headReader, reader) = state.withLock { state in
            state.outcome = outcome
            return (state.headReader.take(), state.reader.take())
        }
        headReader?.resume(returning: Self.head(at: outcome))
        reader?.resume(returning: (outcome.map { nil }, false))
    }

    // MARK: The reader

    func head() async -> Head {
        await withCheckedContinuation { continuation in
            let head: Head? = state.withLock { state in
                if let head = state.head { return .success(head) }
                if let outcome = state.outcome { return Self.head(at: outcome) }
                state.headReader = continuation
                return nil
            }
            if let head { continuation.resume(returning: head) }
        }
    }

    func next() async -> Piece {
        await withCheckedContinuation { continuation in
            let piece: Piece? = state.withLock { state in
                if !state.bytes.isEmpty {
                    let bytes = state.bytes
                    state.bytes = []
                    return (.success(bytes), state.isPaused)
                }
                if let outcome = state.outcome { return (outcome.map { nil }, false) }
                // A second reader would take what the first one waits for.
                guard state.reader == nil else { return (.failure(Self.secondReader), false) }
                state.reader = continuation
                return nil
            }
            if let piece { continuation.resume(returning: piece) }
        }
    }

    private static let secondReader = HTTPClientError(
        .invalidRequest, .receiving, subject: "streamed response", reason: "somebody else is reading it already")

    /// A transfer that ended well without a head has none: libcurl accepted an answer that is not HTTP/1.
    private static func head(at outcome: Result<Void, HTTPClientError>) -> Head {
        outcome.flatMap {
            .failure(
                HTTPClientError(
                    .invalidResponse, .receiving, subject: "streamed response", reason: "there was no response head"))
        }
    }
}
