import CSpawn
import DstackConcurrency
import Glibc
import Synchronization

/// Says when descriptors become readable, or end: one thread for all of them.
final class DescriptorWatch: Sendable {
    static let shared = DescriptorWatch()

    private struct State {
        /// Negative before the first is watched.
        var poll: Int32 = -1
        var lastID: UInt64 = 0
        var actions: [UInt64: @Sendable () -> Void] = [:]
    }

    private let state = Mutex(State())

    /// Calls the action once, unless it is removed before; at once where the descriptor is readable now.
    ///
    /// - Parameters:
    ///   - descriptor: stays open until the action was called or ``remove(_:_:)``. It can be watched by one at a time.
    ///   - action: is called on the thread that watches all the others: it must be quick.
    /// - Returns: what ``remove(_:_:)`` knows it by; nil where the system gives neither thread nor descriptor.
    func add(_ descriptor: Int32, _ action: @escaping @Sendable () -> Void) -> UInt64? {
        state.withLock { state -> UInt64? in
            if state.poll < 0, !begin(&state) { return nil }
            state.lastID += 1
            guard dstack_watch_add(state.poll, descriptor, state.lastID) == 0 else { return nil }
            state.actions[state.lastID] = action
            return state.lastID
        }
    }

    func remove(_ id: UInt64, _ descriptor: Int32) {
        let removed = state.withLock { state in
            _ = dstack_watch_remove(state.poll, descriptor)
            return state.actions.removeValue(forKey: id)
        }
        _ = removed
    }

    private func begin(_ state: inout State) -> Bool {
        let poll = dstack_watch_open()
        guard poll >= 0 else { return false }
        guard DetachedThread.start({ [self] in runThread(poll) }) == 0 else {
            close(poll)
            return false
        }
        state.poll = poll
        return true
    }

    private func runThread(_ poll: Int32) {
        var ids = [UInt64](repeating: 0, count: 64)
        while true {
            let count = dstack_watch_wait(poll, &ids, Int32(ids.count))
            for id in ids.prefix(max(0, Int(count))) {
                let action = state.withLock { $0.actions.removeValue(forKey: id) }
                action?()
            }
        }
    }
}
