import DstackAttestation
import DstackEncoding
import DstackMockTEE
import Foundation
import TestKit
import Testing

@Suite("Methods of the agent's client")
struct ClientMethodTests {
    @Test("a key is derived, shows its public half, and its chain leads to the KMS", arguments: KeyAlgorithm.allCases)
    func key(_ algorithm: KeyAlgorithm) async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let key = try await agent.client().key(path: "wallet/é", purpose: "ethereum", algorithm: algorithm)
        #expect(key.algorithm == algorithm && key.publicKey.count == (algorithm == .ed25519 ? 32 : 33))
        #expect(key.withUnsafeBytes { $0.count } == 32)
        #expect(try key.verifyChain(appID: FakeAgent.appID, kmsKey: FakeAgent.kmsKey).hex == FakeAgent.appKey)
        let other = AppID(FixedBytes(repeating: 1))
        #expect(
            await clientError { () throws(DstackClientError) in
                try key.verifyChain(appID: other, kmsKey: FakeAgent.kmsKey)
            }?.code == .notAuthentic)
        #expect(
            await clientError { () throws(DstackClientError) in
                try key.verifyChain(appID: FakeAgent.appID, kmsKey: hex(FakeAgent.appKey))
            }?.code == .notAuthentic)
        #expect(
            await clientError { () throws(DstackClientError) in
                try key.verifyChain(appID: FakeAgent.appID, kmsKey: [1])
            }?.code == .invalidRequest)
        // Another purpose is another claim.
        let proof = KeyProof(
            algorithm: algorithm, publicKey: key.publicKey, claim: .purpose("solana"),
            signatureChain: key.signatureChain)
        #expect(
            await clientError { () throws(DstackClientError) in
                try proof.verify(appID: FakeAgent.appID, kmsKey: FakeAgent.kmsKey)
            }?.code == .notAuthentic)
    }

    @Test("a key of the newer interface is another one, with a chain of its own", arguments: KeyAlgorithm.allCases)
    func newerKey(_ algorithm: KeyAlgorithm) async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let client = agent.client()
        let key = try await client.v1.key(domain: "wallet", algorithm: algorithm)
        try key.verifyChain(appID: FakeAgent.appID, kmsKey: FakeAgent.kmsKey)
        let older = try await client.key(path: "wallet", algorithm: algorithm)
        #expect(key.hexForTest() != older.hexForTest())
        #expect(key.proof.claim == .domain("wallet") && older.proof.claim == .purpose(""))
    }

    @Test("a key signs as the agent does, and its signatures verify")
    func signing() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let client = agent.client()
        let message = Array("to be signed".utf8)
        for algorithm in KeyAlgorithm.allCases {
            let key = try await client.key(path: "vms", purpose: "signing", algorithm: algorithm)
            let signature = try key.signature(for: message)
            let byAgent = try await client.sign(message, using: algorithm == .ed25519 ? .ed25519 : .secp256k1)
            #expect(signature == byAgent.signature && key.publicKey == byAgent.publicKey)
        }
        let ed25519 = try await client.key(algorithm: .ed25519)
        #expect(
            await clientError { () throws(DstackClientError) in
                try ed25519.recoverableSignature(forDigest: FixedBytes())
            }?.code == .invalidRequest)
    }

    @Test("a signed message proves the application", arguments: MessageSignatureAlgorithm.allCases)
    func sign(_ algorithm: MessageSignatureAlgorithm) async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let client = agent.client()
        let message = [UInt8](repeating: 7, count: 32)
        let signed = try await client.sign(message, using: algorithm)
        #expect(try signed.isValid(for: message))
        #expect(try !signed.isValid(for: message.reversed() + [1]))
        try signed.proof.verify(appID: FakeAgent.appID, kmsKey: FakeAgent.kmsKey)
        for isLocal in [true, false] {
            func verify(_ message: [UInt8]) async throws(DstackClientError) -> Bool {
                isLocal
                    ? try DstackClient.verify(
                        signed.signature, of: message, publicKey: signed.publicKey, algorithm: algorithm)
                    : try await client.verifyRemotely(
                        signed.signature, of: message, publicKey: signed.publicKey, algorithm: algorithm)
            }
            #expect(try await verify(message))
            #expect(try await !verify([UInt8](repeating: 8, count: 32)))
        }
        #expect(
            await clientError { () throws(DstackClientError) in
                try DstackClient.verify([1], of: message, publicKey: signed.publicKey, algorithm: algorithm)
            }?.code == .invalidRequest)
        #expect(
            await clientError { () async throws(DstackClientError) in
                try await client.verifyRemotely([1], of: message, publicKey: signed.publicKey, algorithm: algorithm)
            }?.code == .refused)
    }

    @Test("a digest to sign has 32 bytes, and nothing is sent where it has not")
    func prehashed() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let error = await clientError { () async throws(DstackClientError) in
            try await agent.client().sign([1, 2, 3], using: .secp256k1Prehashed)
        }
        #expect(error?.code == .invalidRequest && agent.paths.isEmpty)
    }

    @Test("a quote is for what was asked, and its log leads to its registers")
    func quote() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let client = agent.client()
        try await client.emitEvent("model-loaded", payload: [1, 2, 3])
        let quote = try await client.quote(reportData: [1, 2, 3])
        #expect(quote.reportData.bytes.bytes == [1, 2, 3] + [UInt8](repeating: 0, count: 61))
        #expect(quote.report.reportData == quote.reportData.bytes)
        #expect(try quote.replayedRTMRs() == quote.report.rtmrs)
        #expect(try quote.replayedEventLog().runtimeEvents.last?.name == "model-loaded")
        #expect(quote.events.last?.payload == [1, 2, 3] && quote.vmConfig == agent.boot.vmConfig)
        #expect(quote.envelope == nil && !quote.leadsToIntel)
        let tagged = ReportData(tag: .appData, content: Array("message".utf8))
        #expect(try await client.quote(reportData: tagged).report.reportData == tagged.bytes)
        #expect(try await client.quote(reportData: []).report.reportData.isZero)
    }

    @Test("a quote verifies under the simulated root with everything that explains it")
    func evidence() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let client = agent.client()
        let platform = agent.boot.domain.platform
        let anchor = try TrustAnchor(certificate: platform.rootCertificate)
        let collateral = try platform.collateral(for: .tdx, at: FakeAgent.now)
        let compose = Array(FakeAgent.compose.utf8)
        var policy = VerificationPolicy.standard
        policy.expected.reportData = try ReportData(padding: [9]).bytes
        let evidence = [
            try await client.quote(reportData: [9]).evidence(appCompose: compose),
            try await client.attest(reportData: [9]).evidence(appCompose: compose),
        ]
        for evidence in evidence {
            let report = QuoteVerifier(trustAnchor: anchor).verify(
                evidence, collateral: collateral, policy: policy, at: FakeAgent.now)
            #expect(report.verdict == .accepted, "\(report.failure?.description ?? "")")
        }
    }

    @Test("more than 64 bytes are not sent")
    func tooLong() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let bytes = [UInt8](repeating: 1, count: 65)
        for call in [0, 1] {
            let error = await clientError { () async throws(DstackClientError) in
                if call == 0 { _ = try await agent.client().quote(reportData: bytes) }
                if call == 1 { _ = try await agent.client().attest(reportData: bytes) }
            }
            #expect(error?.code == .invalidRequest && error?.hint.contains("ReportData(tag:") == true)
        }
        #expect(agent.paths.isEmpty)
    }

    @Test("evidence comes in upstream's envelope, older and newer interface alike")
    func attest() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let client = agent.client()
        let older = try await client.attest(reportData: [5])
        #expect(older.attestation.reportData.bytes[0] == 5 && !older.leadsToIntel)
        #expect(try Attestation(decoding: older.bytes) == older.attestation)
        let newer = try await client.v1.attest(reportData: [6])
        #expect(newer.attestation.reportData.bytes[0] == 6)
        let (evidence, gpus) = try await client.v1.attestWithGPUs(reportData: ReportData(FixedBytes(repeating: 7)))
        #expect(evidence.attestation.reportData.bytes[63] == 7)
        #expect(gpus.map(\.format) == ["boot"] && gpus.map(\.bytes) == [[7]])
        let fresh = try await client.v1.attestGPU(nonce: FixedBytes(repeating: 3))
        #expect(fresh.map(\.vendor) == ["nvidia"] && fresh.first?.bytes == [UInt8](repeating: 3, count: 32))
    }

    @Test("evidence for one TLS connection is for exporter, nonce and key")
    func session() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let client = agent.client()
        let identity = try await client.tlsIdentity(TLSIdentityRequest(subject: "app.test"))
        let binding = try SessionBinding(
            exporter: FixedBytes(repeating: 1), nonce: FixedBytes(repeating: 2), publicKey: identity.publicKey)
        let evidence = try await client.attestSession(binding)
        #expect(evidence.attestation.reportData == binding.reportData)
        #expect(evidence.attestation.reportData.isReservedForSessions)
    }

    @Test("information is decoded, with registers, log and the compose file")
    func info() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let client = agent.client()
        let info = try await client.info()
        #expect(info.appID == FakeAgent.appID && info.instanceID == agent.boot.instanceID)
        #expect(info.appName == "client-test" && info.cloudVendor == "QEMU" && info.cloudProduct == "")
        #expect(info.osImageHash == nil && info.keyProvider?.kind == .kms && info.keyProvider?.id == [1, 2, 3])
        #expect(info.composeHashMatches == true && info.appCompose == FakeAgent.compose)
        #expect(info.deviceID == DeviceID(ppid: []) && info.mrAggregated != nil)
        let tcb = try #require(info.tcb)
        #expect(try tcb.rtmrs == tcb.eventLog.replay().registers && tcb.mrtd == agent.boot.domain.mrTd)
        let newer = try await client.v1.info()
        #expect(newer.appID == info.appID && newer.composeHash == info.composeHash && newer.instanceID == nil)
        #expect(newer.composeHashMatches == true && newer.tcb == nil && newer.keyProvider == nil)
    }

    @Test("an agent without TDX, or one that does not tell, leaves registers and compose file out")
    func infoWithoutRegisters() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        agent.edit { $0["tcb_info"] = "" }
        let silent = try await agent.client().info()
        #expect(silent.tcb == nil && silent.composeHashMatches == nil)
        for none in ["null", "\"\""] {
            let text = """
                {"mrtd":\(none),"rtmr0":\(none),"rtmr1":\(none),"rtmr2":\(none),"rtmr3":\(none),"event_log":[],\
                "app_compose":"other"}
                """
            agent.edit { $0["tcb_info"] = text }
            let info = try await agent.client().info()
            #expect(info.tcb?.rtmrs == nil && info.tcb?.mrtd == nil && info.composeHashMatches == false)
        }
    }

    @Test("version, GPUs and capabilities")
    func agent() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let client = agent.client()
        #expect(try await client.version().description == "0.5.11 (git:0123456789abcdef0123)")
        #expect(try await client.v1.version().version == "1.0")
        #expect(try await client.gpuInfo() == #"{"gpu":1}"#)
        #expect(try await client.capabilities() == [.v0, .v1, .ed25519, .tlsOptions])
        let asked = agent.paths.count
        #expect(try await client.capabilities().contains(.v1))
        #expect(agent.paths.count == asked, "the answer is remembered")
        #expect(await client.isReachable())
        agent.edit { $0["attestation"] = "" }
        #expect(try await client.gpuInfo() == nil)
    }

    @Test("an event's name has no colon, and nothing is sent where it has")
    func emitEvent() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let error = await clientError { () async throws(DstackClientError) in
            try await agent.client().emitEvent("a:b", payload: [])
        }
        #expect(error?.code == .invalidRequest && agent.paths.isEmpty)
    }

    @Test("the older socket gives keys, quotes and information")
    func tappd() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let client = agent.tappd
        let key = try await client.deriveKey(path: "a")
        #expect(try await client.deriveKey(path: "a").publicKey == key.publicKey)
        #expect(try await client.deriveKey(path: "b").publicKey != key.publicKey)
        #expect(try await client.deriveKey(path: "a", isRandom: true).publicKey != key.publicKey)
        #expect("\(key)" == #"TLS identity of "a""#)
        let k256 = try await client.deriveK256Key(path: "a", purpose: "p")
        try k256.verifyChain(appID: FakeAgent.appID, kmsKey: FakeAgent.kmsKey)
        #expect(k256.hexForTest() == (try await agent.client().key(path: "a")).hexForTest())
        for hash in ReportData.HashAlgorithm.allCases {
            let quote = try await client.tdxQuote(Array("content".utf8), hash: hash)
            #expect(quote.reportData == ReportData(tag: .appData, content: Array("content".utf8), hash: hash))
        }
        let tagged = try await client.tdxQuote([1], tag: ReportData.Tag("mine"))
        #expect(tagged.reportData == ReportData(tag: .init("mine"), content: [1]))
        let raw = ReportData(FixedBytes(repeating: 9))
        #expect(try await client.rawQuote(raw).report.reportData == raw.bytes)
        #expect(try await client.info().appID == FakeAgent.appID)
        #expect(try await client.version().version == "0.5.11")
        #expect(await client.isReachable())
        var request = TLSIdentityRequest(subject: "x")
        request.validity = 1...2
        let refused = request
        for call in [0, 1] {
            let error = await clientError { () async throws(DstackClientError) in
                if call == 0 { _ = try await client.tdxQuote([], tag: ReportData.Tag("")) }
                if call == 1 { _ = try await client.deriveKey(path: "a", refused) }
            }
            #expect(error?.code == .invalidRequest)
        }
    }
}
