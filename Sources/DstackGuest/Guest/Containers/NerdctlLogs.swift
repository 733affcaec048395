import DstackEncoding
import DstackSystem

/// A log as nerdctl writes it: what the container wrote to its two channels, on nerdctl's two.
///
/// nerdctl is always asked for times. By them the two pipes become one log again, in its order, and nerdctl's own remarks,
/// which are on standard error too, are told from the container's lines.
actor NerdctlLogs: LogSource {
    private let program: RunningProgram
    private let reading: NerdctlReading
    private let patience: Duration
    /// When a log that is followed to a point in time ends.
    private let deadline: ContinuousClock.Instant?
    private var merge: NerdctlLogMerge
    private var ending: ProgramEnding?

    /// How long a followed log may be silent before its reader is told that it is being read.
    private static let beginning = Duration.seconds(1)

    init(_ program: RunningProgram, _ reading: NerdctlReading, patience: Duration, splitsLines: Bool) {
        self.program = program
        self.reading = reading
        self.patience = patience
        deadline = reading.timeToEnd.map { .now + $0 }
        merge = NerdctlLogMerge(
            showsTimes: reading.query.hasTimestamps, begin: reading.begin, splitsLines: splitsLines)
    }

    /// Waits until nerdctl gives the log or says why it does not.
    func begin(_ container: Container) async throws(GuestError) {
        let start = ContinuousClock.now
        while ending == nil, !merge.hasLines {
            let left = Self.beginning - start.duration(to: .now)
            // A log that is not followed is given whole or refused; one that is followed may be silent for long.
            if reading.follows, left <= .zero { return }
            guard try await read(within: reading.follows ? left : patience) else { return }
        }
        guard let ending, ending != .success, !merge.hasLines else { return }
        let reason = merge.message ?? "\(ending)"
        throw GuestError(
            reason.contains("no such container") ? .noSuchContainer : .engineUnavailable,
            subject: "logs of \(container.displayName)", reason: reason)
    }

    nonisolated func stop() {
        let program = program
        Task { await program.end() }
    }

    func next() async throws(GuestError) -> LogFrame? {
        while true {
            if let frame = merge.next() { return frame }
            if let ending {
                // Ended by a signal of ours or nerdctl's own, or with what it says went wrong.
                guard ending == .success else { throw .brokenLog(merge.message ?? "nerdctl: \(ending)") }
                return nil
            }
            // Lines that wait for a look at what else is there.
            if merge.hasLines {
                _ = try await read(within: .zero)
                continue
            }
            let wait = min(patience, deadline.map { ContinuousClock.now.duration(to: $0) } ?? patience)
            // Nothing was written for so long that the place is better given to somebody else.
            guard wait > .zero, try await read(within: wait) else { return nil }
        }
    }

    /// Whether something came.
    private func read(within time: Duration) async throws(GuestError) -> Bool {
        let piece: RunningProgram.Piece
        do {
            piece = try await program.read(within: time)
        } catch {
            throw .brokenLog(error.reason)
        }
        merge.add(piece)
        ending = piece.ending
        return !piece.isEmpty
    }
}

/// How nerdctl is asked for what a query wants, and what it cannot be asked for.
struct NerdctlReading: Sendable {
    let query: LogQuery
    /// Whether what is written from now on is read too: not if all that is wanted is over.
    let follows: Bool
    /// Lines before it are left out.
    let begin: LogTime?
    /// Until a log that is followed to a point in time ends: nerdctl would wait on in silence.
    let timeToEnd: Duration?

    /// - Parameter now: seconds since 1970.
    init(_ query: LogQuery, now: Int64) {
        self.query = query
        follows = query.follows && (query.until == 0 || query.until > now)
        timeToEnd = follows && query.until > 0 ? .seconds(query.until - now) + .seconds(1) : nil
        begin = query.tail == .last(0) ? .now : nil
    }

    /// Options of `nerdctl logs`; nil where nothing is wanted.
    var options: [String]? {
        // Zero lines means all of them to nerdctl. One is read and, being older than now, left out.
        if query.tail == .last(0), !follows { return nil }
        var options = ["--timestamps"]
        switch query.tail {
        case .all: options += ["--tail", "all"]
        case .last(let count): options += ["--tail", "\(max(1, count))"]
        }
        if query.since != 0 { options += ["--since", "\(query.since)"] }
        if query.until != 0 { options += ["--until", "\(query.until)"] }
        if follows { options.append("--follow") }
        return options
    }
}
