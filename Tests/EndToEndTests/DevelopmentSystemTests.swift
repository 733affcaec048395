import DstackDevelopment
import DstackSystem
import Foundation
import Synchronization
import TestKit
import Testing

/// The supervisor behind `dstack dev`, with shell scripts as its components.
@Suite("Development system")
struct DevelopmentSystemTests {
    private let scratch: ScratchDirectory
    private let directory: DevelopmentDirectory

    init() throws {
        scratch = try ScratchDirectory()
        directory = try DevelopmentDirectory(scratch.path("dev"))
    }

    private var system: DevelopmentSystem { DevelopmentSystem(directory) }

    private func script(
        _ name: String, _ script: String = "echo listening on here; exec sleep 1000", after: [String] = [],
        revision: String = ""
    ) -> Component {
        Component(
            name: name, executable: "/bin/sh", arguments: ["-c", script], dependencies: after,
            readiness: .announces("listening on "), revision: revision)
    }

    /// Whether a process is there and has not ended.
    private func isRunning(_ id: Int32) -> Bool {
        guard let stat = try? String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8),
            let end = stat.lastIndex(of: ")")
        else { return false }
        return !stat[end...].hasPrefix(") Z")
    }

    private func number(in file: String) async throws -> Int32 {
        #expect(try await eventually { Int32(scratch.text(file).dropLast()) != nil })
        return try #require(Int32(scratch.text(file).dropLast()))
    }

    @Test("components start in order, announce themselves, are left alone by a second up, and end with down")
    func life() async throws {
        let components = [
            script("first", "echo $ORDER >> \(scratch.path("order")); echo listening on one; exec sleep 1000"),
            script(
                "second", "wc -l < \(scratch.path("order")); echo listening on two; exec sleep 1000", after: ["first"]),
        ]
        let up = try await system.up(components)
        #expect(!up.isReused)
        #expect(up.components.map(\.name) == ["first", "second"])
        #expect(up.components.map(\.address) == ["one", "two"])
        #expect(try String(contentsOfFile: directory.log(of: "second"), encoding: .utf8).hasPrefix("1\n"))
        for component in up.components {
            #expect(isRunning(component.processID))
            // A session, and so a process group, of its own.
            #expect(getsid(component.processID) == component.processID)
        }
        let again = try await system.up(components)
        #expect(again.isReused && again.components == up.components)
        #expect(system.status.running == up.components)

        #expect(try await system.down() == up.components)
        #expect(up.components.allSatisfy { !isRunning($0.processID) })
        #expect(try await system.down().isEmpty)
        #expect(system.status.running.isEmpty && system.status.ended.isEmpty)
    }

    @Test("what has changed is ended and started anew, and so is what has ended")
    func change() async throws {
        let first = try await system.up([script("a", revision: "1"), script("old")])
        let second = try await system.up([script("a", revision: "2")])
        #expect(!second.isReused && second.components != first.components)
        #expect(first.components.allSatisfy { !isRunning($0.processID) })
        kill(second.components[0].processID, SIGKILL)
        #expect(try await eventually { !isRunning(second.components[0].processID) })
        let third = try await system.up([script("a", revision: "2")])
        #expect(!third.isReused && isRunning(third.components[0].processID))
        _ = try await system.down()
    }

    @Test("one that ends instead of becoming ready takes all others with it, and its last words are told")
    func failure() async throws {
        let components = [
            script("good", "echo $$ > \(scratch.path("pid")); echo listening on x; exec sleep 1000"),
            script("bad", "echo the port is taken >&2; exit 7"),
        ]
        do {
            _ = try await system.up(components)
            Issue.record("it came up")
        } catch let error as DevelopmentError {
            #expect(error.code == .component)
            #expect(error.reason.contains("bad ended with status 7"), "\(error)")
            #expect(error.reason.contains("the port is taken"), "\(error)")
            #expect(error.hint?.contains("log/bad.log") == true)
        }
        #expect(try await !isRunning(number(in: "pid")))
        #expect(system.status.running.isEmpty)
    }

    @Test("one that refuses what it was asked for is no failure of the world")
    func refusal() async throws {
        let error = await #expect(throws: DevelopmentError.self) { _ = try await system.up([script("a", "exit 2")]) }
        #expect(error?.code == .configuration && error?.exitStatus == .wrongRequest)
        #expect(DevelopmentError(.component, "").exitStatus == .worldFailed)
    }

    @Test("one that is never ready is given up, and ended")
    func neverReady() async throws {
        var system = system
        system.readyTimeout = .milliseconds(300)
        await #expect(throws: DevelopmentError(.component, "")) {
            _ = try await system.up([script("a", "echo $$ > \(scratch.path("pid")); exec sleep 1000")])
        }
        #expect(try await !isRunning(number(in: "pid")))
    }

    @Test("an interrupted up leaves nothing running")
    func interruption() async throws {
        let system = system
        let components = [
            script("ready"), script("slow", "echo $$ > \(scratch.path("pid")); exec sleep 1000", after: ["ready"]),
        ]
        let task = Task { try await system.up(components) }
        let slow = try await number(in: "pid")
        let running = system.status.running
        task.cancel()
        await #expect(throws: DevelopmentError(.interrupted, "")) { _ = try await task.value }
        #expect(!isRunning(slow))
        #expect(running.allSatisfy { !isRunning($0.processID) })
        #expect(system.status.running.isEmpty)
    }

    @Test("one that ignores the request to end is killed, with its children")
    func stubborn() async throws {
        var system = system
        system.stopTimeout = .milliseconds(300)
        let component = script(
            "stubborn",
            """
            trap '' TERM; (trap '' TERM; echo $$ > /dev/null; exec sh -c 'echo $$ > \(scratch.path("child")); while :; do sleep 1; done') &
            echo listening on x; while :; do sleep 1; done
            """)
        let up = try await system.up([component])
        let child = try await number(in: "child")
        #expect(isRunning(child))
        #expect(try await system.down().count == 1)
        #expect(!isRunning(up.components[0].processID) && !isRunning(child))
    }

    @Test("children that outlive their leader are ended, too")
    func orphans() async throws {
        let component = script(
            "a", "sh -c 'echo $$ > \(scratch.path("child")); exec sleep 1000' & echo listening on x; exec sleep 1000")
        let up = try await system.up([component])
        let child = try await number(in: "child")
        kill(up.components[0].processID, SIGKILL)
        #expect(try await eventually { !isRunning(up.components[0].processID) })
        #expect(isRunning(child))
        _ = try await system.down()
        #expect(!isRunning(child))
    }

    @Test("a process that has got the number of an ended one is never touched")
    func recycled() async throws {
        let stranger = Process()
        stranger.executableURL = URL(fileURLWithPath: "/bin/sleep")
        stranger.arguments = ["1000"]
        stranger.standardInput = FileHandle.nullDevice
        stranger.standardOutput = FileHandle.nullDevice
        stranger.standardError = FileHandle.nullDevice
        try stranger.run()
        defer { kill(stranger.processIdentifier, SIGKILL) }
        let id = stranger.processIdentifier
        setpgid(id, id)
        // A record of that number, with another start time.
        _ = try await system.up([script("a")])
        let file = scratch.path("dev/run/a.json")
        let record = try String(contentsOfFile: file, encoding: .utf8)
        _ = try await system.down()
        let changed = try #require(try JSONSerialization.jsonObject(with: Data(record.utf8)) as? [String: Any])
            .merging(["pid": id, "start_time": 1]) { $1 }
        try JSONSerialization.data(withJSONObject: changed).write(to: URL(fileURLWithPath: file))
        #expect(system.status.ended == ["a"])
        #expect(try await system.down().isEmpty)
        #expect(isRunning(id) && stranger.isRunning)
    }

    @Test("records that make no sense are no records")
    func garbage() async throws {
        _ = try await system.up([script("a")])
        for (name, text) in [("x", "{"), ("y", "{\"pid\":-1}"), ("z", ""), ("w", "{\"pid\":1,\"start_time\":0}")] {
            try Data(text.utf8).write(to: URL(fileURLWithPath: scratch.path("dev/run/\(name).json")))
        }
        #expect(system.status.running.map(\.name) == ["a"])
        #expect(try await system.down().map(\.name) == ["a"])
    }

    @Test("of two that go up at once, one starts and the other finds it started")
    func race() async throws {
        let system = system
        let components = [script("a", "sleep 0.3; echo listening on x; exec sleep 1000")]
        async let one = system.up(components)
        async let other = system.up(components)
        let results = try await [one, other]
        #expect(results.map(\.isReused).sorted { !$0 && $1 } == [false, true])
        #expect(results[0].components == results[1].components)
        _ = try await system.down()
    }

    @Test("directories that cannot work are refused before anything starts")
    func directories() async throws {
        try scratch.write("", "file")
        for (path, code) in [
            (scratch.path("file"), DevelopmentError.Code.system), (scratch.path("file/below"), .system),
            ("/proc/dstack-dev", .system),
        ] {
            let system = DevelopmentSystem(try DevelopmentDirectory(path))
            await #expect(throws: DevelopmentError(code, "")) { _ = try await system.up([script("a")]) }
        }
        for path in ["", "/" + String(repeating: "x", count: 90)] {
            #expect(throws: DevelopmentError(.configuration, "")) { _ = try DevelopmentDirectory(path) }
        }
        let missing = Component(name: "a", executable: "/nonexistent", readiness: .announces("x"))
        for components in [[missing], [script("a", after: ["b"]), script("b")], [script("a"), script("a")]] {
            await #expect(throws: DevelopmentError(.configuration, "")) { _ = try await system.up(components) }
        }
        #expect(!FileManager.default.fileExists(atPath: directory.path))
        #expect(try await system.down().isEmpty)
    }
}
