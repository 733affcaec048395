import DstackAuthorization
import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import Foundation
import TestKit
import Testing

/// A chain of its own with the contracts of a KMS and of an application: an EVM in memory, in Python.
final class TestChain: Sendable {
    private static let root: URL = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
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

    private let process = Process()
    private let input = Pipe()
    private let client = HTTPClient()
    let url: String
    let chainID: UInt64
    let kms: FixedBytes<20>
    let app: FixedBytes<20>

    init() async throws {
        process.executableURL = URL(fileURLWithPath: Self.python)
        process.arguments = [
            "-B", Self.root.appendingPathComponent("Tests/DstackAuthorizationTests/Chain/chain.py").path,
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
        kms = try root.member("kms").fixedHex()
        app = try root.member("app").fixedHex()
    }

    deinit { process.terminate() }

    private func ask(_ method: String, _ parameters: [Any]) async throws {
        let body: [String: Any] = ["jsonrpc": "2.0", "id": 1, "method": method, "params": parameters]
        let response = try await client.send(HTTPRequest(.post, url, body: body.json()))
        #expect(response.isSuccess && !String(decoding: response.body, as: UTF8.self).contains("\"error\""))
    }

    func transact(_ contract: String, _ signature: String, _ arguments: Any...) async throws {
        try await ask("test_transact", [contract, signature, arguments])
    }

    func mine(_ count: Int) async throws { try await ask("test_mine", [count]) }

    func authorizer(
        _ change: (inout EthereumAuthorizer.Configuration) -> Void = { _ in }
    ) throws -> EthereumAuthorizer {
        var configuration = EthereumAuthorizer.Configuration(nodes: [url], contract: kms)
        configuration.chainID = chainID
        change(&configuration)
        return try EthereumAuthorizer(configuration)
    }
}

@Suite("Contracts on a chain", .enabled(if: TestChain.isThere, TestChain.absence))
struct ChainTests {
    private static func word(_ byte: UInt8) -> String { "0x" + digits(byte, 32) }

    @Test("a KMS and an application are allowed and denied by what the contracts say, in the contracts' words")
    func contracts() async throws {
        let chain = try await TestChain()
        let authorizer = try chain.authorizer()
        let info = BootInfo.sample().with { $0.appID = chain.app }

        func expect(
            _ reason: String, _ info: BootInfo, as subject: BootSubject, _ line: SourceLocation = #_sourceLocation
        ) async throws {
            let decision = try await authorizer.decide(info, as: subject)
            #expect(
                decision.reason == reason && decision.isAllowed == reason.isEmpty, "\(decision)", sourceLocation: line)
        }
        try await expect("OS image is not allowed", info, as: .kms)
        try await expect("App not registered", info, as: .app)
        try await chain.transact("kms", "addOsImageHash(bytes32)", Self.word(0x05))
        try await expect("Aggregated MR not allowed", info, as: .kms)
        try await chain.transact("kms", "addKmsAggregatedMr(bytes32)", Self.word(0x3A))
        try await expect("KMS is not allowed to boot on this device", info, as: .kms)
        try await chain.transact("kms", "addKmsDevice(bytes32)", Self.word(0xD1))
        try await expect("", info, as: .kms)
        try await expect("TCB status is not up to date", info.with { $0.tcbStatus = "OutOfDate" }, as: .kms)

        try await chain.transact("kms", "registerApp(address)", "0x" + chain.app.hex)
        try await expect("Compose hash not allowed", info, as: .app)
        try await chain.transact("app", "addComposeHash(bytes32)", Self.word(0xC0))
        try await expect("Device not allowed", info, as: .app)
        try await chain.transact("app", "addDevice(bytes32)", Self.word(0xD1))
        try await expect("", info, as: .app)
        // Everything that there can be in a question.
        let full = info.with {
            $0.instanceID = nil
            $0.tcbStatus = String(repeating: "ü", count: 40)
            $0.advisoryIDs = ["INTEL-SA-00615", "", String(repeating: "x", count: 200)]
        }
        try await expect("", full, as: .app)
        try await chain.transact("app", "setRequireTcbUpToDate(bool)", true)
        try await expect("TCB status is not up to date", full, as: .app)
        try await expect("", info, as: .app)

