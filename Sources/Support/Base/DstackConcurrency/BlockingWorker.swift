import Synchronization

/// A thread of its own for calls that block: devices, locks, files that must reach the disk.
///
/// Swift's tasks share as many threads as there are processors; a call that blocks one of these stops everybody. Here such
/// calls run one after another on one thread. The queue is bounded: when a device hangs, later callers are refused at once
/// instead of waiting without end.
package final class BlockingWorker: Sendable {
    /// Why a call was not made, or its result not waited for.
    package enum Rejection: Error, Sendable, Equatable {
        /// So many calls wait already.
        case saturated(Int)
        /// The time was over before the call began; it never will.
        case timedOutWaiting
        /// The time was over while the call ran. It goes on, and nobody will see its result.
        case timedOutRunning
        /// The task that asked was cancelled before the call began, or while it ran.
        case cancelled(wasRunning: Bool)
        /// No thread could be had from the system, or the worker is gone.
        case stopped
    }

    /// Whether a call that has begun is waited for beyond its time. It cannot be stopped in either case.
    package enum OnceStarted: Sendable {
        /// The caller gets an error in time and must reckon with either outcome.
        case abandon
        /// The caller learns the outcome, however long it takes.
        case waitFor
    }

    private let threads: JobThreads<any WorkerJob>

    /// - Parameter capacity: how many calls may wait beside the one that runs.
    package init(capacity: Int) { threads = JobThreads(capacity: capacity) { $0.perform() } }

    deinit {
        for job in threads.stop() { job.abandon() }
    }

    /// How many calls wait; for tests and metrics.
    package var waitingCount: Int { threads.waitingCount }

    /// Runs a blocking call on the worker's thread.
    ///
    /// - Parameters:
    ///   - time: from now to when the caller wants to know; includes waiting for other calls.
    ///   - onceStarted: what happens when the time is over and the call has begun.
    ///   - body: the call.
    package func run<Value: Sendable>(
        within time: Duration, onceStarted: OnceStarted = .abandon, _ body: @escaping @Sendable () -> Value
    ) async -> Result<Value, Rejection> {
        let job = BlockingCall(body, isAbandonable: onceStarted == .abandon)
        switch threads.append(job) {
        case nil: break
        case .full(let count): return .failure(.saturated(count))
        case .noThread, .stopped: return .failure(.stopped)
        }
        let timer = DeadlineTimer.shared.add(after: time) {
            job.expire(waiting: .timedOutWaiting, running: .timedOutRunning)
        }
        defer { DeadlineTimer.shared.remove(timer) }
        return await withTaskCancellationHandler {
            await job.answer.value()
        } onCancel: {
            job.expire(waiting: .cancelled(wasRunning: false), running: .cancelled(wasRunning: true))
        }
    }
}

/// What the thread sees of a call.
private protocol WorkerJob: Sendable {
    /// Makes the call, unless nobody waits for it any more.
    func perform()
    /// Answers a call that will never be made.
    func abandon()
}

/// One call, from the queue to its answer.
private final class BlockingCall<Value: Sendable>: WorkerJob {
    private enum Phase {
        case waiting(@Sendable () -> Value)
        case running
        /// It will never be made.
        case withdrawn
    }

    let answer = Promise<Result<Value, BlockingWorker.Rejection>>()
    private let isAbandonable: Bool
    private let phase: Mutex<Phase>

    init(_ body: @escaping @Sendable () -> Value, isAbandonable: Bool) {
        phase = Mutex(.waiting(body))
        self.isAbandonable = isAbandonable
    }

    func perform() {
        if let value = call() { answer.fulfil(.success(value)) }
    }

    /// Makes the call and lets go of it, so that whoever gets the answer can rely on nothing being held here any more.
    private func call() -> Value? {
        let body: (@Sendable () -> Value)? = phase.withLock { phase in
            guard case .waiting(let body) = phase else { return nil }
            phase = .running
            return body
        }
        return body?()
    }

    func abandon() { expire(waiting: .stopped, running: .stopped) }

    func expire(waiting: BlockingWorker.Rejection, running: BlockingWorker.Rejection) {
        let rejection: BlockingWorker.Rejection? = phase.withLock { phase in
            switch phase {
            case .waiting:
                phase = .withdrawn
                return waiting
            case .running: return isAbandonable ? running : nil
            case .withdrawn: return nil
            }
        }
        if let rejection { answer.fulfil(.failure(rejection)) }
    }
}
