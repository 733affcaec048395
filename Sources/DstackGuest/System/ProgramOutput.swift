import DstackSystem
import Glibc

/// Runs a small program and takes what it writes.
enum ProgramOutput {
    /// Runs a program without arguments, found by `PATH`, with nothing to read. A thread of its own waits for it: the
    /// tasks of the agent share a few threads, which must not.
    ///
    /// - Parameters:
    ///   - limit: the most bytes that it may write.
    ///   - patience: after it the program is killed.
    /// - Returns: what it wrote, to standard output and standard error.
    /// - Throws: if it cannot be started, takes too long, writes too much, or fails; then with what it wrote.
    static func run(_ program: String, limit: Int, patience: Duration) async throws(GuestError) -> String {
        let outcome = await withCheckedContinuation { continuation in
            let work = Work {
                continuation.resume(returning: Result { () throws(GuestError) in try wait(program, limit, patience) })
            }
            var thread = pthread_t()
            let reference = Unmanaged.passRetained(work)
            let status = pthread_create(
                &thread, nil,
                { argument in
                    guard let argument else { return nil }
                    Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().body()
                    return nil
                }, reference.toOpaque())
            if status == 0 {
                pthread_detach(thread)
            } else {
                reference.release()
                continuation.resume(returning: .failure(failure(program, "no thread could be started")))
            }
        }
        return try outcome.get()
    }

    private final class Work: Sendable {
        let body: @Sendable () -> Void

        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    private static func failure(_ program: String, _ reason: String) -> GuestError {
        GuestError(.systemUnavailable, subject: program, reason: reason)
    }

    private static func wait(_ program: String, _ limit: Int, _ patience: Duration) throws(GuestError) -> String {
        var ends: [Int32] = [-1, -1]
        // A pipe that other programs started meanwhile do not inherit.
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw failure(program, String(cString: strerror(errno)))
        }
        let reading = ends[0]
        defer { close(reading) }
        let started = start(program, output: ends[1])
        close(ends[1])
        let process = try started.get()

        var bytes = [UInt8]()
        var problem: String?
        let deadline = ContinuousClock.now + patience
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        reading: while true {
            let left = deadline - .now
            var ready = pollfd(fd: reading, events: Int16(POLLIN), revents: 0)
            let milliseconds = Int32(clamping: left.components.seconds * 1_000 + 1)
            guard left > .zero, poll(&ready, 1, milliseconds) >= 0 || errno == EINTR else {
                problem = "it took longer than \(DurationText.format(patience))"
                break
            }
            guard ready.revents != 0 else { continue }
            let count = retryingInterrupts { read(reading, &buffer, buffer.count) }
            guard count > 0 else { break reading }
            guard count <= limit - bytes.count else {
                problem = "it wrote more than \(limit) bytes"
                break
            }
            bytes += buffer[..<count]
        }
        if problem != nil { kill(process, SIGKILL) }
        var status: Int32 = 0
        _ = retryingInterrupts { waitpid(process, &status, 0) }
        if let problem { throw failure(program, problem) }
        guard status == 0 else {
            let said = SafeText.line(String(decoding: bytes, as: UTF8.self).trimmed, limit: 300)
            throw failure(program, said.isEmpty ? "it failed" : said)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Both standard output and standard error go to `output`.
    private static func start(_ program: String, output: Int32) -> Result<pid_t, GuestError> {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        posix_spawn_file_actions_adddup2(&actions, output, 2)
        // A service blocks the signals that it waits for; a program that inherits this could not be stopped.
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        guard let name = strdup(program) else { return .failure(failure(program, "out of memory")) }
        defer { free(name) }
        var arguments: [UnsafeMutablePointer<CChar>?] = [name, nil]
        var process: pid_t = 0
        let status = posix_spawnp(&process, program, &actions, &attributes, &arguments, environ)
        guard status == 0 else { return .failure(failure(program, String(cString: strerror(status)))) }
        return .success(process)
    }
}
