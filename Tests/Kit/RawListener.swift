import Foundation
import Glibc

/// A socket that listens as long as the value lives, at a TCP port of this machine or at a Unix path.
package final class RawListener: Sendable {
    /// 0 at a Unix path.
    package let port: UInt16
    private let descriptor: Int32

    package init() throws { (descriptor, port) = try TCPSocket.listening() }

    /// - Parameter path: an abstract name if it begins with a zero.
    package init(unix path: String) throws {
        descriptor = try UnixSocket.bound(to: path)
        port = 0
        listen(descriptor, 128)
    }

    deinit { close(descriptor) }

    /// Nobody is accepted from now on.
    package func end() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// Waits for the next connection, which somebody else closes; nil after ``end()``. Blocks its thread.
    package func accept() -> RawSocket? {
        let connection = Glibc.accept(descriptor, nil, nil)
        return connection < 0 ? nil : RawSocket(descriptor: connection)
    }

    /// The same, without blocking a thread of the tasks.
    package func nextConnection() async -> RawSocket? {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: self.accept()) }
        }
    }

    /// Hands each connection to `body`, one after another on a thread of its own, until ``end()``, and closes it.
    package func serve(_ body: @escaping @Sendable (RawSocket) -> Void) {
        Thread.detachNewThread {
            while let connection = self.accept() {
                body(connection)
                connection.close()
            }
        }
    }

    /// The same with a thread for each.
    package func serveAtOnce(_ body: @escaping @Sendable (RawSocket) -> Void) {
        Thread.detachNewThread {
            while let connection = self.accept() {
                Thread.detachNewThread {
                    body(connection)
                    connection.close()
                }
            }
        }
    }
}
