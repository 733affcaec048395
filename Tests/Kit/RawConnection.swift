import Foundation
import Glibc

/// One connection of a client without any manners, byte by byte. Reads and writes give up after a minute.
package final class RawConnection: Sendable {
    private let socket: RawSocket

    /// - Parameter host: the last number of the address 127.0.0.x that it comes from.
    package init(port: UInt16, fromHost host: UInt8 = 1) throws {
        socket = RawSocket(descriptor: try TCPSocket.connected(to: port, fromHost: host))
        setPatience(seconds: 60)
    }

    package init(unix path: String) throws {
        socket = RawSocket(descriptor: try UnixSocket.connected(to: path))
        setPatience(seconds: 60)
    }

    deinit { socket.close() }

    package var descriptor: Int32 { socket.descriptor }

    package func setPatience(seconds: Int) {
        var patience = timeval(tv_sec: seconds, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    }

    @discardableResult
    package func send(_ text: String) -> Bool { socket.send(text) }

    package func endWriting() { socket.endWriting() }

    /// What comes until the end, a reset, or the end of patience; the last two are marked.
    package func readToEnd() async -> String {
        await Self.onThread {
            var received = [UInt8]()
            let end = self.read { received += $0 }
            switch end {
            case .orderly: break
            case .reset: received += Array("<RESET>".utf8)
            case .timeout: received += Array("<TIMEOUT>".utf8)
            }
            return String(decoding: received, as: UTF8.self)
        }
    }

    /// Reads until the text was seen.
    package func read(until text: String) async -> String? {
        await Self.onThread { self.socket.read(until: text) }
    }

    private enum Ending { case orderly, reset, timeout }

    private func read(_ take: (ArraySlice<UInt8>) -> Void) -> Ending {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count == 0 { return .orderly }
            guard count > 0 else { return errno == ECONNRESET ? .reset : .timeout }
            take(buffer[..<count])
        }
    }

    /// Blocking calls are made on a thread of their own: the servers under test need those of the tasks.
    private static func onThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: body()) }
        }
    }
}

// MARK: - One request

extension RawConnection {
    package struct Answer: Sendable {
        /// All that came until the server ended the connection.
        package let bytes: [UInt8]
        /// Whether the end was an orderly one, not a reset.
        package let isOrderly: Bool

        package var text: String { String(decoding: bytes, as: UTF8.self) }
        package var status: Int { Int(text.split(separator: " ").dropFirst().first ?? "") ?? 0 }
        /// Behind the first empty line.
        package var body: String { text.range(of: "\r\n\r\n").map { String(text[$0.upperBound...]) } ?? "" }

        package func header(_ name: String) -> String? {
            let head = text.components(separatedBy: "\r\n\r\n").first ?? ""
            return head.components(separatedBy: "\r\n").first { $0.lowercased().hasPrefix(name.lowercased() + ": ") }
                .map { String($0.dropFirst(name.count + 2)) }
        }
    }

    package enum End: Sendable {
        /// The client says that it will send nothing more as soon as it has sent its request.
        case afterSending
        /// It does so once the body is there, of whose length the header told.
        case afterBody
        /// It waits for the server to end the connection.
        case never
    }

    /// Sends some bytes to a Unix socket and reads to the end, on a thread of its own.
    package static func exchange(
        _ path: String, _ request: String, end: End = .afterSending
    ) async throws -> Answer { try await exchange(path, Array(request.utf8), end: end) }

    package static func exchange(
        _ path: String, _ request: [UInt8], end: End = .afterSending
    ) async throws -> Answer {
        let connection = try RawConnection(unix: path)
        return await onThread { connection.exchange(request, end) }
    }

    private func exchange(_ request: [UInt8], _ end: End) -> Answer {
        socket.send(request)
        if case .afterSending = end { endWriting() }
        var bytes: [UInt8] = []
        var hasEnded = false
        let ending = read { part in
            bytes += part
            guard case .afterBody = end, !hasEnded else { return }
            let soFar = Answer(bytes: bytes, isOrderly: true)
            // In units of UTF-16, as that client counts.
            if let length = soFar.header("content-length").flatMap({ Int($0) }), soFar.body.utf16.count >= length {
                hasEnded = true
                endWriting()
            }
        }
        return Answer(bytes: bytes, isOrderly: ending == .orderly)
    }
}
