package import DstackHTTPServer
package import DstackRPC
import Synchronization

/// Runs something within a time.
package enum RPCDeadline {
    /// Returns what the body returns, or throws as soon as the time is over or the task is cancelled. The body is
    /// cancelled then, but not waited for: one that does not listen must not hold up the answer.
    ///
    /// - Parameters:
    ///   - error: what is thrown when the time is over; nil for a general one with status 504.
    ///   - threads: where the body runs; nil for the threads that all tasks share.
    package static func run<Value: Sendable>(
        within limit: Duration, orThrow error: RPCError? = nil, on threads: HandlerThreads? = nil,
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let race = Race<Value>()
        let run = { @Sendable in
            do { race.end(.success(try await body())) } catch { race.end(.failure(error)) }
        }
        let work = if let threads { Task(executorPreference: threads, operation: run) } else { Task(operation: run) }
        let timer = DeadlineTimer.shared.add(after: limit) {
            race.end(.failure(error ?? RPCError("the call took longer than \(limit)", status: 504)))
            work.cancel()
        }
        defer { DeadlineTimer.shared.remove(timer) }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { race.wait($0) }
        } onCancel: {
            work.cancel()
            race.end(.failure(CancellationError()))
        }
    }

    /// Who comes first decides.
    private final class Race<Value: Sendable>: Sendable {
        private struct State {
            var result: Result<Value, any Error>?
            var waiter: CheckedContinuation<Value, any Error>?
        }

        private let state = Mutex(State())

        func end(_ result: Result<Value, any Error>) {
            let waiter: CheckedContinuation<Value, any Error>? = state.withLock { state in
                guard state.result == nil else { return nil }
                state.result = result
                defer { state.waiter = nil }
                return state.waiter
            }
            waiter?.resume(with: result)
        }

        func wait(_ waiter: CheckedContinuation<Value, any Error>) {
            let result: Result<Value, any Error>? = state.withLock { state in
                if state.result == nil { state.waiter = waiter }
                return state.result
            }
            if let result { waiter.resume(with: result) }
        }
    }
}
