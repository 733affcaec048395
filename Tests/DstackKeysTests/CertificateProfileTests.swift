import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKeys
import TestKit
import Testing

@Suite("Certificate profiles")
struct CertificateProfileTests {
    private let now = SimulatedGuest.now
    private let app = AppID(FixedBytes(repeating: 7))
    private let evidence = [CertificateTemplate.EvidenceExtension(.attestation, Array("opaque".utf8))]
    private let server = CertificateConfiguration(
        commonName: "svc.test", organization: "Org", alternativeNames: ["svc.test", "10.0.0.7"], isForServers: true,
        includesEvidence: true)

    private func leaf(
        _ configuration: CertificateConfiguration, _ profile: CertificateProfile
    ) throws -> CertificateTemplate {
        try .leaf(configuration, profile, claims: CertificateClaims(appID: app, evidence: evidence), now: now)
    }

    /// One certificate of every kind, each under its own issuer.
    private func certificates(_ profile: CertificateProfile) throws -> [String: Certificate] {
        let keys = KMSRootKeys()
        let root = try keys.certificateAuthority(profile, at: now)
        let temporary = try CertificateAuthority(
            selfSigned: .temporaryClientCA(profile, now: now), key: P256.PrivateKey())
        let own = try CertificateAuthority(
            selfSigned: .appRoot(profile, evidence: evidence, now: now), key: P256.PrivateKey())
        let application = try keys.certificateAuthority(for: app, epoch: .first, profile, under: root, at: now)
        func issued(_ template: CertificateTemplate, _ authority: borrowing CertificateAuthority) throws -> [UInt8] {
            try authority.issue(template, for: TLSKey().key.publicKey)[0]
        }
        let all = [
            "root": root.chain[0], "temporary CA": temporary.chain[0], "own CA": own.chain[0],
            "application CA": application.chain[0],
            "server": try issued(.kmsServer(profile, domain: "kms.test", evidence: evidence, now: now), root),
            "client": try issued(.temporaryClient(profile, evidence: evidence, now: now), temporary),
            "leaf": try issued(leaf(server, profile), application),
        ]
        return try all.mapValues { try Certificate(der: $0) }
    }

    private func identifier(_ certificate: Certificate, _ kind: ObjectIdentifier) -> [UInt8]? {
        certificate.value(of: kind).map { Array($0.suffix(20)) }
    }

