import DstackAuthorization
import DstackEncoding
import TestKit
import Testing

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
        try await chain.transact(chain.kms, "addOsImageHash(bytes32)", Self.word(0x05))
        try await expect("Aggregated MR not allowed", info, as: .kms)
        try await chain.transact(chain.kms, "addKmsAggregatedMr(bytes32)", Self.word(0x3A))
        try await expect("KMS is not allowed to boot on this device", info, as: .kms)
        try await chain.transact(chain.kms, "addKmsDevice(bytes32)", Self.word(0xD1))
        try await expect("", info, as: .kms)
        try await expect("TCB status is not up to date", info.with { $0.tcbStatus = "OutOfDate" }, as: .kms)

        try await chain.transact(chain.kms, "registerApp(address)", "0x" + chain.app.hex)
        try await expect("Compose hash not allowed", info, as: .app)
        try await chain.transact(chain.app, "addComposeHash(bytes32)", Self.word(0xC0))
        try await expect("Device not allowed", info, as: .app)
        try await chain.transact(chain.app, "addDevice(bytes32)", Self.word(0xD1))
        try await expect("", info, as: .app)
        // Everything that there can be in a question.
        let full = info.with {
            $0.instanceID = nil
            $0.tcbStatus = String(repeating: "ü", count: 40)
            $0.advisoryIDs = ["INTEL-SA-00615", "", String(repeating: "x", count: 200)]
        }
        try await expect("", full, as: .app)
        try await chain.transact(chain.app, "setRequireTcbUpToDate(bool)", true)
        try await expect("TCB status is not up to date", full, as: .app)
        try await expect("", info, as: .app)

        try await chain.transact(chain.kms, "setGatewayAppId(string)", "0xd46670802d27386fda8f0652d8599e15abafd813")
        try await chain.transact(chain.kms, "setAppImplementation(address)", "0x" + chain.app.hex)
        #expect(
            try await authorizer.decide(info, as: .app).gatewayAppID == "0xd46670802d27386fda8f0652d8599e15abafd813")
        let about = try await authorizer.info()
        #expect(about.chainID == chain.chainID && about.appImplementation == "0x" + chain.app.hex)

        // Revoked, it is denied at the next question.
        try await chain.transact(chain.kms, "removeOsImageHash(bytes32)", Self.word(0x05))
        try await expect("OS image is not allowed", info, as: .app)
        try await expect("OS image is not allowed", info, as: .kms)
    }

    @Test("what is not yet deep enough in the chain does not count")
    func confirmations() async throws {
        let chain = try await TestChain()
        let authorizer = try chain.authorizer { $0.block = .confirmations(3) }
        try await chain.transact(chain.kms, "addOsImageHash(bytes32)", Self.word(0x05))
        try await chain.mine(3)
        #expect(try await authorizer.decide(.sample(), as: .kms).reason == "Aggregated MR not allowed")
        try await chain.transact(chain.kms, "addKmsAggregatedMr(bytes32)", Self.word(0x3A))
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
        try await chain.transact(chain.kms, "setFaulty(bool)", true)
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
        try await chain.transact(chain.kms, "addOsImageHash(bytes32)", Self.word(0x05))
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
