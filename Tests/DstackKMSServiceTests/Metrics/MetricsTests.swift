import DstackAuthorization
import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackKMSService
import DstackPages
import DstackRPC
import DstackRPCServer
import TestKit
import Testing

@Suite("KMS: metrics and probes")
struct MetricsTests {
    private func get(_ routes: HTTPRoutes, _ path: String) async throws -> (status: Int, type: String?, body: String) {
        let response = await routes.respond(to: try request([], target: path, method: "GET"))
        guard case .bytes(let body) = response.body else { throw NoRequest() }
        return (response.status, response.headers["Content-Type"], String(decoding: body, as: UTF8.self))
    }

    private func routes(_ metrics: KMSMetrics?, _ checks: [KMSProbes.Check] = []) -> HTTPRoutes {
        var routes = HTTPRoutes()
        var current: (@Sendable () -> KMSMetrics)?
        if let metrics { current = { metrics } }
        KMSProbes(metrics: current, checks: checks).add(to: &routes)
        return routes
    }

    @Test(
        "upstream's counters are of the three methods for attested callers, failures of what is answered with 400 and more"
    )
    func attestation() async throws {
        let metrics = KMSMetrics()
        var service = RPCService(KMSRPC.KMS.name)
        service.on(KMSRPC.KMS.getMeta) { _, _ -> KMSRPC.GetMetaResponse in throw RPCError("no") }
        service.on(KMSRPC.KMS.signCert) { _, _ in KMSRPC.SignCertResponse() }
        service.on(KMSRPC.KMS.getAppKey) { _, _ -> KMSRPC.AppKeyResponse in throw RPCError("denied") }
        service.on(KMSRPC.KMS.getKMSKey) { _, _ -> KMSRPC.KmsKeyResponse in throw RPCError("no answer", status: 503) }
        var router = RPCRouter()
        router.mount(service, at: "/prpc")
        router.observer = metrics.observe
        for method in ["GetMeta", "SignCert", "KMS.SignCert", "GetAppKey", "GetKmsKey", "Unknown"] {
            _ = await router.respond(to: try request([], target: "/prpc/\(method)?json"))
        }
        #expect(metrics.attestationRequests.value == 4 && metrics.attestationFailures.value == 2)
        let text = try await get(routes(metrics), "/metrics").body
        for line in [
            "# TYPE dstack_kms_attestation_requests_total counter", "dstack_kms_attestation_requests_total 4",
            "dstack_kms_attestation_failures_total 2",
        ] { #expect(text.contains("\(line)\n"), "\(line)") }
    }

    private struct Stub: BootAuthorizer {
        let answer: Result<BootDecision, AuthorizationError>

        func decide(_ info: BootInfo, as subject: BootSubject) async throws(AuthorizationError) -> BootDecision {
            try answer.get()
        }

        func info() async throws(AuthorizationError) -> AuthorizerInfo { AuthorizerInfo(gatewayAppID: "g") }
    }

    @Test("decisions are counted by what was decided, and passed on as they are")
    func decisions() async throws {
        let metrics = KMSMetrics()
        let machine = BootInfo(
            mrAggregated: FixedBytes(), osImageHash: nil, mrSystem: nil, appID: FixedBytes(), composeHash: FixedBytes(),
            instanceID: nil, deviceID: FixedBytes(), tcbStatus: "UpToDate")
        let allowed = CountedAuthorizer(Stub(answer: .success(.allowed(gatewayAppID: "g"))), in: metrics)
        let denied = CountedAuthorizer(Stub(answer: .success(.denied("no"))), in: metrics)
        let silent = CountedAuthorizer(
            Stub(answer: .failure(AuthorizationError(.unavailable, subject: "a", reason: "b"))), in: metrics)
        for _ in 0..<3 { #expect(try await allowed.decide(machine, as: .app) == .allowed(gatewayAppID: "g")) }
        #expect(try await denied.decide(machine, as: .kms) == .denied("no"))
        await #expect(throws: AuthorizationError(.unavailable, subject: "", reason: "")) {
            try await silent.decide(machine, as: .app)
        }
        #expect(try await allowed.info().gatewayAppID == "g")
        let text = metrics.text
        for (labels, count) in [
            ("subject=\"app\",outcome=\"allowed\"", 3), ("subject=\"app\",outcome=\"denied\"", 0),
            ("subject=\"app\",outcome=\"unavailable\"", 1), ("subject=\"kms\",outcome=\"denied\"", 1),
        ] { #expect(text.contains("dstack_kms_boot_decisions_total{\(labels)} \(count)\n"), "\(labels)") }
    }

    @Test("each counter is in the text, whose families have help, a type and series that follow")
    func text() {
        let metrics = KMSMetrics()
        metrics.applicationKeys.add()
        metrics.rootKeys.add(2)
        metrics.certificates.add(3)
        metrics.epochAdvances.add(4)
        metrics.epochRetirements.add(5)
        metrics.epoch.set(6)
        metrics.auditEntries.add(7)
        metrics.storeFailures.add(8)
        metrics.insecureSettings.set(9)
        let lines = metrics.text.split(separator: "\n").map(String.init)
        for line in [
            "dstack_kms_keys_released_total{kind=\"app\"} 1", "dstack_kms_keys_released_total{kind=\"root\"} 2",
            "dstack_kms_certificates_issued_total 3", "dstack_kms_epoch_changes_total{change=\"advance\"} 4",
            "dstack_kms_epoch_changes_total{change=\"retire\"} 5", "dstack_kms_epoch 6",
            "dstack_kms_audit_entries_total 7", "dstack_kms_store_failures_total 8", "dstack_kms_insecure_settings 9",
        ] { #expect(lines.contains(line), "\(line)") }
        var family = ""
        for line in lines {
            let words = line.split(separator: " ")
            if line.hasPrefix("# HELP ") { family = String(words[2]) }
            #expect(line.hasPrefix("# ") ? words[2] == family[...] : line.hasPrefix(family), "\(line)")
        }
    }

    @Test("counters lose nothing when all count at once")
    func concurrent() async {
        let metrics = KMSMetrics()
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 { group.addTask { for _ in 0..<10_000 { metrics.certificates.add() } } }
        }
        #expect(metrics.certificates.value == 80_000)
    }

    @Test("health is OK whatever else is; readiness names what is not")
    func probes() async throws {
        let isWritable = Shared(true)
        let asked = Shared(0)
        let checks = [
            KMSProbes.Check("keys") { true },
            KMSProbes.Check("store") {
                asked.edit { $0 += 1 }
                return isWritable.value
            },
        ]
        let good = routes(nil, checks)
        #expect(try await get(good, "/health") == (200, "text/plain; charset=utf-8", "OK"))
        for _ in 0..<100 {
            #expect(try await get(good, "/ready").body == #"{"ready":true,"checks":{"keys":true,"store":true}}"#)
        }
        // A second may have passed meanwhile, not a hundred.
        #expect(asked.value < 50)
        isWritable.edit { $0 = false }
        let bad = try await get(routes(nil, checks), "/ready")
        #expect(bad.status == 503 && bad.body == #"{"ready":false,"checks":{"keys":true,"store":false}}"#)
        #expect(try await get(routes(nil, checks), "/health").status == 200)
    }

    @Test("metrics are there only where they are wanted, as Prometheus' text")
    func metricsRoute() async throws {
        #expect(try await get(routes(nil), "/metrics").status == 404)
        let answer = try await get(routes(KMSMetrics()), "/metrics")
        #expect(answer.status == 200 && answer.type == "text/plain; version=0.0.4; charset=utf-8")
    }
}
