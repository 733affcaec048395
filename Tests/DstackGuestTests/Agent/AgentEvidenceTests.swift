import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackGuest
import DstackRPC
import DstackSystem
import Foundation
import Synchronization
import TestKit
import Testing

@Suite("Guest agent: evidence that is kept, waited for and refused")
struct AgentEvidenceTests {
    private static var withoutCertificate: GuestSettings {
        var settings = AgentFixture.settings
        settings.certificates.makesDemoCertificate = false
        return settings
    }

    @Test("Info takes one quote for all its answers, and another after an event was measured")
    func cached() async throws {
        let bench = try await BenchAgent(Self.withoutCertificate)
        let first = try await bench.post("dstack", "/Info")
        for _ in 0..<5 {
            #expect(try await bench.post("dstack", "/Info").body == first.body)
            #expect(try await bench.post("tappd", "/prpc/Tappd.Info").body == first.body)
            #expect(try await bench.external("/prpc/Info").status == 200)
            #expect(try await bench.post("guest", "/api/Info").status == 200)
        }
        #expect(bench.attester.quotes == 1)
        #expect(try await bench.post("dstack", "/EmitEvent", #"{"event":"a","payload":"00"}"#).text == "null")
        let second = try await bench.post("dstack", "/Info")
        #expect(second.body != first.body)
        #expect(bench.attester.quotes == 2)
        let log = try second.json.text("tcb_info")
        #expect(log.contains(#""event": "a""#) || log.contains(#""event":"a""#))
    }