        try await chain.transact("kms", "setGatewayAppId(string)", "0xd46670802d27386fda8f0652d8599e15abafd813")
        try await chain.transact("kms", "setAppImplementation(address)", "0x" + chain.app.hex)
        #expect(
            try await authorizer.decide(info, as: .app).gatewayAppID == "0xd46670802d27386fda8f0652d8599e15abafd813")
        let about = try await authorizer.info()
        #expect(about.chainID == chain.chainID && about.appImplementation == "0x" + chain.app.hex)

        // Revoked, it is denied at the next question.
        try await chain.transact("kms", "removeOsImageHash(bytes32)", Self.word(0x05))
        try await expect("OS image is not allowed", info, as: .app)
        try await expect("OS image is not allowed", info, as: .kms)
    }

    @Test("what is not yet deep enough in the chain does not count")
    func confirmations() async throws {
        let chain = try await TestChain()
        let authorizer = try chain.authorizer { $0.block = .confirmations(3) }
        try await chain.transact("kms", "addOsImageHash(bytes32)", Self.word(0x05))
        try await chain.mine(3)
        #expect(try await authorizer.decide(.sample(), as: .kms).reason == "Aggregated MR not allowed")
        try await chain.transact("kms", "addKmsAggregatedMr(bytes32)", Self.word(0x3A))
        #expect(try await authorizer.decide(.sample(), as: .kms).reason == "Aggregated MR not allowed")
        try await chain.mine(2)
        #expect(try await authorizer.decide(.sample(), as: .kms).reason == "Aggregated MR not allowed")
        try await chain.mine(1)
        #expect(
            try await authorizer.decide(.sample(), as: .kms).reason == "KMS is not allowed to boot on this device")
        // And at the newest block all of it does.
        #expect(
            try await chain.authorizer().decide(.sample(), as: .kms).reason
                == "KMS is not allowed to boot on this device")
    }

    @Test("a contract that reverts, and an address without one, decide nothing; nor does another chain")
    func failures() async throws {
        let chain = try await TestChain()
        try await chain.transact("kms", "setFaulty(bool)", true)
        let reverted = await error(try chain.authorizer())
        #expect(reverted?.code == .invalidAnswer && reverted?.reason.contains("out of order") == true)
        let nowhere = await error(try chain.authorizer { $0.contract = .init(repeating: 0x11) })
        #expect(nowhere?.code == .invalidAnswer && nowhere?.reason.contains("no such contract") == true)
        // The application's contract has one of the two functions, and no gateway.
        let wrong = await error(try chain.authorizer { $0.contract = chain.app })
        #expect(wrong?.code == .invalidAnswer)
        #expect(await error(try chain.authorizer { $0.chainID = 1 })?.code == .invalidAnswer)
    }

    private func error(_ authorizer: EthereumAuthorizer) async -> AuthorizationError? {
        await failure { () throws(AuthorizationError) in try await authorizer.decide(.sample(), as: .app) }
    }

    @Test("nodes of one chain agree with each other, and a node of another one is outvoted")
    func agreement() async throws {
        let chain = try await TestChain()
        try await chain.transact("kms", "addOsImageHash(bytes32)", Self.word(0x05))
        let liar = try await FakeNode()
        liar.chain.edit { $0.id = chain.chainID }
        // The same node under three names stands for three nodes that are well.
        let port = try #require(chain.url.split(separator: ":").last)
        let authorizer = try chain.authorizer {
            $0.nodes = [liar.url, "http://127.0.0.1:\(port)", "http://localhost:\(port)"]
            $0.agree = 2
        }
        #expect(try await authorizer.decide(.sample(), as: .kms).reason == "Aggregated MR not allowed")
    }
}
