import DstackAuthorization
import DstackEncoding
import DstackHTTP
import DstackHTTPServer
import DstackSystem
import Foundation
import TestKit
import Testing

@Suite("Asking a service")
struct WebhookAuthorizerTests {
    private func authorizer(
        _ url: String, _ change: (inout WebhookAuthorizer.Configuration) -> Void = { _ in }
    ) throws -> WebhookAuthorizer {
        var configuration = WebhookAuthorizer.Configuration(url: url, userAgent: "dstack-kms/9.9")
        change(&configuration)
        return try WebhookAuthorizer(configuration)
    }

    private static func json(_ text: String, _ status: Int = 200) -> HTTPServerResponse {
        .json(Array(text.utf8), status: status)
    }

    private static let yes = json(#"{"isAllowed":true,"gatewayAppId":"0xab","reason":"","more":1}"#)
    private static let no = json(#"{"isAllowed":false,"gatewayAppId":"0xab","reason":"app not registered"}"#)

    @Test("a question goes where upstream's services expect it, with all that is known", arguments: ["", "/", "//"])
    func question(_ ending: String) async throws {
        let peer = try await Peer { _ in Self.yes }
        let decision = try await authorizer(peer.url + ending).decide(.sample(), as: .kms)
        #expect(decision == .allowed(gatewayAppID: "0xab"))
        let question = try #require(peer.questions.first)
        #expect(question.method == .post && question.path == "/bootAuth/kms")
        #expect(question.headers["User-Agent"] == "dstack-kms/9.9")
        #expect(question.headers["Content-Type"] == "application/json")
        #expect(question.body == BootInfo.sample().json)
        _ = try await authorizer(peer.url + "/api" + ending).decide(.sample(), as: .app)
        #expect(peer.questions.last?.path == "/api/bootAuth/app")
    }

    @Test("a service says where its rules stand")
    func info() async throws {
        let full = AuthorizerInfo(
            kmsContractAddress: "0x01", ethereumURL: "http://node", gatewayAppID: "0xab", chainID: 1 << 60,
            appImplementation: "0x02")
        let peer = try await Peer { _ in .json(full.json) }
        #expect(try await authorizer(peer.url).info() == full)
        #expect(peer.questions.first?.method == .get && peer.questions.first?.path == "/")
        let bad = try await Peer { _ in Self.json(#"{"status":"ok"}"#) }
        #expect(await failure { () throws(AuthorizationError) in try await nonsense(bad.url) }?.code == .invalidAnswer)
    }

    private func nonsense(_ url: String) async throws(AuthorizationError) -> AuthorizerInfo {
        try await WebhookAuthorizer(.init(url: url, userAgent: "x")).info()
    }

    @Test("a no, a service that fails and an answer that is none do not look alike")
    func distinct() async throws {
        let cases: [(HTTPServerResponse, AuthorizationError.Code)] = [
            (Self.no, .denied), (Self.json("{}", 500), .unavailable), (Self.json("{}", 503), .unavailable),
            (Self.json("busy", 429), .unavailable), (Self.json("{}", 400), .invalidAnswer),
            (Self.json("{}", 404), .invalidAnswer), (.text(302, "there"), .unavailable),
            (Self.json(#"{"isAllowed":true}"#), .invalidAnswer),
            (Self.json(#"{"isAllowed":"true","gatewayAppId":"","reason":""}"#), .invalidAnswer),
            (Self.json(#"{"isAllowed":1,"gatewayAppId":"","reason":""}"#), .invalidAnswer),
            (Self.json(#"{"isAllowed":true,"gatewayAppId":null,"reason":""}"#), .invalidAnswer),
            (Self.json(#"{"isAllowed":false,"isAllowed":true,"gatewayAppId":"","reason":""}"#), .invalidAnswer),
            (Self.json(#"[{"isAllowed":true,"gatewayAppId":"","reason":""}]"#), .invalidAnswer),
            (.text(200, "yes"), .invalidAnswer), (.text(200, ""), .invalidAnswer),
            (.text(200, String(repeating: " ", count: 70_000)), .invalidAnswer),
            (
                Self.json(
                    #"{"isAllowed":false,"gatewayAppId":"","reason":"authorization backend unavailable"}"#),
                .unavailable
            ),
            (
                Self.json(
                    #"{"isAllowed":false,"gatewayAppId":"","reason":"authorization backend gave no valid answer"}"#),
                .invalidAnswer
            ),
        ]
        for (index, (response, code)) in cases.enumerated() {
            let peer = try await Peer { _ in response }
            let authorizer = try authorizer(peer.url)
            let error = await failure { () throws(AuthorizationError) in
                try await authorizer.authorize(.sample(), as: .app)
            }
            #expect(error?.code == code, "\(index): \(error?.description ?? "allowed")")
            await peer.stop()
        }
    }

    @Test("what a service says is cut between characters, and its control characters are shown")
    func cut() async throws {
        for lead in 0..<4 {
            let text = "\u{1B}" + String(repeating: "a", count: lead) + String(repeating: "😀", count: 400)
            let peer = try await Peer { _ in .text(500, text) }
            let authorizer = try authorizer(peer.url)
            let error = await failure { () throws(AuthorizationError) in
                try await authorizer.decide(.sample(), as: .app)
            }
            let reason = try #require(error?.reason)
            #expect(reason.hasPrefix("returned 500: \\u{1b}"), "\(reason)")
            #expect(!reason.contains("\u{FFFD}") && reason.utf8.count < 600)
            #expect(reason.hasSuffix("😀"))
        }
    }

    @Test("a service that says nothing holds nobody up for ever")
    func silent() async throws {
        let peer = try await Peer { _ in
            try? await Task.sleep(for: .seconds(30))
            return Self.yes
        }
        let authorizer = try authorizer(peer.url) { $0.timeout = .milliseconds(300) }
        let begin = ContinuousClock.now
        let error = await failure { () throws(AuthorizationError) in try await authorizer.decide(.sample(), as: .app) }
        #expect(error?.code == .unavailable)
        #expect(begin.duration(to: .now) < .seconds(5))
        // Asked once: who is slow is not asked again.
        #expect(peer.questions.count == 1)
    }

    @Test("where nobody listens it is tried once more, and then it is unavailable")
    func nobody() async throws {
        let peer = try await Peer { _ in Self.yes }
        let url = peer.url
        await peer.stop()
        let authorizer = try authorizer(url)
        let error = await failure { () throws(AuthorizationError) in try await authorizer.decide(.sample(), as: .app) }
        #expect(error?.code == .unavailable)
        #expect(error?.subject == url)
    }

    @Test("the same question again is not passed on for a moment after a no, and always after a yes")
    func negatives() async throws {
        let answer = Shared(Self.no)
        let peer = try await Peer { _ in answer.value }
        let now = Shared(ContinuousClock.now)
        var configuration = WebhookAuthorizer.Configuration(url: peer.url, userAgent: "x")
        configuration.negativeLifetime = .seconds(4)
        configuration.maximumNegatives = 2
        let authorizer = try WebhookAuthorizer(configuration, now: { now.value })
        for _ in 0..<5 { #expect(try await !authorizer.decide(.sample(), as: .app).isAllowed) }
        #expect(peer.questions.count == 1)
        // Another machine, and the same one as something else, are other questions.
        #expect(try await !authorizer.decide(.sample(app: 0xA2), as: .app).isAllowed)
        #expect(try await !authorizer.decide(.sample(), as: .kms).isAllowed)
        #expect(peer.questions.count == 3)
        // There is room for two, so that the first is forgotten.
        #expect(try await !authorizer.decide(.sample(), as: .app).isAllowed)
        #expect(peer.questions.count == 4)
        answer.edit { $0 = Self.yes }
        now.edit { $0 += .milliseconds(3_999) }
        #expect(try await !authorizer.decide(.sample(), as: .app).isAllowed)
        #expect(peer.questions.count == 4)
        now.edit { $0 += .milliseconds(1) }
        for _ in 0..<3 { #expect(try await authorizer.decide(.sample(), as: .app).isAllowed) }
        #expect(peer.questions.count == 7)
        // What was allowed is not remembered: revoked, it is denied at once.
        answer.edit { $0 = Self.no }
        #expect(try await !authorizer.decide(.sample(), as: .app).isAllowed)
    }

    @Test("a failure is remembered as a failure, not as a no")
    func rememberedFailure() async throws {
        let peer = try await Peer { _ in Self.json("{}", 500) }
        let authorizer = try authorizer(peer.url) { $0.negativeLifetime = .seconds(60) }
        for _ in 0..<3 {
            let error = await failure { () throws(AuthorizationError) in
                try await authorizer.decide(.sample(), as: .app)
            }
            #expect(error?.code == .unavailable)
        }
        #expect(peer.questions.count == 1)
    }

    @Test(
        "addresses that nobody could be asked at are refused before anything starts",
        arguments: [
            "", "auth-api:8000", "ftp://x", "http://", "http://user:pass@x", "http://x/?a=b", "http://x/#a",
            "http:///x",
        ])
    func addresses(_ url: String) {
        #expect(throws: AuthorizationError(.invalidConfiguration, subject: "", reason: "")) { try authorizer(url) }
    }
}
