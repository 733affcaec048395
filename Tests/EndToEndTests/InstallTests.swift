import Foundation
import Glibc
import TestKit
import Testing

/// `Scripts/install`, with the programs that were built with the tests, and the units that it installs, as far as that can be
/// tried without systemd as the first process.
@Suite("Installing", .enabled(if: DevSystem.isThere, DevSystem.absence))
struct InstallTests {
    private let scratch: ScratchDirectory
    private static let package: URL = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        return root
    }()
    private static let units = [
        "dstack-verifier.service", "dstack-auth.service", "dstack-guest-agent.service", "dstack-kms.service",
    ]

    init() throws { scratch = try ScratchDirectory() }

    private func install(_ prefix: String, programs: String? = nil) async throws -> Program.Output {
        try await Program.run(
            Self.package.appendingPathComponent("Scripts/install").path,
            [prefix, scratch.path("root"), programs ?? (try #require(Program.directory)).path],
            environment: ["TMPDIR": scratch.path])
    }

    /// A unit's settings in their order.
    private func unit(_ name: String, prefix: String) -> [(name: String, value: String)] {
        let text = scratch.text("root\(prefix)/lib/systemd/system/\(name)")
        return text.split(separator: "\n").filter { $0.first?.isLetter == true }.map { line in
            let parts = line.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
            return (parts[0], parts.count > 1 ? parts[1] : "")
        }
    }

    @Test("programs, manual pages, completions and units are where a system looks for them, and nothing else is made")
    func files() async throws {
        let result = try await install("/usr/local")
        #expect(result.status == 0, "\(result)")
        var expected: Set<String> = []
        for program in [
            "dstack", "dstack-verifier", "dstack-auth", "dstack-kms", "dstack-guest-agent", "dstack-simulator",
        ] {
            expected.formUnion([
                "bin/\(program)", "share/man/man1/\(program).1", "share/bash-completion/completions/\(program)",
                "share/zsh/site-functions/_\(program)", "share/fish/vendor_completions.d/\(program).fish",
            ])
        }
        expected.insert("libexec/dstack/attested-service")
        for unit in Self.units { expected.insert("lib/systemd/system/\(unit)") }
        let root = scratch.path("root/usr/local")
        let made = Set(
            try FileManager.default.subpathsOfDirectory(atPath: root).filter { name in
                var isDirectory: ObjCBool = false
                _ = FileManager.default.fileExists(atPath: root + "/" + name, isDirectory: &isDirectory)
                return !isDirectory.boolValue
            })
        #expect(made == expected)
        #expect(Set(result.output.split(separator: "\n").map(String.init)) == Set(expected.map { "\(root)/\($0)" }))
        for name in expected {
            let attributes = try FileManager.default.attributesOfItem(atPath: root + "/" + name)
            #expect((attributes[.size] as? Int ?? 0) > 200, "\(name)")
            #expect(
                attributes[.posixPermissions] as? Int
                    == (name.contains("bin/") || name.contains("libexec/") ? 0o755 : 0o644), "\(name)")
        }
        // Nothing is left beside it either.
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path).sorted() == ["root"])
    }

    @Test("a prefix that a unit could not name, and programs that were not built, are refused before anything is made")
    func refused() async throws {
        for prefix in ["local", "", "/opt/a b", "/opt/$(id)", "/opt/%n", "/a|b"] {
            let result = try await install(prefix)
            // An empty one is the usual one.
            #expect(result.status == (prefix.isEmpty ? 0 : 2), "\(prefix): \(result)")
            try? FileManager.default.removeItem(atPath: scratch.path("root"))
        }
        let result = try await install("/usr", programs: scratch.path)
        #expect(result.status == 2 && result.errors.contains("make build first"), "\(result)")
        #expect(!FileManager.default.fileExists(atPath: scratch.path("root")))
    }

    @Test(
        "units name the installed programs, with arguments that these take, and are told when they are ready and alive")
    func units() async throws {
        #expect(try await install("/opt/dstack").status == 0)
        for name in Self.units {
            let settings = unit(name, prefix: "/opt/dstack")
            #expect(!scratch.text("root/opt/dstack/lib/systemd/system/\(name)").contains("@bindir@"), "\(name)")
            let start = try #require(settings.first { $0.name == "ExecStart" }?.value)
            #expect(start.hasPrefix("/opt/dstack/bin/\(name.dropLast(".service".count))"), "\(start)")
            #expect(settings.contains { $0 == ("Type", "notify") })
            #expect(
                settings.contains { $0.name == "WatchdogSec" }
                    && settings.contains { $0 == ("Restart", "always") || $0 == ("Restart", "on-failure") })
        }
    }

    @Test("what a unit starts says that it is ready and alive, and stops as the unit has it stopped")
    func verifier() async throws {
        #expect(try await install("/opt/dstack").status == 0)
        let settings = unit("dstack-verifier.service", prefix: "/opt/dstack")
        let start = try #require(settings.first { $0.name == "ExecStart" }?.value).split(separator: " ").map(
            String.init)
        // The directory of the settings, which are read if they are there.
        try FileManager.default.createDirectory(atPath: scratch.path("etc"), withIntermediateDirectories: false)
        let port = try LocalPort(0)
        try scratch.write("address = \"127.0.0.1\"\nport = \(port.number)\n", "etc/dstack-verifier.toml")
        port.close()
        let manager = try Manager(scratch.path("notify"))
        let service = try StartedProgram(
            scratch.path("root" + start[0]), Array(start.dropFirst()),
            environment: ["NOTIFY_SOCKET": scratch.path("notify"), "WATCHDOG_USEC": "2000000"],
            in: scratch.url.appendingPathComponent("etc"))
        #expect(try await eventually { manager.heard.contains { $0.hasPrefix("READY=1") } }, "\(service.errors)")
        #expect(try await eventually { manager.heard.contains("WATCHDOG=1") }, "\(service.errors)")
        // ExecReload.
        service.signal(SIGHUP)
        #expect(try await eventually { manager.heard.contains { $0.hasPrefix("RELOADING=1") } })
        #expect(try await eventually { manager.heard.filter { $0.hasPrefix("READY=1") }.count == 2 })
        service.signal(SIGTERM)
        await service.expectEnd()
        #expect(manager.heard.contains("STOPPING=1"))
    }

    @Test(
        "systemd finds no fault with the units",
        .enabled(if: Program.path("/usr/bin/systemd-analyze") != nil, "systemd is not installed"))
    func analyzed() async throws {
        #expect(try await install("/opt/dstack").status == 0)
        for name in Self.units {
            // With programs that are there: systemd looks for them.
            let text = scratch.text("root/opt/dstack/lib/systemd/system/\(name)")
            try scratch.write(
                text.replacingOccurrences(of: "=/opt/dstack/bin/", with: "=\(scratch.path("root/opt/dstack/bin"))/"),
                name)
            let result = try await Program.run(
                "/usr/bin/systemd-analyze", ["verify", "--man=no", "--recursive-errors=no", scratch.path(name)])
            #expect(result.status == 0, "\(name): \(result)")
            #expect(!result.errors.contains(name), "\(result)")
        }
    }

    /// The socket that a service manager listens at.
    private final class Manager {
        private let socket: Int32
        private var messages: [String] = []

        init(_ path: String) throws {
            socket = try UnixSocket.bound(to: path, __socket_type(SOCK_DGRAM.rawValue | SOCK_NONBLOCK.rawValue))
        }

        deinit { close(socket) }

        /// All messages so far.
        var heard: [String] {
            var buffer = [UInt8](repeating: 0, count: 4_096)
            while true {
                let count = recv(socket, &buffer, buffer.count, 0)
                guard count > 0 else { return messages }
                messages.append(String(decoding: buffer[..<count], as: UTF8.self))
            }
        }
    }
}
