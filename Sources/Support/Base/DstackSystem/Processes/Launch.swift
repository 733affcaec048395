import CSpawn
import DstackConcurrency
import Glibc
import Synchronization

/// What a program is started with: ``ChildProcess`` starts it.
///
/// It has its three standard streams and what is named here, no other descriptor of this process: a lock that this process
/// holds is not held on by it. Signals act on it as on any program, whatever this process blocks or ignores.
package struct Launch: Sendable {
    package enum Input: Sendable {
        /// It is at the end from the beginning.
        case none
        /// Bytes, which are there from the beginning, however many; for what is not to stand among arguments, where everybody
        /// on the machine can read it.
        case bytes([UInt8])
        /// A descriptor of this process, which stays open here.
        case descriptor(Int32)
    }

    package enum Output: Sendable {
        /// Both streams at the end of a file, which is made for its owner alone if it is not there. A link is not followed.
        case log(String)
        /// Descriptors of this process, which stay open here.
        case descriptors(output: Int32, errors: Int32)
    }

    /// A path, or a name to be found by `PATH`.
    package var program: String
    package var arguments: [String]
    /// Nil for this process's variables, without those that a service manager means for this process alone.
    package var environment: [String: String]?
    package var input = Input.none
    package var output: Output
    /// Descriptors of this process that become 3, 4 and so on (as sd_listen_fds(3) counts), and stay open here.
    package var descriptors: [Int32] = []
    /// Whether it leads a session of its own, so that neither Ctrl-C nor a terminal that closes reaches it; else a process
    /// group of its own. Either is what its children are ended by.
    package var hasSession = false
    /// What it gets when this process ends, in whatever way; nil for a program that outlives this process.
    package var deathSignal: Int32?
    /// The directory of the control group (version 2) that it begins in, for itself and its children; nil for this process's.
    package var controlGroup: String?

    package init(_ program: String, _ arguments: [String] = [], environment: [String: String]? = nil, output: Output) {
        self.program = program
        self.arguments = arguments
        self.environment = environment
        self.output = output
    }

    /// This process's variables, as a program that it starts may have them: without what a service manager means for this
    /// process alone.
    package static var inheritedEnvironment: [String: String] {
        var variables = Environment.process.variables
        for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
            variables[name] = nil
        }
        return variables
    }

    // MARK: Starting

    /// A program that has its process, and waits for its first instruction.
    struct Start: ~Copyable, Sendable {
        private var state: dstack_start

        fileprivate init(_ state: dstack_start) { self.state = state }

        var process: Int32 { state.process }
        /// To be closed by whoever asks for it.
        var handle: Int32 { state.handle }

        /// Lets the program run, or makes an end of it.
        ///
        /// - Returns: 0, or the error number where it cannot be run. Nothing of it is left then.
        consuming func finish(_ proceeds: Bool) -> Int32 {
            var state = state
            return dstack_spawn_finish(&state, proceeds ? 1 : 0)
        }
    }

    func begin() throws(SystemError) -> Start {
        let variables = (environment ?? Self.inheritedEnvironment).map { "\($0.key)=\($0.value)" }.sorted()
        guard !program.isEmpty, ([program] + arguments + variables).allSatisfy({ !$0.utf8.contains(0) }) else {
            throw SystemError("run", program, code: EINVAL)
        }
        let streams = try Streams(input: inputDescriptor(), output: outputDescriptor(), errors: errorsDescriptor())
        return try start(variables, streams, group: try group())
    }

    private func inputDescriptor() throws(SystemError) -> FileDescriptor {
        switch input {
        case .none: return try FileDescriptor(opening: "/dev/null", flags: O_RDONLY)
        case .descriptor(let number): return try FileDescriptor(duplicating: number, name: "standard input")
        case .bytes(let bytes):
            let number = bytes.withUnsafeBytes { dstack_spawn_memory($0.baseAddress, $0.count) }
            guard number >= 0 else { throw .last("make standard input for", program) }
            return FileDescriptor(owning: number, name: "standard input")
        }
    }

    private func outputDescriptor() throws(SystemError) -> FileDescriptor {
        switch output {
        case .log(let path):
            try FileDescriptor(
                opening: path, flags: O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, mode: 0o600, doing: "write to")
        case .descriptors(let output, _): try FileDescriptor(duplicating: output, name: "standard output")
        }
    }

    private func errorsDescriptor() throws(SystemError) -> FileDescriptor {
        switch output {
        case .log: try outputDescriptor()
        case .descriptors(_, let errors): try FileDescriptor(duplicating: errors, name: "standard error")
        }
    }

    /// What the program gets as 0, 1 and 2, open until it has it.
    private struct Streams: ~Copyable {
        let input: FileDescriptor
        let output: FileDescriptor
        let errors: FileDescriptor
    }

    /// None has a negative number.
    private func group() throws(SystemError) -> FileDescriptor {
        guard let controlGroup else { return FileDescriptor(owning: -1, name: "") }
        return try FileDescriptor(
            opening: controlGroup + "/cgroup.procs", flags: O_WRONLY, doing: "use the control group of")
    }

    private func start(
        _ variables: [String], _ streams: borrowing Streams, group: borrowing FileDescriptor
    ) throws(SystemError) -> Start {
        let numbers = [streams.input.number, streams.output.number, streams.errors.number] + descriptors
        let (program, words, hasSession, signal) = (program, [program] + arguments, hasSession, deathSignal ?? 0)
        let group = group.number
        let spawn = { @Sendable () -> (state: dstack_start, code: Int32) in
            var state = dstack_start()
            let code = withCStrings(words) { words in
                withCStrings(variables) { variables in
                    program.withCString { program in
                        numbers.withUnsafeBufferPointer { numbers in
                            var launch = dstack_launch(
                                program: program, arguments: words, environment: variables,
                                descriptors: numbers.baseAddress, descriptor_count: numbers.count,
                                has_session: hasSession ? 1 : 0, death_signal: signal, control_group: group)
                            return dstack_spawn_begin(&launch, &state)
                        }
                    }
                }
            }
            return (state, code)
        }
        // The system's death signal is for the end of the thread that started a program.
        let started = deathSignal == nil ? spawn() : LastingThread.run(spawn) ?? (state: .init(), code: EAGAIN)
        guard started.code == 0 else { throw SystemError("run", program, code: started.code) }
        return Start(started.state)
    }
}

