import Synchronization
import TestKit

/// A peer that speaks whatever bytes a test tells it to: one thread accepts, one thread a connection runs the script.
final class HTTPScriptedPeer: Sendable {
    /// One accepted connection, blocking.
    typealias Connection = RawSocket

    private let listener: RawListener
    private let accepted = Atomic<Int>(0)

    /// How many connections were made so far.
    var connectionCount: Int { accepted.load(ordering: .sequentiallyConsistent) }

    var port: UInt16 { listener.port }
    var url: String { "http://127.0.0.1:\(port)" }

    /// Listens on a free TCP port of this machine, or at a Unix path (an abstract name if it begins with a zero).
    init(unix path: String? = nil, _ script: @escaping @Sendable (Connection) -> Void) throws {
        listener = if let path { try RawListener(unix: path) } else { try RawListener() }
        listener.serveAtOnce { [self] connection in
            accepted.add(1, ordering: .sequentiallyConsistent)
            script(connection)
        }
    }

    /// Ends the accepting thread, which keeps this object alive until then.
    func stop() { listener.end() }
}
