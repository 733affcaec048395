import Glibc
import Testing

/// The other end of what a service tells its manager: a datagram socket as systemd opens it.
final class ServiceManagerPeer: Sendable {
    private let descriptor: Int32

    init(_ name: String) throws {
        descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(name.utf8)
        withUnsafeMutableBytes(of: &address.sun_path) { path in
            path.copyBytes(from: bytes)
            if name.hasPrefix("@") { path[0] = 0 }
        }
        let length = socklen_t(2 + bytes.count + (name.hasPrefix("@") ? 0 : 1))
        let bound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(descriptor, $0, length) }
        }
        try #require(bound == 0)
    }

    deinit { close(descriptor) }

    /// Sends to it until it takes no more.
    func fill(_ path: String) {
        let peer = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue), 0)
        defer { close(peer) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let length = socklen_t(2 + path.utf8.count)
        var count = 1
        while count > 0 {
            count = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    sendto(peer, "x", 1, Int32(MSG_DONTWAIT), $0, length)
                }
            }
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
