import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKMSClient
import DstackKeys
import DstackMockTEE
import Foundation
import TestKit
import Testing

/// Two services as programs: one makes root keys, the other takes them from it.
@Suite("Two key management services", .enabled(if: SimulatedHost.isThere, SimulatedHost.absence))
struct TwoServicesTests {
    private let host: SimulatedHost

    init() throws { host = try SimulatedHost.shared() }

    private func waiting(_ settings: KMSProcess.Settings = .init()) async throws -> KMSProcess {
        var settings = settings
        settings.autoBootstrapDomain = ""
        let service = try KMSProcess(settings)
        try await service.startOnboarding()
        return service
    }

    @Test(
        "one is bootstrapped by whoever has the token, the next takes its keys over attested TLS, and both give the same"
    )
    func bootstrapAndOnboard() async throws {
        let first = try await waiting()
        // What has to be listed is what the page says.
        let about = try await first.setUp("GetAttestationInfo", token: nil)
        #expect(try about.object()["mr_aggregated"] as? String == SimulatedHost.mrAggregated(host.kms), "\(about)")
        for token in [nil, "another-token"] {
            let refused = try await first.setUp("Bootstrap", #"{"domain":"localhost"}"#, token: token)
            #expect(refused.status == 401, "\(refused)")
        }
        let made = try await first.setUp("Bootstrap", #"{"domain":"localhost"}"#)
        try #require(made.status == 200, "\(made)")
        let again = try await first.setUp("Bootstrap", #"{"domain":"localhost"}"#)
        #expect(again.status == 400 && again.text.contains("KMS has already been bootstrapped"), "\(again)")
        #expect(
            try await first.ask(first.onboardingURL + "/finish", "", token: KMSProcess.onboardingToken).status == 200)
        try await first.serving()

        let second = try await waiting()
        let taken = try await second.setUp(
            "Onboard", #"{"source_url":"\#(first.url)","domain":"localhost"}"#)
        try #require(taken.status == 200, "\(taken)")
        #expect(try await second.setUp("Finish").status == 200)
        try await second.serving()

        let roots = try first.roots()
        #expect(try taken.object()["k256_pubkey"] as? String == roots.publicKey.hex)
        #expect(try made.object()["k256_pubkey"] as? String == roots.publicKey.hex)
        let expected = try AppKeyBytes(from: roots, host.app)
        for service in [first, second] {
            #expect(AppKeyBytes(try await service.appKeys()) == expected)
            let meta = try await service.call("GetMeta").object()
            #expect(meta["k256_pubkey"] as? String == roots.publicKey.hex)
        }
        let released = try await first.audit().facts("keys_released")
        #expect(released.compactMap { $0["keys"] as? String } == ["root", "app"], "\(released)")
        let arrivals = try await second.audit().facts("onboarded")
        #expect(arrivals.count == 1 && arrivals[0]["url"] as? String == first.url + "/prpc", "\(arrivals)")
        #expect(try await first.audit().facts("bootstrapped").count == 1)
        let material = try KeyMaterial(of: first)
        for service in [first, second] { try material.expectAbsent(fromAllOf: service) }
        for answer in [about, made, again, taken] { material.expectAbsent(in: "an answer", answer.text) }
    }

    private func replica(_ service: KMSProcess) throws -> String {
        try String(contentsOfFile: service.directory + "/replica-id", encoding: .utf8)
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    @Test("an epoch says for whom it waits, and is for all applications only where that is asked for")
    func waitingEpoch() async throws {
        let first = try await KMSProcess().start()
        let second = try await waiting(.init(replicas: [first.url]))
        let taken = try await second.setUp("Onboard", #"{"source_url":"\#(first.url)","domain":"localhost"}"#)
        try #require(taken.status == 200, "\(taken)")
        #expect(try await second.setUp("Finish").status == 200)
        try await second.serving()
        #expect(
            try await eventually { try await first.command("epoch", "list").output.contains("127.0.0.1, last heard 2") }
        )
        try await second.stop()

        let unclear = try await first.command("epoch", "advance")
        #expect(unclear.status == 2 && unclear.errors.contains("--all"), "\(unclear)")
        let both = try await first.command("epoch", "advance", "--all", "--app-id", String(repeating: "01", count: 20))
        #expect(both.status == 2, "\(both)")
        let advanced = try await first.command("epoch", "advance", "--all")
        #expect(advanced.status == 0 && advanced.errors.contains("cannot be taken back"), "\(advanced)")
        let id = try replica(second)
        let waits = try await first.command("epoch", "list")
        #expect(waits.output.contains("not stored by \(id)"), "\(waits)")
        let json = try await first.command("epoch", "list", "--json").output
        #expect(json.contains(#""missing""#) && json.contains(#""last_heard""#), "\(json)")
        let metrics = try await first.ask(first.url + "/metrics").text
        #expect(metrics.contains("dstack_kms_epochs_proposed 1\n"))

        let refused = try await first.command("epoch", "forget-replica", try replica(first))
        #expect(refused.status != 0 && refused.errors.contains("it is the one that was asked"), "\(refused)")
        #expect(try await first.command("epoch", "forget-replica", id).status == 0)
        #expect(try await first.command("epoch", "list").output.contains("epoch 1: in force"))
        _ = try await first.appKeys(epoch: 1)
        // Who was given up hears of it, says so and gives nothing.
        try await second.start()
        #expect(try await eventually { second.written.contains("this service was given up by the others") })
        let told = try await second.command("epoch", "list").output
        #expect(told.contains("was given up by the others, and gives no keys"), "\(told)")
        #expect(try await second.ask(second.url + "/ready").status == 503)
    }

    @Test("one with a name in its settings makes its keys at once, and once only")
    func automaticBootstrap() async throws {
        let service = try await KMSProcess().start()
        let expected = try AppKeyBytes(from: service.roots(), host.app)
        #expect(AppKeyBytes(try await service.appKeys()) == expected)
        try await service.restart()
        #expect(AppKeyBytes(try await service.appKeys()) == expected)
        #expect(try await service.audit().facts("bootstrapped").count == 1)
    }

    @Test("one that is not listed gets no root keys, and nothing of them stays with it")
    func unlistedReplica() async throws {
        let first = try await KMSProcess().start()
        let second = try await waiting()
        var rules = try BootRules(host)
        rules.kms = []
        try first.write(rules)
        let refused = try await second.setUp("Onboard", #"{"source_url":"\#(first.url)","domain":"localhost"}"#)
        #expect(refused.status == 400 && refused.text.contains("aggregated MR not allowed"), "\(refused)")
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: second.directory).allSatisfy { !$0.hasSuffix(".key") })
        // Who asks is refused by the source as well as by itself.
        try second.write(rules)
        try first.write(BootRules(host))
        let other = try await second.setUp("Onboard", #"{"source_url":"\#(first.url)","domain":"localhost"}"#)
        #expect(other.status == 400 && other.text.contains("Source KMS is not allowed for onboarding"), "\(other)")
        let material = try KeyMaterial(of: first)
        try material.expectAbsent(fromAllOf: second)
        material.expectAbsent(in: "an answer", refused.text + other.text)
        try second.write(BootRules(host))
        let taken = try await second.setUp("Onboard", #"{"source_url":"\#(first.url)","domain":"localhost"}"#)
        #expect(taken.status == 200, "\(taken)")
    }

    @Test("a client like upstream's, with a certificate of the temporary CA, gets the same keys in JSON")
    func plainClient() async throws {
        let service = try await KMSProcess().start()
        let client = try PlainClient(service)
        let temporary = try await client.call("GetTempCaCert")
        try #require(temporary.status == 200, "\(temporary)")
        let answer = try temporary.object()
        let key = Array(try #require(answer["temp_ca_key"] as? String).utf8)
        let certificate = Array(try #require(answer["temp_ca_cert"] as? String).utf8)
        let authority = try CertificateAuthority(
            key: P256.PrivateKey(pem: key.span.bytes),
            chain: CertificatePEM.decode(certificate, subject: "temp_ca_cert"))
        let identity = try ClientIdentity(host.app, issuedBy: authority)
        let vmConfig = String(decoding: try JSONEncoder().encode(host.app.vmConfig), as: UTF8.self)
        let keys = try await client.call(
            "GetAppKey", #"{"api_version":1,"vm_config":\#(vmConfig)}"#, identity)
        try #require(keys.status == 200, "\(keys.status)")
        let expected = try AppKeyBytes(from: service.roots(), host.app)
        #expect(try AppKeyBytes(answer: keys.object()) == expected)
        #expect(try keys.object()["gateway_app_id"] as? String == "any")
    }
}
