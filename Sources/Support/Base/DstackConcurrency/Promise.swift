import Synchronization

/// A value that is decided once, by whoever comes first, and waited for by one task.
///
/// ```swift
/// let promise = Promise<Int?>()
/// let timer = DeadlineTimer.shared.add(after: .seconds(5)) { promise.fulfil(nil) }
/// connection.answer { promise.fulfil($0) }
/// return await promise.value()
/// ```
package final class Promise<Value: Sendable>: Sendable {
    private struct State {
        var value: Value?
        var waiter: CheckedContinuation<Value, Never>?
    }

    private let state = Mutex(State())

    package init() {}

    /// Whether the value is decided.
    package var isFulfilled: Bool { state.withLock { $0.value != nil } }

    /// Decides the value, unless it is.
    ///
    /// - Returns: whether this is what decided it.
    @discardableResult
    package func fulfil(_ value: Value) -> Bool {
        let (isFirst, waiter) = state.withLock { state -> (Bool, CheckedContinuation<Value, Never>?) in
            guard state.value == nil else { return (false, nil) }
            state.value = value
            return (true, state.waiter.take())
        }
        // Outside of the lock: what resumes may run at once, and ask again.
        waiter?.resume(returning: value)
        return isFirst
    }

    /// The value, once it is decided. Cancellation of the task does not end the wait.
    package func value() async -> Value {
        await withCheckedContinuation { waiter in
            let value = state.withLock { state in
                if state.value == nil { state.waiter = waiter }
                return state.value
            }
            if let value { waiter.resume(returning: value) }
        }
    }

    /// The value, which is decided at the latest when the task is cancelled.
    ///
    /// - Parameter substitute: as what it is decided then.
    package func value(whenCancelled substitute: Value) async -> Value {
        await withTaskCancellationHandler {
            await value()
        } onCancel: {
            fulfil(substitute)
        }
    }
}
