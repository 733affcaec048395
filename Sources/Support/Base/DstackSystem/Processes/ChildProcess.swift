import Glibc
import Synchronization

/// A program that this process has started. Letting go of this leaves it running, unless ``Launch/deathSignal`` says
/// otherwise.
package final class ChildProcess: Sendable {
    /// Also the number of its process group.
    package let processID: Int32
    /// Of the very process, also after it has ended.
    package let handle: ProcessHandle
    /// Once the system has been asked for it, and the number is free for another process.
    private let waited = Mutex<ProgramEnding?>(nil)

    /// Starts a program.
    ///
    /// - Throws: ``SystemError``, with `ENOENT` where there is no such program.
    package init(_ launch: Launch) throws(SystemError) {
        let start = try launch.begin()
        (processID, handle) = (start.process, ProcessHandle(owning: start.handle, processID: start.process))
        try Self.run(start, launch.program)
    }

    /// Starts a program that others are to find again after this process has ended.
    ///
    /// - Parameter record: is told of its process before the program does anything. Where it throws, the program does not
    ///   run; nor where this process ends before it returns. So no program runs that is not recorded.
    /// - Throws: ``SystemError``, or what `record` throws.
    package init(_ launch: Launch, record: (ProcessIdentity) throws -> Void) throws {
        let start = try launch.begin()
        (processID, handle) = (start.process, ProcessHandle(owning: start.handle, processID: start.process))
        do {
            guard let identity = ProcessIdentity(of: start.process) else {
                throw SystemError("find the process of", launch.program, code: ESRCH)
            }
            try record(identity)
        } catch {
            _ = start.finish(false)
            throw error
        }
        try Self.run(start, launch.program)
    }

    private static func run(_ start: consuming Launch.Start, _ program: String) throws(SystemError) {
        let code = start.finish(true)
        guard code != 0 else { return }
        throw SystemError("run", program, code: code, reason: code == ENOENT ? "there is no such program" : nil)
    }

    /// How it ended; nil while it runs.
    package var ending: ProgramEnding? { ending(WNOHANG) }

    private func ending(_ options: Int32) -> ProgramEnding? {
        waited.withLock { waited in
            if waited != nil { return waited }
            var status: Int32 = 0
            guard retryingInterrupts({ waitpid(processID, &status, options) }) == processID else { return nil }
            waited = ProgramEnding(waited: status)
            return waited
        }
    }

    /// Sends a signal to its process group.
    package func signalGroup(_ number: Int32) {
        // Until somebody has waited for it no other process or group can have its number.
        waited.withLock { if $0 == nil { kill(-processID, number) } }
    }

    /// Kills what is left of it and its group, and says how it ended. The thread waits for that.
    package func finish() -> ProgramEnding {
        signalGroup(SIGKILL)
        // Somebody else, who waits for any child of this process, may have taken the answer.
        return ending(0) ?? .signal(SIGKILL)
    }
}
