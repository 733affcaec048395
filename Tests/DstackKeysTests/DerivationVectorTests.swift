import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKeys
import TestKit
import Testing

@Suite("Vectors of derivation", .needsVectors("keys/kdf.json"))
struct DerivationVectorTests {
    private func root(_ row: [String: Any]) throws -> KMSRootKeys {
        KMSRootKeys(
            caKey: try p256Key(row.text("root_ca_scalar")), key: try secp256k1Key(row.text("root_k256_private")))
    }

    private func scalar(pkcs8 der: [UInt8]) throws -> [UInt8] {
        try P256.PrivateKey(pkcs8: der.span.bytes).scalar.copiedToUnprotectedMemory()
    }

    @Test("bytes are derived from any material, context and length")
    func hkdf() throws {
        let file = try Vectors.object("keys/kdf.json")
        for row in try file.rows("hkdf") {
            let parent = keyParent(try row.bytes("ikm"))
            let context = KeyContext(try row.texts("context").map { hex($0) })
            let derived = try parent.bytes(context, count: Int(row.number("length")))
            #expect(try derived.hexForTest() == row.text("okm"))
        }
        let unframed = try file.row("hkdf_unframed")
        let contexts = try #require(unframed["contexts_with_equal_output"] as? [[String]])
        for context in contexts {
            let parent = keyParent(try unframed.bytes("ikm"))
            #expect(try parent.bytes(KeyContext(context.map { hex($0) })).hexForTest() == unframed.text("okm"))
        }
    }

    @Test("P-256 keys and Diffie-Hellman secrets follow from a parent key")
    func p256() throws {
        let file = try Vectors.object("keys/kdf.json")
        for row in try file.rows("p256_derivation") {
            let parent = keyParent(try row.bytes("root_scalar"))
            let context = KeyContext(try row.texts("context").map { hex($0) })
            #expect(try parent.p256Key(context).scalar.hexForTest() == row.text("scalar"))
            #expect(try parent.diffieHellmanSecret(context).hexForTest() == row.text("dh_secret"))
        }
        let known = try #require(try file.rows("upstream_known_answers").first)
        let parent = try keyParent(scalar(pkcs8: known.bytes("root_pkcs8_der")))
        let context = KeyContext(try known.texts("context_utf8").map { Array($0.utf8) })
        #expect(try parent.diffieHellmanSecret(context).hexForTest() == known.text("dh_secret"))
    }

