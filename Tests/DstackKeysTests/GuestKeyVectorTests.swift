import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKeys
import TestKit
import Testing

@Suite("Vectors of a guest's keys", .needsVectors("keys/kdf.json"))
struct GuestKeyVectorTests {
    private static let issuance = """
        9e618603e72d01fedb82deff6daf2d62a572becf0059eec3f89c1ab40e1f2e594d2a283f843f34e8f39e4cc49a612496\
        ce67223a12ac923f8efe330346dfc6c500
        """

    private func fixture() throws -> AppRootKey {
        try appRootKey(
            hex("d6e88992cdeeee35fe70b5db61ab66cdb191fb9b6ec9313757ef162dd7214d5d"), issuance: hex(Self.issuance))
    }

    private func check(_ row: [String: Any], _ root: borrowing AppRootKey, claim name: String) throws {
        let algorithm = try #require(KeyAlgorithm(label: row.text("algorithm")))
        let (path, purpose) = (try row.text("path"), try row.text("purpose"))
        let key = try root.derivedKey(path: path, purpose: purpose, algorithm: algorithm)
        #expect(try key.hexForTest() == row.text("key"))
        #expect(try Hex.encode(key.publicKey) == row.text("public_key"))
        #expect(try key.signatureChain.map { Hex.encode($0) } == row.texts("signature_chain"))
        let statement = KeyStatement.derivedKey(purpose: purpose, publicKey: key.publicKey)
        #expect(try String(decoding: statement.preimage, as: UTF8.self) == row.text(name))
        #expect(try statement.digest.hex == row.text("claim_keccak256"))
    }

    @Test("keys of paths, purposes and algorithms, with their chains")
    func keys() throws {
        let agent = try Vectors.object("guest-agent/derived-vectors.json")
        let root = try fixture()
        #expect(try root.publicKey.hex == agent.text("fixture_app_k256_pubkey"))
        for row in try agent.rows("v0_get_key") { try check(row, root, claim: "claim_preimage") }

        let guest = try Vectors.object("keys/kdf.json").row("guest")
        let rows = try guest.rows("keys")
        let chain = try #require(try rows.first?.texts("signature_chain"))
        let other = try appRootKey(guest.bytes("app_k256_private"), issuance: hex(chain[1]))
        for row in rows { try check(row, other, claim: "claim_utf8") }
        #expect(try other.publicKey.hex == guest.text("app_k256_public"))
        #expect(try "0x" + other.key.publicKey.ethereumAddress.hex == guest.text("app_k256_address"))
        let keys = KMSRootKeys(caKey: P256.PrivateKey(), key: try secp256k1Key(guest.text("root_k256_private")))
        #expect(try keys.publicKey.hex == guest.text("root_k256_public"))
        let issued = try keys.appRootKey(AppID(guest.fixed("app_id")))
        #expect(try issued.publicKey.hex == guest.text("app_k256_public"))
        #expect(Hex.encode(issued.issuance) == chain[1])
    }

    @Test("chains lead to the KMS that issued the application's key")
    func chains() throws {
        let agent = try Vectors.object("guest-agent/derived-vectors.json")
        let app: FixedBytes<20> = try agent.fixed("fixture_app_id")
        let kms = try Secp256k1.PublicKey(sec1: agent.bytes("fixture_kms_k256_pubkey"))
        for row in try agent.rows("v0_get_key") {
            let statement = KeyStatement.derivedKey(
                purpose: try row.text("purpose"), publicKey: try row.bytes("public_key"))
            let chain = try KeySignatureChain(links: row.texts("signature_chain").map { hex($0) })
            let verified = try chain.verified(for: statement, appID: app, root: kms)
            #expect(try verified.appKey.compressed.hex == agent.text("fixture_app_k256_pubkey"))
            #expect(verified.statement == statement && verified.appID == app && verified.root == kms)
        }
        let issued = try agent.row("kms_chain")
        let root = KMSRootKeys(
            caKey: P256.PrivateKey(), key: try secp256k1Key(issued.text("kms_k256_key")))
        let appKey = try root.appRootKey(AppID(issued.fixed("app_id")))
        #expect(try root.publicKey.hex == issued.text("kms_k256_pubkey"))
        #expect(try appKey.key.scalar.hexForTest() == issued.text("app_k256_key"))
        #expect(try appKey.publicKey.hex == issued.text("app_k256_pubkey"))
        #expect(try Hex.encode(appKey.issuance) == issued.text("k256_signature"))
    }

