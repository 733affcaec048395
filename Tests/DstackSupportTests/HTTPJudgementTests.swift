import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackNetwork
import Foundation
import Synchronization
import TestKit
import Testing

private let hasCertificates = HTTPTestCertificates.shared != nil

/// Says what it is told to, when it is told to.
private final class TestJudge: TLSPeerJudge {
    struct Found: TLSPeerVerdict {
        let name: String
        let isGood: @Sendable () -> Bool

        var holds: Bool { isGood() }
    }

    private let answer: @Sendable (Int) async -> TLSJudgement
    let asked = Atomic<Int>(0)
    let ended = Atomic<Int>(0)

    init(_ answer: @escaping @Sendable (Int) async -> TLSJudgement) { self.answer = answer }

    static func accepting(_ name: String, holds: @escaping @Sendable () -> Bool = { true }) -> TestJudge {
        TestJudge { _ in .accepted(Found(name: name, isGood: holds)) }
    }

    /// Waits until the task is cancelled.
    static func waiting() -> TestJudge {
        TestJudge { _ in
            try? await Task.sleep(for: .seconds(600))
            return .refused("cancelled")
        }
    }

    var askedCount: Int { asked.load(ordering: .sequentiallyConsistent) }
    var endedCount: Int { ended.load(ordering: .sequentiallyConsistent) }

    func judge(_ certificates: [[UInt8]], askedBy client: String) async -> TLSJudgement {
        let number = asked.add(1, ordering: .sequentiallyConsistent).newValue
        defer { ended.add(1, ordering: .sequentiallyConsistent) }
        return await answer(number)
    }
}

@Suite(
    "HTTP server: clients that are judged", .enabled(if: hasCertificates, "the openssl program is missing"),
    .timeLimit(.minutes(2)))
struct HTTPJudgementTests {
    private let certificates: HTTPTestCertificates

