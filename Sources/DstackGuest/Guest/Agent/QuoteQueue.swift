import DstackConcurrency
import DstackRPC
import Synchronization

/// Lets one quote, or other piece of evidence, be made at a time, and callers know soon where that takes too long.
///
/// The hardware makes one quote after another anyway. What matters is that the others neither pile up nor find out after
/// their clients have given up: at most so many wait, each so long, and who would wait longer than that is told at once.
package final class QuoteQueue: Sendable {
    private struct State {
        /// Calls that were let in and are not done with: the one whose turn it is, also where its caller has given up, since
        /// it holds its turn as long as the platform does; and those that wait.
        var admitted = 0
        /// Of a quote, smoothed; nil before the first.
        var usual: Duration?
    }

    private let state = Mutex(State())
    private let gate = Gate(permits: 1)
    private let timeout: Duration
    private let capacity: Int
    private let subject: Subject

    /// What is waited for, as messages name it.
    package struct Subject: Sendable {
        var one: String
        var several: String
        var maker: String

        static let quotes = Subject(one: "quote", several: "quotes", maker: "the platform")
        static let gpuEvidence = Subject(one: "GPU evidence", several: "GPU evidence", maker: "the GPU")
    }

    /// - Parameters:
    ///   - timeout: how long a call may take, its turn included.
    ///   - capacity: how many calls may wait.
    package init(timeout: Duration, capacity: Int, for subject: Subject = .quotes) {
        self.timeout = timeout
        self.capacity = capacity
        self.subject = subject
    }

    /// Runs the body when it is its turn.
    ///
    /// - Throws: an `RPCError` with status 503 where that would take, or took, too long; else what the body throws.
    package func run<Value: Sendable>(
        _ body: @escaping @Sendable () async throws -> Value
    ) async throws -> Value {
        try admit()
        let late = RPCError(
            "no \(subject.one) within \(Self.text(timeout)): \(subject.maker) is busy or does not answer; try again",
            status: 503)
        return try await Deadline.run(within: timeout, orThrow: late) { [self] in
            defer { state.withLock { $0.admitted -= 1 } }
            // Nobody waits any more for a call whose time was over before its turn came.
            guard await gate.enter() == .admitted else { throw CancellationError() }
            defer { gate.leave() }
            let start = ContinuousClock.now
            let value = try await body()
            note(start.duration(to: .now))
            return value
        }
    }

    /// Lets a call in, or says why it would wait in vain. One step, so that calls that come at once cannot all find room.
    private func admit() throws(RPCError) {
        let refusal: RPCError? = state.withLock { state in
            let ahead = state.admitted
            if ahead > capacity {
                return RPCError(
                    "\(ahead) calls are waiting for \(subject.several), which is the limit; try again", status: 503)
            }
            if ahead > 0, let usual = state.usual, usual * (ahead + 1) > timeout {
                return RPCError(
                    "\(ahead) calls are waiting for \(subject.several), each of which takes \(Self.text(usual)), so that "
                        + "this one would not be answered within \(Self.text(timeout)); try again", status: 503)
            }
            state.admitted += 1
            return nil
        }
        if let refusal { throw refusal }
    }

    private func note(_ duration: Duration) {
        state.withLock { state in state.usual = state.usual.map { ($0 * 3 + duration) / 4 } ?? duration }
    }

    private static func text(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        return "\(seconds * 1_000 + attoseconds / 1_000_000_000_000_000) ms"
    }
}
