import CSpawn
import DstackSystem
import Glibc

/// Starts programs that outlive the one that started them.
enum ChildProcess {
    /// Starts a component in a session of its own, so that neither Ctrl-C nor a terminal that closes reaches it.
    ///
    /// It has nothing at standard input, its output goes to the end of `log`, and it inherits no other descriptor: a lock
    /// that this process holds is not held on by it.
    static func start(_ component: Component, log: String) throws(SystemError) -> Int32 {
        var processID: pid_t = 0
        let code = withCStrings([component.executable] + component.arguments + component.choices.flatMap(\.arguments)) {
            arguments in
            withCStrings(environment(component)) { environment in
                dstack_spawn_logging(&processID, component.executable, arguments, environment, log)
            }
        }
        guard code == 0 else { throw SystemError("start", component.executable, code: code) }
        return processID
    }

    /// This process's variables with the component's, without what is meant for this process alone.
    private static func environment(_ component: Component) -> [String] {
        var variables = Environment.process.variables
        for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
            variables[name] = nil
        }
        variables.merge(component.environment) { $1 }
        return variables.map { "\($0.key)=\($0.value)" }.sorted()
    }

    private static func withCStrings<Result>(
        _ texts: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let copies = texts.map { strdup($0) }
        defer { for copy in copies { free(copy) } }
        return body(copies + [nil])
    }

    /// How a child ended: "with status 2", "by signal 9"; nil if it still runs, or is not this process's child.
    static func ending(of processID: Int32) -> Ending? {
        var status: Int32 = 0
        guard retryingInterrupts({ waitpid(processID, &status, WNOHANG) }) == processID else { return nil }
        // The macros of sys/wait.h: the low seven bits are the signal, the byte above them the status.
        let signal = status & 0x7F
        return signal == 0 ? .exited((status >> 8) & 0xFF) : .killed(signal)
    }

    /// How a process ended.
    enum Ending: CustomStringConvertible {
        case exited(Int32)
        case killed(Int32)

        /// As it follows "ended".
        var description: String {
            switch self {
            case .exited(let status): "with status \(status)"
            case .killed(let signal): "by signal \(signal)"
            }
        }

        /// Whether a program said that what it was asked for makes no sense.
        var isRefusal: Bool { if case .exited(ExitStatus.wrongRequest.rawValue) = self { true } else { false } }
    }
}
