import DstackAttestation
import Foundation
import TestKit
import Testing

/// Who simulates a TEE: `dstack-simulator` alone, which others become.
@Suite("The simulator", .enabled(if: DevSystem.isThere, DevSystem.absence))
struct SimulatorTests {
    private let scratch: ScratchDirectory
    private var simulation: String { scratch.path("sim") }

    init() throws { scratch = try ScratchDirectory() }

    private func client(_ socket: String) -> DstackClient { DstackClient(.unix(socket), startupTime: .zero) }

    private func untilReachable(_ socket: String, _ program: StartedProgram) async throws {
        let isThere = try await eventually {
            let isReachable = await self.client(socket).isReachable(within: .seconds(5))
            return isReachable || !program.isRunning
        }
        #expect(isThere && program.isRunning, "\(program.errors)")
    }

    /// The program file of a process.
    private func file(of process: StartedProgram) -> String {
        URL(fileURLWithPath: "/proc/\(process.processID)/exe").resolvingSymlinksInPath().lastPathComponent
    }

    @Test(
        "the agent and the operator's command become the simulator: one process, with its signals and its status",
        arguments: ["dstack-guest-agent --simulate", "dstack simulate", "dstack-simulator"])
    func become(_ words: String) async throws {
        let words = words.split(separator: " ").map(String.init)
        let running = try StartedProgram(words[0], Array(words.dropFirst()) + [simulation])
        try await untilReachable(simulation + "/dstack.sock", running)
        #expect(file(of: running) == "dstack-simulator")
        #expect(running.errors.contains("simulated: no TEE here"), "\(running.errors)")
        // Who asked for another program is told of it, in one line.
        let lines = running.errors.split(separator: "\n").filter { $0.contains("this program has no simulated TEE") }
        #expect(lines.count == (words[0] == "dstack-guest-agent" ? 1 : 0), "\(running.errors)")
        #expect(lines.allSatisfy { $0.contains("/dstack-simulator: ") })
        running.signal(SIGTERM)
        await running.expectEnd()
        #expect(!FileManager.default.fileExists(atPath: simulation + "/dstack.sock"))
    }

    @Test("a disk that is full while a simulation is made is the world's failure")
    func fullDisk() async throws {
        let mount =
            "unshare --mount --map-root-user sh -c 'mount -t tmpfs -o size=4k none \"$1\" && shift && exec \"$@\"'"
        try FileManager.default.createDirectory(atPath: simulation, withIntermediateDirectories: false)
        let program = try #require(Program.path("dstack-simulator"))
        let result = try await Program.run("/bin/sh", ["-c", "\(mount) - \(simulation) \(program) \(simulation)"])
        #expect(result.status == 3, "\(result)")
        #expect(result.errors.contains("No space left on device"), "\(result)")
    }

    @Test(
        "a program without the simulator beside it says what is missing and where it was looked for, and makes nothing")
    func missing() async throws {
        for (name, arguments) in [
            ("dstack-guest-agent", ["--simulate", simulation]), ("dstack", ["simulate", simulation]),
            ("dstack-guest-agent", ["--simulate", simulation, "--background"]),
        ] {
            let copy = scratch.path(name)
            try? FileManager.default.copyItem(atPath: try #require(Program.path(name)), toPath: copy)
            let result = try await Program.run(copy, arguments)
            let path = URL(fileURLWithPath: scratch.path).resolvingSymlinksInPath().path + "/dstack-simulator"
            #expect(result.status == 3 && result.errors.contains("there is no \(path), "), "\(result)")
            #expect(!FileManager.default.fileExists(atPath: simulation))
        }
    }

    @Test("without a directory it is upstream's simulator: recorded files and sockets in the working directory")
    func workingDirectory() async throws {
        #expect(try await Program.dstack("simulate", simulation, "--background").status == 0)
        #expect(try await Program.dstack("dev", "down", "--dir", simulation).status == 0)
        let place = scratch.path("place")
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
        let directory = URL(fileURLWithPath: place)
        let alone = try await Program.run("dstack-simulator", [], in: directory)
        #expect(alone.status == 2 && alone.errors.contains("dstack-simulator ./simulation"), "\(alone)")

        let files = ["appkeys.json", "app-compose.json", "sys-config.json", "attestation.bin"]
        for name in files {
            try FileManager.default.copyItem(atPath: "\(simulation)/\(name)", toPath: "\(place)/\(name)")
        }
        let running = try StartedProgram("dstack-simulator", [], in: directory)
        try await untilReachable(place + "/dstack.sock", running)
        #expect(try await client(place + "/dstack.sock").info().appName == "example")
        for name in ["dstack", "tappd", "external", "guest"] {
            #expect(FileManager.default.fileExists(atPath: "\(place)/\(name).sock"))
        }
        running.signal(SIGTERM)
        await running.expectEnd()
        #expect(try !FileManager.default.contentsOfDirectory(atPath: place).contains { $0.hasSuffix(".sock") })
    }

    @Test(
        "an agent whose settings ask for recorded evidence becomes the simulator with these settings, not with its own")
    func settings() async throws {
        #expect(try await Program.dstack("simulate", simulation, "--background").status == 0)
        #expect(try await Program.dstack("dev", "down", "--dir", simulation).status == 0)
        let text = """
            {"default": {"core": {
                "keys_file": "\(simulation)/appkeys.json", "compose_file": "\(simulation)/app-compose.json",
                "sys_config_file": "\(simulation)/sys-config.json", "frobnicate": 1,
                "simulator": {"attestation_file": "\(simulation)/attestation.bin"}}},
             "internal": {"address": "unix:\(scratch.path("a.sock"))"},
             "internal-v0": {"address": "unix:\(scratch.path("b.sock"))"},
             "external": {"address": "127.0.0.1", "port": 0},
             "guest-api": {"address": "unix:\(scratch.path("c.sock"))"}}
            """
        let config = try scratch.write(text, "agent.json")
        let running = try StartedProgram("dstack-guest-agent", ["-c", config])
        try await untilReachable(scratch.path("a.sock"), running)
        #expect(file(of: running) == "dstack-simulator")
        // What each of the two programs could have said is said once.
        let problems = running.errors.split(separator: "\n").filter { $0.contains("frobnicate") }
        #expect(problems.count == 1, "\(running.errors)")
        running.signal(SIGTERM)
        await running.expectEnd()

        // A pipe can be read once, and the simulator has to read it, too.
        let piped = try await Program.run(
            "/bin/sh",
            ["-c", "cat '\(config)' | \(try #require(Program.path("dstack-guest-agent"))) -c -"])
        #expect(piped.status == 2 && piped.errors.contains("name a file"), "\(piped)")
    }

    @Test(
        "what only a simulation in a directory has is refused without one, by its name",
        arguments: [["--background"], ["--external-port", "1"], ["--app-compose", "x"]])
    func needsDirectory(_ arguments: [String]) async throws {
        for (program, words) in [("dstack-simulator", []), ("dstack", ["simulate"]), ("dstack-guest-agent", [])] {
            let result = try await Program.run(program, words + arguments, in: scratch.url)
            #expect(result.status == 2 && result.errors.contains(arguments[0]), "\(result)")
        }
    }
}
