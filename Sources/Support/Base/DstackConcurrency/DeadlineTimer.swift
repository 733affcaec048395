import Synchronization

/// Calls something when a time is over, for very many times of which hardly one ever is: one sleeping task for all of
/// them. A timer of the system for each costs more than most calls that it would watch.
package final class DeadlineTimer: Sendable {
    package static let shared = DeadlineTimer()

    private struct Entry {
        let due: ContinuousClock.Instant
        let action: @Sendable () -> Void
    }

    private struct State {
        var lastID: UInt64 = 0
        var entries: [UInt64: Entry] = [:]
        /// The only task that sleeps, and until when: no longer than the earliest entry, often less, since those that it
        /// was started for are done with by then.
        var watch: (until: ContinuousClock.Instant, task: Task<Void, Never>)?
    }

    private let state = Mutex(State())

    /// Calls the action after a time, unless it is removed before.
    ///
    /// - Parameter action: is called on the task that watches all the others: it must be quick.
    /// - Returns: what ``remove(_:)`` knows it by.
    package func add(after limit: Duration, _ action: @escaping @Sendable () -> Void) -> UInt64 {
        state.withLock { state in
            // A time beyond reckoning is never over.
            let due = ContinuousClock.now + min(limit, .seconds(1 << 32))
            state.lastID += 1
            state.entries[state.lastID] = Entry(due: due, action: action)
            if let watch = state.watch, watch.until <= due { return state.lastID }
            state.watch?.task.cancel()
            // Detached: it outlives the call that it is started in, and is nobody's to cancel.
            state.watch = (due, Task.detached { [self] in await watch(until: due) })
            return state.lastID
        }
    }

    /// Lets go of an action that is not to be called any more; nothing happens where it was.
    package func remove(_ id: UInt64) {
        // Let go of outside the lock, since anything may end with it.
        let removed = state.withLock { $0.entries.removeValue(forKey: id) }
        _ = removed
    }

    private func watch(until first: ContinuousClock.Instant) async {
        var next: ContinuousClock.Instant? = first
        while let until = next {
            try? await Task.sleep(until: until, tolerance: .zero, clock: .continuous)
            let actions: [@Sendable () -> Void]
            (actions, next) = state.withLock { state in
                // Cancelled under this lock, when another took its place.
                guard !Task.isCancelled, let task = state.watch?.task else { return ([], nil) }
                let now = ContinuousClock.now
                var due: [@Sendable () -> Void] = []
                var earliest: ContinuousClock.Instant?
                for (id, entry) in state.entries {
                    if entry.due <= now {
                        due.append(entry.action)
                        state.entries[id] = nil
                    } else {
                        earliest = min(earliest ?? entry.due, entry.due)
                    }
                }
                state.watch = earliest.map { ($0, task) }
                return (due, earliest)
            }
            for action in actions { action() }
        }
    }
}
