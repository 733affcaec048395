import DstackCrypto
import DstackEncoding
import Foundation
import TestKit
import Testing

@Suite("Vectors of the key hierarchy", .needsVectors("keys/kdf.json"))
struct KeyVectorTests {
    private let salt = [UInt8]("RATLS".utf8)

    private func derive(_ material: [UInt8], _ context: [[UInt8]], _ count: Int = 32) throws -> SecretBytes {
        try HKDFSHA256.deriveKey(from: material.span.bytes, salt: salt, unframedInfo: context, count: count)
    }

    @Test("key derivation")
    func hkdf() throws {
        let file = try Vectors.object("keys/kdf.json")
        for row in try file.rows("hkdf") {
            let context = try row.texts("context").map { hex($0) }
            let count = try #require(row["length"] as? Int)
            #expect(try derive(row.bytes("ikm"), context, count).hexForTest() == row.text("okm"))
        }
    }

    @Test("which strings are scalars")
    func scalars() throws {
        for row in try Vectors.object("keys/kdf.json").rows("scalar_range") {
            let scalar = try row.text("scalar")
            let accepted =
                try row.text("curve") == "p256"
                ? succeeds { _ = try P256.PrivateKey(scalar: secret(scalar)) }
                : succeeds { _ = try Secp256k1.PrivateKey(scalar: secret(scalar)) }
            #expect(accepted == (row["valid"] as? Bool), "\(row)")
        }
    }

    @Test("derived P-256 keys in all their forms")
    func p256() throws {
        for row in try Vectors.object("keys/kdf.json").rows("p256_derivation") {
            let context = try row.texts("context").map { hex($0) }
            let key = try P256.PrivateKey(scalar: derive(row.bytes("root_scalar"), context))
            #expect(try key.scalar.hexForTest() == row.text("scalar"))
            #expect(try Hex.encode(key.publicKey.uncompressed) == row.text("public_point"))
            #expect(try Hex.encode(key.publicKey.spki) == row.text("spki_der"))
            #expect(try key.pkcs8.hexForTest() == row.text("pkcs8_der"))
            let pem = key.pkcs8PEM.copiedToUnprotectedMemory()
            #expect(try String(decoding: pem, as: UTF8.self) == row.text("pkcs8_pem"))
            #expect(try SHA256.secretHash(key.pkcs8.bytes).hexForTest() == row.text("dh_secret"))
            #expect(
                try Hex.encode(SHA256.hash(key.publicKey.spki).bytes.prefix(20)) == row.text("cert_subject_key_id"))
            let read = try P256.PrivateKey(pem: pem.span.bytes)
            #expect(try read.scalar.hexForTest() == row.text("scalar"))
        }
    }

    @Test("hierarchies of a KMS: derived keys, signatures and addresses")
    func kms() throws {
        for row in try Vectors.object("keys/kdf.json").rows("kms") {
            let root = try Secp256k1.PrivateKey(scalar: secret(row.text("root_k256_private")))
            #expect(try root.publicKey.compressed.hex == row.text("root_k256_public"))
            #expect(try "0x" + root.publicKey.ethereumAddress.hex == row.text("root_k256_address"))
            let appKey = try Secp256k1.PrivateKey(
                scalar: derive(row.bytes("root_k256_private"), [row.bytes("app_id"), [UInt8]("app-key".utf8)]))
            #expect(try appKey.scalar.hexForTest() == row.text("app_k256_private"))
            #expect(try "0x" + appKey.publicKey.ethereumAddress.hex == row.text("app_k256_address"))
            for (preimage, name) in [
                ("issued_preimage", "k256_signature"), ("env_legacy_preimage", "env_legacy_signature"),
                ("env_v1_preimage", "env_v1_signature"),
            ] {
                let digest = try Keccak.hash256(row.bytes(preimage))
                let signature = try root.signature(forDigest: digest)
                #expect(try signature.bytes.hex == row.text(name))
                #expect(try signature.recoveredPublicKey(forDigest: digest) == root.publicKey)
            }
            let environment = try X25519.PrivateKey(secret(row.text("env_encrypt_secret")))
            #expect(try environment.publicKey.bytes.hex == row.text("env_encrypt_public"))
        }
    }

    @Test("keys of a guest and their chains")
    func guest() throws {
        let guest = try #require(try Vectors.object("keys/kdf.json")["guest"] as? [String: Any])
        let appKey = try Secp256k1.PrivateKey(scalar: secret(guest.text("app_k256_private")))
        for row in try guest.rows("keys") {
            let isEd25519 = try row.text("algorithm") == "ed25519"
            let publicKey =
                try isEd25519
                ? Ed25519.PrivateKey(seed: secret(row.text("key"))).publicKey.bytes.hex
                : Secp256k1.PrivateKey(scalar: secret(row.text("key"))).publicKey.compressed.hex
            #expect(try publicKey == row.text("public_key"))
            let digest = try Keccak.hash256([UInt8](row.text("claim_utf8").utf8))
            #expect(try digest.hex == row.text("claim_keccak256"))
            #expect(try appKey.signature(forDigest: digest).bytes.hex == row.texts("signature_chain")[0])
        }
    }

    @Test("environments are opened and sealed, and damaged ones are refused")
    func environments() throws {
        let file = try Vectors.object("keys/env-encryption.json")
        func open(_ row: [String: Any]) throws -> String {
            let sealed = try row.bytes("sealed")
            let key = try X25519.PrivateKey(secret(row.text("recipient_secret")))
            guard let ephemeral = FixedBytes<32>(sealed.prefix(32)) else {
                throw CryptoFailure(.malformed, "sealed environment", "too short for a public key")
            }
            let shared = try key.sharedSecret(with: X25519.PublicKey(ephemeral))
            let text = try AES256GCM.open(SealedText(combined: sealed.dropFirst(32)), key: shared)
            return String(decoding: text.copiedToUnprotectedMemory(), as: UTF8.self)
        }
        for row in try file.rows("cases") {
            #expect(try open(row) == row.text("plaintext_utf8"))
            let ephemeral = try X25519.PrivateKey(secret(row.text("ephemeral_secret")))
            let recipient = try #require(try FixedBytes<32>(row.bytes("recipient_public")))
            let shared = try ephemeral.sharedSecret(with: X25519.PublicKey(recipient))
            #expect(try shared.hexForTest() == row.text("shared"))
            let sealed = try AES256GCM.seal(
                [UInt8](row.text("plaintext_utf8").utf8), key: shared, nonce: FixedBytes(row.bytes("iv")))
            #expect(try Hex.encode(ephemeral.publicKey.bytes.bytes + sealed.combined) == row.text("sealed"))
        }
        for row in try file.rows("must_fail") {
            #expect(throws: (any Error).self, "\(row["why"] ?? "")") { try open(row) }
        }
    }

    @Test("signatures of certificate requests")
    func requests() throws {
        for row in try Vectors.object("keys/csr.json").rows("cases") {
            let publicKey = try P256.PublicKey(spki: row.bytes("spki_der"))
            for version in ["1", "2"] where row["csr_v\(version)"] is String {
                let request = try row.bytes("csr_v\(version)")
                let signature = try P256.Signature(der: row.bytes("signature_v\(version)"))
                #expect(publicKey.isValidSignature(signature, for: request))
                #expect(!publicKey.isValidSignature(signature, for: request + [0]))
            }
        }
    }
}