    @Test("callers who come at once share one quote, and a failed one is tried again")
    func singleFlight() async throws {
        let unavailable = AttestationError(.quoteUnavailable, subject: "quote", reason: "the platform is away")
        let bench = try await BenchAgent(Self.withoutCertificate, prepare: { $0.set { $0.failure = unavailable } })
        #expect(try await eventually { bench.attester.quotes == 1 })
        let failed = try await bench.post("dstack", "/Info")
        #expect(failed.status >= 500)
        #expect(try #require(failed.error).contains("the platform is away"))
        // Keys do not need the platform.
        #expect(try await bench.post("dstack", "/GetKey").status == 200)
        let before = bench.attester.quotes
        bench.attester.set {
            $0.failure = nil
            $0.delay = .milliseconds(200)
        }
        let statuses = try await withThrowingTaskGroup { group in
            for _ in 0..<20 { group.addTask { try await bench.post("dstack", "/Info").status } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(statuses == [Int](repeating: 200, count: 20))
        #expect(bench.attester.quotes == before + 1)
    }

    @Test("a platform that hangs is answered for, and keys and information are still there")
    func hanging() async throws {
        var settings = Self.withoutCertificate
        settings.evidence.timeout = .milliseconds(300)
        settings.evidence.maximumWaiting = 4
        let bench = try await BenchAgent(settings)
        #expect(try await bench.post("dstack", "/Info").status == 200)
        bench.attester.set { $0.hangs = true }
        defer { bench.attester.set { $0.hangs = false } }
        let errors = try await withThrowingTaskGroup { group in
            for _ in 0..<20 {
                group.addTask {
                    let answer = try await bench.post("dstack", "/GetQuote", #"{"report_data":"00"}"#)
                    #expect(answer.status == 503)
                    return answer.error ?? ""
                }
            }
            return try await group.reduce(into: [String]()) { $0.append($1) }
        }
        #expect(errors.contains { $0.contains("within 300 ms") })
        // Which of the two is said at once depends on how long the quote before took on this machine.
        #expect(errors.contains { $0.contains("which is the limit") || $0.contains("would not be answered within") })
        #expect(try await bench.post("dstack", "/Info").status == 200)
        #expect(try await bench.post("dstack", "/GetKey").status == 200)
        try await bench.server.probe()
        bench.attester.set { $0.hangs = false }
        #expect(try await eventually { try await bench.post("dstack", "/GetQuote").status == 200 })
    }

    @Test("who would wait longer than a quote may take is told at once")
    func overload() async throws {
        var settings = Self.withoutCertificate
        settings.evidence.timeout = .seconds(1)
        let bench = try await BenchAgent(settings, prepare: { $0.set { $0.delay = .milliseconds(400) } })
        #expect(try await bench.post("dstack", "/Info").status == 200)
        let answers = try await withThrowingTaskGroup { group in
            for _ in 0..<8 { group.addTask { try await bench.post("dstack", "/GetQuote") } }
            return try await group.reduce(into: [AgentFixture.Answer]()) { $0.append($1) }
        }
        #expect(answers.contains { $0.status == 200 })
        let refused = answers.filter { $0.status == 503 }
        #expect(refused.contains { $0.error?.contains("would not be answered within 1000 ms") == true })
        #expect(answers.count == answers.filter { [200, 503].contains($0.status) }.count)
    }

    @Test("strangers cause only so many quotes")
    func rateLimit() async throws {
        var settings = Self.withoutCertificate
        settings.evidence.publicQuotesPerMinute = 1
        let bench = try await BenchAgent(settings)
        _ = try await bench.post("dstack", "/Info")
        let path = "/prpc/Worker.GetAttestationForAppKey?algorithm="
        let first = try await bench.external(path + "ed25519")
        for _ in 0..<10 { #expect(try await bench.external(path + "ed25519").body == first.body) }
        #expect(try await bench.external(path + "k256").body == bench.external(path + "secp256k1").body)
        #expect(bench.attester.quotes == 3)
        for wrong in ["", "secp256k1_prehashed", "rsa"] {
            let answer = try await bench.external(path + wrong)
            #expect(answer.status == 400 && answer.error == "Unsupported algorithm")
        }
        // An event makes what is kept worthless; but two quotes were all that strangers have for now.
        #expect(try await bench.post("dstack", "/EmitEvent", #"{"event":"a"}"#).status == 200)
        let refused = try await bench.external(path + "ed25519")
        #expect(refused.status == 429 && refused.error != nil)
    }

    @Test("events are refused where they are not turned on, with what turns them on")
    func events() async throws {
        var settings = Self.withoutCertificate
        settings.evidence.acceptsEvents = false
        let bench = try await BenchAgent(settings)
        let answer = try await bench.post("dstack", "/EmitEvent", #"{"event":"a","payload":""}"#)
        #expect(answer.status == 400)
        #expect(try #require(answer.error).contains("core.evidence.accept_events"))
    }

    @Test("an event that would make certificates too large for TLS is refused before anything is measured")
    func eventSizes() async throws {
        let bench = try await BenchAgent(Self.withoutCertificate)
        func emit(_ name: String, _ payload: Int) async throws -> AgentFixture.Answer {
            try await bench.post(
                "dstack", "/EmitEvent", #"{"event":"\#(name)","payload":"\#(String(repeating: "5a", count: payload))"}"#
            )
        }
        let before = try await bench.post("dstack", "/Info").body
        let named = try await emit(String(repeating: "n", count: 100_000), 0)
        #expect(named.status == 400 && named.error == "event name: 100000 bytes, an event's name has 1024 at most")
        let loaded = try await emit("a", 16_385)
        #expect(
            loaded.status == 400 && loaded.error == "payload: 16385 bytes, an event has 16384 at most (measure a hash)")
        #expect(try await bench.post("dstack", "/Info").body == before)
        var (taken, size) = (0, 16 << 10)
        while size > 0 {
            let answer = try await emit("e", size)
            if answer.status == 200 {
                taken += 1
            } else {
                #expect(answer.status == 400 && answer.error?.contains("73728 fit") == true, "\(answer.text)")
                size /= 4
            }
        }
        #expect(taken > 5)
        // All that fits into a record fits into a certificate, and still leads to its registers.
        let answer = try await bench.post("dstack", "/GetTlsKey", #"{"usage_ra_tls":true}"#).json
        let chain = try answer.texts("certificate_chain").map { try PEM.decode($0) }
        #expect(chain.reduce(0) { $0 + $1.count } < 100 << 10)
        let attestation = try #require(try RATLSCertificate(parsing: chain[0]).attestation)
        let report = try #require(try attestation.parsedQuote().body.tdReport)
        #expect(try attestation.eventLog?.replay().registers.rtmr3 == report.rtMr3)
        #expect(attestation.runtimeEvents.count { $0.name == "e" } == taken)
    }

    @Test("beside a quote of hardware boot events have no data, in an attestation they have all of it")
    func hardware() async throws {
        let bench = try await BenchAgent(Self.withoutCertificate, prepare: { $0.set { $0.passesForReal = true } })
        let whole = try #require(try await bench.attester.attestation(reportData: ReportData(padding: [])).eventLog)
        #expect(whole.events.contains { $0.type != .runtime && !$0.payload.isEmpty && !$0.isACPIData })
        let quote = try await bench.post("dstack", "/GetQuote").json
        #expect(quote["attestation"] == nil)
        let log = try EventLog(json: quote.text("event_log"))
        #expect(log == whole.stripped(.init(keepsRuntimeDigests: true)))
        #expect(log.events.allSatisfy { $0.digest != nil })
        #expect(try await bench.post("tappd", "/prpc/TdxQuote").json.text("event_log") == quote.text("event_log"))
        for path in ["/Attest", "/v1/Attest"] {
            let bytes = try await bench.post("dstack", path).json.text("attestation")
            let attestation = try Attestation(decoding: Hex.decode(bytes, subject: "attestation"))
            #expect(attestation.eventLog == whole)
        }
        let tcb = try await bench.post("dstack", "/Info").json.text("tcb_info")
        let shown = try JSONDictionary(JSONSerialization.jsonObject(with: Data(tcb.utf8)))["event_log"] as? [Any]
        #expect(shown?.count == whole.events.count)
    }

    @Test("events of version 2 come with the bytes that were hashed, which upstream's verifiers insist on")
    func preimages() async throws {
        let compose =
            #"{"manifest_version":2,"name":"a","runner":"docker-compose","event_log_version":2,"no_instance_id":true}"#
        let agent = try await AgentFixture(compose: compose, Self.withoutCertificate)
        #expect(try await agent.post("dstack", "/EmitEvent", #"{"event":"mine","payload":"01"}"#).text == "null")
        let quote = try await agent.post("dstack", "/GetQuote").json.text("event_log")
        let older = try await agent.post("tappd", "/prpc/TdxQuote").json.text("event_log")
        let bytes = try await agent.post("dstack", "/Attest").json.text("attestation")
        let attestation = try Attestation(decoding: Hex.decode(bytes, subject: "attestation"))
        for log in [try EventLog(json: quote), try EventLog(json: older), try #require(attestation.eventLog)] {
            let events = log.events.filter { $0.type == .runtime }
            #expect(events.last?.name == "mine" && events.count > 5)
            for event in events {
                let preimage = try #require(event.preimage, "\(event.name)")
                #expect(event.version == .v2 && SHA384.hash(preimage) == event.digest)
            }
        }
        // What is shown of the instance does without, as upstream.
        let info = try await agent.post("dstack", "/Info").json
        #expect(try !info.text("tcb_info").contains("preimage"))
        #expect(try info.text("instance_id") == "")
        #expect(try await agent.post("dstack", "/v1/Info").json.text("instance_id") == "")
    }

    @Test("session-bound evidence has the binding's report data, which nothing else can get")
    func session() async throws {
        let bench = try await BenchAgent(Self.withoutCertificate)
        let key = Hex.encode(try P256Key.spki())
        let (exporter, nonce) = (String(repeating: "a1", count: 32), String(repeating: "b2", count: 32))
        let answer = try await bench.post(
            "dstack", "/AttestSession", #"{"exporter":"\#(exporter)","nonce":"\#(nonce)","public_key":"\#(key)"}"#)
        let attestation = try Attestation(
            decoding: Hex.decode(answer.json.text("attestation"), subject: "attestation"))
        let binding = try SessionBinding(
            exporter: Hex.decode(exporter, subject: "e"), nonce: Hex.decode(nonce, subject: "n"),
            publicKey: Hex.decode(key, subject: "k"))
        #expect(attestation.reportData == binding.reportData)
        #expect(try attestation.parsedQuote().body.reportData == binding.reportData.bytes)
        let quote = try await bench.post("dstack", "/GetQuote", #"{"report_data":"\#(binding.reportData.hex)"}"#)
        #expect(quote.status == 400)
    }

    @Test("GPU evidence of the boot is handed out as it was written")
    func gpu() async throws {
        let text = "{\"evidence\": \"ü\"}\n"
        let path = NSTemporaryDirectory() + "gpu-\(UUID().uuidString)"
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: path) }
        var machine = GuestMachine()
        machine.gpuAttestationFile = path
        let bench = try await BenchAgent(Self.withoutCertificate, machine: machine)
        #expect(try await bench.post("dstack", "/GpuInfo").json.text("attestation") == text)
        let answer = try await bench.post(
            "dstack", "/v1/Attest", #"{"report_data":"00","include_boottime_gpu_evidence":true}"#
        ).json
        let evidence = try answer.rows("boottime_gpu_evidence")
        #expect(try evidence.map { try $0.text("format") } == ["nvidia-nvattest-boottime-json-v1"])
        #expect(try evidence.first?.text("evidence") == Hex.encode(Array(text.utf8)))
        let without = try await bench.post("dstack", "/v1/Attest", #"{"report_data":"00"}"#).json
        #expect(try without.rows("boottime_gpu_evidence").isEmpty)
        machine.gpuAttestationFile = "/nowhere"
        let bare = try await BenchAgent(Self.withoutCertificate, machine: machine)
        #expect(try await bare.post("dstack", "/GpuInfo").json.text("attestation") == "")
    }

    @Test("the host learns of the machine, and its request to power off is answered before it is done")
    func host() async throws {
        final class Actions: GuestActions {
            let count = Mutex(0)
            func shutDown() async { count.withLock { $0 += 1 } }
        }
        let actions = Actions()
        let bench = try await BenchAgent(Self.withoutCertificate, host: FixedHost(), actions: actions)
        #expect(try await bench.post("guest", "/api/SysInfo?json", "null").json.text("os_name") == "test")
        #expect(
            try await bench.post("guest", "/api/NetworkInfo?json", "null").json.texts("dns_servers") == ["10.0.0.1"])
        let refused = try await bench.post("guest", "/api/ListContainers?json", "null")
        #expect(refused.status == 400 && refused.error == "no engine")
        let info = try await bench.post("guest", "/api/Info?json", "null").json
        #expect(try info.text("app_id").count == 40 && info.text("tcb_info").contains("mrtd"))
        #expect(try await bench.post("guest", "/api/Shutdown?json", "null").text == "null")
        #expect(try await eventually { actions.count.withLock { $0 } == 1 })
        let none = try await BenchAgent(Self.withoutCertificate)
        #expect(try await none.post("guest", "/api/SysInfo").error == "this agent does not look at its machine")
    }
}

/// A machine that is always the same.
private struct FixedHost: GuestHost {
    func systemInformation() async throws -> GuestAPIRPC.SystemInfo { .with { $0.osName = "test" } }
    func networkInformation() async throws -> GuestAPIRPC.NetworkInformation { .with { $0.dnsServers = ["10.0.0.1"] } }
    func containers() async throws -> GuestAPIRPC.ListContainersResponse { throw RPCError("no engine") }
    func containerHealth() async throws -> [ContainerHealth] { [] }
}