    @Test("the identified form names the keys of certificate and issuer, and says everything else that upstream's says")
    func extensions() throws {
        let upstream = try certificates(.upstream)
        let identified = try certificates(.identified)
        let issuers = [
            "root": "root", "temporary CA": "temporary CA", "own CA": "own CA", "application CA": "root",
            "server": "root", "client": "temporary CA", "leaf": "application CA",
        ]
        let identifiers: [ObjectIdentifier] = [.subjectKeyIdentifier, .authorityKeyIdentifier]
        for (kind, issuer) in issuers {
            let (old, new) = try (#require(upstream[kind]), #require(identified[kind]))
            #expect(old.value(of: .authorityKeyIdentifier) == nil)
            #expect((old.value(of: .subjectKeyIdentifier) != nil) == (old.basicConstraints != nil))
            let own = try #require(identifier(new, .subjectKeyIdentifier))
            let key = try P256.PublicKey(spki: Array(new.subjectPublicKeyInfo))
            #expect(own == CertificateTemplate.keyIdentifier(of: key))
            let above = try #require(identified[issuer].flatMap { identifier($0, .subjectKeyIdentifier) })
            #expect(identifier(new, .authorityKeyIdentifier) == above, "\(kind)")
            #expect(old.subject == new.subject && old.issuer == new.issuer && old.keyUsage == new.keyUsage)
            func rest(_ certificate: Certificate) -> [[UInt8]] {
                certificate.extensions.filter { $0.identifier != .keyUsage && !identifiers.contains($0.identifier) }
                    .map { Array(certificate.value(of: $0.identifier) ?? []) + [$0.isCritical ? 1 : 0] }
            }
            #expect(rest(old) == rest(new), "\(kind)")
        }
    }

    @Test("the identified form begins an hour before it is issued, and never before 1970")
    func beginning() throws {
        for certificate in try certificates(.identified).values { #expect(certificate.notBefore == now - 3600) }
        for time: Int64 in [.min, -1, 0, 3599, 3600] {
            #expect(CertificateTemplate.kmsRoot(.identified, now: time).notBefore == 0)
        }
        #expect(CertificateTemplate.kmsRoot(.upstream, now: now).notBefore == 157_766_400)
    }

    @Test("serial numbers of the identified form are new each time, positive and of at most 20 bytes")
    func serialNumbers() throws {
        let keys = KMSRootKeys()
        let root = try keys.certificateAuthority(.identified, at: now)
        var serials = Set<[UInt8]>()
        for _ in 0..<8 {
            let authority = try keys.certificateAuthority(for: app, epoch: .first, .identified, under: root, at: now)
            let serial = try Certificate(der: authority.chain[0]).serialNumber
            #expect(serial.count <= 20 && serial[0] & 0x80 == 0)
            serials.insert(serial)
        }
        #expect(serials.count == 8)
    }

    @Test("no certificate of the identified form holds longer than its issuer's")
    func ends() throws {
        let keys = KMSRootKeys()
        let root = try keys.certificateAuthority(.upstream, at: now - 3000 * 86_400)
        let authority = try keys.certificateAuthority(for: app, epoch: .first, .identified, under: root, at: now)
        let (rootEnd, end) = (root.notAfter, authority.notAfter)
        #expect(end == rootEnd)
        let leaf = try authority.issue(leaf(server, .identified), for: TLSKey().key.publicKey)
        #expect(try Certificate(der: leaf[0]).notAfter == rootEnd)
        let expired = try keys.certificateAuthority(.upstream, at: now - 4000 * 86_400)
        #expect(throws: KeysError(.invalidCertificateContent, subject: "", reason: "")) {
            _ = try keys.certificateAuthority(for: app, epoch: .first, .identified, under: expired, at: now)
        }
    }

    @Test("where the subject is empty the identified form has none, and then its names are critical")
    func emptySubject() throws {
        var configuration = CertificateConfiguration(commonName: "", organization: "", alternativeNames: ["svc.test"])
        let named = try Certificate(der: leaf(configuration, .identified).selfSigned(by: P256.PrivateKey()))
        #expect(Array(named.subject) == X509.Name.empty.der)
        #expect(named.extensions.first { $0.identifier == .subjectAlternativeName }?.isCritical == true)
        configuration.alternativeNames = []
        #expect(throws: KeysError(.invalidCertificateContent, subject: "", reason: "")) {
            try leaf(configuration, .identified).selfSigned(by: P256.PrivateKey())
        }
        configuration.organization = "Org"
        let organization = try Certificate(der: leaf(configuration, .identified).selfSigned(by: P256.PrivateKey()))
        #expect(Array(organization.subject) == X509.Name(.organization("Org")).der)
    }

    // MARK: OpenSSL

    private struct Files {
        let directory: ScratchDirectory
        let now: Int64

        /// What `openssl verify` says about a chain, leaf first, under an anchor that may be another than its last.
        func verify(_ chain: [[UInt8]], anchor: [UInt8], _ options: [String]) throws -> (isGood: Bool, output: String) {
            let leaf = try directory.write(CertificatePEM.encode(chain[0]), "leaf")
            let others = try directory.write(chain.dropFirst().map { CertificatePEM.encode($0) }.joined(), "others")
            let root = try directory.write(CertificatePEM.encode(anchor), "root")
            let untrusted = chain.count > 1 ? ["-untrusted", others] : []
            let result = try OpenSSLProgram.run(
                ["verify", "-attime", "\(now)", "-no-CApath", "-no-CAstore", "-CAfile", root] + untrusted + options
                    + [leaf])
            return (result.status == 0, result.output)
        }
    }

