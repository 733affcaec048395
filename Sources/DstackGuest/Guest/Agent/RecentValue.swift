import Synchronization

/// A value as it was a moment ago, looked up once for all who ask meanwhile: strangers may ask as often as they like.
final class RecentValue<Value: Sendable>: Sendable {
    enum Age {
        /// Looked up now, for this caller.
        case fresh
        /// As it was a moment ago, if anybody asked then.
        case shared
    }

    private struct State {
        var value: Value?
        var madeAt = ContinuousClock.now
        var flight: Task<Value, Never>?
    }

    private let state = Mutex(State())
    private let maximumAge: Duration
    private let isKept: @Sendable (Value) -> Bool

    /// - Parameters:
    ///   - maximumAge: how old a value is at most when it is handed out.
    ///   - isKept: whether a value is also for those who ask later; those who wait for it get it in any case.
    init(maximumAge: Duration, isKept: @escaping @Sendable (Value) -> Bool = { _ in true }) {
        self.maximumAge = maximumAge
        self.isKept = isKept
    }

    func value(_ age: Age = .shared, _ make: @escaping @Sendable () async -> Value) async -> Value {
        let task = state.withLock { state -> Task<Value, Never> in
            if age == .shared {
                if let value = state.value, state.madeAt.duration(to: .now) < maximumAge { return Task { value } }
                if let flight = state.flight { return flight }
            }
            // A task of its own: that the first of those who wait goes away must not disappoint the others.
            let flight = Task { [self] in
                let value = await make()
                self.state.withLock { state in
                    state.value = isKept(value) ? value : nil
                    state.madeAt = .now
                    state.flight = nil
                }
                return value
            }
            state.flight = flight
            return flight
        }
        return await task.value
    }
}
