import Glibc
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

    private let queue: WorkQueue

    /// - Parameter capacity: how many calls may wait beside the one that runs.
    package init(capacity: Int) {
        queue = WorkQueue(capacity: max(1, capacity))
    }

    deinit { queue.stop() }

    /// How many calls wait; for tests and metrics.
    package var waitingCount: Int { queue.waitingCount }

    /// Runs a blocking call on the worker's thread.
    ///
    /// - Parameters:
    ///   - time: from now to when the caller wants to know; includes waiting for other calls.
    ///   - onceStarted: what happens when the time is over and the call has begun.
    ///   - body: the call.
    package func run<Value: Sendable>(
        within time: Duration, onceStarted: OnceStarted = .abandon, _ body: @escaping @Sendable () -> Value
    ) async -> Result<Value, Rejection> {
        let job = WorkerJob(body, isAbandonable: onceStarted == .abandon)
        if let rejection = queue.append(job) { return .failure(rejection) }
        let timer = Task {
            do {
                try await Task.sleep(for: time)
                job.expire(waiting: .timedOutWaiting, running: .timedOutRunning)
            } catch {
                // Cancelled: the call was answered in time.
            }
        }
        defer { timer.cancel() }
        return await withTaskCancellationHandler {
            await job.outcome()
        } onCancel: {
            job.expire(waiting: .cancelled(wasRunning: false), running: .cancelled(wasRunning: true))
        }
    }
}

/// What the thread sees of a call.
protocol QueuedJob: Sendable {
    /// Makes the call, unless nobody waits for it any more.
    func perform()
    /// Answers a call that will never be made.
    func abandon()
}

/// One call, from the queue to its answer.
private final class WorkerJob<Value: Sendable>: QueuedJob {
    private enum Phase {
        case waiting
        case running
        case answered(Answer)
    }

    private typealias Answer = Result<Value, BlockingWorker.Rejection>

    private struct State {
        var phase = Phase.waiting
        /// The call, until it begins or will never be made.
        var body: (@Sendable () -> Value)?
        var continuation: CheckedContinuation<Answer, Never>?
    }

    private let isAbandonable: Bool
    private let state: Mutex<State>

    init(_ body: @escaping @Sendable () -> Value, isAbandonable: Bool) {
        state = Mutex(State(body: body))
        self.isAbandonable = isAbandonable
    }

    func perform() {
        guard let value = call() else { return }
        answer(.success(value))
    }

    /// Makes the call and lets go of it, so that whoever gets the answer can rely on nothing being held here any more.
    private func call() -> Value? {
        let body: (@Sendable () -> Value)? = state.withLock { state in
            guard case .waiting = state.phase else { return nil }
            state.phase = .running
            return state.body.take()
        }
        return body?()
    }

    func abandon() { answer(.failure(.stopped)) }

    func expire(waiting: BlockingWorker.Rejection, running: BlockingWorker.Rejection) {
        let rejection: BlockingWorker.Rejection? = state.withLock { state in
            switch state.phase {
            case .waiting: waiting
            case .running: isAbandonable ? running : nil
            case .answered: nil
            }
        }
        // A call that begins between the two steps must not be answered as one that never will.
        guard let rejection else { return }
        answer(.failure(rejection)) { phase in
            switch phase {
            case .waiting: rejection == waiting
            case .running: rejection == running
            case .answered: false
            }
        }
    }

    private func answer(_ result: Answer, if condition: (Phase) -> Bool = { _ in true }) {
        let continuation: CheckedContinuation<Answer, Never>? = state.withLock { state in
            if case .answered = state.phase { return nil }
            guard condition(state.phase) else { return nil }
            state.phase = .answered(result)
            state.body = nil
            return state.continuation.take()
        }
        continuation?.resume(returning: result)
    }

    func outcome() async -> Result<Value, BlockingWorker.Rejection> {
        await withCheckedContinuation { continuation in
            let answer: Answer? = state.withLock { state in
                if case .answered(let result) = state.phase { return result }
                state.continuation = continuation
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }
}

/// The calls that wait, and the thread that makes them. The thread keeps the queue alive, so that the worker's end is
/// what ends it.
final class WorkQueue: Sendable {
    private struct State {
        var jobs: [any QueuedJob] = []
        var hasThread = false
        var isStopped = false
    }

    private let capacity: Int
    private let state = Mutex(State())
    /// Counts the jobs, and one more for the end. A POSIX semaphore may be used from all threads at once; it is made
    /// before the first use and destroyed after the last.
    private nonisolated(unsafe) let available: UnsafeMutablePointer<sem_t>

    init(capacity: Int) {
        self.capacity = capacity
        available = .allocate(capacity: 1)
        available.initialize(to: sem_t())
        _ = sem_init(available, 0, 0)
    }

    deinit {
        _ = sem_destroy(available)
        available.deallocate()
    }

    var waitingCount: Int { state.withLock { $0.jobs.count } }

    func append(_ job: any QueuedJob) -> BlockingWorker.Rejection? {
        let rejection: BlockingWorker.Rejection? = state.withLock { state in
            if state.isStopped { return .stopped }
            if state.jobs.count >= capacity { return .saturated(state.jobs.count) }
            if !state.hasThread {
                guard DetachedThread.start({ [self] in runThread() }) == 0 else { return .stopped }
                state.hasThread = true
            }
            state.jobs.append(job)
            return nil
        }
        if rejection == nil { _ = sem_post(available) }
        return rejection
    }

    func stop() {
        let left = state.withLock { state in
            state.isStopped = true
            defer { state.jobs = [] }
            return state.jobs
        }
        for job in left { job.abandon() }
        _ = sem_post(available)
    }

    private func runThread() {
        while true {
            while sem_wait(available) != 0 {}
            let (job, isOver) = state.withLock { state in
                state.jobs.isEmpty ? (nil, state.isStopped) : (state.jobs.removeFirst(), false)
            }
            if isOver { return }
            job?.perform()
        }
    }
}
