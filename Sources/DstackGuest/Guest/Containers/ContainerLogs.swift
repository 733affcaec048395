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

    /// Gives up what the reading holds, and ends a wait for the next piece.
    func stop()
}

/// A container's output being read. Little is read ahead: who reads slowly holds the engine up. Dropping it ends the
/// reading.
package final class ContainerLogs: Sendable {
    private let source: any LogSource
    private let place: LogPlace

    init(_ source: any LogSource, place: LogPlace) {
        self.source = source
        self.place = place
        place.whenLost { source.stop() }
    }

    /// The next piece, waiting for it; nil at the end of the log, or after the engine's silence was too long.
    ///
    /// - Throws: where the log breaks off, in the engine's words if it has any; and once its place is somebody else's.
    package func next() async throws(GuestError) -> LogFrame? {
        guard !place.isLost else { throw .lostPlace }
        let frame: LogFrame?
        do throws(GuestError) {
            frame = try await source.next()
        } catch {
            throw place.isLost ? .lostPlace : error
        }
        // The end of what was stopped is not the end of the log.
        if frame == nil, place.isLost { throw .lostPlace }
        return frame
    }
}

extension GuestError {
    /// A log that was being read and cannot be read on.
    static func brokenLog(_ reason: String) -> GuestError {
        GuestError(.engineUnavailable, subject: "container log", reason: reason)
    }

    /// A log whose reader was the one to make room.
    fileprivate static var lostPlace: GuestError {
        GuestError(
            .logPlaceLost, subject: "container log",
            reason: "others want to read logs too, and this reader's place was the next to be given up; ask again")
    }
}
