import DstackAttestation
import DstackAttestedHTTP
import DstackHTTPServer
import DstackKeys
import DstackMockTEE
import DstackNetwork
import Foundation
import Synchronization
import Testing

@Suite("Session-bound HTTPS")
struct SessionBoundTests {
    /// A witness that counts how often it was asked.
    private static func witness(
        _ boot: MockBoot, _ record: Record
    ) -> @Sendable (SessionBinding) async throws -> [UInt8] {
        let witness = Simulation.witness(boot)
        return { binding in
            record.add(binding.nonce.hex)
            return try await witness(binding)
        }
    }

    @Test("attested code answers, and the report says what the evidence is about")
    func accepted() async throws {
        let simulation = try Simulation.shared()
        let identity = try await Simulation.identity(simulation.app)
        let asked = Record()
        let seen = Record()
        try await withServer(identity, attestSession: Self.witness(simulation.app, asked), seen: seen) { address in
            let client = try simulation.client(.sessionBound)
            for method in ["GET", "POST", "PUT"] {
                let response = try await client.send(AttestedHTTPRequest(method, "\(address.url)/a"))
                #expect(response.status == 200)
                #expect(response.peer.binding == .sessionBound)
                #expect(response.peer.report.verdict == .accepted)
                #expect(response.peer.report.text().contains("session-bound"))
                let json = String(decoding: response.peer.report.json(), as: UTF8.self)
                #expect(json.contains("\"binding\":\"session-bound\""))
                #expect(!response.peer.report.notChecked.contains { $0.contains("CVE-2026-33697") })
            }
        }
        #expect(seen.all == ["GET /a", "POST /a", "PUT /a"])
        #expect(asked.count == 1, "one connection is verified once")
    }

    @Test("the certificate needs no evidence of its own")
    func plainCertificate() async throws {
        let simulation = try Simulation.shared()
        var configuration = Simulation.configuration
        configuration.includesEvidence = false
        let identity = try await Simulation.identity(simulation.app, configuration)
        try await withServer(identity, attestSession: Simulation.witness(simulation.app)) { address in
            let answer = try await simulation.client(.sessionBound).fetch(address.url)
            #expect(answer.peer.binding == .sessionBound)
        }
    }

    @Test("other code than the expected is refused before the request is sent")
    func otherCode() async throws {
        let simulation = try Simulation.shared()
        let seen = Record()
        // The certificate's evidence is ours; the evidence of the connection decides.
        let identity = try await Simulation.identity(simulation.app)
        try await withServer(identity, attestSession: Simulation.witness(simulation.otherApp), seen: seen) { address in
            let error = try await failure(simulation.client(.sessionBound), address.url)
            #expect(error.code == .evidenceRejected)
            #expect(error.report?.binding == .sessionBound)
        }
        #expect(seen.count == 0)
    }

    @Test("a server that gives no evidence about connections is refused, with what it said")
    func noWitness() async throws {
        let simulation = try Simulation.shared()
        let seen = Record()
        try await withServer(Simulation.identity(simulation.app), seen: seen) { address in
            let error = try await failure(simulation.client(.sessionBound), address.url)
            #expect(error.code == .noSessionEvidence)
            #expect(error.reason.contains("404"))
        }
        #expect(seen.count == 0)
    }

    // MARK: Relays

    @Test("a relay with a copied certificate key passes as key-bound, and session-bound it is refused with the reason")
    func relay() async throws {
        let simulation = try Simulation.shared()
        let identity = try await Simulation.identity(simulation.app)
        let seen = Record()
        try await withServer(identity, attestSession: Simulation.witness(simulation.app), seen: seen) { genuine in
            // The attacker has the very key and certificate of the service.
            let attacker = try await RelayingProxy(identity, to: genuine.url)
            let keyBound = try await simulation.client(.keyBound).send(
                AttestedHTTPRequest("POST", "\(attacker.url)/secret", body: Array("password".utf8)))
            #expect(keyBound.peer.report.verdict == .accepted, "the weakness that this test shows")
            #expect(attacker.seen.all == ["POST /secret"], "the attacker has read the request")

            let error = try await failure(
                simulation.client(.sessionBound),
                AttestedHTTPRequest("POST", "\(attacker.url)/secret", body: Array("password".utf8)))
            #expect(error.code == .otherSession)
            #expect(error.check == CheckID.expectedReportData.name)
            #expect(error.reason.contains("exporter") && error.reason.contains("relayed"))
            #expect(error.report?.verdict == .rejected)
            #expect(error.report?.failure?.check == .expectedReportData)
            // The attacker got the nonce and nothing else.
            #expect(attacker.seen.all == ["POST /secret", "POST \(SessionEvidence.path)"])
            await attacker.stop()
        }
        #expect(seen.all == ["POST /secret"])
    }

