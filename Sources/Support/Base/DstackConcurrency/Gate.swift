import Synchronization

/// Lets so many through at once; the others wait in the order in which they came.
package final class Gate: Sendable {
    /// How a wait ended.
    package enum Admission: Sendable, Equatable {
        /// ``leave()`` is to follow.
        case admitted
        case timedOut
        case cancelled
    }

    private struct State {
        var free: Int
        /// Also some whose wait is over, until they are passed over or somebody else comes.
        var waiting: [Promise<Admission>] = []
    }

    private let state: Mutex<State>

    /// - Parameter permits: how many may be inside; one at least.
    package init(permits: Int) { state = Mutex(State(free: max(1, permits))) }

    /// How many wait.
    package var waitingCount: Int { state.withLock { $0.waiting.count { !$0.isFulfilled } } }

    /// Waits for a permit, which ``leave()`` gives back.
    ///
    /// Whoever's time is over, or whose task is cancelled, stands in nobody's way any more.
    ///
    /// - Parameter deadline: nil for none.
    package func enter(until deadline: ContinuousClock.Instant? = nil) async -> Admission {
        let wait: Promise<Admission>? = state.withLock { state in
            if state.free > 0 {
                state.free -= 1
                return nil
            }
            let wait = Promise<Admission>()
            state.waiting.removeAll { $0.isFulfilled }
            state.waiting.append(wait)
            return wait
        }
        guard let wait else { return .admitted }
        let timer = deadline.map { deadline in
            DeadlineTimer.shared.add(after: ContinuousClock.now.duration(to: deadline)) { wait.fulfil(.timedOut) }
        }
        defer { if let timer { DeadlineTimer.shared.remove(timer) } }
        return await wait.value(whenCancelled: .cancelled)
    }

    /// Gives a permit back: to the first who still waits, if anybody does.
    package func leave() {
        while true {
            let next: Promise<Admission>? = state.withLock { state in
                guard !state.waiting.isEmpty else {
                    state.free += 1
                    return nil
                }
                return state.waiting.removeFirst()
            }
            guard let next, !next.fulfil(.admitted) else { return }
        }
    }
}
