import DstackAttestation
import DstackAttestedHTTP
import DstackCrypto
import DstackKeys
import DstackMockTEE
import Foundation
import Synchronization
import Testing

@Suite("Key-bound HTTPS")
struct KeyBoundTests {
    static let encodings: [EvidenceEncoding] = [
        .standard, EvidenceEncoding(includesEnvelope: false, includesLegacyForm: true),
        EvidenceEncoding(includesLegacyForm: true), EvidenceEncoding(stripping: nil),
        EvidenceEncoding(stripping: .upstream),
    ]

    @Test("attested code answers, whichever form its evidence has", arguments: encodings)
    func accepted(encoding: EvidenceEncoding) async throws {
        let simulation = try Simulation.shared()
        let identity = try await Simulation.identity(simulation.app, encoding: encoding)
        let response = try await withServer(identity) { address in
            try await simulation.client(.keyBound).send(
                AttestedHTTPRequest("POST", "\(address.url)/x?y", headers: ["X-A": "b"], body: Array("you".utf8)))
        }
        #expect(response.status == 200)
        #expect(response.text == "hello you")
        #expect(response.headers["content-type"] == "text/plain; charset=utf-8")
        #expect(response.peer.binding == .keyBound)
        #expect(response.peer.report.verdict == .accepted)
        #expect(response.peer.report.evidence?.identity?.appID == simulation.app.appID)
        #expect(response.peer.certificates == identity.certificateChain)
        #expect(response.peer.report.text().contains("key-bound"))
        #expect(String(decoding: response.peer.report.json(), as: UTF8.self).contains("\"binding\":\"key-bound\""))
        #expect(response.peer.report.notChecked.contains { $0.contains("CVE-2026-33697") })
        #expect(response.peer.report.trustAnchor.isSimulated)
    }

    @Test("a certificate from an authority is accepted by its evidence")
    func issued() async throws {
        let simulation = try Simulation.shared()
        let keys = KMSRootKeys()
        let root = try keys.certificateAuthority(at: Simulation.now)
        let authority = try keys.certificateAuthority(for: simulation.app.appID, under: root, at: Simulation.now)
        let attested = try await AttestedKey { try Simulation.attestation(simulation.app, $0) }
        let chain = try attested.issued(
            by: authority, Simulation.configuration, appID: simulation.app.appID, at: Simulation.now)
        let response = try await withServer(attested.key.identity(chain)) { address in
            try await simulation.client(.keyBound).fetch(address.url)
        }
        #expect(response.peer.certificates.count == 3)
    }

    @Test("connections are kept, and each answer knows its peer")
    func kept() async throws {
        let simulation = try Simulation.shared()
        let (mine, other) = (
            try await Simulation.identity(simulation.app), try await Simulation.identity(simulation.app)
        )
        let client = try simulation.client(.keyBound)
        try await withServer(mine) { first in
            try await withServer(other) { second in
                for _ in 0..<3 {
                    let firstAnswer = try await client.fetch(first.url)
                    #expect(firstAnswer.peer.certificates == mine.certificateChain)
                    let secondAnswer = try await client.fetch(second.url)
                    #expect(secondAnswer.peer.certificates == other.certificateChain)
                }
            }
        }
    }

    private func refused(
        _ identity: TLSIdentity, clock: TestClock = TestClock(), _ location: SourceLocation = #_sourceLocation
    ) async throws -> AttestedTLSError {
        let simulation = try Simulation.shared()
        let seen = Record()
        let error = try await withServer(identity, seen: seen) { address in
            try await failure(simulation.client(.keyBound, clock: clock), address.url, location)
        }
        #expect(seen.count == 0, "the request was sent", sourceLocation: location)
        return error
    }

    @Test("a server without evidence is refused before the request is sent")
    func noEvidence() async throws {
        var configuration = Simulation.configuration
        configuration.includesEvidence = false
        let identity = try await Simulation.identity(Simulation.shared().app, configuration)
        let error = try await refused(identity)
        #expect(error.code == .noEvidence)
        #expect(error.reason == "RA-TLS attestation extension missing")
    }

