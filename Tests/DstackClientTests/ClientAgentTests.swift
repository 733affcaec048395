import COpenSSL
import DstackAttestation
import DstackEncoding
import Foundation
import TestKit
import Testing

@Suite("The client and the project's own agent")
struct ClientAgentTests {
    @Test("keys of both interfaces lead to the simulation's KMS")
    func keys() async throws {
        let agent = try await SimulatedAgent()
        let client = agent.client
        let kms = hex(try agent.summary().text("kms_public_key"))
        let appID = try await client.info().appID
        for algorithm in KeyAlgorithm.allCases {
            let first = try await client.key(path: "wallet", purpose: "test", algorithm: algorithm)
            let second = try await client.v1.key(domain: "wallet", algorithm: algorithm)
            try first.verifyChain(appID: appID, kmsKey: kms)
            try second.verifyChain(appID: appID, kmsKey: kms)
            #expect(first.publicKey != second.publicKey)
            let again = try await client.key(path: "wallet", purpose: "other", algorithm: algorithm)
            #expect(again.publicKey == first.publicKey && again.signatureChain[0] != first.signatureChain[0])
        }
        for algorithm in MessageSignatureAlgorithm.allCases {
            let message = [UInt8](repeating: 1, count: 32)
            let signed = try await client.sign(message, using: algorithm)
            try signed.proof.verify(appID: appID, kmsKey: kms)
            #expect(
                try await client.verifyRemotely(
                    signed.signature, of: message, publicKey: signed.publicKey, algorithm: algorithm))
        }
        await agent.end()
    }

    @Test("evidence of every method verifies under the simulation's root, with the events that the application emitted")
    func evidence() async throws {
        let agent = try await SimulatedAgent()
        let client = agent.client
        try await client.emitEvent("model-loaded", payload: [1, 2, 3])
        let quote = try await client.quote(reportData: Array("challenge".utf8))
        let replayed = try quote.replayedEventLog()
        #expect(replayed.runtimeEvents.last?.name == "model-loaded" && !quote.leadsToIntel)
        let anchor = try TrustAnchor(certificate: agent.file("root.pem"))
        let collateral = try QuoteCollateral(parsingJSON: agent.file("collateral.json"))
        let compose = try agent.file("app-compose.json")
        let reportData = try ReportData(padding: Array("challenge".utf8))
        let binding = try SessionBinding(
            exporter: FixedBytes(repeating: 1), nonce: FixedBytes(repeating: 2),
            publicKey: try await client.tlsIdentity(.init(subject: "a")).publicKey)
        let evidence: [(Evidence, ReportData)] = [
            (quote.evidence(appCompose: compose), reportData),
            (try await client.attest(reportData: reportData).evidence(appCompose: compose), reportData),
            (try await client.v1.attest(reportData: reportData).evidence(appCompose: compose), reportData),
            (try await client.attestSession(binding).evidence(appCompose: compose), binding.reportData),
        ]
        let now = Int64(Date().timeIntervalSince1970)
        for (index, (evidence, expected)) in evidence.enumerated() {
            var policy = VerificationPolicy.standard
            policy.expected.reportData = expected.bytes
            let report = QuoteVerifier(trustAnchor: anchor).verify(
                evidence, collateral: collateral, policy: policy, at: now)
            #expect(report.verdict == .accepted, "\(index): \(report.failure?.description ?? "")")
        }
        // Nobody else gets a session's report data.
        let error = await clientError { () async throws(DstackClientError) in
            try await client.quote(reportData: binding.reportData)
        }
        #expect(error?.code == .refused)
        await agent.end()
    }

    @Test("information, versions and capabilities")
    func info() async throws {
        let agent = try await SimulatedAgent()
        let client = agent.client
        let info = try await client.info()
        #expect(info.composeHashMatches == true)
        #expect(try Array((info.appCompose ?? "").utf8) == agent.file("app-compose.json"))
        let tcb = try #require(info.tcb)
        #expect(try tcb.eventLog.replay().registers == tcb.rtmrs)
        #expect(try ApplicationIdentity(tcb.eventLog.replay()).appID == info.appID)
        let newer = try await client.v1.info()
        #expect(newer.appID == info.appID && newer.composeHashMatches == true && newer.vmConfig == info.vmConfig)
        #expect(newer.mrAggregated == info.mrAggregated && newer.osImageHash == info.osImageHash)
        #expect(try await client.version().version == "1.2.3")
        #expect(try await client.v1.version().version == "1.2.3")
        #expect(try await client.capabilities() == [.v0, .v1, .ed25519, .tlsOptions])
        #expect(try await client.gpuInfo() == nil)
        #expect(await client.isReachable(within: .seconds(10)))
        #expect(try await client.v1.attestWithGPUs(reportData: ReportData(FixedBytes())).gpus.isEmpty)
        let nonce = await clientError { () async throws(DstackClientError) in
            try await client.v1.attestGPU(nonce: FixedBytes())
        }
        #expect(nonce == nil || nonce?.code == .refused || nonce?.code == .unsupported)
        await agent.end()
    }

    @Test("TLS identities carry evidence for their key, have the validity that was asked for, and end at the app's CA")
    func identities() async throws {
        let agent = try await SimulatedAgent()
        let client = agent.client
        let now = Int64(Date().timeIntervalSince1970)
        var request = TLSIdentityRequest(subject: "app.test", alternativeNames: ["app.test", "127.0.0.1"])
        request.validity = (now - 60)...(now + 3_600)
        request.usages = [.server, .client]
        request.carriesAppInfo = true
        for identity in [try await client.tlsIdentity(request), try await client.v1.issueCert(request)] {
            #expect(identity.notBefore == now - 60 && identity.notAfter == now + 3_600)
            #expect(identity.certificateChain.count > 1)
            let leaf = try RATLSCertificate(parsing: identity.certificateChain[0])
            #expect(leaf.attestation?.reportData == leaf.expectedReportData)
            #expect(leaf.appInfo?.appID == (try await client.info()).appID)
        }
        request.carriesEvidence = false
        let bare = try await client.tlsIdentity(request)
        #expect(try RATLSCertificate(parsing: bare.certificateChain[0]).attestation == nil)
        await agent.end()
    }

    @Test("a server with an installed identity presents the whole chain in a handshake")
    func handshake() async throws {
        let agent = try await SimulatedAgent()
        let identity = try await agent.client.tlsIdentity(.init(subject: "app.test"))
        await agent.end()
        let serverContext = try #require(SSL_CTX_new(TLS_server_method()))
        let clientContext = try #require(SSL_CTX_new(TLS_client_method()))
        defer {
            SSL_CTX_free(serverContext)
            SSL_CTX_free(clientContext)
        }
        try identity.install(in: serverContext)
        let (server, client) = (SSL_new(serverContext), SSL_new(clientContext))
        defer {
            SSL_free(server)
            SSL_free(client)
        }
        var (serverEnd, clientEnd): (OpaquePointer?, OpaquePointer?)
        #expect(BIO_new_bio_pair(&serverEnd, 1 << 17, &clientEnd, 1 << 17) == 1)
        SSL_set_bio(server, serverEnd, serverEnd)
        SSL_set_bio(client, clientEnd, clientEnd)
        SSL_set_accept_state(server)
        SSL_set_connect_state(client)
        for _ in 0..<10 where SSL_is_init_finished(client) == 0 || SSL_is_init_finished(server) == 0 {
            SSL_do_handshake(client)
            SSL_do_handshake(server)
        }
        #expect(SSL_is_init_finished(client) == 1 && SSL_is_init_finished(server) == 1)
        let presented = SSL_get_peer_cert_chain(client)
        #expect(OPENSSL_sk_num(presented) == Int32(identity.certificateChain.count))
        for (index, expected) in identity.certificateChain.enumerated() {
            let certificate = OpaquePointer(OPENSSL_sk_value(presented, Int32(index)))
            var bytes = [UInt8](repeating: 0, count: Int(i2d_X509(certificate, nil)))
            bytes.withUnsafeMutableBufferPointer { buffer in
                var start = buffer.baseAddress
                _ = i2d_X509(certificate, &start)
            }
            #expect(bytes == expected)
        }
    }

    @Test("the older socket")
    func tappd() async throws {
        let agent = try await SimulatedAgent()
        let client = agent.tappd
        let key = try await client.deriveKey(path: "a")
        #expect(try await client.deriveKey(path: "a").publicKey == key.publicKey)
        #expect(try await client.deriveKey(path: "a", isRandom: true).publicKey != key.publicKey)
        let k256 = try await client.deriveK256Key(path: "a", purpose: "p")
        #expect(k256.publicKey == (try await agent.client.key(path: "a")).publicKey)
        for hash in ReportData.HashAlgorithm.allCases {
            _ = try await client.tdxQuote([1, 2, 3], hash: hash).replayedEventLog()
        }
        _ = try await client.tdxQuote([1, 2, 3], tag: .init("mine")).replayedEventLog()
        _ = try await client.rawQuote(ReportData(FixedBytes(repeating: 9))).replayedEventLog()
        #expect(try await client.info().composeHashMatches == true)
        #expect(try await client.version().version == "1.2.3")
        await agent.end()
    }

    @Test(
        "upstream's recorded files: its keys, its registers, report data as asked",
        .needsVectors("guest-agent/derived-vectors.json"))
    func recorded() async throws {
        let agent = try await SimulatedAgent(recorded: true)
        let client = agent.client
        let vectors = try Vectors.object("guest-agent/derived-vectors.json")
        for row in try vectors.rows("v0_get_key").prefix(6) {
            let algorithm = try #require(KeyAlgorithm(label: row.text("algorithm")))
            let key = try await client.key(
                path: row.text("path"), purpose: row.text("purpose"), algorithm: algorithm)
            #expect(try Hex.encode(key.publicKey) == row.text("public_key"))
            try key.verifyChain(appID: FakeAgent.appID, kmsKey: FakeAgent.kmsKey)
        }
        let quote = try await client.quote(reportData: [1, 2, 3])
        #expect(try quote.replayedRTMRs() == quote.report.rtmrs)
        #expect(!quote.leadsToIntel, "patched and signed again")
        let info = try await client.info()
        #expect(info.appID == FakeAgent.appID && info.composeHashMatches == false, "its files are of two applications")
        await agent.end()
    }

    @Test(
        "a recorded quote, as Intel's platform signed it, leads to Intel; with one bit changed it does not",
        .needsVectors("guest-agent/derived-vectors.json"))
    func leadsToIntel() throws {
        let path = Vectors.directory.appendingPathComponent("guest-agent/attestation.bin")
        let recorded = try #require(try Attestation(decoding: [UInt8](Data(contentsOf: path))).quote)
        #expect(QuoteVerifier.leadsToIntel(recorded))
        for position in [100, 600, 700] {
            var changed = recorded
            changed[position] ^= 1
            #expect(!QuoteVerifier.leadsToIntel(changed))
        }
        #expect(!QuoteVerifier.leadsToIntel([]) && !QuoteVerifier.leadsToIntel([1, 2, 3]))
    }
}
