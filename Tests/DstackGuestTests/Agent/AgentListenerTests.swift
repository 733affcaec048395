import DstackCrypto
import DstackEncoding
import DstackGuest
import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackNetwork
import DstackSimulation
import DstackSystem
import Foundation
import Glibc
import Synchronization
import TestKit
import Testing

@Suite("Guest agent: sockets")
struct AgentListenerTests {
    private func mode(_ path: String) -> UInt32? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o777 : nil
    }

    @Test("containers of every user reach the sockets, unless another mode is configured")
    func modes() async throws {
        var settings = AgentFixture.settings
        settings.listeners.tappd.mode = 0o660
        let bench = try await BenchAgent(settings)
        #expect(mode(bench.path("dstack")) == 0o777)
        #expect(mode(bench.path("tappd")) == 0o660)
        let simulated = try await AgentFixture()
        // Whoever reaches this one can end the machine.
        #expect(mode(simulated.path("guest")) == 0o600)
    }

    @Test("a stranger over TCP does not end the machine, whichever address the guest API is at")
    func guestAPI() async throws {
        var settings = AgentFixture.settings
        settings.listeners.guestAPI.address = .tcp(host: "127.0.0.1", port: 0)
        for (peers, status) in [
            (HostPeers.host, 403), (HostPeers([.vsock(.max)]), 403),
            (HostPeers([try #require(.init("10.0.2.2"))]), 403), (HostPeers([try #require(.init("127.0.0.1"))]), 200),
        ] {
            settings.listeners.hostPeers = peers
            let actions = CountedActions()
            let bench = try await BenchAgent(settings, actions: actions)
            let port = try #require(bench.bound.first { $0.name == "guest-api" }?.port)
            for path in ["/api/Version", "/api/Info", "/api/Nope"] {
                let answer = try await AgentFixture.get("http://127.0.0.1:\(port)\(path)")
                #expect(answer.status == status || (status == 200 && path != "/api/Info"), "\(path) \(answer.text)")
            }
            let shutdown = try await AgentFixture.get("http://127.0.0.1:\(port)/api/Shutdown")
            #expect(shutdown.status == status)
            if status == 403 { #expect(shutdown.error?.contains("guest-api.peers") == true) }
            if status == 200 {
                #expect(try await eventually { actions.count > 0 })
            } else {
                try await Task.sleep(for: .milliseconds(200))
            }
            #expect(actions.count == (status == 200 ? 1 : 0))
        }
    }

    private final class CountedActions: GuestActions {
        private let calls = Mutex(0)
        var count: Int { calls.withLock { $0 } }
        func shutDown() async { calls.withLock { $0 += 1 } }
    }

    @Test("a directory in which everybody can put another socket is refused, one like /tmp is not")
    func openDirectory() async throws {
        let bench = try await BenchAgent()
        var settings = bench.agent.settings
        let directory = bench.fixture.path + "/open"
        #expect(mkdir(directory, 0o700) == 0)
        for (bits, isRefused) in [(0o777, true), (0o1777, false), (0o775, false)] as [(UInt32, Bool)] {
            #expect(chmod(directory, bits) == 0)
            settings.listeners.main.address = .unix(path: directory + "/dstack.sock")
            settings.listeners.tappd.address = .unix(path: bench.fixture.path + "/tappd3.sock")
            settings.listeners.guestAPI.address = .unix(path: bench.fixture.path + "/guest3.sock")
            let agent = GuestAgent(settings, files: try GuestFiles(settings.files), attester: bench.attester)
            guard isRefused else {
                _ = try GuestServer(agent, inherited: [])
                continue
            }
            let error = #expect(throws: GuestError.self) { _ = try GuestServer(agent, inherited: []) }
            #expect(error?.code == .invalidConfiguration && error?.reason.contains("everybody may write") == true)
        }
    }

    @Test("a link in the place of a socket's lock does not make the file that it names")
    func lockLinks() async throws {
        let bench = try await BenchAgent()
        var settings = bench.agent.settings
        let path = bench.fixture.path
        #expect(symlink(path + "/victim", path + "/other.sock.lock") == 0)
        settings.listeners.main.address = .unix(path: path + "/other.sock")
        let agent = GuestAgent(settings, files: try GuestFiles(settings.files), attester: bench.attester)
        let error = #expect(throws: GuestError.self) { _ = try GuestServer(agent, inherited: []) }
        #expect(error?.reason.contains("symbolic link") == true)
        #expect(mode(path + "/victim") == nil)
    }

    @Test("a second agent finds that the first has the socket; a socket that was left behind is replaced")
    func locks() async throws {
        let bench = try await BenchAgent()
        var settings = bench.agent.settings
        let files = try GuestFiles(settings.files)
        let second = GuestAgent(settings, files: files, attester: bench.attester)
        let error = #expect(throws: GuestError.self) { _ = try GuestServer(second, inherited: []) }
        #expect(error?.code == .inUse && error?.reason == "another process serves it")

        let stale = bench.fixture.path + "/stale.sock"
        close(try UnixSocket.bound(to: stale))
        settings.listeners.main.address = .unix(path: stale)
        settings.listeners.tappd.address = .unix(path: bench.fixture.path + "/tappd2.sock")
        settings.listeners.guestAPI.address = .unix(path: bench.fixture.path + "/guest2.sock")
        settings.listeners.main.replacesStale = false
        let third = GuestAgent(settings, files: files, attester: bench.attester)
        #expect(throws: GuestError(.invalidConfiguration, subject: "", reason: "")) {
            _ = try GuestServer(third, inherited: [])
        }
        settings.listeners.main.replacesStale = true
        let fourth = GuestAgent(settings, files: files, attester: bench.attester)
        let server = try GuestServer(fourth, inherited: [])
        _ = try await server.start()
        #expect(try await AgentFixture.post(stale, "/Version").status == 200)
        await server.stop(within: .seconds(5))
        #expect(mode(stale) == nil)
    }

    @Test("draining lets a call under way finish and takes no more")
    func draining() async throws {
        let bench = try await BenchAgent()
        #expect(try await bench.post("dstack", "/Info").status == 200)
        bench.attester.set { $0.delay = .milliseconds(500) }
        let quotes = bench.attester.quotes
        async let answer = bench.post("dstack", "/GetQuote")
        #expect(try await eventually { bench.attester.quotes > quotes })
        await bench.server.stop(within: .seconds(30))
        #expect(try await answer.status == 200)
        #expect(mode(bench.path("dstack")) == nil)
    }

    /// Connections that each hold the beginning of a request that never ends.
    private static func strangers(_ count: Int, at port: UInt32) -> [RawConnection] {
        var strangers: [RawConnection] = []
        // Fewer than there are places where the system gives a process few descriptors.
        for _ in 0..<count {
            guard let stranger = try? RawConnection(port: UInt16(port)) else { break }
            stranger.send("GET /prpc/Info HT")
            strangers.append(stranger)
        }
        return strangers
    }

    @Test("strangers who take all places on the public port take none of the application's")
    func flood() async throws {
        let bench = try await BenchAgent()
        let strangers = Self.strangers(300, at: bench.port)
        defer { extendLifetime(strangers) }
        #expect(strangers.count > 100)
        for _ in 0..<20 { #expect(try await bench.post("dstack", "/GetKey").status == 200) }
        #expect(try await bench.external("/prpc/Version").status == 200)
    }

    @Test(
        "bodies of more than some KiB are refused on the public port before they are read, and the application has its 10 MiB"
    )
    func publicBodies() async throws {
        let bench = try await BenchAgent()
        for path in ["/prpc/Worker.Version", "/prpc/v1/Version", "/", "/prpc/GetAttestationForAppKey"] {
            let url = "http://127.0.0.1:\(bench.port)\(path)"
            let body = [UInt8](repeating: 0x20, count: 16_385)
            let answer = try await HTTPClient(HTTPClientConfiguration()).send(HTTPRequest(.post, url, body: body))
            #expect(answer.status == 413, "\(path)")
            #expect(String(decoding: answer.body, as: UTF8.self).contains("\"error\""))
        }
        #expect(bench.server.publicStatistics.bufferedBodyBytes == 0)
        let padding = String(repeating: " ", count: 9 << 20)
        #expect(try await bench.post("dstack", "/GetKey", "{\(padding)}").status == 200)
    }

    @Test("strangers that fill the public port decide nothing about the agent's life")
    func probeAmongStrangers() async throws {
        let bench = try await BenchAgent()
        let strangers = Self.strangers(300, at: bench.port)
        defer { extendLifetime(strangers) }
        for _ in 0..<20 { try await bench.server.probe() }
    }

    @Test("the agent asks itself, and says which socket is not there any more")
    func probes() async throws {
        let bench = try await BenchAgent()
        try await bench.server.probe()
        #expect(unlink(bench.path("tappd")) == 0)
        await #expect(throws: (any Error).self) { try await bench.server.probe() }
    }
}

/// The program `dstack-guest-agent` as it was built with these tests.
enum AgentProgram {
    static let path: String? = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let runner = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        return [runner, root.appendingPathComponent(".build/debug")]
            .map { $0.appendingPathComponent("dstack-guest-agent").path }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }()

    static let isThere = path != nil
    static let absence: Testing.Comment = "needs dstack-guest-agent built with the tests"
}

@Suite("Guest agent: the program", .enabled(if: AgentProgram.isThere, AgentProgram.absence))
struct AgentProgramTests {
    @Test("a simulation says that it is one and where it listens, and leaves no socket behind")
    func simulation() async throws {
        let folder = try ScratchDirectory()
        let log = folder.url.appendingPathComponent("log")
        try Data().write(to: log)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(AgentProgram.path))
        process.arguments = ["--simulate", folder.path + "/sim"]
        process.environment = ["PATH": "/usr/bin:/bin", "NO_COLOR": "1"]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = try FileHandle(forWritingTo: log)
        try process.run()
        defer { if process.isRunning { process.terminate() } }
        func said() throws -> String { try String(contentsOf: log, encoding: .utf8) }
        #expect(try await eventually { try said().contains("(guest-api)") || !process.isRunning })
        let text = try said()
        #expect(text.contains("simulated: no TEE here"))
        for name in ["dstack", "tappd", "external", "guest"] {
            #expect(text.contains("listening on unix:\(folder.path)/sim/\(name).sock"), "\(text)")
        }
        let tcp = try #require(text.split(separator: "\n").first { $0.contains("http://127.0.0.1:") })
        let url = try #require(tcp.split(separator: " ").first { $0.hasPrefix("http://") })
        #expect(try await AgentFixture.get("\(url)/prpc/Worker.Version").status == 200)
        #expect(try await AgentFixture.get("\(url)/").text.contains("imulated"))
        #expect(try await AgentFixture.post(folder.path + "/sim/dstack.sock", "/Info").status == 200)
        // Who asked for which key is written down, but neither the key nor what it is for.
        let key = try await AgentFixture.post(
            folder.path + "/sim/dstack.sock", "/GetKey", #"{"path":"wallet of alice"}"#)
        #expect(key.status == 200)
        #expect(try await eventually { try said().contains("method=GetKey path_hash=") })
        let line = try #require(try said().split(separator: "\n").first { $0.contains("method=GetKey") })
        #expect(line.contains("component=guest.audit") && line.contains("pid=\(getpid()),uid=\(getuid())"))
        #expect(line.contains("status=200") && line.contains("latency="))
        #expect(try !said().contains("alice") && !said().contains(key.json.text("key")))
        process.terminate()
        #expect(try await eventually { !process.isRunning })
        #expect(process.terminationStatus == 0)
        for name in ["dstack", "tappd", "external", "guest"] {
            #expect(!FileManager.default.fileExists(atPath: "\(folder.path)/sim/\(name).sock"))
        }
    }

    @Test("who is refused a key leaves the hash of its path in the log")
    func refusals() async throws {
        let folder = try ScratchDirectory()
        let log = folder.url.appendingPathComponent("log")
        try Data().write(to: log)
        try folder.write(
            Array(#"{"default":{"core":{"access":{"rules":[{"paths":["web/"]}]}}}}"#.utf8), "agent.json")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(AgentProgram.path))
        process.arguments = ["-c", folder.path + "/agent.json", "--simulate", folder.path + "/sim"]
        process.environment = ["PATH": "/usr/bin:/bin", "NO_COLOR": "1"]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = try FileHandle(forWritingTo: log)
        try process.run()
        defer { if process.isRunning { process.terminate() } }
        func said() throws -> String { try String(contentsOf: log, encoding: .utf8) }
        #expect(try await eventually { try said().contains("(guest-api)") || !process.isRunning })
        let socket = folder.path + "/sim/dstack.sock"
        for (path, body) in [
            ("/GetKey", #"{"path":"secret"}"#), ("/v1/GetKey", #"{"domain":"secret","algorithm":"ed25519"}"#),
            ("/GetKey", #"{"path":"web/a"}"#),
        ] { _ = try await AgentFixture.post(socket, path, body) }
        let label = SHA256.hash(Array("secret".utf8)).hex.prefix(16)
        #expect(try await eventually { try said().contains("status=200") })
        let lines = try said().split(separator: "\n").filter { $0.contains("method=GetKey") }
        #expect(lines.filter { $0.contains("status=403") && $0.contains("path_hash=\(label)") }.count == 1)
        #expect(try !said().contains("secret"))
        process.terminate()
        #expect(try await eventually { !process.isRunning })
    }

    @Test("a service manager's sockets are used and outlive restarts; it is told of readiness, life and end")
    func serviceManager() async throws {
        let folder = try ScratchDirectory()
        let directory = folder.path
        _ = try await SimulationDirectory.loadOrCreate(in: directory, at: Int64(Date().timeIntervalSince1970))
        let configuration = """
            {"default": {"core": {
                "keys_file": "\(directory)/appkeys.json", "compose_file": "\(directory)/app-compose.json",
                "sys_config_file": "\(directory)/sys-config.json", "audit": "off",
                "simulator": {"attestation_file": "\(directory)/attestation.bin"}}},
             "internal": {"address": "unix:\(directory)/dstack.sock"},
             "internal-v0": {"address": "unix:\(directory)/tappd.sock"},
             "external": {"address": "127.0.0.1", "port": 0},
             "guest-api": {"address": "unix:\(directory)/guest.sock"}}
            """
        try folder.write(Array(configuration.utf8), "agent.json")
        let output = try await PythonSDK.run("manager.py", [try #require(AgentProgram.path), directory], isPlain: true)
        #expect(output.status == 0 && output.text.hasSuffix("done\n"), "\(output.text)")
    }

    @Test("what is wrong is said with what to do about it")
    func failures() async throws {
        let folder = try ScratchDirectory()
        try folder.write(Array(#"{"default":{"core":{"keys_file":"/nowhere/keys"}}}"#.utf8), "agent.json")
        try folder.write(Array("{}".utf8), "appkeys.json")
        for (arguments, status, text) in [
            (["-c", folder.path + "/agent.json"], 2, "application keys: "),
            (["-c", folder.path + "/missing.json"], 2, "missing.json"),
            (["--simulate", folder.path], 2, "not app-compose.json"), (["--bogus"], 2, "bogus"),
        ] as [([String], Int32, String)] {
            let output = try await PythonSDK.run(try #require(AgentProgram.path), arguments, isProgram: true)
            #expect(output.status == status, "\(arguments) \(output.text)")
            #expect(output.text.contains(text), "\(output.text)")
        }
    }
}
