/// Which part of a container's output is read.
package struct LogQuery: Sendable, Hashable {
    package enum Tail: Sendable, Hashable {
        case all
        /// The last lines that are there when reading begins.
        case last(UInt64)
    }

    /// Seconds since 1970; 0 for no bound.
    package var since: Int64
    /// Seconds since 1970; 0 for no bound.
    package var until: Int64
    package var tail: Tail
    /// Whether reading goes on with what is written later.
    package var follows: Bool
    /// Whether each line begins with when it was written (RFC 3339 with nanoseconds) and a space.
    package var hasTimestamps: Bool

    package init(
        since: Int64 = 0, until: Int64 = 0, tail: Tail = .last(1000), follows: Bool = false,
        hasTimestamps: Bool = false
    ) {
        self.since = since
        self.until = until
        self.tail = tail
        self.follows = follows
        self.hasTimestamps = hasTimestamps
    }
}

/// Where a container's output comes from. One reader at a time.
protocol LogSource: Sendable {
    /// The next piece, waiting for it; nil at the end.
    func next() async throws(GuestError) -> LogFrame?
}

/// A container's output being read. Little is read ahead: who reads slowly holds the engine up. Dropping it ends the
/// reading.
package final class ContainerLogs: Sendable {
    private let source: any LogSource
    private let place: LogPlace

    init(_ source: any LogSource, place: LogPlace) {
        self.source = source
        self.place = place
    }

    /// The next piece, waiting for it; nil at the end of the log, or after the engine's silence was too long.
    package func next() async throws(GuestError) -> LogFrame? { try await source.next() }
}

extension GuestError {
    /// A log that was being read and cannot be read on.
    static func brokenLog(_ reason: String) -> GuestError {
        GuestError(.engineUnavailable, subject: "container log", reason: reason)
    }
}
