import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKeys
import DstackMockTEE
import Testing

@Suite("Keys with evidence")
struct AttestedKeyTests {
    private let now = SimulatedGuest.now
    private let configuration = CertificateConfiguration(
        commonName: "svc.test", alternativeNames: ["svc.test"], isForServers: true, isForClients: true,
        includesEvidence: true)

    /// The content of one of dstack's extensions.
    private func content(_ kind: RATLSExtension, _ certificate: Certificate) throws -> [UInt8]? {
        guard let value = certificate.value(of: kind.identifier) else { return nil }
        let bytes = Array(value)
        var reader = DERReader(bytes.span.bytes)
        let content = try reader.content(.octetString, "extension").bytes
        try reader.expectEnd(of: "extension")
        return content
    }

    @Test("a self-signed certificate carries evidence about its own key")
    func selfSigned() async throws {
        let guest = try SimulatedGuest()
        let attested = try await AttestedKey { try guest.attestation($0) }
        let certificate = try Certificate(der: attested.selfSigned(configuration, at: now))
        #expect(certificate.subject == certificate.issuer)
        #expect(Array(certificate.subjectPublicKeyInfo) == attested.key.publicKey)
        let key = try CertificatePublicKey(spki: Array(certificate.subjectPublicKeyInfo))
        #expect(
            key.isValidSignature(
                Array(certificate.signature), algorithm: .ecdsaWithSHA256, over: Array(certificate.toBeSigned)))

        let attestation = try Attestation(decoding: #require(try content(.attestation, certificate)))
        #expect(attestation.reportData == ReportData(raTLSKey: Array(certificate.subjectPublicKeyInfo)))
        let report = try #require(try attestation.parsedQuote().body.tdReport)
        #expect(report.reportData == attestation.reportData.bytes)
        let consistency = attestation.consistency(with: report)
        #expect(consistency.failures.isEmpty, "\(consistency.failures)")
        #expect(consistency.identity?.appID == guest.boot.appID)
        #expect(try content(.usage, certificate).map { String(decoding: $0, as: UTF8.self) } == "app:custom")
        #expect(try content(.appID, certificate) == nil)
        #expect(try content(.quote, certificate) == nil)
    }

