import Foundation
import TestKit
import Testing

/// Directories that a person names by mistake, with files of the person's own in them.
@Suite("Files of somebody else's", .enabled(if: DevSystem.isThere, DevSystem.absence))
struct ForeignFileTests {
    private let scratch: ScratchDirectory
    private var place: String { scratch.path("place") }

    init() throws {
        scratch = try ScratchDirectory()
        try FileManager.default.createDirectory(atPath: scratch.path("place"), withIntermediateDirectories: false)
    }

    private static let precious = #"{"manifest_version":2,"name":"precious","runner":"docker-compose"}"#

    /// Every name below a directory, with the content of files.
    private func content(_ path: String? = nil) throws -> [String: Data] {
        let root = path ?? place
        let names = try FileManager.default.subpathsOfDirectory(atPath: root)
        return Dictionary(
            uniqueKeysWithValues: names.map { ($0, FileManager.default.contents(atPath: root + "/" + $0) ?? Data()) })
    }

    private func expectUntouched(
        _ what: String, status: Int32 = 2, saying words: String = "", _ run: () async throws -> Program.Output
    ) async throws {
        let before = try content()
        let result = try await run()
        #expect(result.status == status && (words.isEmpty || result.errors.contains(words)), "\(what): \(result)")
        #expect(try content() == before, "\(what)")
    }

    @Test(
        "mock-tee replaces no file that it did not write, and writes nothing then",
        arguments: [
            "app-compose.json", "quote.bin", "event-log.json", "vm-config.json", "attestation.bin", "collateral.json",
            "root.pem",
        ])
    func mockTEE(name: String) async throws {
        try Data(Self.precious.utf8).write(to: URL(fileURLWithPath: place + "/" + name))
        try await expectUntouched(name, saying: name) { try await Program.dstack("mock-tee", place) }
        // A link leads to a file that may be anybody's, or is of no use as a place for one.
        try FileManager.default.moveItem(atPath: place + "/" + name, toPath: scratch.path("elsewhere"))
        try FileManager.default.createSymbolicLink(
            atPath: place + "/" + name, withDestinationPath: scratch.path("elsewhere"))
        try await expectUntouched(name, saying: name) { try await Program.dstack("mock-tee", place) }
    }

    @Test("mock-tee makes its own files anew, but none that was changed since, and none of a simulation")
    func mockTEEAgain() async throws {
        #expect(try await Program.dstack("mock-tee", place).status == 0)
        let first = try content()
        #expect(try await Program.dstack("mock-tee", place, "--report-data", "c0ffee").status == 0)
        let second = try content()
        #expect(first["quote.bin"] != second["quote.bin"] && first["root.pem"] == second["root.pem"])
        // The list is one for sha256sum.
        let sums = try await Program.run(
            "/usr/bin/sha256sum", ["-c", "--strict", ".mock-tee.sha256"], in: URL(fileURLWithPath: place))
        #expect(sums.status == 0, "\(sums)")

        let compose = URL(fileURLWithPath: place + "/app-compose.json")
        try Data(Self.precious.utf8).write(to: compose)
        try await expectUntouched("changed since", saying: "app-compose.json") {
            try await Program.dstack("mock-tee", place)
        }
        // The very file that is to be written is not lost.
        #expect(try await Program.dstack("mock-tee", place, "--app-compose", compose.path).status == 0)
        #expect(try content()["app-compose.json"] == Data(Self.precious.utf8))

        let simulation = scratch.path("sim")
        #expect(try await Program.run("dstack-guest-agent", ["--simulate", simulation, "--background"]).status == 0)
        let before = try content(simulation)
        let refused = try await Program.dstack("mock-tee", simulation)
        #expect(refused.status == 2 && refused.errors.contains("attestation.bin"), "\(refused)")
        #expect(try Set(content(simulation).keys) == Set(before.keys))
        #expect(try content(simulation)["attestation.bin"] == before["attestation.bin"])
        #expect(try await Program.dstack("dev", "down", "--dir", simulation).status == 0)
    }

    @Test("a simulation in a directory with files of its names is refused, and leaves nothing there")
    func simulation() async throws {
        for name in ["app-compose.json", "root.pem", "collateral.json", "simulation.json"] {
            let file = URL(fileURLWithPath: place + "/" + name)
            try Data(Self.precious.utf8).write(to: file)
            for arguments in [[], ["--background"]] {
                try await expectUntouched("\(name) \(arguments)", saying: name) {
                    try await Program.run("dstack-guest-agent", ["--simulate", place] + arguments)
                }
            }
            try FileManager.default.removeItem(at: file)
        }
    }

    @Test("an agent in the background that is refused leaves nothing behind: no log, no lock, no directory")
    func refusedAgent() async throws {
        try scratch.write("{", "bad.json")
        try scratch.write(#"{"default":{"core":{"certificates":{"max_validity":null}}}}"#, "settings.json")
        let new = scratch.path("new/sub")
        for options in [["--app-compose", scratch.path("bad.json")], ["--config", scratch.path("settings.json")]] {
            for path in [place, new] {
                try await expectUntouched("\(options) \(path)") {
                    try await Program.run("dstack-guest-agent", ["--simulate", path, "--background"] + options)
                }
            }
            #expect(!FileManager.default.fileExists(atPath: scratch.path("new")), "\(options)")
        }
    }

    @Test("dev up in a directory of something else is refused, and neither replaces nor removes a file there")
    func developmentSystem() async throws {
        for name in ["app-compose.json", "guest/app-compose.json", "lock/x", "notes"] {
            let file = URL(fileURLWithPath: place + "/" + name)
            try FileManager.default.createDirectory(
                at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(Self.precious.utf8).write(to: file)
            try await expectUntouched(name, saying: "files of something else") {
                try await Program.dstack("dev", "up", "--dir", place)
            }
            try FileManager.default.removeItem(atPath: place)
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
        }
    }

    @Test("dev down and dev status leave nothing in a directory in which nothing was started")
    func down() async throws {
        try Data("mine".utf8).write(to: URL(fileURLWithPath: place + "/notes"))
        for (command, status) in [("down", 0), ("status", 1)] as [(String, Int32)] {
            try await expectUntouched(command, status: status) {
                try await Program.dstack("dev", command, "--dir", place)
            }
        }
    }
}
