import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKeys
import TestKit
import Testing

@Suite("Certificates")
struct CertificateTests {
    private let now = SimulatedGuest.now

    private func leaf(_ configuration: CertificateConfiguration) throws -> Certificate {
        let template = try CertificateTemplate.leaf(configuration, claims: CertificateClaims(), now: now)
        return try Certificate(der: template.selfSigned(by: P256.PrivateKey()))
    }

    @Test("names that no certificate can have are refused")
    func names() throws {
        for name in ["", "a b", "a\0.example.com", "1.2.3.4\0", "bücher.example", "a\n", "\u{7F}"] {
            #expect(throws: KeysError(.invalidCertificateContent, subject: "", reason: "")) {
                try leaf(CertificateConfiguration(commonName: "x", alternativeNames: [name]))
            }
        }
    }

    @Test("what parses as an address becomes one, anything else stays a name")
    func addresses() throws {
        let names: [(String, X509.GeneralName)] = [
            ("10.0.0.7", .ip([10, 0, 0, 7])), ("::1", .ip([UInt8](repeating: 0, count: 15) + [1])),
            ("::ffff:1.2.3.4", .ip([UInt8](repeating: 0, count: 10) + [255, 255, 1, 2, 3, 4])),
            ("010.0.0.7", .dns("010.0.0.7")), ("10.0.0", .dns("10.0.0")), ("1.2.3.4.5", .dns("1.2.3.4.5")),
            ("fe80::1%eth0", .dns("fe80::1%eth0")), ("[::1]", .dns("[::1]")), ("*.example.com", .dns("*.example.com")),
        ]
        let certificate = try leaf(CertificateConfiguration(commonName: "x", alternativeNames: names.map { $0.0 }))
        let value = certificate.value(of: .subjectAlternativeName).map { Array($0) }
        #expect(value == DER.sequence(of: names.map { $0.1.der }))
    }

    @Test("validity has upstream's defaults, and must be one")
    func validity() throws {
        let plain = try leaf(CertificateConfiguration(commonName: "x"))
        #expect(plain.notBefore == 157_766_400)
        #expect(plain.notAfter == now + 3650 * 86_400)
        let chosen = try leaf(CertificateConfiguration(commonName: "x", notBefore: 5, notAfter: 6))
        #expect(chosen.notBefore == 5 && chosen.notAfter == 6)
        let wrong: [(UInt64?, UInt64?)] = [
            (5, 5), (6, 5), (nil, 157_766_400), (.max, nil), (nil, .max), (0, 1 << 40),
        ]
        for (start, end) in wrong {
            #expect(throws: KeysError(.invalidCertificateContent, subject: "", reason: "")) {
                try leaf(CertificateConfiguration(commonName: "x", notBefore: start, notAfter: end))
            }
        }
    }

    @Test("an issuer can end certificates sooner, and refuses what goes beyond")
    func limits() throws {
        let configuration = CertificateConfiguration(commonName: "x")
        #expect(try configuration.limited(to: 60, at: now).notAfter == UInt64(now) + 60)
        #expect(try configuration.limited(to: .max, at: now).notAfter == UInt64(now) + 3650 * 86_400)
        var asked = configuration
        asked.notAfter = UInt64(now) + 60
        #expect(try asked.limited(to: 60, at: now) == asked)
        #expect(throws: KeysError(.invalidCertificateContent, subject: "", reason: "")) {
            try asked.limited(to: 59, at: now)
        }
    }

    @Test("usages and names are there only if asked for")
    func usages() throws {
        let plain = try leaf(CertificateConfiguration(commonName: ""))
        #expect(plain.extendedKeyUsage == nil && plain.basicConstraints == nil)
        #expect(plain.value(of: .subjectAlternativeName) == nil)
        #expect(plain.keyUsage == .digitalSignature)
        #expect(plain.subjectCommonName.isEmpty)
        let client = try leaf(CertificateConfiguration(commonName: "x", isForClients: true))
        #expect(client.extendedKeyUsage == [.clientAuth])
        let both = try leaf(CertificateConfiguration(commonName: "x", isForServers: true, isForClients: true))
        #expect(both.extendedKeyUsage == [.serverAuth, .clientAuth])
    }

    @Test("what the issuer does not have cannot be asked for")
    func missingClaims() {
        for configuration in [
            CertificateConfiguration(commonName: "x", includesEvidence: true),
            CertificateConfiguration(commonName: "x", includesAppInfo: true),
        ] {
            #expect(throws: KeysError(.invalidCertificateContent, subject: "", reason: "")) {
                try leaf(configuration)
            }
        }
    }

    @Test("a CA needs its own key, and a certificate that says it is one")
    func authorities() throws {
        let root = try CertificateAuthority(selfSigned: .kmsRoot(now: now), key: P256.PrivateKey())
        let chain = root.chain
        #expect(throws: KeysError(.invalidCertificate, subject: "", reason: "")) {
            _ = try CertificateAuthority(key: P256.PrivateKey(), chain: chain)
        }
        let scalar = P256.PrivateKey().scalar.hexForTest()
        let leaf = try root.issue(
            .kmsServer(domain: "kms.test", evidence: [], now: now), for: p256Key(scalar).publicKey)
        #expect(throws: KeysError(.invalidCertificate, subject: "", reason: "")) {
            _ = try CertificateAuthority(key: p256Key(scalar), chain: leaf)
        }
        #expect(throws: KeysError(.invalidCertificate, subject: "", reason: "")) {
            _ = try CertificateAuthority(key: P256.PrivateKey(), chain: [])
        }
    }

    @Test("a CA that is issued again keeps serial number, key identifier and name, so that its certificates stay valid")
    func reissued() throws {
        let keys = KMSRootKeys()
        let app = AppID(FixedBytes(repeating: 7))
        let root = try keys.certificateAuthority(at: now)
        let first = try keys.certificateAuthority(for: app, under: root, at: now)
        let second = try keys.certificateAuthority(for: app, under: root, at: now + 9)
        let (a, b) = (try Certificate(der: first.chain[0]), try Certificate(der: second.chain[0]))
        #expect(a.serialNumber == b.serialNumber && a.subject == b.subject)
        #expect(a.value(of: .subjectKeyIdentifier) == b.value(of: .subjectKeyIdentifier))
        #expect(first.chain.count == 2 && first.chain[1] == root.chain[0])
        #expect(first.chain[0] != second.chain[0])
    }

    @Test("OpenSSL builds chains through our CAs and accepts names and purposes", .needsOpenSSLProgram)
    func openSSL() throws {
        let directory = try ScratchDirectory()
        let keys = KMSRootKeys()
        let app = AppID(FixedBytes(repeating: 7))
        let root = try keys.certificateAuthority(at: now)
        let authority = try keys.certificateAuthority(for: app, under: root, at: now)
        let configuration = CertificateConfiguration(
            commonName: "svc.test", alternativeNames: ["svc.test", "10.0.0.7"], isForServers: true)
        let claims = CertificateClaims(appID: app)
        let chain = try authority.issue(
            .leaf(configuration, claims: claims, now: now), for: TLSKey().key.publicKey)
        #expect(chain.count == 3)
        let files = try zip(chain, ["leaf", "app", "root"]).map {
            try directory.write(CertificatePEM.encode($0), $1)
        }
        // Strict mode demands authority key identifiers, which this format does not have: one complaint, and no other.
        let strict = try OpenSSLProgram.run([
            "verify", "-x509_strict", "-attime", "\(now)", "-CAfile", files[2], "-untrusted", files[1], files[0],
        ])
        #expect(strict.status == 0 || strict.output.contains("Missing Authority Key Identifier"), "\(strict.output)")
        func plain(_ more: [String]) throws -> Int32 {
            try OpenSSLProgram.run(
                ["verify", "-attime", "\(now)", "-CAfile", files[2], "-untrusted", files[1]] + more + [files[0]]
            ).status
        }
        #expect(try plain(["-purpose", "sslserver", "-verify_hostname", "svc.test"]) == 0)
        #expect(try plain(["-verify_ip", "10.0.0.7"]) == 0)
        #expect(try plain(["-verify_hostname", "other.test"]) != 0)
        #expect(try plain(["-purpose", "sslclient"]) != 0)
    }
}
