import Synchronization

/// How many logs may be read at once.
final class LogPlaces: Sendable {
    private let free: Atomic<Int>

    init(_ count: Int) { free = Atomic(max(1, count)) }

    /// A place for a container's log. More are refused, because each holds something on both sides: a connection, a
    /// process.
    func take(_ container: Container) throws(GuestError) -> LogPlace {
        let left = free.subtract(1, ordering: .relaxed).newValue
        guard left >= 0 else {
            free.add(1, ordering: .relaxed)
            throw GuestError(
                .engineUnavailable, subject: "logs of \(container.displayName)",
                reason: "too many logs are being read at once")
        }
        return LogPlace { [self] in free.add(1, ordering: .relaxed) }
    }
}

/// One of the logs that may be read at once; given back when it goes.
final class LogPlace: Sendable {
    private let giveBack: @Sendable () -> Void

    init(_ giveBack: @escaping @Sendable () -> Void) { self.giveBack = giveBack }

    deinit { giveBack() }
}