    @Test("chains that must not reach the root are refused")
    func badChains() throws {
        let guest = try Vectors.object("keys/kdf.json").row("guest")
        let root = try Secp256k1.PublicKey(sec1: guest.bytes("root_k256_public"))
        for row in try guest.rows("chains_that_must_not_reach_the_root") {
            let statement = KeyStatement.derivedKey(
                purpose: try row.text("purpose"), publicKey: try row.bytes("public_key"))
            let links = try row.texts("chain").map { hex($0) }
            let app: FixedBytes<20> = try row.fixed("app_id")
            #expect(throws: CryptoFailure.self, "\(row["why"] ?? "")") {
                try KeySignatureChain(links: links).verified(for: statement, appID: app, root: root)
            }
        }
    }

    @Test("keys of the first version of the framed interface")
    func framed() throws {
        let file = try Vectors.object("guest-agent/derived-vectors.json").row("v1_get_key")
        let root = try appRootKey(file.bytes("app_root_key"))
        for row in try file.rows("rows") {
            let algorithm = try #require(KeyAlgorithm(rawValue: row.text("algorithm")))
            let key = try root.derivedKey(domain: row.text("domain"), algorithm: algorithm)
            #expect(try key.hexForTest() == row.text("key"))
            #expect(try Hex.encode(key.publicKey) == row.text("public_key"))
            #expect(try Hex.encode(key.signatureChain[0]) == row.text("link0"))
            let statement = KeyStatement.framedDerivedKey(
                algorithm: algorithm, domain: try row.text("domain"), publicKey: key.publicKey)
            #expect(try Hex.encode(statement.preimage) == row.text("claim"))
        }
    }

    @Test("messages are signed, with the chain of the signing key")
    func signing() throws {
        let agent = try Vectors.object("guest-agent/derived-vectors.json")
        let app: FixedBytes<20> = try agent.fixed("fixture_app_id")
        let kms = try Secp256k1.PublicKey(sec1: agent.bytes("fixture_kms_k256_pubkey"))
        let signer = try fixture().messageSigner()
        for row in try agent.rows("v0_sign") {
            let algorithm = try #require(MessageSignatureAlgorithm(label: row.text("algorithm")))
            let data = try row.bytes("data")
            let signed = try signer.sign(data, algorithm: algorithm)
            #expect(try Hex.encode(signed.signature) == row.text("signature"))
            #expect(try Hex.encode(signed.publicKey) == row.text("public_key"))
            #expect(try signed.signatureChain.map { Hex.encode($0) } == row.texts("signature_chain"))
            #expect(
                try MessageSigner.isValidSignature(
                    signed.signature, over: data, publicKey: signed.publicKey, algorithm: algorithm))
            let chain = try KeySignatureChain(signatureLinks: signed.signatureChain)
            let statement = KeyStatement.derivedKey(purpose: "signing", publicKey: signed.publicKey)
            #expect(throws: Never.self) { try chain.verified(for: statement, appID: app, root: kms) }
        }
    }

    @Test("signatures are valid, not valid, or no signatures")
    func verifying() throws {
        for row in try Vectors.object("guest-agent/derived-vectors.json").rows("v0_verify") {
            let algorithm = try #require(MessageSignatureAlgorithm(label: row.text("algorithm")))
            let verdict = Result {
                try MessageSigner.isValidSignature(
                    row.bytes("signature"), over: row.bytes("data"), publicKey: row.bytes("public_key"),
                    algorithm: algorithm)
            }
            let expected = row["valid"] as? Bool
            #expect((try? verdict.get()) == expected, "\(row["name"] ?? "")")
        }
    }

    @Test("report data of evidence about signing keys")
    func keyReportData() throws {
        for row in try Vectors.object("guest-agent/derived-vectors.json").rows("app_key_attestation") {
            let signer = try appRootKey(row.bytes("k256_key")).messageSigner()
            let text = try signer.keyReportData(#require(KeyAlgorithm(label: row.text("algorithm"))))
            #expect(try String(decoding: text, as: UTF8.self) == row.text("text"))
            #expect(try ReportData(padding: text).hex == row.text("report_data"))
        }
    }

    @Test("signed environment keys")
    func environmentKeys() throws {
        let row = try Vectors.object("guest-agent/derived-vectors.json").row("env_encrypt_pubkey_signature")
        for (name, timestamp) in [("signature", nil), ("signature_v1", try row.number("timestamp"))] {
            let signed = SignedEnvironmentKey(
                appID: try row.fixed("app_id"), key: try row.fixed("public_key"), timestamp: timestamp,
                signature: try Secp256k1.Signature(row.bytes(name)))
            #expect(try "0x" + signed.signer(now: 1_700_000_300).compressed.hex == row.text("signer"))
        }
    }
}
