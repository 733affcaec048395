import Foundation
import TestKit

/// Passes one TLS 1.2 connection on, and may break the server's proof that it has the certificate's key: the last byte of the
/// signature in its first flight, which ends with ServerKeyExchange and ServerHelloDone (RFC 5246, section 7.3).
final class FlightRelay: Sendable {
    private let listener: RawListener

    var port: UInt16 { listener.port }

    /// ServerHelloDone: a record header and an empty handshake message.
    private static let tail = 5 + 4

    init(to server: UInt16, isBroken: Bool) throws {
        listener = try RawListener()
        listener.serve { Self.pass($0.descriptor, to: server, isBroken: isBroken) }
    }

    func end() { listener.end() }

    private static func pass(_ client: Int32, to port: UInt16, isBroken: Bool) {
        guard let server = try? TCPSocket.connected(to: port) else { return }
        defer { close(server) }
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
