import Synchronization

/// How often something has happened since the start. To count costs one instruction.
package struct EventCounter: ~Copyable, Sendable {
    private let count = Atomic<UInt64>(0)

    package init() {}

    package func add(_ events: Int = 1) { count.wrappingAdd(UInt64(clamping: events), ordering: .relaxed) }

    package var value: UInt64 { count.load(ordering: .relaxed) }
}

/// A number that goes up and down.
package struct Gauge: ~Copyable, Sendable {
    private let number = Atomic<UInt64>(0)

    package init() {}

    package func set(_ value: UInt64) { number.store(value, ordering: .relaxed) }

    package var value: UInt64 { number.load(ordering: .relaxed) }
}
