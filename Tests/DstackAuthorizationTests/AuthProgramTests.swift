import DstackAuthorization
import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import Foundation
import TestKit
import Testing

/// `dstack-auth` as it was built with these tests.
final class AuthProgram: Sendable {
    static let path: String? = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        let runner = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        return [runner, root.appendingPathComponent(".build/debug")]
            .map { $0.appendingPathComponent("dstack-auth").path }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }()

    private let process = Process()
    private let directory: ScratchDirectory

    init(_ arguments: [String], environment: [String: String] = [:], in place: String? = nil) throws {
        directory = try ScratchDirectory()
        process.executableURL = URL(fileURLWithPath: try #require(Self.path))
        process.arguments = arguments
        process.environment = ["PATH": "/usr/bin:/bin", "NO_COLOR": "1"].merging(environment) { $1 }
        if let place { process.currentDirectoryURL = URL(fileURLWithPath: place) }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: directory.write("", "output")))
        process.standardError = try FileHandle(forWritingTo: URL(fileURLWithPath: directory.write("", "errors")))
        try process.run()
    }

    deinit { if process.isRunning { process.terminate() } }

    private func text(_ name: String) -> String {
        directory.text(name)
    }
    var output: String { text("output") }
    var errors: String { text("errors") }

    /// Waits for the end, no longer than only a broken program takes.
    func status() async throws -> Int32 {
        for _ in 0..<1_200 where process.isRunning { try await Task.sleep(for: .milliseconds(25)) }
        try #require(!process.isRunning, "\(errors)")
        return process.terminationStatus
    }

    /// Where a service says that it listens.
    func url() async throws -> String {
        for _ in 0..<1_200 where process.isRunning {
            if let match = errors.firstMatch(of: /listening on (http:\S+)/) { return String(match.1) }
            try await Task.sleep(for: .milliseconds(25))
        }
        return try #require(nil as String?, "\(errors)")
    }

    func terminate() async throws -> Int32 {
        process.terminate()
        return try await status()
    }
}

@Suite("The program dstack-auth", .enabled(if: AuthProgram.path != nil, "dstack-auth is not built"))
struct AuthProgramTests {
    private let directory: ScratchDirectory
    private let client = HTTPClient()

    private static let policy = """
        [[rule]]
        name = "shop"
        for = "app"
        apps = ["\(digits(0xA1, 20))"]
        compose_hashes = ["\(digits(0xC0, 32))"]
        os_images = ["\(digits(0x05, 32))"]
        any_device = true

        """

    init() throws {
        directory = try ScratchDirectory()
        try directory.write(Self.policy, "policy.toml")
        try directory.write(String(decoding: BootInfo.sample().json, as: UTF8.self), "info.json")
        let other = BootInfo.sample().with { $0.composeHash = .init(repeating: 0xCC) }
        try directory.write(String(decoding: other.json, as: UTF8.self), "other.json")
    }

    private func run(_ words: String..., environment: [String: String] = [:]) async throws -> (Int32, AuthProgram) {
        let program = try AuthProgram(words, environment: environment, in: directory.path)
        return (try await program.status(), program)
    }

    private func decide(_ url: String, _ info: BootInfo = .sample(), as subject: BootSubject = .app) async throws
        -> BootDecision
    {
        let response = try await client.send(HTTPRequest(.post, url + subject.path, body: info.json))
        return try BootDecision(parsingJSON: response.body)
    }

    @Test("explain says yes or no, rule by rule, in words and in JSON, and ends by it")
    func explain() async throws {
        let (yes, allowed) = try await run("explain", "--config", "policy.toml", "--boot-info", "info.json")
        #expect(yes == 0 && allowed.output.hasPrefix("ALLOWED as app by rule \"shop\"\n"), "\(allowed.output)")
        let (no, denied) = try await run("explain", "--config", "policy.toml", "--boot-info", "other.json")
        #expect(no == 1 && denied.output.hasPrefix("DENIED as app\n"))
        let line = "  no  compose_hash   \(digits(0xCC, 32)); accepted: \(digits(0xC0, 32))"
        #expect(denied.output.contains(line), "\(denied.output)")
        #expect(denied.output.contains("  yes device         \(digits(0xD1, 32)) (any)"))
        let (kms, other) = try await run("explain", "--config", "policy.toml", "--boot-info", "info.json", "--kms")
        #expect(kms == 1 && other.output.contains("rule \"shop\": is for app alone"))

        let (_, json) = try await run("explain", "--config", "policy.toml", "--boot-info", "other.json", "--json")
        let root = try JSONDocument(parsing: json.output.trimmingCharacters(in: .newlines), subject: "output").root
        #expect(root.members.map(\.name) == ["allowed", "for", "reason", "gateway_app_id", "allowed_by", "rules"])
        #expect(try root.member("allowed").bool() == false && root.member("allowed_by").isNull)
        let rule = try #require(Array(root.member("rules").array()).first)
        let failed = try rule.member("conditions").array().filter { try !$0.member("holds").bool() }
        #expect(try failed.map { try $0.member("fact").string() } == ["compose_hash"])
    }

