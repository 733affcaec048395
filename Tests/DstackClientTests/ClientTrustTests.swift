import DstackAttestation
import DstackEncoding
import DstackHTTPServer
import Foundation
import TestKit
import Testing

@Suite("Answers about something else")
struct ClientTrustTests {
    private func failure(
        _ agent: FakeAgent, _ body: (DstackClient) async throws(DstackClientError) -> Void
    ) async -> DstackClientError? {
        await clientError { () async throws(DstackClientError) in try await body(agent.client()) }
    }

    @Test("evidence for other report data does not reach the caller")
    func otherReportData() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let client = agent.client()
        // What an honest agent answered before.
        let quote = try await client.quote(reportData: [1])
        let attestation = try await client.attest(reportData: [1])
        agent.edit { answer in
            answer["quote"] = Hex.encode(quote.bytes)
            answer["event_log"] = quote.eventLogJSON
            answer["report_data"] = ""
            answer["attestation"] = Hex.encode(attestation.bytes)
        }
        #expect(try await client.quote(reportData: [1]).bytes == quote.bytes)
        let binding = try SessionBinding(
            exporter: FixedBytes(), nonce: FixedBytes(),
            publicKey: hex("302a300506032b6570032100") + [UInt8](repeating: 1, count: 32))
        for call in 0..<6 {
            let error = await failure(agent) { client throws(DstackClientError) in
                switch call {
                case 0: _ = try await client.quote(reportData: [2])
                case 1: _ = try await client.attest(reportData: [2])
                case 2: _ = try await client.v1.attest(reportData: [2])
                case 3: _ = try await client.attestSession(binding)
                case 4: _ = try await agent.tappd.tdxQuote([1])
                default: _ = try await agent.tappd.rawQuote(ReportData(FixedBytes(repeating: 2)))
                }
            }
            #expect(error?.code == .notAuthentic, "\(call): \(error?.description ?? "none")")
        }
    }

    @Test("what the agent says of the report data must be what was asked, too")
    func statedReportData() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        agent.edit { $0["report_data"] = String(repeating: "00", count: 64) }
        let error = await failure(agent) { client throws(DstackClientError) in
            _ = try await client.quote(reportData: [1])
        }
        #expect(error?.code == .notAuthentic)
    }

    @Test("an envelope that says one thing and quotes another is refused")
    func patchedEnvelope() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        var envelope = try await agent.client().attest(reportData: [1]).attestation
        envelope.reportData = try ReportData(padding: [2])
        let bytes = envelope.encoded.bytes
        agent.edit { $0["attestation"] = Hex.encode(bytes) }
        let error = await failure(agent) { client throws(DstackClientError) in
            _ = try await client.attest(reportData: [2])
        }
        #expect(error?.code == .notAuthentic)
    }

    @Test("a log that leads elsewhere is refused where it is replayed against the quote")
    func otherLog() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        agent.edit { $0["event_log"] = "[]" }
        let quote = try await agent.client().quote(reportData: [1])
        #expect(try quote.replayedRTMRs() == RTMRValues())
        let error = #expect(throws: AttestationError.self) { try quote.replayedEventLog() }
        #expect(error?.code == .registerMismatch && error?.subject == "RTMR0")
    }

    @Test("a key whose stated public half is another's is refused")
    func otherPublicKey() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let other = try await agent.client().v1.key(domain: "other").publicKey
        agent.edit { $0["public_key"] = Hex.encode(other) }
        let error = await failure(agent) { client throws(DstackClientError) in _ = try await client.v1.key(domain: "a")
        }
        #expect(error?.code == .notAuthentic)
    }

    @Test("a signature that is not of the message by its own key is refused")
    func otherSignature() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let first = try await agent.client().sign([1])
        let edits: [@Sendable (inout [String: Any]) -> Void] = [
            { answer in
                answer["signature"] = Hex.encode(first.signature)
                var chain = answer["signature_chain"] as? [String] ?? []
                chain[0] = Hex.encode(first.signature)
                answer["signature_chain"] = chain
            },
            { $0["signature"] = Hex.encode(first.signature) },
            { $0["public_key"] = FakeAgent.appKey },
            { $0["signature"] = String(repeating: "00", count: 64) },
        ]
        for (index, edit) in edits.enumerated() {
            agent.edit(edit)
            let error = await failure(agent) { client throws(DstackClientError) in _ = try await client.sign([2]) }
            #expect(error?.code == .notAuthentic, "\(index): \(error?.description ?? "none")")
        }
        agent.edit { $0["signature_chain"] = [String]() }
        let error = await failure(agent) { client throws(DstackClientError) in _ = try await client.sign([2]) }
        #expect(error?.code == .invalidResponse)
    }

    @Test("a certificate without the evidence that was asked for, or for another key, is refused")
    func certificates() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        var request = TLSIdentityRequest(subject: "a")
        request.carriesEvidence = false
        let bare = try await agent.client().tlsIdentity(request)
        let pem = bare.withUnsafePrivateKeyPEM { String(decoding: $0, as: UTF8.self) }
        let chain = bare.certificateChainPEM
        // An honest key and certificate, but nothing in it.
        agent.edit { ($0["key"], $0["certificate_chain"]) = (pem, [chain]) }
        let missing = await failure(agent) { client throws(DstackClientError) in
            _ = try await client.tlsIdentity(.init(subject: "a"))
        }
        #expect(missing?.code == .notAuthentic && missing?.reason.contains("no evidence") == true)
        agent.edit { $0["key"] = pem }
        let mixed = await failure(agent) { client throws(DstackClientError) in
            _ = try await client.tlsIdentity(.init(subject: "a"))
        }
        #expect(mixed?.code == .invalidResponse && mixed?.reason.contains("another key") == true)
        agent.edit { $0["certificate_chain"] = [String](repeating: chain, count: 1_000) }
        let many = await failure(agent) { client throws(DstackClientError) in
            _ = try await client.tlsIdentity(.init(subject: "a"))
        }
        #expect(many?.code == .invalidResponse)
    }

    @Test("a chain without a KMS leads nowhere")
    func noKMS() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        for second in ["", "00", String(repeating: "00", count: 65)] {
            agent.edit { answer in
                var chain = answer["signature_chain"] as? [String] ?? []
                chain[1] = second
                answer["signature_chain"] = chain
            }
            let key = try await agent.client().key(path: "a")
            let error = await clientError { () throws(DstackClientError) in
                try key.verifyChain(appID: FakeAgent.appID, kmsKey: FakeAgent.kmsKey)
            }
            #expect(error?.code == .notAuthentic)
        }
        agent.edit { $0["signature_chain"] = ["00"] }
        let error = await failure(agent) { client throws(DstackClientError) in _ = try await client.key(path: "a") }
        #expect(error?.code == .invalidResponse)
    }

    @Test("a key that is none of its algorithm is refused", arguments: ["", "00", String(repeating: "ff", count: 32)])
    func noKey(_ bytes: String) async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        agent.edit { $0["key"] = bytes }
        let error = await failure(agent) { client throws(DstackClientError) in _ = try await client.key(path: "a") }
        #expect(error?.code == .invalidResponse)
    }

    @Test(
        "information of another form is refused",
        arguments: [
            ("app_id", "00"), ("compose_hash", ""), ("instance_id", "00"), ("device_id", "00"), ("mr_aggregated", "00"),
            ("os_image_hash", "00"), ("key_provider_info", "{"), ("key_provider_info", "{\"name\":\"?\",\"id\":\"\"}"),
            ("tcb_info", "[]"), ("tcb_info", "{\"event_log\":[],\"app_compose\":1}"),
            ("tcb_info", "{\"mrtd\":\"00\",\"event_log\":[],\"app_compose\":\"\"}"),
            ("tcb_info", "{\"mrtd\":\"\(String(repeating: "0", count: 96))\",\"event_log\":[],\"app_compose\":\"\"}"),
            ("tcb_info", "{\"event_log\":{},\"app_compose\":\"\"}"),
        ])
    func information(_ member: String, _ value: String) async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        agent.edit { $0[member] = value }
        let error = await failure(agent) { client throws(DstackClientError) in _ = try await client.info() }
        #expect(error?.code == .invalidResponse, "\(error?.description ?? "none")")
    }
}
