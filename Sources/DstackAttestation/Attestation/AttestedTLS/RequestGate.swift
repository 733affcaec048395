import Synchronization

/// Lets so many through at once; the others wait in the order in which they came, until a deadline.
final class RequestGate: Sendable {
    enum Admission: Sendable {
        case admitted
        case timedOut
        case cancelled
    }

    /// One who waits. Whatever comes first ends the wait; all else finds it over.
    private final class Wait: Sendable {
        private struct State {
            var outcome: Admission?
            var continuation: CheckedContinuation<Admission, Never>?
        }

        private let state = Mutex(State())

        var isOver: Bool { state.withLock { $0.outcome != nil } }

        func suspend(_ continuation: CheckedContinuation<Admission, Never>) {
            let outcome = state.withLock { state in
                if state.outcome == nil { state.continuation = continuation }
                return state.outcome
            }
            if let outcome { continuation.resume(returning: outcome) }
        }

        /// Whether this is what ended the wait.
        @discardableResult
        func end(_ outcome: Admission) -> Bool {
            let (isFirst, continuation) = state.withLock { state in
                guard state.outcome == nil else {
                    return (false, nil as CheckedContinuation<Admission, Never>?)
                }
                state.outcome = outcome
                defer { state.continuation = nil }
                return (true, state.continuation)
            }
            continuation?.resume(returning: outcome)
            return isFirst
        }
    }

    private struct State {
        var free: Int
        var waiting: [Wait] = []
    }

    private let state: Mutex<State>

    init(permits: Int) { state = Mutex(State(free: max(1, permits))) }

    /// Waits for a permit, which ``leave()`` gives back.
    func enter(until deadline: ContinuousClock.Instant) async -> Admission {
        let wait: Wait? = state.withLock { state in
            if state.free > 0 {
                state.free -= 1
                return nil
            }
            let wait = Wait()
            state.waiting.removeAll { $0.isOver }
            state.waiting.append(wait)
            return wait
        }
        guard let wait else { return .admitted }
        let timer = Task {
            // A cancelled timer has nothing to say: the wait is over.
            guard (try? await Task.sleep(until: deadline, clock: .continuous)) != nil else { return }
            wait.end(.timedOut)
        }
        defer { timer.cancel() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { wait.suspend($0) }
        } onCancel: {
            wait.end(.cancelled)
        }
    }

    func leave() {
        while true {
            let next = state.withLock { state in
                guard !state.waiting.isEmpty else {
                    state.free += 1
                    return nil as Wait?
                }
                return state.waiting.removeFirst()
            }
            guard let next, !next.end(.admitted) else { return }
        }
    }
}
