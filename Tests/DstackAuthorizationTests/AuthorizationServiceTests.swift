import DstackAuthorization
import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackNetwork
import Foundation
import TestKit
import Testing

@Suite("Authorization over HTTP")
struct AuthorizationServiceTests {
    /// Says whatever a test wants.
    private struct Stub: BootAuthorizer {
        var decision: Result<BootDecision, AuthorizationError> = .success(.allowed(gatewayAppID: "0xab"))
        var own: Result<AuthorizerInfo, AuthorizationError> = .success(AuthorizerInfo(gatewayAppID: "0xab"))
        var asked = Shared<[BootSubject]>([])

        func decide(_ info: BootInfo, as subject: BootSubject) async throws(AuthorizationError) -> BootDecision {
            asked.edit { $0.append(subject) }
            return try decision.get()
        }

        func info() async throws(AuthorizationError) -> AuthorizerInfo { try own.get() }
    }

    private let log = TestLog()
    private let client = HTTPClient()

    private func serve<Result>(
        _ authorizer: some BootAuthorizer, _ body: (String) async throws -> Result
    ) async throws -> Result {
        let service = AuthorizationService(authorizer, log: log.log)
        let listeners = [HTTPListener("http", .tcp(host: "127.0.0.1", port: 0))]
        let server = HTTPServer(service.configuration(listeners: listeners), handler: service.routes.respond)
        let url = try await server.start()[0].description
        let result = try await body(url)
        await server.stop(within: .zero)
        return result
    }

    private func post(_ url: String, _ body: [UInt8]) async throws -> HTTPResponse {
        try await client.send(HTTPRequest(.post, url, body: body))
    }

    private func object(_ response: HTTPResponse) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(response.body)) as? [String: Any])
    }

    @Test(
        "questions are passed on as what they are, and answered in upstream's form, with one line of the log for each")
    func answers() async throws {
        let stub = Stub()
        try await serve(stub) { url in
            for subject in BootSubject.allCases {
                let response = try await post(url + subject.path, BootInfo.sample().json)
                #expect(response.status == 200 && response.headers["Content-Type"] == "application/json")
                #expect(try Set(object(response).keys) == ["isAllowed", "gatewayAppId", "reason"])
            }
            let info = try await client.send(HTTPRequest(.get, url + "/"))
            #expect(try AuthorizerInfo(parsingJSON: info.body).gatewayAppID == "0xab")
            #expect(try object(info)["appAuthImplementation"] as? String == AuthorizerInfo.noContract)
        }
        #expect(stub.asked.value == BootSubject.allCases)
        let decided = log.lines.filter { $0.contains("decided") }
        #expect(decided.count == 2)
        let info = BootInfo.sample()
        for part in [info.appID.hex, info.composeHash.hex, info.deviceID.hex, info.mrAggregated.hex, "UpToDate"] {
            #expect(decided.allSatisfy { $0.contains(part) })
        }
    }

    @Test("a body that is no question is refused, and nobody is asked", .needs("auth-simple.json"))
    func malformedVectors() async throws {
        let stub = Stub()
        try await serve(stub) { url in
            for row in try AuthorizationVectors.rows("auth-simple.json", "malformed") {
                let response = try await post(url + "/bootAuth/app", try row.row("body").json())
                #expect(response.status == row["status"] as? Int, "\(row["why"] ?? "")")
            }
        }
        #expect(stub.asked.value.isEmpty)
    }

    @Test("whatever the body is, a refusal is no permission")
    func malformed() async throws {
        let stub = Stub()
        try await serve(stub) { url in
            for text in ["", "{", "null", "[]", "{}", #"{"isAllowed":true}"#, "\u{0}"] {
                let response = try await post(url + "/bootAuth/kms", Array(text.utf8))
                #expect(response.status == 400)
                #expect(
                    String(decoding: response.body, as: UTF8.self)
                        == #"{"isAllowed":false,"reason":"invalid authorization request","gatewayAppId":""}"#)
            }
            let large = try await post(url + "/bootAuth/app", [UInt8](repeating: 0x20, count: 3 << 20))
            #expect(large.status == 413)
            #expect(try await client.send(HTTPRequest(.get, url + "/bootAuth/app")).status == 405)
            #expect(try await post(url + "/bootAuth/root", BootInfo.sample().json).status == 404)
        }
        #expect(stub.asked.value.isEmpty)
    }

    @Test("where nobody decides the answer is no, and says nothing about who was asked")
    func failing() async throws {
        let secret = "http://node/key"
        for (code, reason) in [
            (AuthorizationError.Code.unavailable, "authorization backend unavailable"),
            (.invalidAnswer, "authorization backend gave no valid answer"),
        ] {
            let error = AuthorizationError(code, subject: secret, reason: secret)
            try await serve(Stub(decision: .failure(error), own: .failure(error))) { url in
                let response = try await post(url + "/bootAuth/app", BootInfo.sample().json)
                #expect(response.status == 200)
                #expect(try BootDecision(parsingJSON: response.body) == .denied(reason))
                let info = try await client.send(HTTPRequest(.get, url + "/"))
                #expect(info.status == 500)
                #expect(try object(info) as NSDictionary == ["status": "error", "message": reason])
                // And whoever asks us learns that nobody decided.
                let asking = try WebhookAuthorizer(.init(url: url, userAgent: "x"))
                let found = await failure { () throws(AuthorizationError) in
                    try await asking.decide(.sample(), as: .app)
                }
                #expect(found?.code == code)
            }
        }
    }

    @Test("what a stranger calls itself does not break out of its line of the log")
    func escaped() async throws {
        try await serve(Stub()) { url in
            let info = BootInfo.sample().with { $0.tcbStatus = "x\nallowed=true" }
            _ = try await post(url + "/bootAuth/app", info.json)
        }
        #expect(log.lines.count { $0.contains("decided") } == 1)
        #expect(!log.lines.contains { $0.hasPrefix("allowed=true") })
    }
}
