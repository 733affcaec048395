import DstackAttestation
import DstackHTTP
import DstackHTTPServer
import DstackKeys
import DstackMockTEE
import DstackNetwork
import Foundation
import TestKit
import Testing

/// Whoever decides, as a service behind HTTP that does as it is told.
private final class Decider: Sendable {
    enum Mood: Sendable {
        case yes
        case no(String)
        /// Allows applications, and the key management service no more.
        case noToServices(String)
        case silence
        case nonsense
        case fault
    }

    private let mood = Shared(Mood.yes)
    private let server: HTTPServer
    let port: UInt32
    let asked = Shared<[String]>([])

    init() async throws {
        let (mood, asked) = (mood, asked)
        server = HTTPServer(
            HTTPServerConfiguration(listeners: [HTTPListener("tcp", .tcp(host: "127.0.0.1", port: 0))])
        ) { request in
            asked.edit { $0.append(request.path) }
            func answer(_ reason: String?) -> HTTPServerResponse { Self.answer(request.path, reason) }
            switch mood.value {
            case .yes: return answer(nil)
            case .no(let reason): return answer(reason)
            case .noToServices(let reason): return answer(request.path.hasSuffix("/kms") ? reason : nil)
            case .silence:
                try? await Task.sleep(for: .seconds(600))
                return answer(nil)
            case .nonsense: return HTTPServerResponse(200, body: Array("<html>".utf8))
            case .fault: return HTTPServerResponse(500, body: Array("password=hunter2".utf8))
            }
        }
        port = try await server.start().compactMap(\.port).first ?? 0
    }

    /// What stands at upstream's three routes.
    ///
    /// - Parameter reason: why not; nil for yes.
    private static func answer(_ path: String, _ reason: String?) -> HTTPServerResponse {
        let none = "0x" + String(repeating: "0", count: 40)
        let about = #""kmsContractAddr":"\#(none)","appImplementation":"\#(none)","chainId":0,"status":"ok""#
        let decision = #""isAllowed":\#(reason == nil),"reason":"\#(reason ?? "")""#
        let text = #"{"gatewayAppId":"any",\#(path.contains("/bootAuth/") ? decision : about)}"#
        return HTTPServerResponse(200, headers: ["Content-Type": "application/json"], body: Array(text.utf8))
    }

    func become(_ new: Mood) { mood.edit { $0 = new } }

    func stop() async { await server.stop(within: .zero) }
}

@Suite("Whoever decides", .enabled(if: SimulatedHost.isThere, SimulatedHost.absence))
struct AuthorizerTests {
    private let host: SimulatedHost

    init() throws { host = try SimulatedHost.shared() }

