import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackKMS
import DstackKMSClient
import DstackKMSService
import DstackKeys
import DstackNetwork
import DstackRPC
import DstackSystem
import Foundation
import Synchronization
import TestKit
import Testing

/// A listener that serves as long as a test wants.
struct ServedOnboarding: Sendable {
    let listener: OnboardingListener
    let port: UInt16
    private let task: Task<OnboardingResult?, any Error>

    var url: String { "http://127.0.0.1:\(port)" }

    init(
        _ kms: NewKMS, token: String? = nil, allowsEveryone: Bool = false, host: String = "127.0.0.1",
        source: Onboarding.Source? = nil,
        information: @escaping OnboardingListener.Information = { ServedOnboarding.information }
    ) async throws {
        let rules = OnboardingRules(
            place: .tcp(host: host, port: 0),
            token: token.map { SharedSecret(copying: Array($0.utf8).span.bytes) }, allowsEveryone: allowsEveryone)
        let listener = OnboardingListener(
            rules, kms.onboarding(source: source), headers: ["X-App-Version": "v1"],
            log: Log("kms.onboarding", to: LogOutput(sink: Nowhere())), information: information)
        let (ports, found) = AsyncStream.makeStream(of: UInt16.self)
        task = Task {
            try await listener.run { bound in found.yield(UInt16(bound[0].port ?? 0)) }
        }
        self.listener = listener
        port = await ports.first { _ in true } ?? 0
    }

    /// What came of it, once it was told to finish.
    func result() async throws -> OnboardingResult? { try await task.value }

    func stop() async {
        task.cancel()
        _ = try? await task.value
    }

    static let information = KMSRPC.AttestationInfoResponse.with {
        $0.deviceID = [UInt8](repeating: 0xD1, count: 32)
        $0.mrAggregated = [UInt8](repeating: 0xA2, count: 32)
        $0.osImageHash = [UInt8](repeating: 0x05, count: 32)
        $0.teeVariant = "dstack-tdx"
        $0.siteName = "Frankfurt <2>"
        $0.kmsContractAddress = "0x" + String(repeating: "c0", count: 20)
        $0.ethereumRPCURL = "https://rpc.example"
        $0.ppid = [UInt8](repeating: 0x44, count: 16)
    }

    func send(
        _ method: HTTPMethod, _ path: String, _ body: String? = nil, headers: HTTPHeaders = [:]
    ) async throws -> (status: Int, text: String) {
        let answer = try await HTTPClient().send(
            HTTPRequest(method, url + path, headers: headers, body: body.map { Array($0.utf8) }))
        return (answer.status, String(decoding: answer.body, as: UTF8.self))
    }
}

/// What the log says is nobody's business here.
private struct Nowhere: ByteSink {
    func write(_ bytes: [UInt8]) {}
}

