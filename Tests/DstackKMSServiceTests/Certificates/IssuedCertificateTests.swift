import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKMS
import DstackKMSService
import DstackKeys
import DstackMockTEE
import TestKit
import Testing

@Suite("Certificates for applications")
struct IssuedCertificateTests {
    private let now = CertificateSamples.now
    private let server = CertificateConfiguration(
        commonName: "svc.test", alternativeNames: ["svc.test"], isForServers: true, includesEvidence: true,
        includesAppInfo: true)

    private func content(_ kind: RATLSExtension, _ certificate: Certificate) throws -> [UInt8]? {
        guard let value = certificate.value(of: kind.identifier).map({ Array($0) }) else { return nil }
        var reader = DERReader(value.span.bytes)
        let content = try reader.content(.octetString, "extension").bytes
        try reader.expectEnd(of: "extension")
        return content
    }

    @Test(
        "an issued certificate says which application it is, by what was verified alone",
        arguments: CertificateProfile.allCases)
    func content(profile: CertificateProfile) async throws {
        let samples = try CertificateSamples()
        var policy = IssuancePolicy()
        policy.profile = profile
        let request = try await samples.request(server)
        let issued = try samples.issue(policy, request)
        #expect(issued.chain.count == 3 && issued.pem.count == 3)
        let leaf = try Certificate(der: issued.chain[0])
        #expect(Array(leaf.subjectPublicKeyInfo) == request.request.publicKey)
        #expect(try content(.appID, leaf) == samples.boot.appID.bytes.bytes)
        #expect(try content(.usage, leaf) == Array("app:custom".utf8))
        #expect(try content(.appInfo, leaf) == samples.caller.appInfo.messagePack)
        let attestation = try Attestation(decoding: #require(try content(.attestation, leaf)))
        #expect(attestation.reportData == ReportData(raTLSKey: request.request.publicKey))
        #expect(leaf.basicConstraints == nil)
        let authority = try Certificate(der: issued.chain[1])
        #expect(try content(.usage, authority) == Array("app:ca".utf8))
        #expect(try content(.appID, authority) == samples.boot.appID.bytes.bytes)
        #expect(issued.audit.app == samples.boot.appID)
        #expect(issued.audit.serial == leaf.serialNumber && issued.audit.notAfter == leaf.notAfter)
        #expect(issued.audit.fingerprint == SHA256.hash(issued.chain[0]))
        #expect(issued.audit.commonName == "svc.test" && issued.audit.alternativeNames == ["svc.test"])
    }

    @Test("evidence and app info are there only if asked for, and requests of version 1 get what they can ask for")
    func withoutClaims() async throws {
        let samples = try CertificateSamples()
        var configuration = server
        (configuration.includesAppInfo, configuration.includesEvidence) = (false, false)
        let bare = try Certificate(
            der: samples.issue(IssuancePolicy(), await samples.request(configuration)).chain[0])
        #expect(try content(.attestation, bare) == nil && content(.appInfo, bare) == nil)
        configuration.includesEvidence = true
        let old = try Certificate(
            der: samples.issue(IssuancePolicy(), await samples.request(configuration, version: .v1)).chain[0])
        #expect(try content(.attestation, old) != nil && content(.quote, old) == nil)
        var policy = IssuancePolicy()
        policy.evidence = EvidenceEncoding(includesLegacyForm: true)
        let legacy = try Certificate(
            der: samples.issue(policy, await samples.request(configuration, version: .v1)).chain[0])
        #expect(try content(.attestation, legacy) != nil && content(.quote, legacy) != nil)
    }

    @Test("each epoch has a CA of its own, of which the first is upstream's")
    func epochs() async throws {
        let samples = try CertificateSamples()
        let request = try await samples.request(server)
        func authorityKey(_ epoch: KeyEpoch) throws -> [UInt8] {
            let issued = try samples.issue(IssuancePolicy(), request, epoch: epoch)
            return try Array(Certificate(der: issued.chain[1]).subjectPublicKeyInfo)
        }
        let keys = try [KeyEpoch(0), KeyEpoch(1), KeyEpoch(2)].map { try authorityKey($0) }
        #expect(Set(keys).count == 3)
        let derived = try samples.roots.appCAKey(samples.boot.appID).publicKey.spki
        #expect(keys[0] == derived)
        #expect(try authorityKey(KeyEpoch(1)) == keys[1])
    }

    @Test("what the policy refuses is not issued, nor anything under another service's root")
    func refused() async throws {
        let samples = try CertificateSamples()
        var wanted = server
        wanted.alternativeNames = [CertificateSamples.domain]
        let request = try await samples.request(wanted)
        #expect(throws: KMSServiceError(.invalidRequest, "", "")) { try samples.issue(IssuancePolicy(), request) }
        let other = try KMSRootKeys().certificateAuthority(.upstream, at: now)
        let good = try await samples.request(server)
        #expect(throws: KMSServiceError(.internalFault, "", "")) {
            try IssuancePolicy().issue(
                good, for: samples.caller, from: samples.roots, epoch: .first, under: other, kmsDomain: "", at: now)
        }
        #expect(throws: KMSServiceError(.internalFault, "", "")) {
            try samples.issue(IssuancePolicy(), good, at: now + 3651 * 86_400)
        }
    }

    @Test("evidence about another key gets no certificate")
    func foreignEvidence() async throws {
        let samples = try CertificateSamples()
        let attested = try await AttestedKey { report in
            try Attestation(quote: samples.boot.quote(reportData: report.bytes.bytes), eventLog: samples.boot.eventLog)
        }
        let thief = TLSKey()
        for includesEvidence in [true, false] {
            var wanted = server
            wanted.includesEvidence = includesEvidence
            let signed = try SigningRequest(
                publicKey: thief.publicKey, configuration: wanted, evidence: .attestation(attested.attestation)
            ).signed(by: thief)
            let request = try signed.request.verified(signature: signed.signature)
            #expect(throws: KMSServiceError(.notAttested, "", "")) { try samples.issue(IssuancePolicy(), request) }
        }
    }

    @Test("a certificate that no client would read is not issued")
    func tooLarge() async throws {
        var large = try CertificateSamples().boot
        for index in 0..<70 { try large.emit("event-\(index)", [UInt8](repeating: 1, count: 4096)) }
        let samples = CertificateSamples(boot: large)
        var wanted = server
        let request = try await samples.request(wanted)
        #expect(throws: KMSServiceError(.invalidRequest, "", "")) { try samples.issue(IssuancePolicy(), request) }
        wanted.includesEvidence = false
        let bare = try await samples.request(wanted)
        #expect(try samples.issue(IssuancePolicy(), bare).chain.count == 3)
    }

    // MARK: OpenSSL

    private func configuration(_ random: inout SeededGenerator) -> CertificateConfiguration {
        let names = [
            "a.test", "*.b.test", "10.0.0.7", "2001:db8::1", "kms.example.com", "*.example.com", "KMS.example.com",
            "x_y",
            "a\0b", "127", "dstack-gateway", "c.example.com", "",
        ]
        let subjects = ["", "svc", "a.test", "kms.example.com", "*.example.com", "Dstack App CA", "Müller", "a\nb"]
        var configuration = CertificateConfiguration(commonName: subjects.randomElement(using: &random) ?? "")
        configuration.organization = [nil, nil, "", "Org", "Dstack"].randomElement(using: &random) ?? nil
        for _ in 0..<Int.random(in: 0...2, using: &random) {
            configuration.alternativeNames.append(names.randomElement(using: &random) ?? "")
        }
        configuration.isForServers = Bool.random(using: &random)
        configuration.isForClients = Bool.random(using: &random)
        configuration.includesEvidence = Bool.random(using: &random)
        configuration.includesAppInfo = Bool.random(using: &random)
        let times: [UInt64?] = [nil, nil, 0, UInt64(now) - 5, UInt64(now) + 5, UInt64(now) + 900, .max]
        configuration.notBefore = times.randomElement(using: &random) ?? nil
        configuration.notAfter = times.randomElement(using: &random) ?? nil
        return configuration
    }

    @Test(
        "whatever is issued OpenSSL accepts as an application's, and as nobody's certificate of the KMS",
        .needsOpenSSLProgram,
        arguments: CertificateProfile.allCases)
    func property(profile: CertificateProfile) async throws {
        let samples = try CertificateSamples()
        let directory = try ScratchDirectory()
        var random = SeededGenerator(seed: 7)
        var policy = IssuancePolicy()
        policy.profile = profile
        var (issuedCount, refusedCount) = (0, 0)
        for _ in 0..<200 where issuedCount < 30 || refusedCount < 30 {
            let request = try await samples.request(configuration(&random))
            let issued: IssuedCertificate
            do throws(KMSServiceError) {
                let root = try samples.root(profile)
                issued = try policy.issue(
                    request, for: samples.caller, from: samples.roots, epoch: KeyEpoch(UInt64(issuedCount % 3)),
                    under: root,
                    kmsDomain: CertificateSamples.domain, at: now)
            } catch {
                #expect(error == KMSServiceError(.invalidRequest, "", ""))
                refusedCount += 1
                continue
            }
            issuedCount += 1
            let leaf = try Certificate(der: issued.chain[0])
            let root = try Certificate(der: issued.chain[2])
            #expect(try content(.usage, leaf) == Array("app:custom".utf8))
            #expect(try content(.appID, leaf) == samples.boot.appID.bytes.bytes)
            #expect(leaf.notAfter <= root.notAfter && leaf.notAfter > now)
            let files = try zip(issued.pem, ["leaf", "app", "root"]).map { try directory.write($0, $1) }
            let wanted = request.request.configuration
            let isForAnything = !wanted.isForServers && !wanted.isForClients
            // A certificate that begins later is judged at its beginning.
            let time = max(now, leaf.notBefore)
            func verify(_ options: [String]) throws -> (status: Int32, output: String) {
                try OpenSSLProgram.run(
                    [
                        "verify", "-attime", "\(time)", "-no-CApath", "-no-CAstore", "-CAfile", files[2], "-untrusted",
                        files[1],
                    ]
                        + (profile == .identified ? ["-x509_strict"] : []) + options + [files[0]])
            }
            for (purpose, isGood) in [
                ("sslserver", wanted.isForServers || isForAnything),
                ("sslclient", wanted.isForClients || isForAnything),
            ] {
                let result = try verify(["-purpose", purpose])
                #expect((result.status == 0) == isGood, "\(wanted): \(result.output)")
            }
            #expect(try verify(["-verify_hostname", CertificateSamples.domain]).status != 0, "\(wanted)")
        }
        #expect(issuedCount >= 30 && refusedCount >= 30)
    }
}
