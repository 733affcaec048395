import Glibc

/// Threads of their own, which nobody waits for: for what blocks, and for what must go on while the threads that tasks share
/// are taken.
package enum DetachedThread {
    /// Carries a body over to its thread.
    private final class Start: Sendable {
        let body: @Sendable () -> Void

        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// Runs `body` on a thread that ends with it.
    ///
    /// No signal from elsewhere is delivered to it: those are for the threads that expect them, and SIGPIPE shows up as EPIPE
    /// there. What a thread does itself (SIGSEGV and its like) is: blocked, it would end the process without a report.
    ///
    /// - Returns: 0, or the error number where the system gives no thread (`EAGAIN`: there are too many); then `body` does
    ///   not run.
    package static func start(_ body: @escaping @Sendable () -> Void) -> Int32 {
        let start = Unmanaged.passRetained(Start(body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                DetachedThread.blockSignals()
                Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            }, start.toOpaque())
        guard code == 0 else {
            start.release()
            return code
        }
        _ = pthread_detach(thread)
        return 0
    }

    private static func blockSignals() {
        var signals = sigset_t()
        sigfillset(&signals)
        for own in [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT, SIGSYS] { sigdelset(&signals, own) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }
}
