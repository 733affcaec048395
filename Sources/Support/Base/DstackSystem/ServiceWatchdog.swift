import DstackConcurrency
import Glibc
import Synchronization

/// Asks again and again whether a service is alive, on a thread of its own, and says so while it is.
package final class ServiceWatchdog: Sendable {
    /// Finds out whether the service is alive, and calls back once.
    package typealias Probe = @Sendable (_ answer: @escaping @Sendable (Bool) -> Void) -> Void

    private struct State {
        /// The answer to the question that is open, once it is there.
        var answer: Bool?
        var isStopped = false
    }

    private let interval: Duration
    private let probe: Probe
    private let sign: @Sendable () -> Void
    private let state = Mutex(State())
    private let hasEnded = Promise<Void>()
    /// A pair of sockets, to be woken by at once.
    private let (wakes, waker): (Int32, Int32)

    /// - Parameters:
    ///   - interval: between a sign and the next question.
    ///   - sign: called on the thread for every good answer.
    package init(every interval: Duration, _ probe: @escaping Probe, sign: @escaping @Sendable () -> Void) {
        self.interval = interval
        self.probe = probe
        self.sign = sign
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        // Without a pair it wakes by the time alone.
        (wakes, waker) = socketpair(AF_UNIX, type, 0, &ends) == 0 ? (ends[0], ends[1]) : (-1, -1)
    }

    deinit {
        for end in [wakes, waker] where end >= 0 { close(end) }
    }

    /// Returns after ``stop()``, or at once where the system gives no thread.
    package func run() async {
        guard DetachedThread.start({ [self] in runThread() }) == 0 else { return }
        await hasEnded.value()
    }

    package func stop() {
        state.withLock { $0.isStopped = true }
        wake()
    }

    private func wake() { _ = write(waker, [1], 1) }

    private func runThread() {
        while !isStopped {
            probe { [self] isAlive in
                state.withLock { $0.answer = isAlive }
                wake()
            }
            var answer = take()
            while answer == nil, !isStopped {
                wait(.seconds(1))
                answer = take()
            }
            if answer == true { sign() }
            pause()
        }
        hasEnded.fulfil(())
    }

    private var isStopped: Bool { state.withLock { $0.isStopped } }

    private func take() -> Bool? { state.withLock { $0.answer.take() } }

    private func pause() {
        let end = ContinuousClock.now + interval
        while !isStopped, ContinuousClock.now < end { wait(ContinuousClock.now.duration(to: end)) }
    }

    /// Until the time is over or ``wake()``.
    private func wait(_ time: Duration) {
        _ = Readiness.wait(for: [wakes], until: .now + time)
        var bytes = [UInt8](repeating: 0, count: 16)
        while read(wakes, &bytes, bytes.count) > 0 {}
    }
}
