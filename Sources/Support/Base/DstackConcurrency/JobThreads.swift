import Glibc
import Synchronization

/// Threads of their own for jobs, which are done in the order in which they come.
///
/// The threads come into being with the first job, and keep this alive until ``stop()``.
package final class JobThreads<Job: Sendable>: Sendable {
    /// Why a job is not taken.
    package enum Refusal: Sendable, Equatable {
        /// So many wait already.
        case full(Int)
        /// The system gives no thread.
        case noThread
        case stopped
    }

    private struct State {
        /// Nil for those that are taken, so that nothing of them is held here.
        var jobs: [Job?] = []
        /// Into `jobs`: those before it are taken.
        var next = 0
        var threads = 0
        var isStopped = false

        var waiting: Int { jobs.count - next }

        mutating func take() -> Job? {
            guard next < jobs.count else { return nil }
            let job = jobs[next].take()
            next += 1
            // Their places go together, so that taking a job costs the same however many wait.
            if next == jobs.count {
                jobs.removeAll(keepingCapacity: next <= 4_096)
                next = 0
            } else if next >= 1_024, next * 2 >= jobs.count {
                jobs.removeFirst(next)
                next = 0
            }
            return job
        }
    }

    private let count: Int
    private let capacity: Int
    private let prepare: @Sendable () -> Void
    private let perform: @Sendable (Job) -> Void
    private let state = Mutex(State())
    /// Counts the jobs, and one more for each thread's end. A POSIX semaphore may be used from all threads at once; it is
    /// made before the first use and destroyed after the last.
    private nonisolated(unsafe) let available: UnsafeMutablePointer<sem_t>

    /// - Parameters:
    ///   - threads: how many; one at least. With several, jobs begin in order and may end in another.
    ///   - capacity: how many jobs may wait.
    ///   - prepare: called on each thread before its first job.
    ///   - perform: does a job.
    package init(
        _ threads: Int = 1, capacity: Int = .max, prepare: @escaping @Sendable () -> Void = {},
        perform: @escaping @Sendable (Job) -> Void
    ) {
        count = max(1, threads)
        self.capacity = max(1, capacity)
        self.prepare = prepare
        self.perform = perform
        available = .allocate(capacity: 1)
        available.initialize(to: sem_t())
        _ = sem_init(available, 0, 0)
    }

    deinit {
        _ = sem_destroy(available)
        available.deallocate()
    }

    /// How many jobs wait.
    package var waitingCount: Int { state.withLock { $0.waiting } }

    /// Has a job done.
    ///
    /// - Returns: why it will not be; nil if it will.
    package func append(_ job: Job) -> Refusal? {
        let refusal: Refusal? = state.withLock { state in
            if state.isStopped { return .stopped }
            if state.waiting >= capacity { return .full(state.waiting) }
            while state.threads < count, DetachedThread.start({ [self] in runThread() }) == 0 { state.threads += 1 }
            guard state.threads > 0 else { return .noThread }
            state.jobs.append(job)
            return nil
        }
        if refusal == nil { _ = sem_post(available) }
        return refusal
    }

    /// Ends the threads, each after the job that it is at.
    ///
    /// - Returns: jobs that will not be done.
    @discardableResult
    package func stop() -> [Job] {
        let (left, threads) = state.withLock { state in
            state.isStopped = true
            defer {
                state.jobs = []
                state.next = 0
            }
            return (state.jobs.compactMap { $0 }, state.threads)
        }
        for _ in 0..<threads { _ = sem_post(available) }
        return left
    }

    private func runThread() {
        prepare()
        while true {
            while sem_wait(available) != 0 {}
            let (job, isOver) = state.withLock { state in
                let job = state.take()
                return (job, job == nil && state.isStopped)
            }
            if isOver { return }
            if let job { perform(job) }
        }
    }
}
