import DstackAttestation
import DstackAttestedHTTP
import DstackKeys
import DstackMockTEE
import Foundation
import Synchronization
import TestKit
import Testing

@Suite("Mutual attested TLS", .timeLimit(.minutes(2)))
struct MutualTests {
    /// Gives what it is told to, once it may.
    private final class Provider: CollateralProvider {
        private struct State {
            var collateral: QuoteCollateral
            var isOpen: Bool
            var waiting: [CheckedContinuation<Void, Never>] = []
            var asked = 0
        }

        private let state: Mutex<State>

        init(_ collateral: QuoteCollateral, isOpen: Bool = true) {
            state = Mutex(State(collateral: collateral, isOpen: isOpen))
        }

        var asked: Int { state.withLock { $0.asked } }

        func give(_ collateral: QuoteCollateral) { state.withLock { $0.collateral = collateral } }

        func open() {
            let waiting = state.withLock { state in
                defer { state.waiting = [] }
                state.isOpen = true
                return state.waiting
            }
            for one in waiting { one.resume() }
        }

        func collateral(for quote: Quote) async throws -> QuoteCollateral {
            await withCheckedContinuation { continuation in
                let isOpen = state.withLock { state in
                    state.asked += 1
                    if !state.isOpen { state.waiting.append(continuation) }
                    return state.isOpen
                }
                if isOpen { continuation.resume() }
            }
            return state.withLock { $0.collateral }
        }
    }

    private func verifier(
        _ simulation: Simulation, _ ready: ReadyCollateral, _ clock: TestClock = TestClock(),
        _ policy: VerificationPolicy = Simulation.policy
    ) throws -> AttestedPeerVerifier {
        try AttestedPeerVerifier(policy: policy, collateral: ready, clock: clock)
    }

    private func client(
        _ simulation: Simulation, _ identity: TLSIdentity?, clock: TestClock = TestClock()
    ) throws -> AttestedHTTPClient {
        var configuration = AttestedHTTPClient.Configuration()
        configuration.identity = identity
        return try simulation.client(.keyBound, clock: clock, configuration)
    }

