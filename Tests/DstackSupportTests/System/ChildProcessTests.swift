import DstackConcurrency
import DstackSystem
import Foundation
import Glibc
import TestKit
import Testing

/// A process of this test that is killed (Tests/ProcessProbe), beside the test bundle.
func probe(_ words: String...) throws -> RunningProgram {
    try RunningProgram(BesideTests.program("process-probe"), words)
}

extension RunningProgram {
    /// The next line of output.
    func line() async throws -> String {
        var bytes: [UInt8] = []
        while bytes.last != UInt8(ascii: "\n") {
            let piece = try await read(within: .seconds(60))
            bytes += piece.output
            guard piece.ending == nil || !piece.output.isEmpty, !piece.isEmpty else { break }
        }
        return String(decoding: bytes.dropLast(), as: UTF8.self)
    }
}

/// Whether a process runs; one that waits for its parent does not.
func runs(_ process: Int32) -> Bool { ProcessIdentity(of: process)?.isRunning ?? false }

@Suite("Processes that are started")
struct ChildProcessTests {
    private let directory = Scratch.path("child")

    init() throws { try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true) }

    private func launch(_ script: String, _ arguments: String...) -> Launch {
        Launch("sh", ["-c", script, "sh"] + arguments, output: .log(directory + "/log"))
    }

    private var log: String { (try? String(contentsOfFile: directory + "/log", encoding: .utf8)) ?? "" }

    /// Runs to its end; what it wrote.
    private func written(_ launch: Launch) async throws -> String {
        let child = try ChildProcess(launch)
        #expect(await child.handle.ended())
        #expect(child.ending == .success)
        return log
    }

    @Test("standard input is delivered, whole, also where no pipe would hold it")
    func input() async throws {
        for count in [0, 1, 300_000] {
            let program = try RunningProgram(
                "sha256sum", input: .bytes((0..<count).map { UInt8(truncatingIfNeeded: $0) }))
            let expected = try await ProgramOutput.of(
                "python3",
                ["-c", "import hashlib; print(hashlib.sha256(bytes(i % 256 for i in range(\(count)))).hexdigest())"],
                limit: 200, patience: .seconds(60))
            #expect(try await program.line().prefix(64) == String(decoding: expected.output, as: UTF8.self).prefix(64))
        }
        let file = try FileDescriptor(opening: "/proc/version", flags: O_RDONLY)
        var launch = launch("cat")
        launch.input = .descriptor(file.number)
        #expect(try await written(launch).hasPrefix("Linux"))
        // It is this process's as before.
        #expect(fcntl(file.number, F_GETFD) == FD_CLOEXEC)
    }

    @Test("descriptors are passed in order, whatever their numbers here, and no other one leaks")
    func descriptors() async throws {
        let files = try (0..<8).map { number in
            let path = "\(directory)/file\(number)"
            try "\(number)".write(toFile: path, atomically: false, encoding: .utf8)
            return path
        }
        // Without close-on-exec, as another library may leave some.
        let leaking = files.map { open($0, O_RDONLY) }
        defer { for descriptor in leaking { close(descriptor) } }
        var launch = launch("for n in 3 4 5 6; do eval \"cat <&$n\"; done; ls /proc/$$/fd")
        // Both directions, so that some go to numbers that others have here.
        launch.descriptors = [leaking[6], leaking[1], leaking[7], leaking[0]]
        #expect(try await written(launch) == "6170" + "0\n1\n2\n3\n4\n5\n6\n")

        // Their own numbers, crosswise.
        let (first, second) = (open(files[2], O_RDONLY), open(files[3], O_RDONLY))
        defer { for descriptor in [first, second] { close(descriptor) } }
        try FileManager.default.removeItem(atPath: directory + "/log")
        launch = self.launch("cat <&3; cat <&4")
        launch.descriptors = [second, first]
        #expect(try await written(launch) == "32")
    }

    @Test("the group or session is its own, and signals act on it as on any program")
    func surroundings() async throws {
        signal(SIGPIPE, SIG_IGN)
        for hasSession in [false, true] {
            var launch = launch("exec sleep 1000")
            launch.hasSession = hasSession
            let child = try ChildProcess(launch)
            #expect(getpgid(child.processID) == child.processID)
            #expect((getsid(child.processID) == child.processID) == hasSession)
            #expect(child.ending == nil && !child.handle.hasEnded)
            child.signalGroup(SIGPIPE)
            #expect(await child.handle.ended())
            #expect(child.ending == .signal(SIGPIPE) && child.finish() == .signal(SIGPIPE))
        }
    }

    @Test("a program that is not there, or cannot be run, is an error, and leaves nothing behind")
    func absent() throws {
        let file = directory + "/text"
        try "text".write(toFile: file, atomically: false, encoding: .utf8)
        for (program, code) in [("dstack-no-such-program", ENOENT), ("/nonexistent/program", ENOENT), (file, EACCES)] {
            var process: Int32 = 0
            let error = #expect(throws: SystemError.self) {
                _ = try ChildProcess(Launch(program, output: .log(directory + "/log"))) { process = $0.processID }
            }
            #expect(error?.code == code)
            // Not even an entry in the table of processes.
            #expect(kill(process, 0) != 0)
        }
    }

    @Test("a program does nothing before it is recorded, and does not run where that fails")
    func recording() async throws {
        struct NoRecord: Error {}
        let mark = directory + "/mark"
        var process: Int32 = 0
        #expect(throws: NoRecord.self) {
            _ = try ChildProcess(launch("touch \"$1\"", mark)) { identity in
                process = identity.processID
                #expect(runs(process))
                usleep(50_000)
                throw NoRecord()
            }
        }
        #expect(kill(process, 0) != 0 && access(mark, F_OK) != 0)
        let child = try ChildProcess(launch("touch \"$1\"", mark)) { identity in
            usleep(50_000)
            #expect(access(mark, F_OK) != 0)
            process = identity.processID
        }
        #expect(child.processID == process)
        #expect(await child.handle.ended())
        #expect(child.ending == .success && access(mark, F_OK) == 0)
    }

    @Test("whoever dies while it records a program leaves none running")
    func dyingStarter() async throws {
        let mark = directory + "/mark"
        let starter = try probe("die", "touch", mark)
        let process = try #require(Int32(try await starter.line()))
        #expect(try await eventually { !runs(process) })
        try await Task.sleep(for: .milliseconds(50))
        #expect(access(mark, F_OK) != 0)
    }

    @Test("a program with a death signal ends with the process that started it, not with the thread")
    func deathSignal() async throws {
        let starter = try probe("bind", "sleep", "1000")
        let process = try #require(Int32(try await starter.line()))
        #expect(runs(process))
        await starter.end()
        #expect(try await eventually { !runs(process) })

        let started = Promise<ChildProcess?>()
        var launch = launch("exec sleep 1000")
        launch.deathSignal = SIGKILL
        let bound = launch
        #expect(DetachedThread.start { started.fulfil(try? ChildProcess(bound)) } == 0)
        let child = try #require(await started.value())
        // The thread is gone by now, or soon.
        try await Task.sleep(for: .milliseconds(200))
        #expect(child.ending == nil)
        #expect(child.finish() == .signal(SIGKILL))
    }

    @Test("a wait for the end can be given up, and several may wait")
    func waiting() async throws {
        let child = try ChildProcess(launch("exec sleep 1000"))
        let patient = Task { await child.handle.ended() }
        let cancelled = Task { await child.handle.ended() }
        cancelled.cancel()
        #expect(await cancelled.value == false)
        #expect(!child.handle.waitUntilEnded(within: .milliseconds(1)))
        child.signalGroup(SIGKILL)
        #expect(await patient.value)
        #expect(child.handle.waitUntilEnded(within: .seconds(60)))
        // Not reaped yet, and no process to be found again all the same.
        let identity = ProcessIdentity(of: child.processID)
        #expect(try identity.map { try ProcessHandle($0) == nil } ?? true)
        #expect(child.finish() == .signal(SIGKILL))
    }

    /// A writable control group of version 2; nil where there is none.
    private static let controlGroups = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].first {
        access($0 + "/cgroup.procs", W_OK) == 0
    }

    @Test(
        "a program begins in its control group, and nothing in that outlives its stop, whatever session it makes for itself",
        .enabled(if: controlGroups != nil, "there is no control group of version 2 that may be written"))
    func controlGroup() async throws {
        let group = try #require(Self.controlGroups) + "/dstack-test-\(UUID().uuidString)"
        guard mkdir(group, 0o755) == 0 else { return }
        defer { rmdir(group) }
        var launch = launch("cat /proc/self/cgroup; setsid sleep 1000 & echo $! > \"$1\"; wait", directory + "/escaped")
        launch.controlGroup = group
        var found: ProcessGroup?
        let child = try ChildProcess(launch) { found = ProcessGroup($0, controlGroup: group) }
        let processes = try #require(found)
        #expect(try await eventually { access(directory + "/escaped", F_OK) == 0 })
        #expect(log.contains(String(group.split(separator: "/").last ?? "?")), "\(log)")
        #expect(
            try await eventually {
                try File.readText(group + "/cgroup.procs", limit: 1_000).split(separator: "\n").count >= 2
            })
        #expect(try await processes.stop(grace: .milliseconds(100)))
        #expect(try File.readText(group + "/cgroup.procs", limit: 1_000) == "")
        _ = child.finish()
    }
}
