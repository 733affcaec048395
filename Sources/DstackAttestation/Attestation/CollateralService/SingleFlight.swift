import Synchronization

/// Lets callers that want the same thing at the same time share one piece of work.
///
/// A caller that is cancelled leaves; the work is cancelled when the last one has left.
final class SingleFlight<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private struct Flight {
        let number: UInt64
        var task: Task<Void, Never>?
        var waiters: [UInt64: CheckedContinuation<Value?, Never>] = [:]
    }

    private struct State {
        var flights: [Key: Flight] = [:]
        /// Callers that were cancelled before they began to wait.
        var early: Set<UInt64> = []
        var count: UInt64 = 0

        mutating func number() -> UInt64 {
            count += 1
            return count
        }
    }

    private let state = Mutex(State())

    /// - Returns: nil if this caller was cancelled.
    func value(for key: Key, _ work: @escaping @Sendable () async -> Value) async -> Value? {
        let caller = state.withLock { $0.number() }
        defer { state.withLock { _ = $0.early.remove(caller) } }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let waits = state.withLock { state in
                    guard state.early.remove(caller) == nil else { return false }
                    var flight = state.flights[key] ?? Flight(number: state.number())
                    flight.waiters[caller] = continuation
                    if flight.task == nil {
                        let number = flight.number
                        flight.task = Task { self.land(key, number, await work()) }
                    }
                    state.flights[key] = flight
                    return true
                }
                if !waits { continuation.resume(returning: nil) }
            }
        } onCancel: {
            leave(key, caller)
        }
    }

    private func land(_ key: Key, _ number: UInt64, _ value: Value) {
        let waiters = state.withLock { state -> [CheckedContinuation<Value?, Never>] in
            guard let flight = state.flights[key], flight.number == number else { return [] }
            state.flights[key] = nil
            return Array(flight.waiters.values)
        }
        for waiter in waiters { waiter.resume(returning: value) }
    }

    private func leave(_ key: Key, _ caller: UInt64) {
        let (waiter, task) = state.withLock { state -> (CheckedContinuation<Value?, Never>?, Task<Void, Never>?) in
            guard let waiter = state.flights[key]?.waiters.removeValue(forKey: caller) else {
                state.early.insert(caller)
                return (nil, nil)
            }
            guard state.flights[key]?.waiters.isEmpty == true else { return (waiter, nil) }
            return (waiter, state.flights.removeValue(forKey: key)?.task)
        }
        task?.cancel()
        waiter?.resume(returning: nil)
    }
}
