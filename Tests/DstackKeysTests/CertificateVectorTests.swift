import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKeys
import TestKit
import Testing

@Suite("Vectors of certificates", .needsVectors("keys/kdf.json"))
struct CertificateVectorTests {
    private struct Common {
        let app: AppID
        let attestations: [[UInt8]]

        init(_ file: [String: Any]) throws {
            let common = try file.row("common")
            app = AppID(try common.fixed("app_id"))
            attestations = try common.texts("attestations").map { hex($0) }
        }

        func evidence(_ index: Int) -> [CertificateTemplate.EvidenceExtension] {
            [CertificateTemplate.EvidenceExtension(.attestation, attestations[index])]
        }
    }

    /// The template of a kind of certificate, and the common name of its issuer.
    private func template(_ what: String, _ common: Common) throws -> (CertificateTemplate, issuer: String) {
        let (root, temporary) = ("Dstack KMS CA", "Dstack Client Temp CA")
        switch what {
        case "root CA": return (.kmsRoot(now: 0), root)
        case "temporary client CA": return (.temporaryClientCA(now: 0), temporary)
        case "app CA under the root": return (.appCA(common.app, now: 0), root)
        case "RPC certificate without attestation":
            return (.kmsServer(domain: "kms.example.com", evidence: [], now: 0), root)
        case "RPC certificate with an (opaque) attestation":
            return (.kmsServer(domain: "kms.example.com", evidence: common.evidence(0), now: 0), root)
        case "client certificate of the temporary CA":
            return (.temporaryClient(evidence: common.evidence(2), now: 0), temporary)
        default:
            let configuration = CertificateConfiguration(
                commonName: "svc.example.com", organization: "Org",
                alternativeNames: ["svc.example.com", "203.0.113.10", "2001:db8::1"], isForServers: true,
                isForClients: true, includesEvidence: true)
            let claims = CertificateClaims(appID: common.app, evidence: common.evidence(1))
            return (try .leaf(configuration, claims: claims, now: 0), "Dstack App CA")
        }
    }

    @Test("the signed part of every kind of certificate is written byte for byte")
    func kinds() throws {
        let file = try Vectors.object("keys/certs.json")
        let common = try Common(file)
        for row in try file.rows("tbs") {
            var (template, issuer) = try template(row.text("what"), common)
            template.notBefore = Int64(try row.number("not_before"))
            template.notAfter = Int64(try row.number("not_after"))
            let key = try p256Key(row.text("key_scalar")).publicKey
            let signer = CertificateTemplate.Issuer(
                name: X509.Name(.organization("Dstack"), .commonName(issuer)), keyIdentifier: [])
            let written = try template.builder(for: key, issuer: signer).tbs(algorithm: .ecdsaWithSHA256)
            #expect(try Hex.encode(written) == row.text("tbs_der"), "\(row["what"] ?? "")")
        }
    }

    @Test("key usage is written with a second octet, as upstream's library does")
    func keyUsage() throws {
        let file = try Vectors.object("keys/certs.json")
        let pieces = try file.row("pieces")
        let common = try Common(file)
        for (piece, kind) in [("key_usage_ca", "root CA"), ("key_usage_leaf", "RPC certificate without attestation")] {
            let template = try template(kind, common).0
            let written = try template.builder(for: P256.PrivateKey().publicKey, issuer: nil)
            #expect(try written.extensions.map { Hex.encode($0.der) }.contains(pieces.text(piece)))
        }
        let known = try file.row("upstream_known_answer")
        let certificate = try Certificate(der: known.bytes("certificate_der"))
        #expect(try Hex.encode(Array(certificate.toBeSigned)) == known.text("tbs_der"))
    }

    @Test("serial numbers and key identifiers follow from keys")
    func identifiers() throws {
        for row in try Vectors.object("keys/kdf.json").rows("p256_derivation") {
            let key = try P256.PublicKey(spki: row.bytes("spki_der"))
            #expect(try Hex.encode(CertificateTemplate.serialNumber(of: key)) == row.text("cert_serial"))
            #expect(try Hex.encode(CertificateTemplate.keyIdentifier(of: key)) == row.text("cert_subject_key_id"))
        }
    }

    @Test("the CA of the older simulator is due for renewal, that of the newer is not")
    func renewal() throws {
        let known = try Vectors.object("keys/certs.json").row("upstream_known_answer")
        let old = try CertificateAuthority(
            key: p256Key(known.text("key_scalar")), chain: [known.bytes("certificate_der")])
        let isOldDue = old.isRenewalDue(at: SimulatedGuest.now)
        #expect(isOldDue)
        let fixture = try AppKeys(contentsOf: Vectors.path("guest-agent/appkeys.json"))
        let end = fixture.provider.authority.notAfter
        for (time, expected) in [
            (SimulatedGuest.now, false), (end - 366 * 86_400, false), (end - 365 * 86_400, true), (.max, true),
        ] {
            let isDue = fixture.provider.authority.isRenewalDue(at: time)
            #expect(isDue == expected)
        }
    }
}
