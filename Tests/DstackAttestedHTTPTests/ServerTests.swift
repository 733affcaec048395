import DstackAttestation
import DstackAttestedHTTP
import DstackHTTP
import DstackHTTPClient
import DstackKeys
import DstackMockTEE
import DstackNetwork
import Foundation
import Synchronization
import Testing

@Suite("Attested HTTPS server")
struct ServerTests {
    /// Sees whatever certificate there is, and keeps its connection.
    private func stranger() -> HTTPClient {
        var configuration = HTTPClientConfiguration(trust: .only { _ in .accepted })
        configuration.maximumConnections = 1
        configuration.reportsPeerCertificates = true
        return HTTPClient(configuration)
    }

    private func ask(_ client: HTTPClient, _ url: String, _ body: [UInt8]) async throws -> HTTPResponse {
        var request = HTTPRequest(.post, url + SessionEvidence.path, body: body)
        request.mayBeRepeated = true
        return try await client.send(request)
    }

    @Test("one connection may ask for evidence so often, and another has its own count")
    func limit() async throws {
        let simulation = try Simulation.shared()
        var configuration = AttestedHTTPServer.Configuration()
        configuration.maximumEvidencePerConnection = 2
        let identity = try await Simulation.identity(simulation.app)
        let body = SessionEvidence.request(nonce: FixedBytes(repeating: 1))
        try await withServer(identity, configuration, attestSession: Simulation.witness(simulation.app)) { address in
            let client = stranger()
            let firstAnswer = try await ask(client, address.url, body)
            #expect(firstAnswer.status == 200)
            let secondAnswer = try await ask(client, address.url, body)
            #expect(secondAnswer.status == 200)
            let third = try await ask(client, address.url, body)
            #expect(third.status == 429)
            #expect(!third.openedConnection)
            let thirdAnswer = try await ask(stranger(), address.url, body)
            #expect(thirdAnswer.status == 200)
        }
    }

    @Test("requests of another form than the documented are refused with their status and a reason")
    func malformed() async throws {
        let simulation = try Simulation.shared()
        let identity = try await Simulation.identity(simulation.app)
        try await withServer(identity, attestSession: Simulation.witness(simulation.app)) { address in
            let client = stranger()
            for body in [
                "", "{}", "{\"nonce\":1}", "{\"nonce\":\"00\"}", "nonsense", String(repeating: " ", count: 2000),
            ] {
                let response = try await ask(client, address.url, Array(body.utf8))
                #expect(response.status == 400)
                #expect(String(decoding: response.body, as: UTF8.self).hasPrefix("{\"error\":\""))
            }
            let response = try await client.send(HTTPRequest(.get, address.url + SessionEvidence.path))
            #expect(response.status == 405)
            #expect(response.headers["Allow"] == "POST")
        }
    }

    @Test("where no evidence can be made the client is told so, and only the server's log knows why")
    func failing() async throws {
        let events = Record()
        let identity = try await Simulation.identity(Simulation.shared().app)
        try await withServer(
            identity,
            attestSession: { _ in
                throw AttestationError(.quoteUnavailable, subject: "device", reason: "inner trouble")
            }, observer: { events.add("\($0)") },
            body: { address in
                let response = try await ask(
                    stranger(), address.url, SessionEvidence.request(nonce: FixedBytes(repeating: 1)))
                #expect(response.status == 503)
                #expect(!String(decoding: response.body, as: UTF8.self).contains("inner"))
            })
        #expect(events.all.contains { $0.contains("inner trouble") })
    }

    @Test("only so much evidence is made at once")
    func atOnce() async throws {
        let simulation = try Simulation.shared()
        var configuration = AttestedHTTPServer.Configuration()
        configuration.maximumEvidenceAtOnce = 1
        let began = AsyncStream<Void>.makeStream()
        let go = AsyncStream<Void>.makeStream()
        let witness = Simulation.witness(simulation.app)
        let body = SessionEvidence.request(nonce: FixedBytes(repeating: 1))
        try await withServer(
            Simulation.identity(simulation.app), configuration,
            attestSession: { binding in
                began.continuation.yield()
                for await _ in go.stream { break }
                return try await witness(binding)
            },
            body: { address in
                async let first = ask(stranger(), address.url, body).status
                for await _ in began.stream { break }
                let second = try await ask(stranger(), address.url, body)
                #expect(second.status == 503)
                #expect(second.headers["Retry-After"] == "1")
                go.continuation.yield()
                #expect(try await first == 200)
            })
    }

