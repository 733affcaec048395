import Foundation
import TestKit
import Testing

/// `dstack-guest-agent --background` and `dstack dev up` where something runs already: what is left out is satisfied by what
/// runs, and what says something else is never taken for it.
@Suite("What runs already", .enabled(if: DevSystem.isThere, DevSystem.absence))
struct BackgroundTests {
    private let scratch: ScratchDirectory
    private var simulation: String { scratch.path("simulation") }

    init() throws { scratch = try ScratchDirectory() }

    private func agent(_ path: String, _ options: [String] = [], in directory: String = "") async throws
        -> Program.Output
    {
        try await Program.run(
            "dstack-guest-agent", ["--simulate", path, "--background"] + options,
            in: scratch.url.appendingPathComponent(directory))
    }

    private func processID() async throws -> Int {
        let status = try await Program.dstack("dev", "status", "--dir", simulation, "--json").object()
        return try #require((status["running"] as? [[String: Any]])?.first?["pid"] as? Int)
    }

    @Test("an agent that runs is left alone by whoever leaves options out, or calls its directory something else")
    func leftAlone() async throws {
        let compose = try scratch.write(
            #"{"manifest_version":2,"name":"mine","runner":"docker-compose"}"#, "app-compose.json"
        )
        let settings = try scratch.write(#"{"default":{"ident":"mine"}}"#, "settings.json")
        for directory in ["sub", "sub/deep"] {
            try FileManager.default.createDirectory(
                atPath: scratch.path(directory), withIntermediateDirectories: false)
        }
        try FileManager.default.createSymbolicLink(atPath: scratch.path("link"), withDestinationPath: "simulation")
        // Found as free; somebody else may be faster.
        let socket = try LocalPort(0)
        let port = "\(socket.number)"
        socket.close()
        let first = try await agent(
            "simulation", ["--app-compose", compose, "--config", settings, "--external-port", port])
        #expect(first.status == 0 && first.errors.contains("the agent runs and answers"), "\(first)")
        let process = try await processID()

        for (path, options, directory) in [
            ("./simulation", [], ""), ("../simulation", [], "sub"), ("../../simulation/", [], "sub/deep"),
            ("link", [], ""), (simulation, [], "sub"), ("sub/.././simulation", ["--external-port", port], ""),
            ("simulation", ["--app-compose", "../app-compose.json"], "sub"),
            ("simulation", ["--config", "settings.json"], ""),
        ] as [(String, [String], String)] {
            // Relative to where it is typed.
            let path = path == "simulation" && directory == "sub" ? "../simulation" : path
            let again = try await agent(path, options, in: directory)
            #expect(again.status == 0 && again.errors.contains("the agent runs already"), "\(path): \(again)")
            #expect(try await processID() == process, "\(path)")
            #expect(again.errors.contains(":\(port)/"), "\(path): \(again)")
        }

        // Who asks for something else hears what differs, and nothing happens to what runs.
        let other = try scratch.write(
            #"{"manifest_version":2,"name":"other","runner":"docker-compose"}"#, "other.json"
        )
        try scratch.write(#"{"default":{"ident":"other"}}"#, "settings.json")
        for (options, words) in [
            (["--external-port", "1"], "with --external-port \(port), not 1"),
            (["--config", settings], "with --config \(settings) as it was then"),
            (["--config", other], "with --config \(settings), not \(other)"),
            (["--app-compose", other], "another application"),
        ] {
            let refused = try await agent("simulation", options)
            #expect(refused.status == 2 && refused.errors.contains(words), "\(refused)")
            #expect(try await processID() == process, "\(options)")
        }
        #expect(try await Program.dstack("dev", "down", "--dir", scratch.path("link")).status == 0)

        // What was never said differs from what is asked for now.
        #expect(try await agent("simulation").status == 0)
        let refused = try await agent("simulation", ["--config", settings])
        #expect(refused.status == 2 && refused.errors.contains("without --config"), "\(refused)")
        #expect(try await Program.dstack("dev", "down", "--dir", simulation).status == 0)
    }

    @Test("what an agent in the background says to type works in any directory")
    func commands() async throws {
        let up = try await agent("simulation")
        let words = try #require(up.errors.split(separator: "\n").first { $0.hasPrefix("to end it: ") })
        let down = try await Program.run(
            "/bin/sh", ["-c", String(words.dropFirst("to end it: ".count))], in: URL(fileURLWithPath: "/"))
        #expect(down.status == 0 && down.output.hasPrefix("ended guest-agent"), "\(up)\n\(down)")
    }

    @Test("what has the name of the logs' or the records' directory and is none is named, and nothing is written")
    func taken() async throws {
        let elsewhere = scratch.path("elsewhere")
        try FileManager.default.createDirectory(atPath: elsewhere, withIntermediateDirectories: false)
        let rows: [(String, (String) -> Bool)] = [
            ("a file", { FileManager.default.createFile(atPath: $0, contents: Data("mine".utf8)) }),
            ("a symbolic link", { symlink(elsewhere, $0) == 0 }), ("a pipe", { mkfifo($0, 0o600) == 0 }),
        ]
        for name in ["log", "run"] {
            for (kind, make) in rows {
                try FileManager.default.createDirectory(atPath: simulation, withIntermediateDirectories: false)
                #expect(make("\(simulation)/\(name)"))
                let result = try await agent("simulation")
                #expect(result.status == 2, "\(result)")
                #expect(result.errors.contains("/simulation/\(name) is \(kind), where"), "\(result)")
                #expect(result.errors.contains("hint: move it away"), "\(result)")
                #expect(try FileManager.default.contentsOfDirectory(atPath: simulation) == [name])
                #expect(try FileManager.default.contentsOfDirectory(atPath: elsewhere).isEmpty)
                if kind == "a file" { #expect(scratch.text("simulation/\(name)") == "mine") }
                try FileManager.default.removeItem(atPath: simulation)
            }
        }
    }

    @Test("standard input is no file for an agent that outlives it")
    func standardInput() async throws {
        for option in ["--app-compose", "--config"] {
            let result = try await agent("simulation", [option, "-"])
            #expect(result.status == 2 && result.errors.contains("standard input"), "\(result)")
            #expect(!FileManager.default.fileExists(atPath: simulation))
        }
    }

    @Test("dev up goes on with the application and the address that it has, until an option says something else")
    func developmentSystem() async throws {
        let system = try DevSystem()
        let compose = try scratch.write(
            #"{"manifest_version":2,"name":"mine","runner":"docker-compose"}"#, "app-compose.json"
        )
        let socket = try LocalPort(0)
        let address = "127.0.0.1:\(socket.number)"
        socket.close()
        #expect(try await system.dev("up", "--app-compose", compose, "--listen", address).status == 0)
        let processes = system.processes.sorted()
        let again = try await system.dev("up")
        #expect(again.status == 0 && again.errors.contains("run already"), "\(again)")
        #expect(system.processes.sorted() == processes)
        #expect(try await system.url() == "https://\(address)")

        // The keys of an application are not lost to an example.
        #expect(try await system.dev("down").status == 0)
        let keys = try Data(contentsOf: URL(fileURLWithPath: system.path + "/guest/appkeys.json"))
        let later = try await system.dev("up")
        #expect(later.status == 0 && later.errors.contains("started"), "\(later)")
        #expect(try Data(contentsOf: URL(fileURLWithPath: system.path + "/guest/appkeys.json")) == keys)
        #expect(try await system.dev("down").status == 0)
    }

    @Test("what dev up prints works in any directory, whatever words it was called by")
    func anywhere() async throws {
        // Called as people do: a relative path to the program, and one to the directory.
        let programs = try #require(Program.directory)
        try FileManager.default.createSymbolicLink(
            at: scratch.url.appendingPathComponent("bin"), withDestinationURL: programs)
        let up = try await Program.run(
            "/bin/sh", ["-c", "bin/dstack dev up --dir dev"], in: scratch.url)
        #expect(up.status == 0, "\(up)")
        let elsewhere = URL(fileURLWithPath: "/")
        let verify = try #require(up.output.range(of: "Verify it again\n"))
        let command = up.output[verify.upperBound...].components(separatedBy: "\n\n")[0]
        let verified = try await Program.run("/bin/sh", ["-c", command], in: elsewhere)
        #expect(verified.status == 0 && verified.output.hasPrefix("YES "), "\(verified)")
        let stop = try #require(up.output.range(of: "Stop it\n"))
        let down = try await Program.run("/bin/sh", ["-c", String(up.output[stop.upperBound...])], in: elsewhere)
        #expect(down.status == 0 && down.output.contains("ended app"), "\(down)")
    }
}