    private func check(
        _ files: Files, _ chain: [[UInt8]], anchor: [UInt8], _ profile: CertificateProfile, _ options: [String],
        _ comment: String
    ) throws {
        let plain = try files.verify(chain, anchor: anchor, options)
        #expect(plain.isGood, "\(comment): \(plain.output)")
        let strict = try files.verify(chain, anchor: anchor, options + ["-x509_strict"])
        switch profile {
        case .identified: #expect(strict.isGood, "\(comment): \(strict.output)")
        case .upstream:
            // The one complaint about this form, but for an anchor alone, whose issuer needs no identifier.
            #expect(
                strict.isGood || strict.output.contains("Missing Authority Key Identifier"),
                "\(comment): \(strict.output)")
        }
    }

    @Test(
        "OpenSSL accepts every chain of a service in upstream's form, in the identified form also in strict mode",
        .needsOpenSSLProgram, arguments: CertificateProfile.allCases, CertificateProfile.allCases)
    func openSSL(profile: CertificateProfile, rootProfile: CertificateProfile) throws {
        let files = Files(directory: try ScratchDirectory(), now: now)
        let keys = KMSRootKeys()
        let root = try keys.certificateAuthority(rootProfile, at: now)
        // Another service of the same root keys, or this one after its root certificate was made anew.
        let other = try keys.certificateAuthority(profile, at: now - 86_400)
        let anchors = [root.chain[0], other.chain[0]]
        let application = try keys.certificateAuthority(for: app, epoch: .first, profile, under: root, at: now)
        var client = server
        (client.isForServers, client.isForClients) = (false, true)
        var nameless = server
        (nameless.commonName, nameless.organization) = ("", nil)
        let leaves: [(CertificateConfiguration, [String])] = [
            (server, ["-purpose", "sslserver", "-verify_hostname", "svc.test"]), (server, ["-verify_ip", "10.0.0.7"]),
            (client, ["-purpose", "sslclient"]), (nameless, ["-purpose", "sslserver", "-verify_hostname", "svc.test"]),
        ]
        for anchor in anchors {
            for (configuration, options) in leaves {
                let chain = try application.issue(leaf(configuration, profile), for: TLSKey().key.publicKey)
                #expect(chain.count == 3)
                try check(files, chain, anchor: anchor, profile, options, "leaf")
            }
            let rpc = try root.issue(
                .kmsServer(profile, domain: "kms.test", evidence: evidence, now: now), for: TLSKey().key.publicKey)
            try check(
                files, rpc, anchor: anchor, profile, ["-purpose", "sslserver", "-verify_hostname", "kms.test"], "RPC")
            let onlyLeaf = [rpc[0]]
            try check(files, onlyLeaf, anchor: anchor, profile, ["-purpose", "sslserver"], "RPC alone")
        }
        // The application's CA was made anew since the leaf was issued.
        let again = try keys.certificateAuthority(for: app, epoch: .first, profile, under: other, at: now - 60)
        let chain = try application.issue(leaf(server, profile), for: TLSKey().key.publicKey)
        let mixed = [chain[0]] + again.chain
        try check(files, mixed, anchor: anchors[0], profile, ["-purpose", "sslserver"], "mixed")
        let wrong = try files.verify(mixed, anchor: anchors[0], ["-purpose", "sslclient"])
        #expect(!wrong.isGood)
    }

    @Test(
        "OpenSSL accepts certificates of guests and of applications without a KMS", .needsOpenSSLProgram,
        arguments: CertificateProfile.allCases)
    func openSSLWithoutKMS(profile: CertificateProfile) throws {
        let files = Files(directory: try ScratchDirectory(), now: now)
        let temporary = try CertificateAuthority(
            selfSigned: .temporaryClientCA(profile, now: now), key: P256.PrivateKey())
        let client = try temporary.issue(
            .temporaryClient(profile, evidence: evidence, now: now), for: TLSKey().key.publicKey)
        try check(files, client, anchor: temporary.chain[0], profile, ["-purpose", "sslclient"], "temporary client")
        let own = try CertificateAuthority(
            selfSigned: .appRoot(profile, evidence: evidence, now: now), key: P256.PrivateKey())
        let chain = try own.issue(leaf(server, profile), for: TLSKey().key.publicKey)
        try check(files, chain, anchor: own.chain[0], profile, ["-purpose", "sslserver"], "own CA")
    }

    @Test("a CA's certificate without key identifier is taken for one that has the key's")
    func withoutIdentifier() throws {
        let key = try p256Key(String(repeating: "11", count: 32))
        let builder = CertificateBuilder(
            subject: X509.Name(.commonName("old")), publicKey: key.publicKey.spki, notBefore: .seconds(0),
            notAfter: .seconds(now + 86_400), extensions: [.basicConstraints(isAuthority: true)])
        let der = try builder.signed(by: key)
        let expected = CertificateTemplate.keyIdentifier(of: key.publicKey)
        let authority = try CertificateAuthority(key: key, chain: [der])
        let leaf = try authority.issue(leaf(server, .identified), for: TLSKey().key.publicKey)
        #expect(try identifier(Certificate(der: leaf[0]), .authorityKeyIdentifier) == expected)
    }
}
