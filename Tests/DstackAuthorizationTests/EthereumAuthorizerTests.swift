import DstackAuthorization
import DstackEncoding
import DstackHTTPServer
import DstackSystem
import Foundation
import TestKit
import Testing

@Suite("Asking a contract through nodes")
struct EthereumAuthorizerTests {
    private static let contract = FixedBytes<20>(repeating: 0x5F)

    private func authorizer(
        _ nodes: [FakeNode], _ change: (inout EthereumAuthorizer.Configuration) -> Void = { _ in }
    ) throws -> EthereumAuthorizer {
        var configuration = EthereumAuthorizer.Configuration(nodes: nodes.map(\.url), contract: Self.contract)
        configuration.nodeTimeout = .seconds(3)
        change(&configuration)
        return try EthereumAuthorizer(configuration)
    }

    private func error(_ authorizer: EthereumAuthorizer) async -> AuthorizationError? {
        await failure { () throws(AuthorizationError) in try await authorizer.decide(.sample(), as: .app) }
    }

    @Test("one node is asked, and says what the contract says")
    func one() async throws {
        let node = try await FakeNode()
        let authorizer = try authorizer([node])
        #expect(try await authorizer.decide(.sample(), as: .app) == .allowed(gatewayAppID: "0xc44e"))
        node.chain.edit { $0.isAllowed = { _ in false } }
        #expect(
            try await authorizer.decide(.sample(), as: .kms)
                == .denied("App not registered", gatewayAppID: "0xc44e"))
        let info = try await authorizer.info()
        #expect(info.chainID == 7 && info.gatewayAppID == "0xc44e" && info.ethereumURL == node.url)
        #expect(info.kmsContractAddress == "0x" + Self.contract.hex)
        #expect(info.appImplementation == "0x" + digits(0x77, 20))
    }

    @Test(
        "both parts of a decision are not read at different blocks",
        arguments: [
            (EthereumBlock.Choice.latest, "latest", "0x64"), (.safe, "safe", "0x64"), (.finalized, "finalized", "0x64"),
            (.confirmations(6), "latest", "0x5e"),
        ])
    func pinned(_ choice: EthereumBlock.Choice, tag: String, number: String) async throws {
        let node = try await FakeNode()
        let authorizer = try authorizer([node]) { $0.block = choice }
        #expect(try await authorizer.decide(.sample(), as: .app).isAllowed)
        #expect(node.calls.contains("eth_getBlockByNumber \(tag)"))
        #expect(node.calls.filter { $0.hasPrefix("eth_call") } == ["eth_call \(number)", "eth_call \(number)"])
    }

    @Test("a chain with too few blocks for the confirmations is not read at another one")
    func tooShort() async throws {
        let node = try await FakeNode()
        #expect(await error(try authorizer([node]) { $0.block = .confirmations(101) })?.code == .unavailable)
        #expect(!node.calls.contains { $0.hasPrefix("eth_call") })
    }

    @Test("what a replaced block said does not count")
    func reorganized() async throws {
        let asked = Shared(0)
        let node = try await FakeNode(instead: { method, tag in
            guard method == "eth_getBlockByNumber", tag.hasPrefix("0x") else { return nil }
            asked.edit { $0 += 1 }
            let time = String(Int(Date.now.timeIntervalSince1970), radix: 16)
            return .result(
                #"{"number":"\#(tag)","hash":"0x\#(digits(UInt8(asked.value), 32))","timestamp":"0x\#(time)"}"#)
        })
        let error = await error(try authorizer([node]))
        #expect(error?.code == .unavailable && error?.reason.contains("was replaced") == true)
    }

    @Test("a node of another chain is not believed, not even when it changes its mind later")
    func otherChain() async throws {
        let node = try await FakeNode()
        #expect(await error(try authorizer([node]) { $0.chainID = 8 })?.code == .invalidAnswer)
        #expect(try await authorizer([node]) { $0.chainID = 7 }.decide(.sample(), as: .app).isAllowed)
        let learning = try authorizer([node])
        #expect(try await learning.decide(.sample(), as: .app).isAllowed)
        node.chain.edit { $0.id = 9 }
        #expect(await error(learning)?.code == .invalidAnswer)
    }

    @Test("a node that has stopped does not keep in force what was revoked since")
    func old() async throws {
        let node = try await FakeNode()
        node.chain.edit { $0.time -= 3700 }
        let error = await error(try authorizer([node]))
        #expect(error?.code == .unavailable && error?.reason.contains("old, at most 1h") == true)
        #expect(try await authorizer([node]) { $0.maximumBlockAge = nil }.decide(.sample(), as: .app).isAllowed)
    }

    @Test("the next node answers where one does not, and the one that failed is left alone for a while")
    func failover() async throws {
        let dead = try await FakeNode()
        await dead.stop()
        let broken = try await FakeNode(instead: { _, _ in .raw(.text(502, "bad gateway")) })
        let babbling = try await FakeNode(instead: { method, _ in method == "eth_call" ? .result("\"0x00\"") : nil })
        let good = try await FakeNode()
        let authorizer = try authorizer([dead, broken, babbling, good])
        for _ in 0..<3 { #expect(try await authorizer.decide(.sample(), as: .app).isAllowed) }
        #expect(broken.calls.count == 1 && babbling.calls.count { $0.hasPrefix("eth_chainId") } == 1)
        await good.stop()
        let error = await error(authorizer)
        // What came back and is no answer weighs more than nobody being there.
        #expect(error?.code == .invalidAnswer && error?.reason.contains("502") == true, "\(error?.reason ?? "")")
    }

    @Test(
        "what is no answer is told from a node that fails",
        arguments: [
            ("eth_call", #"{"code":3,"message":"execution reverted"}"#, true, true),
            ("eth_call", #"{"code":-32000,"message":"VM Exception: revert"}"#, true, true),
            ("eth_call", #"{"code":-32005,"message":"limit exceeded"}"#, true, false),
            ("eth_chainId", #"{"code":-32601,"message":"no"}"#, true, false), ("eth_chainId", #""7""#, false, true),
            ("eth_chainId", "7", false, true), ("eth_chainId", #""0x10000000000000000""#, false, true),
            ("eth_chainId", #""0x""#, false, true), ("eth_chainId", #""0x+7""#, false, true),
            ("eth_getBlockByNumber", "{}", false, true), ("eth_getBlockByNumber", "null", false, false),
            ("eth_call", #""0x""#, false, true), ("eth_call", #""""#, false, true), ("eth_call", "null", false, true),
            ("eth_call", #""0x00""#, false, true), ("eth_call", #""0x\#(digits(1, 96))""#, false, true),
        ])
    func nonsense(_ method: String, _ text: String, isError: Bool, isNonsense: Bool) async throws {
        let node = try await FakeNode(instead: { asked, _ in
            asked == method ? (isError ? .error(text) : .result(text)) : nil
        })
        #expect(await error(try authorizer([node]))?.code == (isNonsense ? .invalidAnswer : .unavailable))
    }

    @Test("an answer to another question is none, nor is what is not JSON-RPC")
    func otherQuestion() async throws {
        for text in [
            #"{"jsonrpc":"2.0","id":999,"result":"0x7"}"#, #"{"jsonrpc":"2.0","result":"0x7"}"#,
            #"{"jsonrpc":"2.0","id":1}"#, "[]", "", "0x7",
        ] {
            let node = try await FakeNode(instead: { _, _ in .raw(.json(Array(text.utf8))) })
            #expect(await error(try authorizer([node]))?.code == .invalidAnswer, "\(text)")
        }
    }

    @Test("an address with a key in its path does not show it")
    func secrets() async throws {
        let node = try await FakeNode(instead: { _, _ in .raw(.text(500, "no")) })
        var configuration = EthereumAuthorizer.Configuration(
            nodes: [node.url + "/v3/s3cret?key=s3cret"], contract: Self.contract)
        configuration.nodeTimeout = .seconds(1)
        let authorizer = try EthereumAuthorizer(configuration)
        let failed = await error(authorizer)
        #expect(failed?.code == .unavailable && failed?.description.contains("s3cret") == false)
        await node.stop()
        let gone = await error(authorizer)
        #expect(gone?.code == .unavailable && gone?.description.contains("s3cret") == false)
    }

    // MARK: Several

    @Test("one node alone does not allow what two others deny, wherever it stands")
    func liar() async throws {
        for place in 0..<3 {
            var nodes: [FakeNode] = []
            for index in 0..<3 {
                let node = try await FakeNode()
                node.chain.edit { $0.isAllowed = { _ in index == place } }
                nodes.append(node)
            }
            let decision = try await authorizer(nodes) { $0.agree = 2 }.decide(.sample(), as: .app)
            #expect(decision == .denied("App not registered", gatewayAppID: "0xc44e"))
            // Nor does it deny what they allow.
            for (index, node) in nodes.enumerated() { node.chain.edit { $0.isAllowed = { _ in index != place } } }
            #expect(try await authorizer(nodes) { $0.agree = 2 }.decide(.sample(), as: .app).isAllowed)
        }
    }

    @Test("one node alone does not change which gateway is trusted")
    func gateway() async throws {
        let nodes = [try await FakeNode(), try await FakeNode(), try await FakeNode()]
        nodes[0].chain.edit { $0.gateway = "0xbad" }
        let authorizer = try authorizer(nodes) { $0.agree = 2 }
        #expect(try await authorizer.decide(.sample(), as: .app).gatewayAppID == "0xc44e")
    }

    @Test("nodes that are not equally far agree on a block that they have")
    func heights() async throws {
        let nodes = [try await FakeNode(), try await FakeNode(), try await FakeNode()]
        // One of them claims to be far ahead, and time belongs to the block, whose number it goes with.
        let time = UInt64(Date.now.timeIntervalSince1970)
        for (index, head) in [1_000_000, 100, 97].enumerated() {
            nodes[index].chain.edit {
                $0.head = UInt64(head)
                $0.time = index == 0 ? time : time - UInt64(100 - head)
                $0.isAllowed = { number in index != 0 && number == 97 }
            }
        }
        #expect(try await authorizer(nodes) { $0.agree = 2 }.decide(.sample(), as: .app).isAllowed)
        #expect(nodes[1].calls.contains("eth_call 0x61") && nodes[2].calls.contains("eth_call 0x61"))
    }

    @Test("agreement on an old block does not bring back what was revoked since")
    func rollback() async throws {
        let nodes = [try await FakeNode(), try await FakeNode(), try await FakeNode()]
        await nodes[0].stop()
        // The liar stands still at a block of two hours ago, which the honest one has, too.
        nodes[1].chain.edit {
            $0.head = 10_000
            $0.isAllowed = { $0 < 5_000 }
        }
        nodes[2].chain.edit {
            $0.head = 2_800
            $0.time -= 7_200
        }
        #expect(await error(try authorizer(nodes) { $0.agree = 2 })?.code == .unavailable)
    }

    @Test("where too few answer there is no decision, and where they contradict each other neither")
    func tooFew() async throws {
        let nodes = [try await FakeNode(), try await FakeNode(), try await FakeNode()]
        nodes[0].chain.edit { $0.isAllowed = { _ in false } }
        nodes[1].chain.edit { $0.hash = { _ in "0x" + digits(0xEE, 32) } }
        let error = await error(try authorizer(nodes) { $0.agree = 2 })
        #expect(error?.code == .invalidAnswer && error?.reason.contains("different things") == true)
        await nodes[0].stop()
        await nodes[1].stop()
        #expect(await self.error(try authorizer(nodes) { $0.agree = 2 })?.code == .unavailable)
    }

    @Test("halves that contradict each other decide nothing")
    func split() async throws {
        var nodes: [FakeNode] = []
        for index in 0..<4 {
            let node = try await FakeNode()
            node.chain.edit { $0.isAllowed = { _ in index < 2 } }
            nodes.append(node)
        }
        #expect(await error(try authorizer(nodes) { $0.agree = 2 })?.code == .invalidAnswer)
    }

    @Test("a node that is slow does not hold up those that agree")
    func slow() async throws {
        let nodes = [try await FakeNode(), try await FakeNode(), try await FakeNode()]
        nodes[0].chain.edit { $0.delay = .seconds(6) }
        let authorizer = try authorizer(nodes) {
            $0.agree = 2
            $0.nodeTimeout = .seconds(20)
        }
        let begin = ContinuousClock.now
        #expect(try await authorizer.decide(.sample(), as: .app).isAllowed)
        #expect(begin.duration(to: .now) < .seconds(5))
    }

    @Test("a decision takes no longer than it may, however slowly nodes answer")
    func deadline() async throws {
        let node = try await FakeNode()
        node.chain.edit { $0.delay = .milliseconds(700) }
        let authorizer = try authorizer([node]) { $0.timeout = .seconds(1) }
        let begin = ContinuousClock.now
        #expect(await error(authorizer)?.code == .unavailable)
        #expect(begin.duration(to: .now) < .seconds(4))
    }

    // MARK: Before anybody is asked

    @Test("what a machine has not is denied before anybody is asked")
    func missing() async throws {
        let node = try await FakeNode()
        let authorizer = try authorizer([node])
        for info in [
            BootInfo.sample().with { $0.osImageHash = nil }, .sample().with { $0.mrSystem = nil },
            .sample().with { $0.deviceID = DeviceIdentifier.ofAllEnclaves },
        ] {
            #expect(try await !authorizer.decide(info, as: .app).isAllowed)
        }
        #expect(node.calls.isEmpty)
    }

    @Test("settings by which one party would count as several, or nobody could agree, are refused")
    func settings() throws {
        typealias Case = (nodes: [String], agree: Int, contract: FixedBytes<20>)
        let (a, b) = ("http://127.0.0.1:1", "http://127.0.0.1:2")
        let cases: [Case] = [
            ([], 1, Self.contract), ([a], 2, Self.contract), ([a, b], 3, Self.contract), ([a], 0, Self.contract),
            ([a, a], 2, Self.contract), ([a, a + "/other"], 2, Self.contract), ([a], 1, FixedBytes()),
            ([a, b], 2, Self.contract),
            (["https://node.example", "https://NODE.example:443/key"], 2, Self.contract),
            (["https://node.example", "http://node.example.:8545"], 2, Self.contract),
            (["http://[::1]:1", "http://[0:0:0:0:0:0:0:1]:2"], 2, Self.contract),
            (["http://127.0.0.1:1", "http://[::ffff:127.0.0.1]:1"], 2, Self.contract),
            (["localhost:8545"], 1, Self.contract), (["ws://localhost:8545"], 1, Self.contract),
            ([""], 1, Self.contract),
        ]
        for (nodes, agree, contract) in cases {
            var configuration = EthereumAuthorizer.Configuration(nodes: nodes, contract: contract)
            configuration.agree = agree
            #expect(throws: AuthorizationError(.invalidConfiguration, subject: "", reason: ""), "\(nodes)") {
                try EthereumAuthorizer(configuration)
            }
        }
    }
}