    @Test("a KMS derives everything of an application, and signs it")
    func kms() throws {
        for row in try Vectors.object("keys/kdf.json").rows("kms") {
            let root = try root(row)
            let app = AppID(try row.fixed("app_id"))
            let instance = try row.text("instance_id").isEmpty ? nil : InstanceID(row.fixed("instance_id"))
            #expect(try root.publicKey.hex == row.text("root_k256_public"))
            #expect(try Hex.encode(root.caPublicKey) == row.text("root_ca_spki_der"))
            let authority = try root.appCAKey(app)
            #expect(try authority.pkcs8.hexForTest() == row.text("app_ca_pkcs8_der"))
            #expect(try authority.scalar.hexForTest() == row.text("app_ca_scalar"))
            let authorityKey = authority.publicKey
            #expect(try Hex.encode(CertificateTemplate.serialNumber(of: authorityKey)) == row.text("app_ca_serial"))
            #expect(
                try Hex.encode(CertificateTemplate.keyIdentifier(of: authorityKey)) == row.text("app_ca_subject_key_id")
            )
            #expect(try root.diskKey(app, instance: instance).hexForTest() == row.text("disk_crypt_key"))
            let environment = try root.environmentKey(app)
            #expect(try environment.secret.hexForTest() == row.text("env_encrypt_secret"))
            #expect(try environment.publicKey.bytes.hex == row.text("env_encrypt_public"))

            let appKey = try root.appRootKey(app)
            #expect(try appKey.key.scalar.hexForTest() == row.text("app_k256_private"))
            #expect(try appKey.publicKey.hex == row.text("app_k256_public"))
            #expect(try Hex.encode(appKey.issuance) == row.text("k256_signature"))
            let issued = KeyStatement.issuedAppKey(appID: app.bytes, key: appKey.publicKey)
            #expect(try Hex.encode(issued.preimage) == row.text("issued_preimage"))
            #expect(try issued.digest.hex == row.text("issued_keccak256"))

            let legacy = try root.signedEnvironmentKey(app, timestamp: nil)
            let legacyStatement = KeyStatement.environmentKey(appID: app.bytes, key: legacy.key, timestamp: nil)
            #expect(try Hex.encode(legacyStatement.preimage) == row.text("env_legacy_preimage"))
            #expect(try legacy.signature.bytes.hex == row.text("env_legacy_signature"))
            #expect(try legacy.signer(now: .max) == root.key.publicKey)
            let time = try row.number("env_timestamp")
            let current = try root.signedEnvironmentKey(app, timestamp: time)
            let statement = KeyStatement.environmentKey(appID: app.bytes, key: current.key, timestamp: time)
            #expect(try Hex.encode(statement.preimage) == row.text("env_v1_preimage"))
            #expect(try current.signature.bytes.hex == row.text("env_v1_signature"))
            #expect(try current.signer(now: Int64(time)) == root.key.publicKey)
        }
    }

    @Test("upstream's published values are reproduced")
    func knownAnswers() throws {
        let rows = try Vectors.object("keys/kdf.json").rows("upstream_known_answers")
        for row in rows where row["recovers_kms_root_k256_public"] is String {
            let app = AppID(try row.fixed("app_id"))
            let key = try appRootKey(row.bytes("app_k256_private"), issuance: row.bytes("k256_signature"))
            let derived = try key.derivedKey(path: "", purpose: "", algorithm: .secp256k1)
            if let published = row.optionalText("app_k256_public") { #expect(key.publicKey.hex == published) }
            if let preimage = row.optionalText("preimage") {
                let issued = KeyStatement.issuedAppKey(appID: app.bytes, key: key.publicKey)
                #expect(Hex.encode(issued.preimage) == preimage)
            }
            let expected = try Secp256k1.PublicKey(sec1: row.bytes("recovers_kms_root_k256_public"))
            let statement = KeyStatement.derivedKey(purpose: "", publicKey: derived.publicKey)
            let verified = try KeySignatureChain(links: derived.signatureChain).verified(
                for: statement, appID: app.bytes, root: expected)
            #expect(verified.appKey == key.key.publicKey)
            if let scalar = row.optionalText("root_scalar") {
                let keys = KMSRootKeys(caKey: try p256Key(scalar), key: Secp256k1.PrivateKey())
                let instance = InstanceID(try row.fixed("instance_id"))
                #expect(try keys.diskKey(app, instance: instance).hexForTest() == row.text("disk_crypt_key"))
                #expect(try keys.environmentKey(app).secret.hexForTest() == row.text("env_encrypt_secret"))
                let authority = keys.caKey.publicKey
                #expect(try Hex.encode(CertificateTemplate.serialNumber(of: authority)) == row.text("ca_serial"))
                #expect(try Hex.encode(CertificateTemplate.keyIdentifier(of: authority)) == row.text("ca_ski"))
            }
        }
        let token = try #require(rows.first { $0["token"] is String })
        #expect(try LaunchToken.hash(token.text("token")).hex == token.text("hash"))
        let provider = try #require(rows.first { $0["sealing_key_utf8"] is String })
        let material = try Array((provider.text("sealing_key_utf8") + provider.text("measurements_utf8")).utf8)
        #expect(try SHA256.hash(material).hex == provider.text("key"))
        let legacy = try #require(rows.first { $0["env_public"] is String })
        let signed = SignedEnvironmentKey(
            appID: try legacy.fixed("app_id"), key: try legacy.fixed("env_public"), timestamp: nil,
            signature: try Secp256k1.Signature(legacy.bytes("signature")))
        #expect(try signed.signer(now: 0).compressed.hex == legacy.text("recovers"))
    }

    @Test("without a KMS everything follows from a seed")
    func seeded() throws {
        for row in try Vectors.object("keys/kdf.json").rows("seeded_without_kms") {
            let bytes = try row.bytes("seed")
            let seed = try appKeySeed(bytes)
            #expect(try seed.caKey().scalar.hexForTest() == row.text("app_ca_scalar"))
            #expect(try seed.diskKey().hexForTest() == row.text("disk_crypt_key"))
            #expect(try keyParent(bytes).p256Key(.seededDisk).scalar.hexForTest() == row.text("disk_p256_scalar"))
            let root = try seed.rootKey()
            #expect(try root.key.scalar.hexForTest() == row.text("k256_private"))
            #expect(root.issuance.isEmpty)
            #expect(
                try keyParent(bytes).p256Key(.empty).scalar.hexForTest() == row.text("tls_key_scalar_empty_context"))
        }
    }

    @Test("report data of bootstrap and of certificates")
    func reportData() throws {
        for row in try Vectors.object("keys/kdf.json").rows("report_data") {
            if try row.text("kind") == "bootstrap" {
                let data = KMSRootKeys.bootstrapReportData(
                    caPublicKey: try row.bytes("ca_spki_der"), publicKey: try row.fixed("k256_public"))
                #expect(try data.hex == row.text("report_data"))
                let hash = try Keccak.hash256(Array(row.text("preimage_utf8").utf8))
                #expect(try hash.hex + String(repeating: "0", count: 64) == row.text("report_data"))
            } else {
                #expect(try ReportData(raTLSKey: row.bytes("spki_der")).hex == row.text("report_data"))
            }
        }
        let rows = try Vectors.object("guest-agent/derived-vectors.json").rows("tappd_derive_key")
        let fixture = try appRootKey(hex("d6e88992cdeeee35fe70b5db61ab66cdb191fb9b6ec9313757ef162dd7214d5d"))
        for row in rows {
            let key = try fixture.tlsKey(path: row.text("path"))
            #expect(try key.key.scalar.hexForTest() == row.text("scalar"))
            #expect(try key.key.pkcs8.hexForTest() == row.text("pkcs8_der"))
            #expect(try key.withUnsafePEM { String(decoding: $0, as: UTF8.self) } == row.text("pem"))
            #expect(try Hex.encode(key.publicKey) == row.text("spki_der"))
            #expect(try key.reportData.hex == row.text("ratls_report_data"))
        }
    }
}
