import Synchronization

/// Remembers for a moment that something was answered with a no, so that whoever asks again at once does not ask others again.
///
/// A yes is never remembered: what was allowed may be revoked the next moment.
final class NegativeCache<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private struct Entry {
        let value: Value
        let until: ContinuousClock.Instant
    }

    private struct State {
        var entries: [Key: Entry] = [:]
        /// In the order in which they came, which is that in which they end.
        var order: [Key] = []
    }

    private let lifetime: Duration
    private let capacity: Int
    private let now: @Sendable () -> ContinuousClock.Instant
    private let state = Mutex(State())

    /// - Parameters:
    ///   - lifetime: zero to remember nothing.
    ///   - capacity: one more takes the place of the oldest.
    ///   - now: for tests.
    init(
        lifetime: Duration, capacity: Int, now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
    ) {
        self.lifetime = lifetime
        self.capacity = max(1, capacity)
        self.now = now
    }

    subscript(key: Key) -> Value? {
        let now = now()
        return state.withLock { state in
            guard let entry = state.entries[key], entry.until > now else { return nil }
            return entry.value
        }
    }

    func remember(_ value: Value, for key: Key) {
        guard lifetime > .zero else { return }
        let now = now()
        state.withLock { state in
            state.order.removeAll { old in
                guard old != key, let entry = state.entries[old], entry.until > now else {
                    state.entries[old] = nil
                    return true
                }
                return false
            }
            while state.order.count >= capacity { state.entries[state.order.removeFirst()] = nil }
            state.entries[key] = Entry(value: value, until: now + lifetime)
            state.order.append(key)
        }
    }

    var count: Int { state.withLock { $0.entries.count } }
}
