import Synchronization

/// What requests are given to: replaced while they are under way, each of which keeps what it began with.
package final class Current<Value: Sendable>: Sendable {
    private let stored: Mutex<Value>

    package init(_ value: Value) { stored = Mutex(value) }

    package var value: Value {
        get { stored.withLock { $0 } }
        set {
            // What is replaced may go here, outside of the lock, with whatever that takes.
            let former = stored.withLock { stored in
                defer { stored = newValue }
                return stored
            }
            _ = former
        }
    }
}
