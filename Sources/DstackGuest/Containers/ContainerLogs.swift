import DstackEncoding
import DstackHTTPClient
import DstackSystem

/// Which part of a container's output is read.
package struct LogQuery: Sendable, Hashable {
    package enum Tail: Sendable, Hashable {
        case all
        /// The last lines that are there when reading begins.
        case last(UInt64)
    }

    /// Seconds since 1970; 0 for no bound.
    package var since: Int64
    /// Seconds since 1970; 0 for no bound.
    package var until: Int64
    package var tail: Tail
    /// Whether reading goes on with what is written later.
    package var follows: Bool
    /// Whether each line begins with when it was written (RFC 3339 with nanoseconds) and a space.
    package var hasTimestamps: Bool

    package init(
        since: Int64 = 0, until: Int64 = 0, tail: Tail = .last(1000), follows: Bool = false,
        hasTimestamps: Bool = false
    ) {
        self.since = since
        self.until = until
        self.tail = tail
        self.follows = follows
        self.hasTimestamps = hasTimestamps
    }

    /// As the engine's query.
    var text: String {
        let tail =
            switch tail {
            case .all: "all"
            case .last(let count): "\(count)"
            }
        return
            "stdout=1&stderr=1&since=\(since)&until=\(until)&tail=\(tail)&follow=\(follows)&timestamps=\(hasTimestamps)"
    }
}

/// A container's output being read. Nothing is read ahead beyond a quarter of a megabyte: who reads slowly holds the
/// engine up. Dropping it ends the reading.
package final class ContainerLogs: Sendable {
    private let stream: HTTPResponseStream
    private let hasTerminal: Bool
    private let parser: Guarded
    private let place: LogPlace

    /// One reader at a time, which the stream enforces; the actor keeps the parser safe all the same.
    private actor Guarded {
        private var parser = LogFrameParser()

        func next(_ stream: HTTPResponseStream) async throws -> LogFrameParser.Frame? {
            while true {
                if let frame = try parser.next() { return frame }
                guard let bytes = try await stream.next() else {
                    try parser.expectEnd()
                    return nil
                }
                parser.append(bytes)
            }
        }
    }

    init(_ stream: HTTPResponseStream, hasTerminal: Bool, place: LogPlace) {
        self.stream = stream
        self.hasTerminal = hasTerminal
        self.place = place
        parser = Guarded()
    }

    /// The next piece, waiting for it; nil at the end of the log, or after the engine's silence was too long.
    package func next() async throws(GuestError) -> LogFrame? {
        do {
            if hasTerminal { return try await stream.next().map { LogFrame(.console, $0) } }
            switch try await parser.next(stream) {
            case .output(let frame): return frame
            case .failure(let text): throw Self.broken(SafeText.line(bytes: text, limit: 300))
            case nil: return nil
            }
        } catch let error as HTTPClientError {
            // Nothing was written for so long that the connection is better given to somebody else.
            if error.code == .timeout { return nil }
            throw Self.broken(error.reason)
        } catch let error as GuestError {
            throw error
        } catch {
            throw Self.broken("\(error)")
        }
    }

    private static func broken(_ reason: String) -> GuestError {
        GuestError(.engineUnavailable, subject: "container log", reason: reason)
    }
}
