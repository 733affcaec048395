import Glibc
import TestKit
import Testing

/// The other end of what a service tells its manager: a datagram socket as systemd opens it.
final class ServiceManagerPeer: Sendable {
    private let descriptor: Int32

    init(_ name: String) throws {
        // A name of the abstract space is written with an @ in place of its zero.
        let path = name.hasPrefix("@") ? "\0" + name.dropFirst() : name
        descriptor = try UnixSocket.bound(to: path, SOCK_DGRAM)
    }

    deinit { close(descriptor) }

    /// Sends to it until it takes no more.
    func fill(_ path: String) {
        let peer = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(peer) }
        var count = 1
        while count > 0 {
            count = UnixSocket.withAddress(path) { sendto(peer, "x", 1, Int32(MSG_DONTWAIT), $0, $1) }
        }
    }

    /// The next message, empty if there is none yet.
    func receive() -> String {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        return String(decoding: buffer[..<max(0, count)], as: UTF8.self)
    }

    /// The next message, waiting for it without holding the thread that may have to send it.
    func next() async throws -> String {
        for _ in 0..<30_000 {
            let message = receive()
            if !message.isEmpty { return message }
            try await Task.sleep(for: .milliseconds(1))
        }
        return ""
    }
}