    @Test("the first clients of an unknown platform wait for its collateral, which is fetched once")
    func unknownPlatform() async throws {
        let simulation = try Simulation.shared()
        let provider = Provider(simulation.collateral, isOpen: false)
        var configuration = AttestedHTTPServer.Configuration()
        configuration.clients = .required(
            try verifier(simulation, ReadyCollateral(provider, verifier: simulation.verifier)))
        let identity = try await Simulation.identity(simulation.app)
        let seen = Record()
        try await withServer(identity, configuration, seen: seen) { address in
            let clients = try (0..<3).map { _ in try client(simulation, identity) }
            let answers = clients.map { client in Task { try await client.fetch(address.url).status } }
            while provider.asked == 0 { try await Task.sleep(for: .milliseconds(5)) }
            try await Task.sleep(for: .milliseconds(200))
            #expect(seen.count == 0)
            provider.open()
            for answer in answers { #expect(try await answer.value == 200) }
            #expect(provider.asked == 1)
        }
    }

    @Test("collateral that has run out is renewed for a client, and one that stays refused is told apart")
    func staleCollateral() async throws {
        let simulation = try Simulation.shared()
        let old = try simulation.platform.collateral(for: .tdx, at: Simulation.now - 40 * 86_400)
        let provider = Provider(old)
        let ready = ReadyCollateral(provider, verifier: simulation.verifier)
        let quote = try Simulation.attestation(simulation.app, ReportData(FixedBytes())).parsedQuote()
        try await ready.prepare(for: quote)
        let events = Record()
        var configuration = AttestedHTTPServer.Configuration()
        configuration.clients = .required(try verifier(simulation, ready))
        let identity = try await Simulation.identity(simulation.app)
        try await withServer(
            identity, configuration, observer: { events.add("\($0)") },
            body: { address in
                // The provider has nothing newer.
                let refusal = try await failure(client(simulation, identity), address.url)
                #expect(refusal.code == .transport)
                provider.give(simulation.collateral)
                #expect(try await client(simulation, identity).fetch(address.url).status == 200)
            })
        #expect(events.all.count == 1)
    }

    @Test("a client of the wrong code has nothing fetched")
    func nothingFetched() async throws {
        let simulation = try Simulation.shared()
        let provider = Provider(simulation.collateral)
        let ready = ReadyCollateral(provider, verifier: simulation.verifier)
        try await ready.prepare(
            for: Simulation.attestation(simulation.app, ReportData(FixedBytes())).parsedQuote())
        var configuration = AttestedHTTPServer.Configuration()
        configuration.clients = .required(try verifier(simulation, ready))
        let identity = try await Simulation.identity(simulation.app)
        let other = try await Simulation.identity(simulation.otherApp)
        try await withServer(identity, configuration) { address in
            for _ in 0..<3 {
                let refused = try await failure(client(simulation, other), address.url)
                #expect(refused.code == .transport)
            }
        }
        #expect(provider.asked == 1)
    }

    @Test("evidence about another key than the client's certificate shows is refused")
    func otherKey() async throws {
        let simulation = try Simulation.shared()
        let victim = try await AttestedKey { try Simulation.attestation(simulation.app, $0) }
        let template = try CertificateTemplate.leaf(
            Simulation.configuration,
            claims: CertificateClaims(evidence: EvidenceEncoding.standard.extensions(for: victim.attestation)),
            now: Simulation.now)
        let thief = TLSKey()
        let stolen = try thief.identity([template.selfSigned(by: thief.key)])
        let events = Record()
        var configuration = AttestedHTTPServer.Configuration()
        configuration.clients = .required(try simulation.peerVerifier())
        try await withServer(
            Simulation.identity(simulation.app), configuration, observer: { events.add("\($0)") },
            body: { address in
                let refused = try await failure(client(simulation, stolen), address.url)
                #expect(refused.code == .transport)
                // The client may know before the observer is told.
                for _ in 0..<1_000 where events.all.isEmpty { try await Task.sleep(for: .milliseconds(10)) }
            })
        #expect(events.all.contains { $0.contains(CheckID.expectedReportData.name) }, "\(events.all)")
    }

    @Test("a client that was let in under one policy is judged by the next before its next request")
    func policyChanged() async throws {
        let simulation = try Simulation.shared()
        let identity = try await Simulation.identity(simulation.app)
        var configuration = AttestedHTTPServer.Configuration()
        configuration.clients = .required(try simulation.peerVerifier())
        let server = AttestedHTTPServer(configuration, identity: identity) { request in
            .text(200, request.client == nil ? "nobody" : "until \(request.client?.validUntil ?? 0)")
        }
        let address = try await server.start()
        let client = try client(simulation, identity)
        let first = try await client.fetch(address.url)
        #expect(first.text == "until \(first.peer.validUntil)")
        // The same policy by another verifier: the connection stands.
        try await server.replaceClients(.optional(simulation.peerVerifier()))
        let second = try await client.fetch(address.url)
        #expect(second.text == first.text)
        try await server.replaceClients(.notAsked)
        let third = try await client.fetch(address.url)
        #expect(third.text == "nobody")
        var other = Simulation.policy
        other.expected.composeHash = ComposeHash(ofFile: Array("{\"name\":\"other\"}".utf8)).bytes
        try await server.replaceClients(.required(simulation.peerVerifier(other)))
        let fourth = try await client.fetch(address.url)
        #expect(fourth.status == 403)
        await server.stop(within: .zero)
    }

    @Test("a client verifies the server before it shows its certificate or sends a byte")
    func serverFirst() async throws {
        let simulation = try Simulation.shared()
        let events = Record()
        let seen = Record()
        var configuration = AttestedHTTPServer.Configuration()
        configuration.clients = .required(try simulation.peerVerifier())
        try await withServer(
            Simulation.identity(simulation.otherApp), configuration, seen: seen, observer: { events.add("\($0)") },
            body: { address in
                let refusal = try await failure(
                    client(simulation, await Simulation.identity(simulation.app)), address.url)
                #expect(refusal.code == .evidenceRejected)
            })
        #expect(seen.count == 0)
        #expect(!events.all.contains { $0.contains("verify") })
    }

    @Test("no session is resumed, so that every connection is judged")
    func resumed() async throws {
        guard Program.haveOpenSSL else { return }
        let simulation = try Simulation.shared()
        let identity = try await Simulation.identity(simulation.app)
        let files = try ScratchDirectory()
        let certificate = try files.write(Array(identity.certificateChainPEM.utf8), "client.pem")
        let key = try files.write(identity.withUnsafePrivateKeyPEM { [UInt8]($0) }, "client.key")
        var configuration = AttestedHTTPServer.Configuration()
        configuration.clients = .required(try simulation.peerVerifier())
        let said = try await withServer(identity, configuration) { address in
            try await Program.output(
                "/usr/bin/openssl",
                [
                    "s_client", "-connect", "127.0.0.1:\(address.port)", "-cert", certificate, "-key", key, "-tls1_2",
                    "-reconnect",
                ])
        }
        #expect(said.contains("New, TLSv1.2"), "\(said)")
        #expect(!said.contains("Reused"))
    }
}