    @Test("other code than the expected is refused, however genuine, and the report says both hashes")
    func otherCode() async throws {
        let identity = try await Simulation.identity(Simulation.shared().otherApp)
        let error = try await refused(identity)
        #expect(error.code == .evidenceRejected)
        #expect(error.report?.verdict == .rejected)
        let failure = try #require(error.report?.failure)
        #expect(error.check == failure.check.name)
        #expect(failure.expected.contains(Simulation.policy.expected.composeHash?.hex ?? "?"))
        #expect(failure.found != failure.expected)
    }

    @Test("an image of an attacker's own that logs the expected application is refused, in both forms of evidence")
    func otherSystem() async throws {
        let simulation = try Simulation.shared()
        let attested = try await AttestedKey { try simulation.impostor.attestation($0) }
        let identity = try attested.key.identity([try attested.selfSigned(Simulation.configuration, at: Simulation.now)]
        )
        let error = try await refused(identity)
        #expect(error.code == .evidenceRejected && error.check == CheckID.expectedMeasurements.name)
        let witness: @Sendable (SessionBinding) async throws -> [UInt8] = {
            try simulation.impostor.attestation($0.reportData).encoded.bytes
        }
        let seen = Record()
        try await withServer(identity, attestSession: witness, seen: seen) { address in
            let error = try await failure(simulation.client(.sessionBound), address.url)
            #expect(error.code == .evidenceRejected && error.check == CheckID.expectedMeasurements.name)
        }
        #expect(seen.count == 0)
    }

    @Test("evidence about another key is refused")
    func otherKey() async throws {
        let simulation = try Simulation.shared()
        let victim = try await AttestedKey { try Simulation.attestation(simulation.app, $0) }
        let template = try CertificateTemplate.leaf(
            Simulation.configuration,
            claims: CertificateClaims(evidence: EvidenceEncoding.standard.extensions(for: victim.attestation)),
            now: Simulation.now)
        let thief = TLSKey()
        let error = try await refused(thief.identity([template.selfSigned(by: thief.key)]))
        #expect(error.code == .evidenceRejected)
        #expect(error.check == CheckID.expectedReportData.name)
    }

    @Test("a quote that was changed anywhere is refused", arguments: [60, 200, 400, 620, 700])
    func changedQuote(offset: Int) async throws {
        let simulation = try Simulation.shared()
        let key = TLSKey()
        var quote = try simulation.app.quote(reportData: key.reportData.bytes.bytes)
        quote[offset] ^= 1
        let changed = try Attestation(quote: quote, eventLog: simulation.app.eventLog)
        let evidence = [CertificateTemplate.EvidenceExtension(.attestation, changed.encoded.bytes)]
        let template = try CertificateTemplate.leaf(
            Simulation.configuration, claims: CertificateClaims(evidence: evidence), now: Simulation.now)
        let error = try await refused(key.identity([template.selfSigned(by: key.key)]))
        #expect(error.code == .evidenceRejected)
        #expect(error.report?.verdict ?? .rejected == .rejected)
    }

    @Test("evidence that is no evidence is refused")
    func malformedEvidence() async throws {
        let key = TLSKey()
        let evidence = [CertificateTemplate.EvidenceExtension(.attestation, [1, 2, 3])]
        let template = try CertificateTemplate.leaf(
            Simulation.configuration, claims: CertificateClaims(evidence: evidence), now: Simulation.now)
        let error = try await refused(key.identity([template.selfSigned(by: key.key)]))
        #expect(error.code == .invalidCertificate)
    }

    @Test("with collateral that has expired everything is refused")
    func expiredCollateral() async throws {
        let identity = try await Simulation.identity(Simulation.shared().app)
        let error = try await refused(identity, clock: TestClock(Simulation.now + 400 * 86_400))
        #expect(error.code == .evidenceRejected)
        #expect(error.report?.failure?.code == .expired)
    }

