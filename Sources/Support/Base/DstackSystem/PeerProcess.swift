import Glibc
import Synchronization

/// The process that made a connection, as long as somebody asks about it.
///
/// A process's number says little: when the process ends, another gets it. This one is held by a descriptor of the
/// process itself (pidfd), which tells afterwards whether what was read under the number was of this process. Where the
/// kernel gives none, nothing is known of the process.
package final class PeerProcess: Sendable {
    private struct State {
        /// -1 where there is none, or it is not needed any more.
        var handle: Int32
        /// Nil before it was looked up.
        var controlGroup: String??
    }

    private let number: Int32
    private let state: Mutex<State>

    /// - Parameters:
    ///   - number: as the kernel told it with the connection.
    ///   - handle: a descriptor of the process, which is taken over; -1 for none.
    package init(number: Int32, handle: Int32) {
        self.number = number
        state = Mutex(State(handle: handle))
    }

    deinit {
        state.withLock { state in
            if state.handle >= 0 { _ = close(state.handle) }
        }
    }

    /// Whether ``controlGroup`` is known already, so that asking for it reads nothing.
    package var isLookedUp: Bool { state.withLock { $0.controlGroup != nil } }

    /// The process's control group (version 2, or the first hierarchy of version 1), read once; nil where the process has
    /// ended or the kernel does not say.
    ///
    /// The first time this reads from `/proc`, which is nothing for a thread that serves others too.
    package var controlGroup: String? {
        state.withLock { state in
            if let known = state.controlGroup { return known }
            let group = Self.read(number, state.handle)
            if state.handle >= 0 { _ = close(state.handle) }
            state = State(handle: -1, controlGroup: .some(group))
            return group
        }
    }

    private static func read(_ number: Int32, _ handle: Int32) -> String? {
        guard number > 0, handle >= 0,
            let text = try? File.readText("/proc/\(number)/cgroup", limit: 64 << 10)
        else { return nil }
        // The number was not given to another process before this one ended, and it has not: what was read is its own.
        var process = pollfd(fd: handle, events: Int16(POLLIN), revents: 0)
        guard retryingInterrupts({ poll(&process, 1, 0) }) == 0 else { return nil }
        let lines = text.split(separator: "\n")
        guard let line = lines.first(where: { $0.hasPrefix("0::") }) ?? lines.first else { return nil }
        let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
        guard fields.count == 3, fields[2].hasPrefix("/") else { return nil }
        return String(fields[2])
    }
}
