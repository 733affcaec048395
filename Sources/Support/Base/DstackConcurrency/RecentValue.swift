import Synchronization

/// A value that is costly to have: kept for a while, and made once for all who ask meanwhile.
///
/// Failures are values, too: `keeps` says whether they are for those alone who wait for them. One that is not kept leaves
/// what is at hand as it is.
package final class RecentValue<Value: Sendable>: Sendable {
    /// Which values will do.
    package enum Age: Sendable {
        /// One that is made from now on.
        case fresh
        /// One that is being made already, too; not the one at hand.
        case renewed
        /// The one at hand, too.
        case shared
    }

    /// A value and when it came.
    package struct Entry: Sendable {
        package let value: Value
        package let madeAt: ContinuousClock.Instant
    }

    private struct State {
        var entry: Entry?
        /// Of what is made: a value of an older one is for those who wait for it alone.
        var edition: UInt64 = 0
    }

    private let state = Mutex(State())
    // Who goes away leaves the value to those who come later.
    private let flights = SingleFlight<UInt64, Value>(abandoned: .finished)
    private let maximumAge: Duration?
    private let keeps: @Sendable (Value) -> Bool

    /// - Parameters:
    ///   - maximumAge: how old a value is at most when it is handed out; nil for as long as nobody calls ``invalidate()``.
    ///   - keeps: whether a value is also for those who ask later; those who wait for it get it in any case.
    package init(maximumAge: Duration?, keeps: @escaping @Sendable (Value) -> Bool = { _ in true }) {
        self.maximumAge = maximumAge
        self.keeps = keeps
    }

    /// The value at hand. Neither waits nor computes.
    package var current: Entry? { state.withLock { $0.entry.flatMap(usable) } }

    private func usable(_ entry: Entry) -> Entry? {
        guard let maximumAge else { return entry }
        return entry.madeAt.duration(to: .now) < maximumAge ? entry : nil
    }

    /// The value at hand, or one that is made now.
    ///
    /// - Returns: nil if the task was cancelled.
    package func value(_ age: Age = .shared, _ make: @escaping @Sendable () async -> Value) async -> Value? {
        let (value, edition) = state.withLock { state -> (Value?, UInt64) in
            switch age {
            case .shared: if let entry = state.entry.flatMap(usable) { return (entry.value, state.edition) }
            case .renewed: break
            case .fresh: state.edition += 1
            }
            return (nil, state.edition)
        }
        if let value { return value }
        return await flights.value(for: edition) { [self] in
            let value = await make()
            state.withLock { state in
                if state.edition == edition, keeps(value) { state.entry = Entry(value: value, madeAt: .now) }
            }
            return value
        }
    }

    /// What is at hand, and what is being made, is of the past.
    package func invalidate() {
        // Let go of outside the lock, since anything may end with it.
        let former = state.withLock { state in
            state.edition += 1
            return state.entry.take()
        }
        _ = former
    }
}
