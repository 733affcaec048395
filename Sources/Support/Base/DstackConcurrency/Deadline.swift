/// Runs something within a time.
package enum Deadline {
    /// Returns what the body returns, or throws as soon as the time is over or the task is cancelled. The body is
    /// cancelled then, but not waited for: one that does not listen must not hold up the answer.
    ///
    /// - Parameters:
    ///   - error: what is thrown when the time is over.
    ///   - executor: where the body runs; nil for the threads that all tasks share.
    /// - Throws: `error`, `CancellationError`, or what the body throws.
    package static func run<Value: Sendable>(
        within limit: Duration, orThrow error: @autoclosure @escaping @Sendable () -> any Error,
        on executor: (any TaskExecutor)? = nil, _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        let outcome = Promise<Result<Value, any Error>>()
        let work = Task(executorPreference: executor) {
            do { outcome.fulfil(.success(try await body())) } catch { outcome.fulfil(.failure(error)) }
        }
        let timer = DeadlineTimer.shared.add(after: limit) {
            outcome.fulfil(.failure(error()))
            work.cancel()
        }
        defer { DeadlineTimer.shared.remove(timer) }
        return try await withTaskCancellationHandler {
            await outcome.value()
        } onCancel: {
            work.cancel()
            outcome.fulfil(.failure(CancellationError()))
        }.get()
    }
}