    @Test("a certificate that breaks its own rules is refused, by the name of the rule")
    func certificateRules() async throws {
        let simulation = try Simulation.shared()
        var clientOnly = Simulation.configuration
        clientOnly.isForServers = false
        var expired = Simulation.configuration
        expired.notBefore = UInt64(Simulation.now - 1000)
        expired.notAfter = UInt64(Simulation.now - 10)
        var unnamed = Simulation.configuration
        unnamed.alternativeNames = []
        for (configuration, check) in [
            (clientOnly, "extended_key_usage"), (expired, "validity"), (unnamed, "subject_alternative_name"),
        ] {
            let error = try await refused(Simulation.identity(simulation.app, configuration))
            #expect(error.code == .certificateRules)
            #expect(error.check == check)
        }
    }

    @Test("the name in the certificate counts only where it is asked for")
    func hostName() async throws {
        let simulation = try Simulation.shared()
        var local = Simulation.configuration
        local.alternativeNames = ["127.0.0.1"]
        var asks = AttestedHTTPClient.Configuration()
        asks.checksHostName = true
        let client = try simulation.client(.keyBound, asks)
        try await withServer(Simulation.identity(simulation.app)) { address in
            let error = try await failure(client, address.url)
            #expect(error.code == .certificateRules && error.check == "host_name")
        }
        try await withServer(Simulation.identity(simulation.app, local)) { address in
            let answer = try await client.fetch(address.url)
            #expect(answer.status == 200)
        }
    }

    @Test("a policy must say which code it expects and on which system, and must not say which report data")
    func policies() throws {
        let simulation = try Simulation.shared()
        let error = #expect(throws: AttestationError.self) { try simulation.peerVerifier(.standard) }
        #expect(error?.code == .invalidPolicy)
        var named = VerificationPolicy.standard
        named.expected.appID = simulation.app.appID.bytes
        #expect(throws: AttestationError.self) { try simulation.peerVerifier(named) }
        // An application on any system is whatever the system says that it is.
        var systemless = VerificationPolicy.standard
        systemless.expected.composeHash = Simulation.policy.expected.composeHash
        for change in [
            { $0.rtMr3 = FixedBytes() }, { $0.mrConfigId = FixedBytes() }, { $0.mrTd = FixedBytes() },
            { ($0.rtMr1, $0.rtMr2) = (FixedBytes(), FixedBytes()) }, { _ in },
        ] as [(inout ExpectedValues) -> Void] {
            var policy = systemless
            change(&policy.expected)
            let error = #expect(throws: AttestationError.self) { try simulation.peerVerifier(policy) }
            #expect(error?.code == .invalidPolicy && error?.reason.contains("operating system") == true)
        }
        for change in [
            { $0.osImageHash = FixedBytes() }, { $0.mrSystem = FixedBytes() }, { $0.mrAggregated = FixedBytes() },
            { $0.mrEnclave = FixedBytes() },
            { ($0.mrTd, $0.rtMr1, $0.rtMr2) = (FixedBytes(), FixedBytes(), FixedBytes()) },
        ] as [(inout ExpectedValues) -> Void] {
            var policy = systemless
            change(&policy.expected)
            _ = try simulation.peerVerifier(policy)
        }
        _ = try AttestedPeerVerifier(policy: systemless, collateral: simulation.ready(), acceptsAnySystem: true)
        var bound = Simulation.policy
        bound.expected.reportData = FixedBytes()
        #expect(throws: AttestationError.self) { try simulation.peerVerifier(bound) }
        _ = try AttestedPeerVerifier(
            policy: .standard, collateral: simulation.ready(), acceptsAnyApplication: true)
    }

    @Test("requests that cannot be sent are refused as such")
    func invalidRequests() async throws {
        let client = try Simulation.shared().client(.keyBound)
        for request in [
            AttestedHTTPRequest("GET", "http://127.0.0.1/"), AttestedHTTPRequest("G T", "https://127.0.0.1/"),
            AttestedHTTPRequest("GET", "nonsense"),
            AttestedHTTPRequest("GET", "https://127.0.0.1:1/", headers: ["A": "b\r\nC: d"]),
        ] {
            let firstAnswer = try await failure(client, request)
            #expect(firstAnswer.code == .invalidRequest)
        }
        let secondAnswer = try await failure(client, "https://127.0.0.1:1/")
        #expect(secondAnswer.code == .transport)
    }

