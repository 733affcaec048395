import DstackRPC
import DstackRPCServer
import Synchronization

/// Lets one quote, or other piece of evidence, be made at a time, and callers know soon where that takes too long.
///
/// The hardware makes one quote after another anyway. What matters is that the others neither pile up nor find out after
/// their clients have given up: at most so many wait, each so long, and who would wait longer than that is told at once.
package final class QuoteQueue: Sendable {
    private struct State {
        /// Calls that were let in and are not done with: the one whose turn it is, and those that wait. Also those whose
        /// callers have given up, since they hold their turn as long as the platform does.
        var admitted = 0
        var isBusy = false
        var waiting: [CheckedContinuation<Void, Never>] = []
        /// Of a quote, smoothed; nil before the first.
        var usual: Duration?
    }

    private let state = Mutex(State())
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
        return try await RPCDeadline.run(within: timeout, orThrow: late) { [self] in
            await turn()
            // Nobody waits any more for a call whose time was over before its turn came.
            guard !Task.isCancelled else {
                done(after: nil)
                throw CancellationError()
            }
            let start = ContinuousClock.now
            do {
                let value = try await body()
                done(after: start.duration(to: .now))
                return value
            } catch {
                done(after: nil)
                throw error
            }
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

    private func turn() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isFree = state.withLock { state in
                guard state.isBusy else {
                    state.isBusy = true
                    return true
                }
                state.waiting.append(continuation)
                return false
            }
            if isFree { continuation.resume() }
        }
    }

    private func done(after duration: Duration?) {
        let next: CheckedContinuation<Void, Never>? = state.withLock { state in
            state.admitted -= 1
            if let duration { state.usual = state.usual.map { ($0 * 3 + duration) / 4 } ?? duration }
            guard !state.waiting.isEmpty else {
                state.isBusy = false
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.resume()
    }

    private static func text(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        return "\(seconds * 1_000 + attoseconds / 1_000_000_000_000_000) ms"
    }
}
