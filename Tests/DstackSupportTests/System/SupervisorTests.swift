import DstackConcurrency
import DstackEncoding
import DstackSystem
import Foundation
import Glibc
import TestKit
import Testing

@Suite("Programs that outlive who keeps them")
struct SupervisorTests {
    private let directory = Scratch.path("supervised")
    private let events = Shared<[Supervisor.Event]>([])

    init() throws { try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true) }

    private func supervisor() throws -> Supervisor {
        try Supervisor(in: directory) { [events] event in events.edit { $0.append(event) } }
    }

    private func program(
        _ script: String, restart: RestartPolicy = .never, grace: Duration = .seconds(30)
    ) -> Supervisor.Program {
        Supervisor.Program(
            "one", Launch("sh", ["-c", script, "sh", directory], output: .log(directory + "/one.log")),
            restart: restart,
            grace: grace)
    }

    /// The numbers that a script has written, one a line.
    private func numbers(_ file: String) -> [Int32] {
        ((try? String(contentsOfFile: "\(directory)/\(file)", encoding: .utf8)) ?? "").split(separator: "\n")
            .compactMap { Int32($0) }
    }

    /// Says its number, and runs until it is ended.
    private static let lasting = "echo $$ >> \"$1/started\"; exec sleep 1000"

    @Test("one that is killed and started again finds its program, does not start it twice, and can end it")
    func killed() async throws {
        let first = try probe("keep", directory, "one", "sh", "-c", Self.lasting, "sh", directory)
        #expect(try await first.line().hasPrefix("started"))
        #expect(try await eventually { numbers("started").count == 1 })
        let process = try #require(numbers("started").first)
        await first.end()
        #expect(runs(process))

        let second = try supervisor()
        #expect(await second.strangers.keys.sorted() == ["one"])
        try await second.start(program(Self.lasting, restart: .init(.always, firstPause: .milliseconds(10))))
        let identity = try #require(ProcessIdentity(of: process))
        #expect(events.value == [.found("one", identity)])
        #expect(await second.status == ["one": .running(identity)])
        #expect(await second.strangers.isEmpty)
        #expect(numbers("started") == [process])

        // It keeps it as its own: where it ends, another is started.
        kill(process, SIGKILL)
        #expect(try await eventually { numbers("started").count == 2 })
        #expect(events.value.prefix(3).dropFirst() == [.ended("one", nil), .pausing("one", .milliseconds(10))])
        #expect(await second.stop("one"))
        #expect(numbers("started").allSatisfy { !runs($0) })
        #expect(await second.status.isEmpty)
        #expect(access(directory + "/one.json", F_OK) != 0)
    }

    @Test("what a program has started goes with it, also where it was gone before anybody looked")
    func orphans() async throws {
        let script = "sleep 1000 & echo $! >> \"$1/child\"; echo $$ >> \"$1/started\"; wait"
        let first = try supervisor()
        try await first.start(program(script))
        #expect(try await eventually { numbers("started").count == 1 && numbers("child").count == 1 })
        #expect(await first.stop("one"))
        #expect(!runs(numbers("child")[0]) && !runs(numbers("started")[0]))

        try await first.start(program(script))
        #expect(try await eventually { numbers("started").count == 2 && numbers("child").count == 2 })
        await first.leave()
        #expect(runs(numbers("started")[1]))
        kill(numbers("started")[1], SIGKILL)
        #expect(try await eventually { !runs(numbers("started")[1]) })
        #expect(runs(numbers("child")[1]))
        try await first.start(program(script))
        #expect(try await eventually { numbers("started").count == 3 && numbers("child").count == 3 })
        #expect(!runs(numbers("child")[1]))
        #expect(await first.stop("one"))
        #expect(!runs(numbers("child")[2]))
    }

    @Test("one that does not end when asked to is killed with its children")
    func stubborn() async throws {
        let supervisor = try supervisor()
        try await supervisor.start(
            program(
                "trap '' TERM; (trap '' TERM; echo ready >&2; sleep 1000) & echo $! >> \"$1/child\"; wait",
                grace: .milliseconds(50)))
        #expect(
            try await eventually {
                try String(contentsOfFile: directory + "/one.log", encoding: .utf8).contains("ready")
                    && !numbers("child").isEmpty
            })
        #expect(await supervisor.stop("one"))
        #expect(!runs(numbers("child")[0]))
    }

    @Test("a stranger that has got a recycled number is neither taken for the program nor ended")
    func recycled() async throws {
        let stranger = try ChildProcess(Launch("sleep", ["1000"], output: .log(directory + "/stranger.log")))
        defer { _ = stranger.finish() }
        let identity = try #require(ProcessIdentity(of: stranger.processID))
        let others = [
            ProcessIdentity(
                processID: identity.processID, startTime: identity.startTime - 1, bootID: identity.bootID),
            ProcessIdentity(
                processID: identity.processID, startTime: identity.startTime,
                bootID: "00000000-0000-0000-0000-000000000000"),
        ]
        let supervisor = try supervisor()
        for former in others {
            var writer = JSONWriter()
            writer.object { ProcessGroup(former).write(to: &$0) }
            try AtomicFile.write(writer.bytes, to: directory + "/one.json", mode: .secret)
            #expect(await supervisor.strangers.isEmpty)
            // Neither by a stop before, nor by a start.
            #expect(await supervisor.stop("one"))
            try AtomicFile.write(writer.bytes, to: directory + "/one.json", mode: .secret)
            try await supervisor.start(program("exec sleep 1000"))
            guard case .running(let new) = await supervisor.status["one"] else {
                Issue.record("it does not run")
                return
            }
            #expect(new.processID != identity.processID)
            #expect(await supervisor.stop("one"))
            #expect(runs(stranger.processID))
        }
    }

    @Test("a program that ends is started again by its policy, after pauses that grow")
    func restarts() async throws {
        let supervisor = try supervisor()
        let policy = RestartPolicy(.onFailure, firstPause: .milliseconds(5), longestPause: .milliseconds(10))
        // It fails three times, and then has done what it was to do.
        try await supervisor.start(
            program("echo $$ >> \"$1/started\"; [ $(wc -l < \"$1/started\") = 4 ]", restart: policy))
        #expect(
            try await eventually { events.value.last == .ended("one", .success) })
        while await supervisor.status["one"] != .ended(.success) { await Task.yield() }
        #expect(
            events.value.compactMap { event -> Duration? in
                if case .pausing(_, let pause) = event { pause } else { nil }
            }
                == [.milliseconds(5), .milliseconds(10), .milliseconds(10)])
        #expect(events.value.count { $0 == .ended("one", .exit(code: 1)) } == 3)
        #expect(numbers("started").count == 4)
    }

    @Test("pauses by policy: none for what is not to run again, short ones again for what ran steadily")
    func policies() {
        let success = ProgramEnding.success
        let failure = ProgramEnding.exit(code: 1)
        func pauses(
            _ condition: RestartPolicy.Condition, _ ends: [(ProgramEnding?, Int)]
        ) -> [Int?] {
            var backOff = RestartPolicy.BackOff(
                RestartPolicy(condition, firstPause: .seconds(1), longestPause: .seconds(5), steadyAfter: .seconds(60)))
            return ends.map { ending, seconds in
                backOff.pause(after: ending, running: .seconds(seconds)).map { Int($0.components.seconds) }
            }
        }
        #expect(pauses(.never, [(failure, 0), (nil, 0), (success, 100)]) == [nil, nil, nil])
        #expect(pauses(.onFailure, [(success, 0), (failure, 0), (nil, 0), (.signal(9), 0)]) == [nil, 1, 2, 4])
        #expect(
            pauses(.always, [(success, 0), (failure, 1), (failure, 2), (failure, 59), (failure, 60), (nil, 0)])
                == [1, 2, 4, 5, 1, 2])
    }

    @Test(
        "what cannot be started is an error the first time, and a failure later; the directory has one supervisor at a time"
    )
    func failures() async throws {
        let supervisor = try supervisor()
        let error = #expect(throws: SystemError.self) { _ = try Supervisor(in: directory) }
        #expect(error?.code == EWOULDBLOCK)
        let absent = Supervisor.Program("one", Launch("/nonexistent/x", output: .log(directory + "/one.log")))
        await #expect(throws: SystemError.self) { try await supervisor.start(absent) }
        #expect(await supervisor.status.isEmpty && access(directory + "/one.json", F_OK) != 0)
        for name in ["", ".x", "a/b"] {
            await #expect(throws: SystemError.self) {
                try await supervisor.start(.init(name, absent.launch))
            }
        }
        try await supervisor.start(program("exec sleep 1000"))
        let twice = await #expect(throws: SystemError.self) { try await supervisor.start(program("exit 0")) }
        #expect(twice?.code == EEXIST)
        #expect(await supervisor.stop("one"))
    }
}