    @Test("a slow server ends in a timeout, and a cancelled request at once", arguments: EvidenceBinding.allCases)
    func time(binding: EvidenceBinding) async throws {
        let simulation = try Simulation.shared()
        let identity = try await Simulation.identity(simulation.app)
        let asked = AsyncStream<Void>.makeStream()
        let server = AttestedHTTPServer(
            .init(), identity: identity, attestSession: Simulation.witness(simulation.app)
        ) { _ in
            asked.continuation.yield()
            try? await Task.sleep(for: .seconds(60))
            return .text(200, "late")
        }
        let address = try await server.start()
        let client = try simulation.client(binding)
        let error = try await failure(
            client, AttestedHTTPRequest("GET", address.url, timeout: .milliseconds(1500)))
        #expect(error.code == .timeout)
        var arrivals = asked.stream.makeAsyncIterator()
        await arrivals.next()
        let task = Task { try await client.fetch(address.url) }
        await arrivals.next()
        task.cancel()
        let result = await task.result
        #expect(throws: AttestedTLSError(.cancelled, check: "", reason: "")) { try result.get() }
        await server.stop(within: .zero)
    }

    @Test("evidence that expires while its connection is kept is not relied on any more")
    func expiry() async throws {
        let simulation = try Simulation.shared()
        let clock = TestClock()
        let seen = Record()
        try await withServer(Simulation.identity(simulation.app), seen: seen) { address in
            let client = try simulation.client(.keyBound, clock: clock)
            for number in 1...2 { _ = try await client.fetch("\(address.url)/\(number)") }
            clock.move(to: Simulation.now + 400 * 86_400)
            for _ in 0..<2 {
                let error = try await failure(client, "\(address.url)/late")
                #expect(error.code == .evidenceRejected && error.report?.failure?.code == .expired)
            }
            clock.move(to: Simulation.now)
            _ = try await client.fetch("\(address.url)/3")
        }
        #expect(seen.all == ["GET /1", "GET /2", "GET /3"])
    }

    @Test(
        "a certificate that expires while its connection is kept is not relied on any more",
        arguments: EvidenceBinding.allCases)
    func certificateExpiry(binding: EvidenceBinding) async throws {
        let simulation = try Simulation.shared()
        let clock = TestClock()
        let seen = Record()
        var configuration = Simulation.configuration
        configuration.notAfter = UInt64(Simulation.now + 60)
        let identity = try await Simulation.identity(simulation.app, configuration)
        try await withServer(identity, attestSession: Simulation.witness(simulation.app), seen: seen) { address in
            let client = try simulation.client(binding, clock: clock)
            _ = try await client.fetch("\(address.url)/1")
            clock.move(to: Simulation.now + 60)
            _ = try await client.fetch("\(address.url)/2")
            clock.move(to: Simulation.now + 61)
            let error = try await failure(client, "\(address.url)/late")
            #expect(error.code == .certificateRules && error.check == RATLSProfile.Rule.validity.rawValue)
        }
        #expect(seen.all == ["GET /1", "GET /2"])
    }

    // MARK: Collateral

    /// Gives what it has, and counts.
    private final class Provider: CollateralProvider {
        let collateral: QuoteCollateral?
        let asked = Record()

        init(_ collateral: QuoteCollateral?) { self.collateral = collateral }

        func collateral(for quote: Quote) async throws -> QuoteCollateral {
            asked.add("collateral")
            guard let collateral else {
                throw AttestationError(.collateralUnavailable, subject: "test", reason: "nothing here")
            }
            return collateral
        }
    }