    @Test("a gateway that ends TLS with its own certificate makes it fail, with that reason")
    func gateway() async throws {
        let simulation = try Simulation.shared()
        let identity = try await Simulation.identity(simulation.app)
        // A gateway's certificate from some authority, without evidence.
        var configuration = Simulation.configuration
        configuration.includesEvidence = false
        let own = try await Simulation.identity(simulation.app, configuration)
        try await withServer(identity, attestSession: Simulation.witness(simulation.app)) { genuine in
            let gateway = try await RelayingProxy(own, to: genuine.url)
            let error = try await failure(simulation.client(.sessionBound), "\(gateway.url)/secret")
            #expect(error.code == .otherKey)
            #expect(error.reason.contains("another certificate key") && error.reason.contains("gateway"))
            #expect(gateway.seen.all == ["POST \(SessionEvidence.path)"])
            await gateway.stop()

            // One that keeps back whose key it is fails just so; only the words are less exact.
            let sly = try await RelayingProxy(own, to: genuine.url) { path, response in
                guard path == SessionEvidence.path, case .bytes(let body) = response.body,
                    let answer = try? SessionEvidence.response(in: body)
                else { return response }
                return .json(SessionEvidence.response(attestation: answer.attestation, publicKey: nil))
            }
            let answer = try await failure(simulation.client(.sessionBound), sly.url)
            #expect(answer.code == .otherSession)
            await sly.stop()
        }
    }

    @Test("evidence for an earlier nonce is refused")
    func replay() async throws {
        let simulation = try Simulation.shared()
        let identity = try await Simulation.identity(simulation.app)
        let first = Mutex<SessionBinding?>(nil)
        // Evidence about this connection and this key, but made for another nonce.
        let replaying: @Sendable (SessionBinding) async throws -> [UInt8] = { binding in
            let old = try SessionBinding(
                exporter: binding.exporter, nonce: FixedBytes(repeating: 0), publicKey: binding.publicKey)
            first.withLock { $0 = old }
            return try Simulation.attestation(simulation.app, old.reportData).encoded.bytes
        }
        // Our server would notice what it is about to say; somebody else's would not.
        let verifier = try simulation.peerVerifier()
        let binding = try SessionBinding(
            exporter: [UInt8](repeating: 5, count: 32), nonce: [UInt8](repeating: 6, count: 32),
            publicKey: identity.publicKey)
        let old = try await replaying(binding)
        let verdict = verifier.verify(
            try SessionEvidence.response(in: SessionEvidence.response(attestation: old, publicKey: nil)),
            exporter: binding.exporter, nonce: binding.nonce, certificates: identity.certificateChain)
        #expect(throws: AttestedTLSError(.otherSession, check: "", reason: "")) { try verdict.get() }
        let fresh = try await Simulation.witness(simulation.app)(binding)
        let accepted = verifier.verify(
            try SessionEvidence.response(in: SessionEvidence.response(attestation: fresh, publicKey: nil)),
            exporter: binding.exporter, nonce: binding.nonce, certificates: identity.certificateChain)
        #expect(try accepted.get().report.verdict == .accepted)

        let events = Record()
        try await withServer(
            identity, attestSession: replaying, observer: { events.add("\($0)") },
            body: { address in
                let answer = try await failure(simulation.client(.sessionBound), address.url)
                #expect(answer.code == .noSessionEvidence)
            })
        #expect(events.all.contains { $0.contains("report data is not the binding") })
    }

    @Test("nonces are fresh for every connection")
    func nonces() async throws {
        let simulation = try Simulation.shared()
        let asked = Record()
        let identity = try await Simulation.identity(simulation.app)
        try await withServer(identity, attestSession: Self.witness(simulation.app, asked)) { address in
            for _ in 0..<5 { _ = try await simulation.client(.sessionBound).fetch(address.url) }
        }
        #expect(Set(asked.all).count == 5)
    }

    // MARK: Connections that end

    @Test("a new connection in the middle of a session is verified before a request goes over it")
    func reconnect() async throws {
        let simulation = try Simulation.shared()
        let identity = try await Simulation.identity(simulation.app)
        let asked = Record()
        let client = try simulation.client(.sessionBound)
        let address = try await withServer(identity, attestSession: Self.witness(simulation.app, asked)) { address in
            _ = try await client.fetch(address.url)
            _ = try await client.fetch(address.url)
            return address
        }
        #expect(asked.count == 1)
        // The same service again, at the same address: verified anew, also before a request that must not be repeated.
        let seen = Record()
        let again = AttestedHTTPServer.Configuration(port: address.port)
        try await withServer(identity, again, attestSession: Self.witness(simulation.app, asked), seen: seen) { _ in
            _ = try await client.send(AttestedHTTPRequest("POST", "\(address.url)/again", body: [1]))
        }
        #expect(asked.count == 2)
        #expect(seen.all == ["POST /again"])
        // Somebody else at the same address, with the same key and certificate and other code: gets no request.
        let stolen = Record()
        try await withServer(
            identity, again, attestSession: Simulation.witness(simulation.otherApp), seen: stolen,
            body: { _ in
                let error = try await failure(
                    client, AttestedHTTPRequest("POST", "\(address.url)/secret", body: [1]))
                #expect(error.code == .evidenceRejected)
            })
        #expect(stolen.count == 0)
    }

