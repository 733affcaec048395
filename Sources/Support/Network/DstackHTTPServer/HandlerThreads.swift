import DstackConcurrency
import DstackNetwork
import Glibc

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

    private let name: String
    let niceness: Int32
    private let threads: JobThreads<(job: UnownedJob, executor: UnownedTaskExecutor)>

    private init(_ name: String, niceness: Int32) {
        self.name = name
        self.niceness = niceness
        threads = JobThreads(
            min(max(2, sysconf(Int32(_SC_NPROCESSORS_ONLN))), 64),
            prepare: { LoopThread.prepare(name, niceness: niceness) },
            perform: { $0.job.runSynchronously(on: $0.executor) })
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let executor = asUnownedTaskExecutor()
        // Where the system gives no thread at all: late is better than never.
        if threads.append((job, executor)) != nil { job.runSynchronously(on: executor) }
    }
}