    init() throws { certificates = try #require(HTTPTestCertificates.shared) }

    private func tls(_ judge: (any TLSPeerJudge)?, isRequired: Bool = true) -> HTTPServerTLS {
        HTTPServerTLS(
            certificateChain: certificates.server, privateKey: certificates.serverKey,
            clientCertificates: judge.map { .init(isRequired: isRequired, judge: $0) })
    }

    /// Answers with the name of the verdict.
    private func serving(
        _ tls: HTTPServerTLS, _ change: (inout HTTPServerConfiguration) -> Void = { _ in }
    ) async throws -> HTTPServerFixture {
        try await HTTPServerFixture(tls: tls, configure: change) { request in
            .text(200, (request.peer.verdict as? TestJudge.Found)?.name ?? "nobody")
        }
    }

    private func client(_ certificates: HTTPTestCertificates?) -> HTTPClient {
        directClient {
            $0.trust = .only { _ in .accepted }
            $0.clientIdentity = certificates.map {
                TLSCredentials(certificateChain: $0.client, privateKey: $0.clientKey)
            }
        }
    }

    private func ask(_ client: HTTPClient, _ fixture: HTTPServerFixture) async throws -> (Int, String, Bool) {
        let response = try await client.send(HTTPRequest(.get, fixture.tlsURL))
        return (response.status, String(decoding: response.body, as: UTF8.self), response.openedConnection)
    }

    private func refusals(_ fixture: HTTPServerFixture) -> [String] {
        fixture.events.all.compactMap { if case .clientRefused(_, _, let reason) = $0 { reason } else { nil } }
    }

    @Test("a client is judged once for its connection, after the handshake, and its verdict goes to the handler")
    func once() async throws {
        let judge = TestJudge { _ in
            try? await Task.sleep(for: .milliseconds(50))
            return .accepted(TestJudge.Found(name: "somebody") { true })
        }
        let fixture = try await serving(tls(judge))
        let client = client(certificates)
        for isFirst in [true, false, false] {
            let (status, name, opened) = try await ask(client, fixture)
            #expect(status == 200 && name == "somebody" && opened == isFirst)
        }
        #expect(judge.askedCount == 1)
        await fixture.server.stop()
    }

    @Test("who is refused gets no answer, and the reason is for the server's log")
    func refused() async throws {
        let fixture = try await serving(tls(TestJudge { _ in .refused("an inner reason") }))
        let error = try #require(await failure(client(certificates), HTTPRequest(.get, fixture.tlsURL)))
        #expect(!error.reason.contains("inner"))
        #expect(refusals(fixture) == ["an inner reason"])
        #expect(fixture.server.statistics.answeredRequests == 0)
        await fixture.server.stop()
    }

    @Test("a client without certificate is served where none is required, and its verdict is none")
    func optional() async throws {
        let judge = TestJudge.accepting("somebody")
        let fixture = try await serving(tls(judge, isRequired: false))
        #expect(try await ask(client(nil), fixture).1 == "nobody")
        #expect(try await ask(client(certificates), fixture).1 == "somebody")
        #expect(judge.askedCount == 1)
        await fixture.server.stop()
    }

    @Test("a verdict that does not hold any more is found anew before the next request, on the same connection")
    func expired() async throws {
        let holds = Atomic<Bool>(true)
        let judge = TestJudge { number in
            number < 3
                ? .accepted(
                    TestJudge.Found(name: "judged \(number)") { number > 1 || holds.load(ordering: .acquiring) })
                : .refused("not any more")
        }
        let fixture = try await serving(tls(judge))
        let client = client(certificates)
        #expect(try await ask(client, fixture).1 == "judged 1")
        holds.store(false, ordering: .releasing)
        let (status, name, opened) = try await ask(client, fixture)
        #expect(status == 200 && name == "judged 2" && !opened)
        await fixture.server.stop()
    }

    @Test("where the listener has another judge, that one decides, also on connections that stand")
    func replaced() async throws {
        let fixture = try await serving(tls(TestJudge.accepting("old")))
        let client = client(certificates)
        #expect(try await ask(client, fixture).1 == "old")
        try await fixture.server.replaceTLS(tls(TestJudge.accepting("new")), of: "tcp")
        let (_, name, opened) = try await ask(client, fixture)
        #expect(name == "new" && !opened)
        try await fixture.server.replaceTLS(tls(nil), of: "tcp")
        let (_, nobody, reopened) = try await ask(client, fixture)
        #expect(nobody == "nobody" && !reopened)
        try await fixture.server.replaceTLS(tls(TestJudge { _ in .refused("not you") }), of: "tcp")
        let (status, reason, _) = try await ask(client, fixture)
        #expect(status == 403 && reason == "not you\n")
        #expect(await failure(client, HTTPRequest(.get, fixture.tlsURL)) != nil)
        await fixture.server.stop()
    }

    @Test("a connection without certificate gets 403 once one is required")
    func requiredLater() async throws {
        let fixture = try await serving(tls(nil))
        let client = client(nil)
        #expect(try await ask(client, fixture).0 == 200)
        try await fixture.server.replaceTLS(tls(TestJudge.accepting("x")), of: "tcp")
        let (status, _, opened) = try await ask(client, fixture)
        #expect(status == 403 && !opened)
        await fixture.server.stop()
    }

    @Test("clients that wait for a verdict are bounded, half of them for one address, and go when their time is over")
    func flood() async throws {
        let judge = TestJudge.waiting()
        let fixture = try await serving(tls(judge)) {
            $0.limits.maximumJudgements = 8
            $0.limits.handshakeTimeout = .seconds(3)
        }
        let certificates = certificates
        let strangers = (0..<20).map { _ in
            Task { _ = try? await client(certificates).send(HTTPRequest(.get, fixture.tlsURL)) }
        }
        for stranger in strangers { await stranger.value }
        // All were of one address: four places, taken anew as they became free.
        let most = judge.askedCount
        #expect(most >= 4 && most < 20, "\(most)")
        #expect(try await eventually { judge.endedCount == most && fixture.server.statistics.judgements == 0 })
        #expect(fixture.server.statistics.answeredRequests == 0)
        await fixture.server.stop()
    }

    @Test("a judgement ends with its connection")
    func cancelled() async throws {
        let judge = TestJudge.waiting()
        let fixture = try await serving(tls(judge))
        let certificates = certificates
        let waiting = Task { _ = try? await client(certificates).send(HTTPRequest(.get, fixture.tlsURL)) }
        #expect(try await eventually { judge.askedCount == 1 })
        #expect(fixture.server.statistics.judgements == 1)
        waiting.cancel()
        #expect(try await eventually { judge.endedCount == 1 && fixture.server.statistics.judgements == 0 })
        await fixture.server.stop()
    }

    @Test("a server that stops does not wait for judgements")
    func stopping() async throws {
        let judge = TestJudge.waiting()
        let fixture = try await serving(tls(judge))
        let certificates = certificates
        let waiting = Task { _ = try? await client(certificates).send(HTTPRequest(.get, fixture.tlsURL)) }
        #expect(try await eventually { judge.askedCount == 1 })
        await fixture.server.stop(within: .seconds(60))
        await waiting.value
        #expect(try await eventually { judge.endedCount == 1 })
    }
}
