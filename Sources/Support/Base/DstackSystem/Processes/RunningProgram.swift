import CSpawn
import DstackConcurrency
import Glibc
import Synchronization

/// A program that runs beside this process, and what it writes.
///
/// ```swift
/// let program = try RunningProgram("nerdctl", ["logs", "--follow", id])
/// while true {
///     let piece = try await program.read(within: .seconds(60))
///     …
///     if piece.isEmpty || piece.ending != nil { break }
/// }
/// ```
///
/// Nothing is read ahead: who does not read holds the program up, at the system's 64 KiB a pipe. Letting go of it ends the
/// program and whatever it started in its process group. A thread of its own waits for output, because Swift's tasks share
/// few threads, which must not.
package final class RunningProgram: Sendable {
    /// What was there to read, of both pipes.
    package struct Piece: Sendable {
        package var output: [UInt8] = []
        package var errors: [UInt8] = []
        /// Whether the pipe may have had more than a piece holds of it (64 KiB).
        package var hasMoreOutput = false
        package var hasMoreErrors = false
        /// How the program ended, with the last that it wrote; nil as long as it may write more.
        package var ending: ProgramEnding?

        package init(output: [UInt8] = [], errors: [UInt8] = []) {
            self.output = output
            self.errors = errors
        }

        /// Whether the time was over, or reading was stopped, before anything came.
        package var isEmpty: Bool { output.isEmpty && errors.isEmpty && ending == nil }
    }

    private let process: Process
    private let worker = BlockingWorker(capacity: 2)

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - program: a path, or a name to be found by `PATH`.
    ///   - input: what it reads.
    package init(
        _ program: String, _ arguments: [String] = [], input: Launch.Input = .none
    ) throws(SystemError) {
        process = try Process(program, arguments, input)
    }

    /// Whether a program can be run: a path, or a name that is found by `PATH`.
    package static func isInstalled(_ program: String, environment: Environment = .process) -> Bool {
        guard !program.utf8.contains(0x2F) else { return access(program, X_OK) == 0 }
        // What the system searches where PATH is not set.
        let directories = (environment["PATH"] ?? "/bin:/usr/bin").split(
            separator: ":", omittingEmptySubsequences: false)
        return directories.contains { access("\($0.isEmpty ? "." : $0)/\(program)", X_OK) == 0 }
    }

    deinit {
        process.wake()
        // The worker's thread may still be reading: the end waits for its turn there, and keeps both alive until then.
        Task.detached { [process, worker] in
            _ = await worker.run(within: .seconds(3_600), onceStarted: .waitFor) { process.end() }
        }
    }

    /// Ends the program, unless it has, and waits until it is gone. Nothing can be read any more.
    package func end() async {
        let process = self.process
        process.wake()
        _ = await worker.run(within: .seconds(3_600), onceStarted: .waitFor) { process.end() }
    }

    /// Waits for output, or for the end. One reader at a time.
    ///
    /// Of each piece output is read first. What the program wrote to `errors` before something in `output` is therefore
    /// here or in an earlier piece, unless ``Piece/hasMoreErrors``; and what it wrote to `output` before something in
    /// `errors` is here or in the next piece, unless that one's ``Piece/hasMoreOutput``.
    ///
    /// - Parameter time: after it the piece is empty. Zero asks for what is there.
    /// - Throws: if the task is cancelled (`ECANCELED`; nothing can be read any more), or the system fails.
    package func read(within time: Duration) async throws(SystemError) -> Piece {
        let process = self.process
        let result = await withTaskCancellationHandler {
            await worker.run(within: time + .seconds(60), onceStarted: .waitFor) { process.read(within: time) }
        } onCancel: {
            process.wake()
        }
        guard !Task.isCancelled else { throw SystemError("read from", process.name, code: ECANCELED) }
        switch result {
        case .success(let outcome): return try outcome.get()
        case .failure: throw SystemError("read from", process.name, code: EAGAIN, reason: "no thread to read it")
        }
    }
}

/// The process and its pipes. Reading and ending happen on the worker's thread alone, waking anywhere.
private final class Process: Sendable {
    let name: String
    private let child: ChildProcess
    private let state: Mutex<State>
    /// Something to read here means: stop waiting.
    private let wakeOutlet: FileDescriptor
    private let wakeInlet: FileDescriptor

    private struct State: ~Copyable {
        var output: FileDescriptor?
        var errors: FileDescriptor?
        /// Once it was asked for.
        var ending: ProgramEnding?
    }

    /// What one piece holds of each pipe at most: as much as a pipe does.
    private static let pieceBytes = 64 << 10