    private func keys(_ service: KMSProcess) async throws -> KMSProcess.Answer {
        try await service.call("GetAppKey", #"{"api_version":1}"#, ClientIdentity(host.app).credentials)
    }

    /// That it lives, and says what everybody may know.
    private func expectAlive(_ service: KMSProcess) async throws {
        let meta = try await service.call("GetMeta")
        #expect(try meta.status == 200 && meta.object()["k256_pubkey"] as? String == service.roots().publicKey.hex)
        let health = try await service.ask(service.url + "/health")
        #expect(health.status == 200, "\(health)")
    }

    @Test("that is down, slow, broken or says no costs keys alone: the service lives, and says why it gives none")
    func webhook() async throws {
        let decider = try await Decider()
        let service = try await KMSProcess(
            .init(
                authorizer: """
                    type = "webhook"
                    webhook.url = "http://127.0.0.1:\(decider.port)/secret-path"
                    webhook.timeout = "2s"
                    """)
        ).start()
        let material = try KeyMaterial(of: service)

        func expect(_ mood: Decider.Mood, _ status: Int, _ reason: String) async throws {
            decider.become(mood)
            // What was answered before may be remembered for a moment.
            var last: KMSProcess.Answer?
            let isSo = try await eventually {
                let answer = try await self.keys(service)
                last = answer
                return answer.status == status && answer.text.contains(reason)
            }
            let text = last?.text ?? ""
            #expect(isSo, "\(mood): \(text)")
            if status != 200 { material.expectAbsent(in: "an answer", text) }
            for secret in ["secret-path", "hunter2", "\(decider.port)"] { #expect(!text.contains(secret), "\(text)") }
            try await expectAlive(service)
        }
        try await expect(.yes, 200, "k256_key")
        #expect(try await service.call("GetMeta").object()["gateway_app_id"] as? String == "any")
        #expect(decider.asked.value.contains { $0.hasSuffix("/bootAuth/kms") })
        try await expect(.noToServices("revoked on Monday"), 400, "KMS is not allowed: revoked on Monday")
        let authority = try await service.call("GetTempCaCert")
        #expect(authority.status == 400 && !authority.text.contains("PRIVATE"), "\(authority)")
        try await expect(.yes, 200, "k256_key")
        try await expect(.silence, 503, "authorization")
        try await expect(.nonsense, 503, "authorization")
        try await expect(.fault, 503, "authorization")
        try await expect(.yes, 200, "k256_key")
        try await expect(.no("not in this house"), 400, "not in this house")
        await decider.stop()
        try await expect(.yes, 503, "authorization")
        // Who could not be asked decided nothing.
        let denials = try await service.audit().facts("boot_decided").filter { $0["allowed"] as? Bool == false }
        #expect(denials.allSatisfy { ($0["reason"] as? String)?.contains("not in this house") == true }, "\(denials)")
    }

    @Test("that is silent for longer than anybody waits does not keep the service from saying who it is")
    func silence() async throws {
        let decider = try await Decider()
        let service = try await KMSProcess(
            .init(authorizer: "type = \"webhook\"\nwebhook.url = \"http://127.0.0.1:\(decider.port)\"")
        ).start()
        decider.become(.silence)
        // By its presets the service gives it twice as long.
        let meta = try await service.call("GetMeta", within: .seconds(10))
        #expect(try meta.status == 200 && meta.object()["ca_cert"] != nil, "\(meta)")
        await decider.stop()
    }

    @Test("that is a file acts as soon as it is written, and a broken one denies everything")
    func file() async throws {
        let service = try await KMSProcess().start()
        func expect(_ status: Int, _ reason: String, _ edit: (inout BootRules) -> Void) async throws {
            var rules = try BootRules(host)
            edit(&rules)
            try service.write(rules)
            let answer = try await keys(service)
            #expect(answer.status == status && answer.text.contains(reason), "\(answer)")
            try await expectAlive(service)
        }
        try await expect(200, "k256_key") { _ in }
        try await expect(400, "app not registered") { $0.apps = [:] }
        try await expect(200, "k256_key") { $0.gateway = "another" }
        try await expect(400, "compose hash not allowed") { rules in rules.apps = rules.apps.mapValues { _ in [] } }
        try await expect(400, "KMS is not allowed: aggregated MR not allowed") { $0.kms = [] }
        try await expect(400, "TCB status is not allowed") { $0.statuses = [] }
        try await expect(400, "OS image is not allowed") { $0.images = [] }
        try service.scratch.write(String(try BootRules(host).text.dropLast()), "auth.json")
        #expect(try await keys(service).status != 200)
        try await expect(200, "k256_key") { _ in }
        try service.scratch.remove("auth.json")
        #expect(try await keys(service).status != 200)
        try await expect(200, "k256_key") { _ in }
    }

    @Test("that is a policy lists measurements, for services and applications")
    func policy() async throws {
        let rules = try BootRules(host)
        let policies = try ScratchDirectory()
        func write(kms: String) throws {
            try policies.write(
                """
                any_gateway = true
                [defaults]
                os_images = ["\(rules.images[0])"]
                any_device = true
                [[rule]]
                name = "the service itself"
                for = "kms"
                mr_aggregated = ["\(kms)"]
                [[rule]]
                name = "an application"
                for = "app"
                apps = ["\(host.app.appID.bytes.hex)"]
                compose_hashes = ["\(ComposeHash(ofFile: SimulatedHost.appCompose).bytes.hex)"]
                """, "policy.toml")
        }
        try write(kms: rules.kms[0])
        let service = try await KMSProcess(
            .init(authorizer: "type = \"policy\"\npolicy.path = \"\(policies.path("policy.toml"))\"")
        ).start()
        #expect(try await keys(service).status == 200)
        try write(kms: String(repeating: "0", count: 64))
        let revoked = try await keys(service)
        #expect(revoked.status == 400 && revoked.text.contains("KMS is not allowed"), "\(revoked)")
        try await expectAlive(service)
        try write(kms: rules.kms[0])
        #expect(try await keys(service).status == 200)
    }
}
