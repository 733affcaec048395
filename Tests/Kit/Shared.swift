import Synchronization

/// A value that several tasks or threads read and change.
package final class Shared<Value: Sendable>: Sendable {
    private let storage: Mutex<Value>

    package init(_ value: Value) { storage = Mutex(value) }

    package var value: Value { storage.withLock { $0 } }
    package func edit(_ change: (inout Value) -> Void) { storage.withLock { change(&$0) } }
}
