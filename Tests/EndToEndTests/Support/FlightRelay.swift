import Foundation
import Testing

/// Passes one TLS 1.2 connection on, and may break the server's proof that it has the certificate's key: the last byte of the
/// signature in its first flight, which ends with ServerKeyExchange and ServerHelloDone (RFC 5246, section 7.3).
final class FlightRelay: Sendable {
    let port: UInt16
    private let listener: Int32

    /// ServerHelloDone: a record header and an empty handshake message.
    private static let tail = 5 + 4

    init(to server: UInt16, isBroken: Bool) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = Self.loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(listener, pointer, length) == 0 && listen(listener, 4) == 0
                    && getsockname(listener, pointer, &length) == 0
            }
        }
        try #require(status, "no port to be had")
        self.listener = listener
        port = UInt16(bigEndian: address.sin_port)
        Thread {
            while case let client = accept(listener, nil, nil), client >= 0 {
                Self.pass(client, to: server, isBroken: isBroken)
            }
        }.start()
    }

    func end() { shutdown(listener, Int32(SHUT_RDWR)) }

    deinit { close(listener) }

    private static func loopback(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    private static func pass(_ client: Int32, to port: UInt16, isBroken: Bool) {
        let server = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer {
            close(client)
            close(server)
        }
        var address = loopback(port)
        let isConnected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(server, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        guard isConnected else { return }
        var isFirstFlight = isBroken
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            var waiting = [
                pollfd(fd: client, events: Int16(POLLIN), revents: 0),
                pollfd(fd: server, events: Int16(POLLIN), revents: 0),
            ]
            guard poll(&waiting, 2, 10_000) > 0 else { return }
            let isFromServer = waiting[1].revents != 0
            // A flight is sent at once; what has a part still under way is read whole.
            if isFromServer, isFirstFlight { usleep(200_000) }
            let count = recv(isFromServer ? server : client, &buffer, buffer.count, 0)
            guard count > 0 else { return }
            if isFromServer, isFirstFlight, count > tail {
                buffer[count - tail - 1] ^= 1
                isFirstFlight = false
            }
            guard send(isFromServer ? client : server, buffer, count, Int32(MSG_NOSIGNAL)) == count else { return }
        }
    }
}