    init(_ program: String, _ arguments: [String], _ input: Launch.Input) throws(SystemError) {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw .last("run", program) }
        wakeOutlet = FileDescriptor(owning: ends[0], name: "wake-up")
        wakeInlet = FileDescriptor(owning: ends[1], name: "wake-up")
        let output = try Pipe(of: program)
        let errors = try Pipe(of: program)
        var launch = Launch(
            program, arguments, output: .descriptors(output: output.inlet.number, errors: errors.inlet.number))
        launch.input = input
        child = try ChildProcess(launch)
        name = program
        state = Mutex(State(output: output.takeOutlet(), errors: errors.takeOutlet(), ending: nil))
    }

    /// What a program writes into, and this process reads from.
    private struct Pipe: ~Copyable {
        let inlet: FileDescriptor
        private let outlet: FileDescriptor

        init(of program: String) throws(SystemError) {
            var ends: (Int32, Int32) = (-1, -1)
            let code = withUnsafeMutablePointer(to: &ends) { pointer in
                pointer.withMemoryRebound(to: Int32.self, capacity: 2) { dstack_spawn_pipe($0) }
            }
            guard code == 0 else { throw SystemError("run", program, code: code) }
            outlet = FileDescriptor(owning: ends.0, name: program)
            inlet = FileDescriptor(owning: ends.1, name: program)
        }

        /// The end to read from; the other one is closed.
        consuming func takeOutlet() -> FileDescriptor { outlet }
    }

    /// Makes whoever waits stop waiting, now and from now on.
    func wake() {
        var byte: UInt8 = 0
        _ = write(wakeInlet.number, &byte, 1)
    }

    func read(within time: Duration) -> Result<RunningProgram.Piece, SystemError> {
        state.withLock { state in
            Result { () throws(SystemError) in try read(&state, until: .now + time) }
        }
    }

    private func read(
        _ state: inout State, until deadline: ContinuousClock.Instant
    ) throws(SystemError) -> RunningProgram.Piece {
        var piece = RunningProgram.Piece()
        while true {
            if try wait(state, until: deadline) == .stopped { return piece }
            // Output first: what was written to the other pipe before is there then, and read next.
            (piece.output, piece.hasMoreOutput) = try take(&state.output)
            (piece.errors, piece.hasMoreErrors) = try take(&state.errors)
            if state.output == nil, state.errors == nil {
                piece.ending = reap(&state, patience: .seconds(5))
                return piece
            }
            if !piece.isEmpty { return piece }
        }
    }

    private enum Wait {
        case ready
        /// The time is over, or somebody wants it to be.
        case stopped
    }

    /// Waits until there is something to read or one of the pipes has ended.
    private func wait(_ state: borrowing State, until deadline: ContinuousClock.Instant) throws(SystemError) -> Wait {
        let (output, errors) = (Self.number(state.output), Self.number(state.errors))
        guard output >= 0 || errors >= 0 else { return .ready }
        guard let ready = Readiness.wait(for: [output, errors, wakeOutlet.number], until: deadline) else {
            throw .last("wait for", name)
        }
        return ready.isEmpty || ready.contains(2) ? .stopped : .ready
    }

    /// Negative for a pipe that has ended; the system passes over such numbers.
    private static func number(_ pipe: borrowing FileDescriptor?) -> Int32 {
        switch pipe {
        case .some(let descriptor): descriptor.number
        case nil: -1
        }
    }

    /// What a pipe has, up to a piece's most, and whether it may have more; closes a pipe that has ended.
    private func take(_ pipe: inout FileDescriptor?) throws(SystemError) -> (bytes: [UInt8], hasMore: Bool) {
        let number = Self.number(pipe)
        guard number >= 0 else { return ([], false) }
        var bytes = [UInt8]()
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while bytes.count < Self.pieceBytes {
            let count = retryingInterrupts { Glibc.read(number, &chunk, chunk.count) }
            if count < 0, errno == EAGAIN { return (bytes, false) }
            guard count >= 0 else { throw .last("read from", name) }
            guard count > 0 else {
                pipe = nil
                return (bytes, false)
            }
            bytes += chunk[..<count]
        }
        return (bytes, true)
    }

    // MARK: End

    /// Ends the program, unless it has.
    func end() {
        state.withLock { state in
            // Those that clean up behind themselves may.
            if state.ending == nil, !child.handle.hasEnded { child.signalGroup(SIGTERM) }
            _ = reap(&state, patience: .milliseconds(500))
            state.output = nil
            state.errors = nil
        }
    }

    /// Waits for the end of the process, and makes one after a while; of its group nothing is left.
    private func reap(_ state: inout State, patience: Duration) -> ProgramEnding {
        if let ending = state.ending { return ending }
        _ = child.handle.waitUntilEnded(within: patience)
        let ending = child.finish()
        state.ending = ending
        return ending
    }
}
