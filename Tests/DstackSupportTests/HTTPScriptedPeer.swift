import Foundation
import Glibc
import Synchronization
import TestKit

/// A peer that speaks whatever bytes a test tells it to: one thread accepts, one thread a connection runs the script.
final class HTTPScriptedPeer: Sendable {
    /// One accepted connection, blocking.
    typealias Connection = RawSocket

    private let listener: Int32
    private let accepted = Atomic<Int>(0)
    let port: UInt16

    /// How many connections were made so far.
    var connectionCount: Int { accepted.load(ordering: .sequentiallyConsistent) }

    var url: String { "http://127.0.0.1:\(port)" }

    /// Listens on a free TCP port of this machine, or at a Unix path (an abstract name if it begins with a zero).
    init(unix path: String? = nil, _ script: @escaping @Sendable (Connection) -> Void) throws {
        if let path {
            listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
            port = 0
            try Self.bindUnix(listener, path)
        } else {
            listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            port = try Self.bindLoopback(listener)
        }
        guard listen(listener, 128) == 0 else { throw POSIXError(.EADDRINUSE) }
        Thread.detachNewThread { [listener, self] in
            while true {
                let descriptor = accept(listener, nil, nil)
                guard descriptor >= 0 else { return }
                accepted.add(1, ordering: .sequentiallyConsistent)
                Thread.detachNewThread {
                    script(Connection(descriptor: descriptor))
                    close(descriptor)
                }
            }
        }
    }

    /// Ends the accepting thread, which keeps this object alive until then.
    func stop() {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    private static func bindUnix(_ descriptor: Int32, _ path: String) throws {
        let status = UnixSocket.withAddress(path) { bind(descriptor, $0, $1) }
        guard status == 0 else { throw POSIXError(.EADDRINUSE) }
    }

    private static func bindLoopback(_ descriptor: Int32) throws -> UInt16 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 ? getsockname(descriptor, pointer, &length) : -1
            }
        }
        guard status == 0 else { throw POSIXError(.EADDRINUSE) }
        return UInt16(bigEndian: address.sin_port)
    }
}