    @Test("a file that is wrong is a wrong request, and never a yes")
    func wrongFiles() async throws {
        try directory.write("[[rule]]\nname = \"x\"\nfor = \"app\"\ndevice = []\n", "wrong.toml")
        try directory.write("{}", "none.json")
        let (policy, first) = try await run("explain", "--config", "wrong.toml", "--boot-info", "info.json")
        #expect(policy == 2 && first.errors.contains("did you mean devices?"), "\(first.errors)")
        let (info, second) = try await run("explain", "--config", "policy.toml", "--boot-info", "none.json")
        #expect(info == 2 && second.errors.contains("none.json") && second.errors.contains("mrAggregated"))
        #expect(try await run("explain", "--config", "nowhere", "--boot-info", "info.json").0 == 2)
        // A policy that is wrong does not start to serve.
        #expect(try await run("policy", "--config", "wrong.toml", "--port", "0").0 == 2)
    }

    @Test("simple answers by upstream's variables and its default file, at once after an edit")
    func simple() async throws {
        let rules = """
            {"osImages": ["\(digits(0x05, 32))"],
             "kms": {"mrAggregated": ["\(digits(0x3A, 32))"], "devices": ["\(digits(0xD1, 32))"]}}
            """
        let program = try AuthProgram(
            ["simple"], environment: ["PORT": "0", "HOST": "127.0.0.1"], in: directory.path)
        let url = try await program.url()
        #expect(try await decide(url, as: .kms) == .denied("OS image is not allowed"))
        try directory.write(rules, "auth-config.json")
        #expect(try await decide(url, as: .kms).isAllowed)
        #expect(program.errors.contains("decided"))
        #expect(try await program.terminate() == 0)

        try directory.write(rules, "elsewhere.json")
        let other = try AuthProgram(
            ["simple"],
            environment: ["PORT": "0", "HOST": "127.0.0.1", "AUTH_CONFIG_PATH": directory.path("elsewhere.json")])
        #expect(try await decide(other.url(), as: .kms).isAllowed)
        #expect(try await other.terminate() == 0)
    }

    @Test("policy answers by its file")
    func policy() async throws {
        let program = try AuthProgram(["policy", "--config", "policy.toml", "--port", "0"], in: directory.path)
        let url = try await program.url()
        #expect(try await decide(url).isAllowed)
        #expect(try await !decide(url, as: .kms).isAllowed)
        #expect(try await program.terminate() == 0)
    }

    @Test("eth answers by a contract, through several nodes from one variable")
    func ethereum() async throws {
        let nodes = [try await FakeNode(), try await FakeNode(), try await FakeNode()]
        nodes[0].chain.edit { $0.isAllowed = { _ in false } }
        let environment = [
            "PORT": "0", "ETH_RPC_URL": nodes.map(\.url).joined(separator: ", "), "ETH_CHAIN_ID": "7",
            "KMS_CONTRACT_ADDR": "0x" + digits(0x5F, 20), "ETH_FINALITY_CONFIRMATIONS": "2",
        ]
        let program = try AuthProgram(["eth", "--agree", "2"], environment: environment)
        #expect(try await decide(program.url()).isAllowed)
        #expect(nodes[1].calls.contains("eth_call 0x62"))
        #expect(try await program.terminate() == 0)
        let believing = try AuthProgram(["eth"], environment: environment)
        #expect(try await !decide(believing.url()).isAllowed)
        #expect(try await believing.terminate() == 0)
    }

    @Test(
        "a variable that is set and empty opens nothing, and none stands for a zero address",
        arguments: [
            ["KMS_CONTRACT_ADDR": ""], ["ETH_RPC_URL": ""], ["ETH_CHAIN_ID": ""], ["ETH_FINALITY_CONFIRMATIONS": ""],
            ["PORT": ""], ["HOST": ""], ["ETH_AGREE": ""], ["ETH_BLOCK": ""], ["ETH_MAX_BLOCK_AGE": ""],
            ["KMS_CONTRACT_ADDR": "0x5f"], ["KMS_CONTRACT_ADDR": "0x" + digits(0, 20)], ["ETH_AGREE": "2"],
            ["ETH_CHAIN_ID": "0"], ["ETH_BLOCK": "pending"],
        ])
    func emptyVariables(_ wrong: [String: String]) async throws {
        let good = ["PORT": "0", "ETH_RPC_URL": "http://127.0.0.1:1", "KMS_CONTRACT_ADDR": "0x" + digits(0x5F, 20)]
        let program = try AuthProgram(["eth"], environment: good.merging(wrong) { $1 })
        #expect(try await program.status() == 2, "\(program.errors)")
        #expect(!program.errors.contains("listening"))
    }

    @Test("without a contract, and with an empty path of the rules, nothing starts")
    func missing() async throws {
        #expect(try await run("eth", environment: ["PORT": "0"]).0 == 2)
        #expect(try await run("policy", environment: ["PORT": "0"]).0 == 2)
        for command in ["simple", "policy"] {
            #expect(try await run(command, environment: ["PORT": "0", "AUTH_CONFIG_PATH": ""]).0 == 2)
        }
    }
}
