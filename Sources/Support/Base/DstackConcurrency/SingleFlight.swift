import Synchronization

/// Lets callers that want the same thing at the same time share one piece of work.
///
/// A caller that is cancelled leaves, and the others go on waiting. Nothing is remembered: who comes when the work is done
/// has it done anew, whether it succeeded or not. ``RecentValue`` remembers.
package final class SingleFlight<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    /// What becomes of work that nobody waits for any more.
    package enum Abandoned: Sendable {
        case cancelled
        /// It is of use to others, who come later.
        case finished
    }

    private struct Flight {
        let number: UInt64
        let task: Task<Void, Never>
        var waiters: [ObjectIdentifier: Promise<Value?>]
    }

    private struct State {
        var flights: [Key: Flight] = [:]
        var count: UInt64 = 0
    }

    private let state = Mutex(State())
    private let abandoned: Abandoned

    /// - Parameter abandoned: what becomes of work when the last caller has left.
    package init(abandoned: Abandoned = .cancelled) { self.abandoned = abandoned }

    /// What the work makes: work that is under way for the key, or this one.
    ///
    /// - Parameter work: runs in a task of its own, so that a caller that is cancelled does not disappoint the others.
    /// - Returns: nil if this caller was cancelled.
    package func value(for key: Key, _ work: @escaping @Sendable () async -> Value) async -> Value? {
        guard !Task.isCancelled else { return nil }
        let waiter = Promise<Value?>()
        join(key, waiter, work)
        let value = await waiter.value(whenCancelled: nil)
        if value == nil { leave(key, waiter) }
        return value
    }

    private func join(_ key: Key, _ waiter: Promise<Value?>, _ work: @escaping @Sendable () async -> Value) {
        state.withLock { state in
            guard state.flights[key] == nil else {
                state.flights[key]?.waiters[ObjectIdentifier(waiter)] = waiter
                return
            }
            state.count += 1
            let number = state.count
            state.flights[key] = Flight(
                number: number, task: Task { self.land(key, number, await work()) },
                waiters: [ObjectIdentifier(waiter): waiter])
        }
    }

    private func land(_ key: Key, _ number: UInt64, _ value: Value) {
        let waiters = state.withLock { state -> [Promise<Value?>] in
            guard let flight = state.flights[key], flight.number == number else { return [] }
            state.flights[key] = nil
            return Array(flight.waiters.values)
        }
        for waiter in waiters { waiter.fulfil(value) }
    }

    private func leave(_ key: Key, _ waiter: Promise<Value?>) {
        let task: Task<Void, Never>? = state.withLock { state in
            guard state.flights[key]?.waiters.removeValue(forKey: ObjectIdentifier(waiter)) != nil,
                abandoned == .cancelled, state.flights[key]?.waiters.isEmpty == true
            else { return nil }
            // Who comes now must not wait for work that is being cancelled.
            return state.flights.removeValue(forKey: key)?.task
        }
        task?.cancel()
    }
}
