import DstackNetwork
import DstackSystem
import Glibc
import Synchronization

/// Threads of their own for handlers, beside those that all tasks of the process share: however many requests strangers
/// make, whoever waits for the shared threads does not wait behind them.
///
/// A pool lives as long as the process, since a task may still run on it when its server has ended.
package final class HandlerThreads: TaskExecutor {
    /// For strangers in a process that serves others too: as many as there are processors, and they stand back (nice 10)
    /// where both want one.
    package static let standingBack = HandlerThreads("strangers", niceness: 10)
    /// For strangers in a process that serves nobody else; what is shared is left to the process's own affairs.
    package static let apart = HandlerThreads("handlers", niceness: 0)

    private struct State {
        var jobs: [UnownedJob] = []
        /// Into `jobs`: those before it are taken.
        var next = 0
        var threads = 0

        mutating func take() -> UnownedJob? {
            guard next < jobs.count else { return nil }
            let job = jobs[next]
            next += 1
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

    private let name: String
    let niceness: Int32
    private let count: Int
    private let state = Mutex(State())
    /// Counts the jobs. A POSIX semaphore may be used from all threads at once; this one is never destroyed.
    private nonisolated(unsafe) let available: UnsafeMutablePointer<sem_t>

    private init(_ name: String, niceness: Int32) {
        self.name = name
        self.niceness = niceness
        count = min(max(2, sysconf(Int32(_SC_NPROCESSORS_ONLN))), 64)
        available = .allocate(capacity: 1)
        available.initialize(to: sem_t())
        _ = sem_init(available, 0, 0)
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let hasThread = state.withLock { state in
            while state.threads < count, DetachedThread.start({ [self] in runThread() }) == 0 { state.threads += 1 }
            guard state.threads > 0 else { return false }
            state.jobs.append(job)
            return true
        }
        guard hasThread else {
            // The system gives no thread at all; late is better than never.
            return job.runSynchronously(on: asUnownedTaskExecutor())
        }
        _ = sem_post(available)
    }

    private func runThread() {
        LoopThread.prepare(name, niceness: niceness)
        let executor = asUnownedTaskExecutor()
        while true {
            while sem_wait(available) != 0 {}
            state.withLock { $0.take() }?.runSynchronously(on: executor)
        }
    }
}
