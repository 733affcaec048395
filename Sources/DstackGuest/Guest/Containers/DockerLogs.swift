import DstackEncoding
import DstackHTTPClient
import DstackSystem

extension LogQuery {
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

/// A log as Docker sends it. Read ahead is a quarter of a megabyte at most, in the connection.
final class DockerLogs: LogSource {
    private let stream: HTTPResponseStream
    private let hasTerminal: Bool
    private let parser = Guarded()

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

    init(_ stream: HTTPResponseStream, hasTerminal: Bool) {
        self.stream = stream
        self.hasTerminal = hasTerminal
    }

    func stop() { stream.cancel() }

    func next() async throws(GuestError) -> LogFrame? {
        do {
            if hasTerminal { return try await stream.next().map { LogFrame(.console, $0) } }
            switch try await parser.next(stream) {
            case .output(let frame): return frame
            case .failure(let text): throw GuestError.brokenLog(SafeText.line(bytes: text, limit: 300))
            case nil: return nil
            }
        } catch let error as HTTPClientError {
            // Nothing was written for so long that the connection is better given to somebody else.
            if error.code == .timeout { return nil }
            throw .brokenLog("the container engine broke off: \(error.reason)")
        } catch let error as GuestError {
            throw error
        } catch {
            throw .brokenLog("\(error)")
        }
    }
}
