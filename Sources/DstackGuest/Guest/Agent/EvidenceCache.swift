import DstackSystem
import Synchronization

/// What calls are answered from, made from one quote and made anew after every measured event; so that Info costs no
/// quote and is never about another state of the registers than the current one.
final class EvidenceCache<Value: Sendable>: Sendable {
    private struct State {
        var value: Value?
        var madeAt = ContinuousClock.now
        /// Of the events that were measured; a value of an older one is not handed out.
        var generation: UInt64 = 0
        var flight: (generation: UInt64, task: Task<Value, any Error>)?
        var nextAttempt = ContinuousClock.now
    }

    private let state = Mutex(State())
    private let maximumAge: Duration
    private let make: @Sendable () async throws -> Value
    private let log = Log("guest.evidence")

    /// - Parameters:
    ///   - maximumAge: after that a value is made anew in the background, once somebody asks: other programs measure
    ///     events too.
    ///   - make: makes a value of the present state.
    init(maximumAge: Duration, make: @escaping @Sendable () async throws -> Value) {
        self.maximumAge = maximumAge
        self.make = make
    }

    /// The value at hand, if it is of the present state as far as this agent knows. Neither waits nor computes.
    var current: Value? {
        let (value, isOld) = state.withLock { state -> (Value?, Bool) in
            let now = ContinuousClock.now
            let isOld =
                state.value != nil && state.madeAt + maximumAge < now && state.flight == nil
                && state.nextAttempt < now
            // One attempt in a while, also if it fails.
            if isOld { state.nextAttempt = now + .seconds(5) }
            return (state.value, isOld)
        }
        if isOld { refresh() }
        return value
    }

    /// The value, made now if there is none. All who ask meanwhile share one attempt.
    func value() async throws -> Value {
        if let value = current { return value }
        return try await flight().value
    }

    /// The registers have changed: what is at hand is of the past.
    func invalidate() {
        state.withLock { state in
            state.generation += 1
            state.value = nil
        }
    }

    /// Makes a value in the background.
    func refresh() {
        let task = flight()
        Task { [log] in
            do { _ = try await task.value } catch { log.warn("no evidence", ["error": "\(error)"]) }
        }
    }

    /// Changes the value at hand, where what it says beside the evidence has changed.
    func update(_ change: (Value) -> Value) {
        state.withLock { state in
            if let value = state.value { state.value = change(value) }
        }
    }

    private func flight() -> Task<Value, any Error> {
        state.withLock { state in
            if let flight = state.flight, flight.generation == state.generation { return flight.task }
            let generation = state.generation
            let task = Task<Value, any Error> { [self] in
                do {
                    let value = try await make()
                    finish(generation, value)
                    return value
                } catch {
                    finish(generation, nil)
                    throw error
                }
            }
            state.flight = (generation, task)
            return task
        }
    }

    private func finish(_ generation: UInt64, _ value: Value?) {
        state.withLock { state in
            if state.flight?.generation == generation { state.flight = nil }
            guard let value, generation == state.generation else { return }
            state.value = value
            state.madeAt = .now
        }
    }
}