    @Test("a verifier accepts our certificates, and a stranger's key under our evidence it does not")
    func verified() async throws {
        let guest = try SimulatedGuest()
        let verifier = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: guest.platform.rootCertificate))
        let collateral = try guest.platform.collateral(for: .tdx, at: now)
        let attested = try await AttestedKey { try guest.attestation($0) }
        for encoding in [
            EvidenceEncoding.standard, EvidenceEncoding(includesEnvelope: false, includesLegacyForm: true),
            EvidenceEncoding(includesLegacyForm: true), EvidenceEncoding(stripping: nil),
            EvidenceEncoding(stripping: .upstream),
        ] {
            let certificate = try RATLSCertificate(
                parsing: attested.selfSigned(configuration, encoding: encoding, at: now))
            let profile = certificate.profile(at: now)
            #expect(profile.failure == nil, "\(profile.findings)")
            #expect(certificate.usage == .appCustom)
            let report = try verifier.verify(certificate, collateral: collateral, at: now)
            #expect(report.verdict == .accepted, "\(report.failure?.description ?? "")")
            #expect(report.evidence?.identity?.appID == guest.boot.appID)
        }
        let evidence = try EvidenceEncoding.standard.extensions(for: attested.attestation)
        let template = try CertificateTemplate.leaf(
            configuration, claims: CertificateClaims(evidence: evidence), now: now)
        let stolen = try RATLSCertificate(parsing: template.selfSigned(by: P256.PrivateKey()))
        #expect(try verifier.verify(stolen, collateral: collateral, at: now).verdict == .rejected)
    }

    @Test("events of version 2 have the bytes that were hashed beside them, in certificates and requests")
    func preimages() async throws {
        let guest = try SimulatedGuest(eventVersion: .v2)
        let attested = try await AttestedKey { try guest.attestation($0) }
        let certificate = try Certificate(der: attested.selfSigned(configuration, at: now))
        let attestation = try Attestation(decoding: #require(try content(.attestation, certificate)))
        let runtime = try #require(attestation.tdxEvidence).eventLog.events.filter { $0.type == .runtime }
        #expect(runtime.count == 8)
        for event in runtime {
            let preimage = try #require(event.preimage, "\(event.name)")
            #expect(event.digest.map { Array($0.bytes) } == SHA384.hash(preimage).bytes, "\(event.name)")
        }
        let request = try attested.signingRequest(configuration)
        guard case .attestation(let sent) = request.request.evidence else {
            Issue.record("no attestation in the request")
            return
        }
        #expect(sent.tdxEvidence?.eventLog.events == attestation.tdxEvidence?.eventLog.events)
    }

    @Test("the evidence can also be there in the older form, beside the newer or alone")
    func legacy() async throws {
        let guest = try SimulatedGuest()
        let attested = try await AttestedKey { try guest.attestation($0) }
        for includesEnvelope in [true, false] {
            let encoding = EvidenceEncoding(includesEnvelope: includesEnvelope, includesLegacyForm: true)
            let certificate = try Certificate(der: attested.selfSigned(configuration, encoding: encoding, at: now))
            let quote = try #require(try content(.quote, certificate))
            let log = try EventLog(json: #require(try content(.eventLog, certificate)))
            let attestation = try Attestation(quote: quote, eventLog: log)
            #expect(attestation.reportData == attested.key.reportData)
            let report = try #require(try attestation.parsedQuote().body.tdReport)
            #expect(attestation.consistency(with: report).failures.isEmpty)
            #expect(try (content(.attestation, certificate) != nil) == includesEnvelope)
        }
        let document = Attestation(
            platform: .nitroEnclave(document: [1]), runtimeEvents: [], reportData: TLSKey().reportData, config: "")
        #expect(throws: KeysError(.invalidCertificateContent, subject: "", reason: "")) {
            try EvidenceEncoding(includesLegacyForm: true).extensions(for: document)
        }
    }

    @Test("a CA issues a certificate with evidence, app id and app info")
    func issued() async throws {
        let guest = try SimulatedGuest()
        let keys = KMSRootKeys()
        let root = try keys.certificateAuthority(at: now)
        let app = guest.boot.appID
        let authority = try keys.certificateAuthority(for: app, under: root, at: now)
        let attested = try await AttestedKey { try guest.attestation($0) }
        let info = AppInfo(
            appID: app, composeHash: ComposeHash(ofFile: []), instanceID: guest.boot.instanceID,
            deviceID: DeviceID(ppid: []), mrSystem: FixedBytes(), mrAggregated: FixedBytes(), osImageHash: nil,
            keyProviderInfo: [])
        var configuration = configuration
        configuration.includesAppInfo = true
        let chain = try attested.issued(by: authority, configuration, appID: app, appInfo: info, at: now)
        #expect(chain.count == 3)
        let leaf = try Certificate(der: chain[0])
        #expect(try content(.appID, leaf) == app.bytes.bytes)
        #expect(try AppInfo(messagePack: #require(try content(.appInfo, leaf))) == info)
        #expect(try content(.attestation, leaf) != nil)
        #expect(leaf.issuer == (try Certificate(der: chain[1])).subject)
    }

    @Test("evidence about another key is refused before a certificate is made")
    func foreignEvidence() async throws {
        let guest = try SimulatedGuest()
        let other = TLSKey().reportData
        let expected = KeysError(.notAuthentic, subject: "", reason: "")
        await #expect(throws: expected) { _ = try await AttestedKey { _ in try guest.attestation(other) } }
        await #expect(throws: expected) {
            // The envelope says the right thing, the quote does not.
            _ = try await AttestedKey { reportData in
                var attestation = try guest.attestation(other)
                attestation.reportData = reportData
                return attestation
            }
        }
        await #expect(throws: expected) {
            _ = try await AttestedKey { reportData in
                let evidence = Attestation.TDXEvidence(quote: [1, 2, 3], eventLog: EventLog())
                return Attestation(platform: .tdx(evidence), runtimeEvents: [], reportData: reportData, config: "")
            }
        }
    }

    @Test("an error of the quote source is passed on")
    func failingSource() async throws {
        struct NoQuote: Error {}
        await #expect(throws: NoQuote.self) { _ = try await AttestedKey { _ in throw NoQuote() } }
    }

    @Test("a signing request is made and verified, and its evidence is about its key")
    func request() async throws {
        let guest = try SimulatedGuest()
        let attested = try await AttestedKey { try guest.attestation($0) }
        var configuration = configuration
        configuration.notAfter = 1_900_000_000
        let signed = try attested.signingRequest(configuration)
        let read = try SigningRequest(decoding: signed.request.bytes, version: .v2)
        #expect(read == signed.request)
        let verified = try read.verified(signature: signed.signature)
        #expect(verified.publicKey.spki == attested.key.publicKey)
        let attestation = try verified.attestation()
        let report = try #require(try attestation.parsedQuote().body.tdReport)
        #expect(attestation.consistency(with: report).failures.isEmpty)
    }
}