    @Test("a server that closes after every answer gets no request that must follow its evidence on one connection")
    func closing() async throws {
        let simulation = try Simulation.shared()
        let identity = try await Simulation.identity(simulation.app)
        let tls = HTTPServerTLS(http: identity.credentials)
        let seen = Record()
        let server = HTTPServer(
            HTTPServerConfiguration(listeners: [HTTPListener("x", .tcp(host: "127.0.0.1", port: 0), tls: tls)])
        ) { request in
            seen.add(request.path)
            guard request.path == SessionEvidence.path,
                case .session(let session) = await request.tlsSession(
                    exporterLabel: SessionBinding.exporterLabel, atMost: 1),
                let nonce = try? SessionEvidence.nonce(in: request.body),
                let binding = try? SessionBinding(
                    exporter: session.exporter, nonce: nonce.bytes, publicKey: session.publicKey),
                let evidence = try? await Simulation.witness(simulation.app)(binding)
            else { return .text(200, "answered") }
            var response = HTTPServerResponse.json(
                SessionEvidence.response(attestation: evidence, publicKey: session.publicKey))
            response.closesConnection = true
            return response
        }
        let url = try #require(await server.start().first).description
        let error = try await failure(simulation.client(.sessionBound), "\(url)/secret")
        #expect(error.code == .transport)
        #expect(error.reason.contains("closes its connections"))
        #expect(Set(seen.all) == [SessionEvidence.path])
        await server.stop(within: .zero)
    }

    @Test("many requests at once use few connections, each verified once")
    func concurrency() async throws {
        let simulation = try Simulation.shared()
        let identity = try await Simulation.identity(simulation.app)
        let asked = Record()
        let seen = Record()
        try await withServer(identity, attestSession: Self.witness(simulation.app, asked), seen: seen) { address in
            var configuration = AttestedHTTPClient.Configuration()
            configuration.maximumSessionsPerHost = 3
            let client = try simulation.client(.sessionBound, configuration)
            try await withThrowingTaskGroup { group in
                for number in 0..<24 {
                    group.addTask { try await client.fetch("\(address.url)/\(number)").status }
                }
                for try await status in group { #expect(status == 200) }
            }
        }
        #expect(seen.count == 24)
        #expect((1...3).contains(asked.count))
    }

    @Test("requests beyond the sessions of a host wait their turn, and no longer than they may")
    func waiting() async throws {
        let simulation = try Simulation.shared()
        let identity = try await Simulation.identity(simulation.app)
        let (arrived, go) = (AsyncStream<Void>.makeStream(), AsyncStream<Void>.makeStream())
        let server = AttestedHTTPServer(
            .init(), identity: identity, attestSession: Simulation.witness(simulation.app)
        ) { request in
            if request.path == "/slow" {
                arrived.continuation.yield()
                for await _ in go.stream { break }
            }
            return .text(200, request.path)
        }
        let address = try await server.start()
        var configuration = AttestedHTTPClient.Configuration()
        configuration.maximumSessionsPerHost = 1
        let client = try simulation.client(.sessionBound, configuration)
        let slow = Task { try await client.get("\(address.url)/slow").text }
        for await _ in arrived.stream { break }
        let late = try await failure(
            client, AttestedHTTPRequest("GET", "\(address.url)/late", timeout: .milliseconds(50)))
        #expect(late.code == .timeout)
        let waiting = Task { try await client.get("\(address.url)/cancelled") }
        waiting.cancel()
        let cancelled = await waiting.result
        #expect(throws: AttestedTLSError(.cancelled, check: "", reason: "")) { try cancelled.get() }
        let next = Task { try await client.get("\(address.url)/next").text }
        go.continuation.yield()
        #expect(try await slow.value == "/slow")
        #expect(try await next.value == "/next")
        await server.stop(within: .zero)
    }

    @Test("a session that has reached its age is verified again")
    func age() async throws {
        let simulation = try Simulation.shared()
        let identity = try await Simulation.identity(simulation.app)
        let asked = Record()
        try await withServer(identity, attestSession: Self.witness(simulation.app, asked)) { address in
            var configuration = AttestedHTTPClient.Configuration()
            configuration.maximumConnectionAge = .zero
            let client = try simulation.client(.sessionBound, configuration)
            for _ in 0..<3 { _ = try await client.fetch(address.url) }
        }
        #expect(asked.count == 3)
    }

    @Test("evidence whose collateral expires in the middle of a session is not relied on any more")
    func expiry() async throws {
        let simulation = try Simulation.shared()
        let clock = TestClock()
        let seen = Record()
        let identity = try await Simulation.identity(simulation.app)
        try await withServer(identity, attestSession: Simulation.witness(simulation.app), seen: seen) { address in
            let client = try simulation.client(.sessionBound, clock: clock)
            _ = try await client.fetch("\(address.url)/1")
            clock.move(to: Simulation.now + 400 * 86_400)
            let error = try await failure(client, "\(address.url)/2")
            #expect(error.code == .evidenceRejected)
            #expect(error.report?.failure?.code == .expired)
        }
        #expect(seen.all == ["GET /1"])
    }
}
