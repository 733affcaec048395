import DstackAuthorization
import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import Foundation
import TestKit
import Testing

/// Contracts of a KMS and of an application, fresh for each test, on a chain that all tests share: an EVM in memory, in Python.
final class TestChain: Sendable {
    private static let root: URL = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        return root
    }()
    private static let python = root.appendingPathComponent(".venv/bin/python").path

    /// Whether the environment of the tests has the packages.
    static let isThere: Bool = {
        let files = FileManager.default
        let library = root.appendingPathComponent(".venv/lib").path
        return ((try? files.contentsOfDirectory(atPath: library)) ?? []).contains { version in
            ["eth_tester", "eth", "vyper"].allSatisfy {
                files.fileExists(atPath: "\(library)/\(version)/site-packages/\($0)")
            }
        }
    }()
    static let absence: Testing.Comment = "needs eth-tester, py-evm and vyper in .venv: run Scripts/setup test"

    /// The program that has the chain. It ends with this process, when nobody can write to it any more.
    private final class Node: Sendable {
        private let process = Process()
        private let input = Pipe()
        private let client = HTTPClient()
        let url: String
        let chainID: UInt64

        static let shared = Task { try await Node() }

        init() async throws {
            process.executableURL = URL(fileURLWithPath: python)
            process.arguments = [
                "-B", root.appendingPathComponent("Tests/DstackAuthorizationTests/Chain/chain.py").path,
            ]
            process.standardInput = input
            let output = Scratch.path("chain")
            try Data().write(to: URL(fileURLWithPath: output))
            process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: output))
            try process.run()
            // Compiling the contracts takes seconds, more on a machine that is busy.
            var line = ""
            for _ in 0..<1_200 where !line.hasSuffix("\n") && process.isRunning {
                try await Task.sleep(for: .milliseconds(50))
                line = try String(contentsOfFile: output, encoding: .utf8)
            }
            let root = try JSONDocument(parsing: line.trimmingCharacters(in: .newlines), subject: "chain").root
            url = try root.member("url").string()
            chainID = try root.member("chain_id").integer()
        }

        func ask(_ method: String, _ parameters: [Any]) async throws -> JSONNode {
            let body: [String: Any] = ["jsonrpc": "2.0", "id": 1, "method": method, "params": parameters]
            let response = try await client.send(HTTPRequest(.post, url, body: body.json()))
            return try JSONDocument(parsing: response.body, subject: "answer").root.member("result")
        }
    }

    private let node: Node
    let kms: FixedBytes<20>
    let app: FixedBytes<20>

    init() async throws {
        node = try await Node.shared.value
        let contracts = try await node.ask("test_deploy", [])
        kms = try contracts.member("kms").fixedHex()
        app = try contracts.member("app").fixedHex()
    }

    var url: String { node.url }
    var chainID: UInt64 { node.chainID }

    func transact(_ contract: FixedBytes<20>, _ signature: String, _ arguments: Any...) async throws {
        _ = try await node.ask("test_transact", ["0x" + contract.hex, signature, arguments])
    }

    func mine(_ count: Int) async throws { _ = try await node.ask("test_mine", [count]) }

    func authorizer(
        _ change: (inout EthereumAuthorizer.Configuration) -> Void = { _ in }
    ) throws -> EthereumAuthorizer {
        var configuration = EthereumAuthorizer.Configuration(nodes: [url], contract: kms)
        configuration.chainID = chainID
        change(&configuration)
        return try EthereumAuthorizer(configuration)
    }
}