    @Test("the certificate is renewed when its end comes near; connections that stand keep theirs")
    func renewal() async throws {
        let simulation = try Simulation.shared()
        var short = Simulation.configuration
        short.notBefore = UInt64(Simulation.now - 100)
        short.notAfter = UInt64(Simulation.now + 900)
        let old = try await Simulation.identity(simulation.app, short)
        var long = short
        long.notAfter = UInt64(Simulation.now + 9000)
        let new = try await Simulation.identity(simulation.app, long)
        let clock = TestClock()
        let events = Record()
        let renewals = Mutex(0)
        let renewed = AsyncStream<Void>.makeStream()
        var configuration = AttestedHTTPServer.Configuration()
        configuration.renewalCheckInterval = .milliseconds(20)
        let server = AttestedHTTPServer(
            configuration, identity: old,
            renewIdentity: {
                let number = renewals.withLock { count in
                    count += 1
                    return count
                }
                // A first try that fails, and one that would change nothing.
                if number == 1 { throw AttestationError(.quoteUnavailable, subject: "agent", reason: "busy") }
                return number == 2 ? old : new
            }, attestSession: Simulation.witness(simulation.app),
            observer: { event in
                events.add("\(event)")
                if case .renewed = event { renewed.continuation.yield() }
            }, clock: clock
        ) { _ in .text(200, "hello") }
        let address = try await server.start()
        let kept = try simulation.client(.sessionBound, clock: clock)
        let firstAnswer = try await kept.fetch(address.url)
        #expect(firstAnswer.peer.certificates == old.certificateChain)
        clock.move(to: Simulation.now + 600)
        for await _ in renewed.stream { break }
        #expect(events.all.contains { $0.contains("busy") })
        #expect(events.all.contains { $0.contains("does not hold longer") })
        #expect(server.currentIdentity === new)
        let secondAnswer = try await simulation.client(.keyBound).fetch(address.url)
        #expect(secondAnswer.peer.certificates == new.certificateChain)
        // The connection that stands is known by its own key, also where its evidence is asked for only now.
        let thirdAnswer = try await kept.fetch(address.url)
        #expect(thirdAnswer.peer.certificates == old.certificateChain)
        #expect(
            try await simulation.client(.sessionBound).fetch(address.url).peer.certificates == new.certificateChain)
        await server.stop(within: .zero)
    }

    @Test("run serves until its task is cancelled")
    func run() async throws {
        let simulation = try Simulation.shared()
        let server = AttestedHTTPServer(.init(), identity: try await Simulation.identity(simulation.app)) { _ in
            .text(200, "hello")
        }
        let listening = AsyncStream<AttestedHTTPServer.Address>.makeStream()
        let task = Task { try await server.run(drainingWithin: .zero) { listening.continuation.yield($0) } }
        var addresses = listening.stream.makeAsyncIterator()
        let address = try #require(await addresses.next())
        let firstAnswer = try await simulation.client(.keyBound).fetch(address.url)
        #expect(firstAnswer.text == "hello")
        task.cancel()
        try await task.value
        let secondAnswer = try await failure(simulation.client(.keyBound), address.url)
        #expect(secondAnswer.code == .transport)
        await #expect(throws: AttestationError(.serverUnavailable, subject: "", reason: "")) {
            try await server.start()
        }
    }

    // MARK: Clients

    private func configuration(_ identity: TLSIdentity?) -> AttestedHTTPClient.Configuration {
        var configuration = AttestedHTTPClient.Configuration()
        configuration.identity = identity
        return configuration
    }

    @Test(
        "a server can ask its clients for evidence, and refuses those without before their request",
        .timeLimit(.minutes(2)))
    func clients() async throws {
        let simulation = try Simulation.shared()
        let mine = try await Simulation.identity(simulation.app)
        let other = try await Simulation.identity(simulation.otherApp)
        var plain = Simulation.configuration
        plain.includesEvidence = false
        let bare = try await Simulation.identity(simulation.app, plain)
        var serversOnly = Simulation.configuration
        serversOnly.isForClients = false
        let notForClients = try await Simulation.identity(simulation.app, serversOnly)
        let verifier = try simulation.peerVerifier()
        for isRequired in [true, false] {
            let events = Record()
            let seen = Mutex<[String?]>([])
            var configuration = AttestedHTTPServer.Configuration()
            configuration.clients = isRequired ? .required(verifier) : .optional(verifier)
            let server = AttestedHTTPServer(
                configuration, identity: mine, observer: { events.add("\($0)") }
            ) { request in
                seen.withLock { $0.append(request.client?.report.evidence?.identity?.appID.description) }
                return .text(200, "hello")
            }
            let address = try await server.start()
            let attested = try simulation.client(.keyBound, self.configuration(mine))
            let firstAnswer = try await attested.fetch(address.url)
            #expect(firstAnswer.status == 200)
            let secondAnswer = try await attested.fetch(address.url)
            #expect(secondAnswer.status == 200)
            for identity in [other, bare, notForClients] {
                let client = try simulation.client(.keyBound, self.configuration(identity))
                let thirdAnswer = try await failure(client, address.url)
                #expect(thirdAnswer.code == .transport)
            }
            // The clients hear of it first.
            while events.count < 3 { try await Task.sleep(for: .milliseconds(10)) }
            let reasons = events.all.joined(separator: "\n")
            #expect(reasons.contains("compose"))
            #expect(reasons.contains("attestation extension missing"))
            #expect(reasons.contains("does not permit client authentication"))
            let nobody = try simulation.client(.keyBound, self.configuration(nil))
            let app = simulation.app.appID.description
            if isRequired {
                let fourthAnswer = try await failure(nobody, address.url)
                #expect(fourthAnswer.code == .transport)
                #expect(seen.withLock { $0 } == [app, app])
            } else {
                let fifthAnswer = try await nobody.fetch(address.url)
                #expect(fifthAnswer.status == 200)
                #expect(seen.withLock { $0 } == [app, app, nil])
            }
            await server.stop(within: .zero)
        }
    }

    /// Gives collateral after having failed once.
    private final class SlowProvider: CollateralProvider {
        private let collateral: QuoteCollateral
        let asked = Mutex(0)

        init(_ collateral: QuoteCollateral) { self.collateral = collateral }

        func collateral(for quote: Quote) async throws -> QuoteCollateral {
            let number = asked.withLock { count in
                count += 1
                return count
            }
            if number == 1 { throw AttestationError(.collateralUnavailable, subject: "test", reason: "not yet") }
            return collateral
        }
    }

    @Test(
        "a client whose collateral cannot be had is refused, and let in once it was fetched beside the handshakes",
        .timeLimit(.minutes(2)))
    func newPlatform() async throws {
        let simulation = try Simulation.shared()
        let provider = SlowProvider(simulation.collateral)
        let verifier = try AttestedPeerVerifier(
            policy: Simulation.policy, collateral: ReadyCollateral(provider, verifier: simulation.verifier),
            clock: TestClock())
        let events = Record()
        var configuration = AttestedHTTPServer.Configuration()
        configuration.clients = .required(verifier)
        let identity = try await Simulation.identity(simulation.app)
        try await withServer(
            identity, configuration, observer: { events.add("\($0)") },
            body: { address in
                let client = try simulation.client(.keyBound, self.configuration(identity))
                let refusal = try await failure(client, address.url)
                #expect(refusal.code == .transport)
                var response: AttestedHTTPResponse?
                while response == nil {
                    try await Task.sleep(for: .milliseconds(100))
                    response = try? await client.get(address.url)
                }
                #expect(response?.status == 200)
            })
        #expect(events.all.first?.contains("not yet") == true, "\(events.all)")
        #expect(provider.asked.withLock { $0 } == 2)
    }

    @Test("a client whose evidence expires while its connection stands is refused from then on")
    func clientExpiry() async throws {
        let simulation = try Simulation.shared()
        let clock = TestClock()
        let identity = try await Simulation.identity(simulation.app)
        var configuration = AttestedHTTPServer.Configuration()
        configuration.clients = .required(try simulation.peerVerifier(clock: clock))
        try await withServer(identity, configuration) { address in
            let client = try simulation.client(.keyBound, self.configuration(identity))
            let firstAnswer = try await client.fetch(address.url)
            #expect(firstAnswer.status == 200)
            clock.move(to: Simulation.now + 400 * 86_400)
            let secondAnswer = try await client.fetch(address.url)
            #expect(secondAnswer.status == 403)
        }
    }
}