    private func client(_ provider: Provider) throws -> AttestedHTTPClient {
        let simulation = try Simulation.shared()
        let ready = ReadyCollateral(provider, verifier: simulation.verifier)
        return AttestedHTTPClient(
            verifier: try AttestedPeerVerifier(policy: Simulation.policy, collateral: ready, clock: TestClock()))
    }

    @Test("collateral is fetched between two handshakes, once")
    func fetched() async throws {
        let simulation = try Simulation.shared()
        let provider = Provider(simulation.collateral)
        let client = try client(provider)
        for _ in 0..<2 {
            try await withServer(Simulation.identity(simulation.app)) { address in
                let answer = try await client.fetch(address.url)
                #expect(answer.status == 200)
            }
        }
        #expect(provider.asked.count == 1)
    }

    @Test("a server whose evidence leads to another root is refused without asking anybody for collateral")
    func notFetchedForForgery() async throws {
        let simulation = try Simulation.shared()
        let provider = Provider(nil)
        let ready = ReadyCollateral(provider)
        let client = AttestedHTTPClient(
            verifier: try AttestedPeerVerifier(policy: Simulation.policy, collateral: ready, clock: TestClock()))
        try await withServer(Simulation.identity(simulation.app)) { address in
            let error = try await failure(client, address.url)
            #expect(error.code == .evidenceRejected && error.check == CheckID.pckChain.name)
        }
        await ready.refresh(onlyMissing: true)
        #expect(provider.asked.count == 0)
    }

    @Test("a genuine chain under a forged quote has nothing fetched either")
    func notFetchedForReplayedChain() async throws {
        let simulation = try Simulation.shared()
        let provider = Provider(simulation.collateral)
        let ready = ReadyCollateral(provider, verifier: simulation.verifier)
        let bytes = try simulation.app.quote(reportData: [UInt8](repeating: 0, count: 64))
        for position in [20, 48 + 520, bytes.count - 1 - 4000] {
            var forged = bytes
            forged[position] ^= 1
            let quote = try Quote(parsing: forged)
            await #expect(throws: AttestationError(.untrustedQuote, subject: "", reason: "")) {
                try await ready.prepare(for: quote)
            }
        }
        #expect(provider.asked.count == 0)
    }

    @Test("without collateral the server is refused, with the provider's reason")
    func notFetched() async throws {
        let simulation = try Simulation.shared()
        let client = try client(Provider(nil))
        try await withServer(Simulation.identity(simulation.app)) { address in
            let error = try await failure(client, address.url)
            #expect(error.code == .collateralUnavailable)
            #expect(error.reason.contains("nothing here"))
        }
    }

    @Test("strangers with invented platforms have nothing fetched, and do not push out peers that were accepted")
    func crowd() async throws {
        let simulation = try Simulation.shared()
        let provider = Provider(simulation.collateral)
        let ready = ReadyCollateral(provider, verifier: simulation.verifier)
        let verifier = try AttestedPeerVerifier(policy: Simulation.policy, collateral: ready, clock: TestClock())
        let honest = try await Simulation.identity(simulation.app).certificateChain
        let bytes = try simulation.app.quote(reportData: [UInt8](repeating: 0, count: 64))
        #expect(throws: AttestedTLSError(.collateralUnavailable, check: "", reason: "")) {
            try verifier.verify(honest, as: .server).get()
        }
        try await ready.prepare(for: Quote(parsing: bytes))
        #expect(try verifier.verify(honest, as: .server).get().report.verdict == .accepted)
        let chain = try #require(bytes.firstRange(of: Array("-----BEGIN CERTIFICATE-----\n".utf8))).upperBound
        for number in 0..<600 {
            var invented = bytes
            invented[chain + 40] = UInt8(ascii: "A") + UInt8(number % 26)
            invented[chain + 41] = UInt8(ascii: "A") + UInt8(number / 26)
            let quote = try Quote(parsing: invented)
            await #expect(throws: AttestationError.self) { try await ready.prepare(for: quote) }
        }
        #expect(provider.asked.count == 1)
        #expect(try verifier.verify(honest, as: .server).get().report.verdict == .accepted)
    }
}