@Suite("The onboarding listener", .timeLimit(.minutes(2)))
struct OnboardingListenerTests {
    @Test("upstream's clients set a service up that is for this machine alone, and it ends when told to")
    func upstreamsClients() async throws {
        let kms = try NewKMS()
        let served = try await ServedOnboarding(kms)
        #expect(served.listener.generatedToken == nil)
        #expect(try await served.send(.get, "/health") == (200, "OK"))
        let client = RPCClient(HTTPClient(), at: served.url + "/prpc")
        let info = try await client.call(KMSRPC.Onboard.getAttestationInfo)
        #expect(info == ServedOnboarding.information)
        // No content type, and the service's name or not.
        let answer = try await served.send(.post, "/prpc/Onboard.Bootstrap?json", #"{"domain":"kms.example"}"#)
        #expect(answer.status == 200)
        let response = try KMSRPC.BootstrapResponse(json: Array(answer.text.utf8))
        let publicKey = try kms.files.load().material.roots.publicKey
        #expect(response.k256PublicKey == publicKey.bytes)
        let again = try await served.send(.post, "/prpc/Bootstrap?json", #"{"domain":"kms.example"}"#)
        #expect(again.status == 400)
        #expect(again.text.contains("KMS has already been bootstrapped"))
        #expect(try await served.send(.get, "/nothing").status == 404)
        _ = try await client.call(KMSRPC.Onboard.finish)
        guard case .bootstrapped(let result, let domain)? = try await served.result() else {
            throw CancellationError()
        }
        #expect(result == response)
        #expect(domain.name == "kms.example")
        await #expect(throws: HTTPClientError.self) { _ = try await served.send(.get, "/health") }
    }

    @Test("a listener for others has a token, which is told and without which nobody decides anything")
    func generatedToken() async throws {
        let kms = try NewKMS()
        let served = try await ServedOnboarding(kms, host: "0.0.0.0")
        let token = try #require(served.listener.generatedToken)
        #expect(token.count == 40)
        #expect(served.listener.announcements == ["the token for onboarding is \(token)"])
        let body = #"{"domain":"kms.example"}"#
        let attempts: [HTTPHeaders] = [
            [:], ["Authorization": "Bearer"], ["Authorization": "Bearer " + String(token.dropLast())],
            ["Authorization": token], ["Authorization": "Basic \(token)"], ["X-Admin-Token": ""],
            ["X-Admin-Token": token.uppercased() + "x"], ["Cookie": "token=\(token)"],
        ]
        for headers in attempts {
            for path in ["/prpc/Bootstrap?json", "/prpc/Onboard?json", "/prpc/Onboard.Finish?json", "/finish"] {
                let answer = try await served.send(.post, path, body, headers: headers)
                #expect(answer.status == 401, "\(path) \(headers)")
            }
        }
        #expect(try await served.send(.post, "/prpc/Bootstrap?json&token=\(token)", body).status == 401)
        var doubled: HTTPHeaders = [:]
        doubled.add("X-Admin-Token", token)
        doubled.add("X-Admin-Token", token)
        #expect(try await served.send(.get, "/finish", headers: doubled).status == 401)
        #expect(kms.names.isEmpty)
        // What anybody may see.
        #expect(try await served.send(.post, "/prpc/GetAttestationInfo?json").status == 200)
        #expect(try await served.send(.get, "/").status == 200)
        let made = try await served.send(
            .post, "/prpc/Bootstrap?json", body, headers: ["Authorization": "bearer \(token)"])
        #expect(made.status == 200)
        #expect(try await served.send(.get, "/finish", headers: ["X-Admin-Token": token]) == (200, "OK"))
        #expect(try await served.result() != nil)
    }

    @Test("the settings' token is needed on this machine, too; everybody is let in where they say so")
    func settings() async throws {
        let kms = try NewKMS()
        let local = try await ServedOnboarding(kms, token: "a token of the settings")
        #expect(local.listener.generatedToken == nil)
        #expect(local.listener.announcements == ["onboarding needs the token of the settings"])
        #expect(try await local.send(.get, "/finish").status == 401)
        let headers: HTTPHeaders = ["X-Admin-Token": "a token of the settings"]
        #expect(try await local.send(.get, "/finish", headers: headers).status == 409)
        await local.stop()
        let open = try await ServedOnboarding(kms, allowsEveryone: true, host: "0.0.0.0")
        #expect(open.listener.announcements[0].contains("EVERYBODY"))
        #expect(try await open.send(.get, "/finish").status == 409)
        await open.stop()
    }

    @Test("a service without keys is not finished, and stays to be set up")
    func finishedTooEarly() async throws {
        let kms = try NewKMS()
        let served = try await ServedOnboarding(kms)
        for (method, path) in [(HTTPMethod.post, "/finish"), (.get, "/finish"), (.post, "/prpc/Finish?json")] {
            let answer = try await served.send(method, path, method == .post ? "{}" : nil)
            #expect(answer.status == 409 && answer.text.contains("there are no keys yet"), "\(answer)")
        }
        let made = try await served.send(.post, "/prpc/Bootstrap?json", #"{"domain":"kms.example"}"#)
        #expect(made.status == 200)
        #expect(try await served.send(.post, "/finish", "").status == 200)
        #expect(try await served.result() != nil)
    }

    private static let browser: HTTPHeaders = ["Accept-Language": "en", "User-Agent": "Mozilla/5.0"]

    @Test("no page of another site drives a listener that needs no token, by whatever kind of request")
    func otherSites() async throws {
        let kms = try NewKMS()
        let served = try await ServedOnboarding(kms)
        let body = #"{"domain":"evil.example"}"#
        func headers(_ more: KeyValuePairs<String, String>) -> HTTPHeaders {
            var headers = Self.browser
            for (name, value) in more { headers[name] = value }
            return headers
        }
        let attacks: [(String, HTTPMethod, HTTPHeaders)] = [
            ("a form", .post, headers(["Origin": "https://evil.example", "Content-Type": "text/plain"])),
            ("a sandboxed frame", .post, headers(["Origin": "null"])),
            ("another port", .post, headers(["Origin": "http://127.0.0.1:1"])),
            ("a POST without origin", .post, headers([:])),
            ("an image", .get, headers([:])), ("an image without language", .get, headers(["Accept-Language": ""])),
            ("an image, seen by its site", .get, ["Sec-Fetch-Site": "cross-site"]),
            ("a link", .get, ["Referer": "https://evil.example/"]),
            // A name of the attacker's that leads here.
            ("rebinding", .post, headers(["Host": "evil.example", "Origin": "http://evil.example"])),
            ("rebinding with a port", .post, headers(["Host": "127.0.0.1.evil.example:80"])),
            ("rebinding to look", .get, headers(["Host": "evil.example"])),
        ]
        for (name, method, headers) in attacks {
            for path in ["/prpc/Bootstrap?json&domain=evil.example", "/prpc/Onboard.Finish", "/finish"] {
                let answer = try await served.send(method, path, method == .post ? body : nil, headers: headers)
                #expect(answer.status == 403, "\(name) \(path): \(answer)")
            }
        }
        for path in ["/", "/prpc/GetAttestationInfo"] {
            #expect(try await served.send(.get, path, headers: headers(["Host": "evil.example"])).status == 403)
        }
        #expect(kms.names.isEmpty)
        // Its own page does.
        for host in ["127.0.0.1:\(served.port)", "localhost:\(served.port)", "[::1]"] {
            let own = headers(["Host": host, "Origin": "http://\(host)", "Sec-Fetch-Site": "same-origin"])
            let answer = try await served.send(.post, "/prpc/Bootstrap?json", #"{"domain":""}"#, headers: own)
            #expect(answer.status == 400)
            #expect(answer.text.contains("domain must be a non-empty ASCII DNS name"))
        }
        await served.stop()
    }

    @Test("keys of a running service are taken, and a refusal says why")
    func onboards() async throws {
        let kms = try NewKMS()
        try await ScriptedKMS(kms.world).run { source in
            let served = try await ServedOnboarding(kms, source: kms.source())
            let client = RPCClient(HTTPClient(), at: served.url + "/prpc")
            let refused = await #expect(throws: RPCClientError.self) {
                _ = try await client.call(
                    KMSRPC.Onboard.onboard, .with { ($0.sourceURL, $0.domain) = ("https://localhost:1", "a") })
            }
            #expect(refused?.status == 503)
            let foreign = try ScriptedKMS(kms.world, "other").caPublicKey
            for (root, status) in [(foreign, 400), (Array(source.caPublicKey.dropLast()), 400)] {
                let refused = await #expect(throws: RPCClientError.self) {
                    _ = try await client.call(
                        KMSRPC.Onboard.onboard,
                        .with { ($0.sourceURL, $0.domain, $0.caPublicKey) = (source.url, "a", root) })
                }
                #expect(refused?.status == status)
            }
            #expect(kms.names.isEmpty)
            let answer = try await client.call(
                KMSRPC.Onboard.onboard,
                .with {
                    ($0.sourceURL, $0.domain) = (source.url + "/", "second.example")
                    $0.caPublicKey = source.caPublicKey
                })
            #expect(answer.k256PublicKey == source.material.roots.publicKey.bytes)
            _ = try await client.call(KMSRPC.Onboard.finish)
            #expect(try await served.result() != nil)
        }
    }

    @Test("a machine that cannot show evidence says so, and its page is there all the same")
    func noInformation() async throws {
        let kms = try NewKMS()
        let served = try await ServedOnboarding(
            kms, information: { throw KMSServiceError(.unavailable, "agent", "no <agent> answers") })
        let answer = try await served.send(.post, "/prpc/GetAttestationInfo?json", "{}")
        #expect(answer.status == 503)
        let page = try await served.send(.get, "/")
        #expect(page.status == 200)
        #expect(page.text.contains("no &lt;agent&gt; answers"))
        await served.stop()
    }

    @Test("a service that is stopped before it was set up stops")
    func cancelled() async throws {
        let served = try await ServedOnboarding(NewKMS())
        await served.stop()
        await #expect(throws: HTTPClientError.self) { _ = try await served.send(.get, "/health") }
    }

    @Test("bodies beyond what a set-up needs are refused")
    func large() async throws {
        let served = try await ServedOnboarding(NewKMS())
        let body = String(repeating: "a", count: 100_000)
        let status = try? await served.send(.post, "/prpc/Bootstrap?json", body).status
        #expect(status == nil || status == 413)
        await served.stop()
    }
}