/// A thread that never ends.
private enum LastingThread {
    private static let thread = JobThreads<@Sendable () -> Void> { $0() }

    private final class Outcome<Value: Sendable>: Sendable {
        let value = Mutex<Value?>(nil)
        /// A POSIX semaphore may be used from all threads at once; it is made before the first use and destroyed after the
        /// last.
        nonisolated(unsafe) let isThere: UnsafeMutablePointer<sem_t>

        init() {
            isThere = .allocate(capacity: 1)
            isThere.initialize(to: sem_t())
            _ = sem_init(isThere, 0, 0)
        }

        deinit {
            _ = sem_destroy(isThere)
            isThere.deallocate()
        }
    }

    /// Runs something short there, and waits for it; nil where the system gives no thread.
    static func run<Value: Sendable>(_ body: @escaping @Sendable () -> Value) -> Value? {
        let outcome = Outcome<Value>()
        let refusal = thread.append {
            outcome.value.withLock { $0 = body() }
            _ = sem_post(outcome.isThere)
        }
        guard refusal == nil else { return nil }
        while sem_wait(outcome.isThere) != 0 {}
        return outcome.value.withLock { $0 }
    }
}

/// Texts as C has lists of them, with a null pointer at the end.
private func withCStrings<Result>(
    _ texts: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>?) -> Result
) -> Result {
    let copies = texts.map { strdup($0) } + [nil]
    defer { for copy in copies { free(copy) } }
    return copies.withUnsafeBufferPointer { body($0.baseAddress) }
}
