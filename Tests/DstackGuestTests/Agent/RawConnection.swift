import Foundation
import Glibc
import TestKit
import Testing

/// One connection to a Unix socket, byte by byte, as hand-written clients use it.
enum RawConnection {
    struct Answer: Sendable {
        /// All that came until the server ended the connection.
        let bytes: [UInt8]
        /// Whether the end was an orderly one, not a reset.
        let isOrderly: Bool

        var text: String { String(decoding: bytes, as: UTF8.self) }
        var status: Int { Int(text.split(separator: " ").dropFirst().first ?? "") ?? 0 }
        /// Behind the first empty line.
        var body: String { text.range(of: "\r\n\r\n").map { String(text[$0.upperBound...]) } ?? "" }

        func header(_ name: String) -> String? {
            let head = text.components(separatedBy: "\r\n\r\n").first ?? ""
            return head.components(separatedBy: "\r\n").first { $0.lowercased().hasPrefix(name.lowercased() + ": ") }
                .map { String($0.dropFirst(name.count + 2)) }
        }
    }

    enum End: Sendable {
        /// The client says that it will send nothing more as soon as it has sent its request.
        case afterSending
        /// It does so once the body is there, of whose length the header told.
        case afterBody
        /// It waits for the server to end the connection.
        case never
    }

    /// Sends some bytes and reads to the end, on a thread of its own.
    static func exchange(_ path: String, _ request: String, end: End = .afterSending) async throws -> Answer {
        try await exchange(path, Array(request.utf8), end: end)
    }

    static func exchange(_ path: String, _ request: [UInt8], end: End = .afterSending) async throws -> Answer {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Result { try run(path, request, end) }) }
        }
    }

    private static func run(_ path: String, _ request: [UInt8], _ end: End) throws -> Answer {
        let descriptor = try UnixSocket.connected(to: path)
        defer { close(descriptor) }
        var patience = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
        var sent = 0
        while sent < request.count {
            let count = request[sent...].withUnsafeBytes {
                send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { break }
            sent += count
        }
        if case .afterSending = end { shutdown(descriptor, Int32(SHUT_WR)) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        var hasEnded = false
        while true {
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return Answer(bytes: bytes, isOrderly: count == 0) }
            bytes += buffer[..<count]
            if case .afterBody = end, !hasEnded {
                let soFar = Answer(bytes: bytes, isOrderly: true)
                // In units of UTF-16, as that client counts.
                if let length = soFar.header("content-length").flatMap({ Int($0) }), soFar.body.utf16.count >= length {
                    hasEnded = true
                    shutdown(descriptor, Int32(SHUT_WR))
                }
            }
        }
    }
}
