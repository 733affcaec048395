import DstackCrypto
import DstackEncoding
import Foundation
import TestKit
import Testing

@Suite("Ed25519 and X25519")
struct EdwardsKeyTests {
    struct Signing: Sendable {
        let seed: String
        let publicKey: String
        let message: String
        let signature: String
    }

    /// RFC 8032 section 7.1, tests 1 to 3 and SHA(abc).
    static let signings = [
        Signing(
            seed: "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            publicKey: "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", message: "",
            signature: "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                + "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"),
        Signing(
            seed: "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            publicKey: "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", message: "72",
            signature: "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                + "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
        Signing(
            seed: "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            publicKey: "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", message: "af82",
            signature: "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
                + "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"),
        Signing(
            seed: "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
            publicKey: "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
            message: "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
                + "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            signature: "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
                + "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"),
    ]

    @Test("Ed25519 gives the values of RFC 8032", arguments: signings)
    func ed25519(signing: Signing) throws {
        let key = try Ed25519.PrivateKey(seed: secret(signing.seed))
        #expect(key.publicKey.bytes.hex == signing.publicKey)
        let message = hex(signing.message)
        let signature = try key.signature(for: message)
        #expect(signature.hex == signing.signature)
        #expect(key.publicKey.isValidSignature(signature, for: message))
        #expect(!key.publicKey.isValidSignature(signature, for: message + [0]))
        for index in 0..<64 {
            var changed = signature
            changed[index] ^= 1
            #expect(!key.publicKey.isValidSignature(changed, for: message))
        }
    }

    @Test("Ed25519 signatures with s not below the order are refused")
    func malleability() throws {
        let key = Ed25519.PrivateKey()
        let message = [UInt8]("message".utf8)
        let signature = try key.signature(for: message)
        // L = 2²⁵² + 27742317777372353535851937790883648493, little-endian (RFC 8032 section 5.1).
        let order = hex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
        var added = signature
        var carry = 0
        for index in 0..<32 {
            let sum = Int(signature[32 + index]) + Int(order[index]) + carry
            added[32 + index] = UInt8(truncatingIfNeeded: sum)
            carry = sum >> 8
        }
        #expect(carry == 0)
        #expect(!key.publicKey.isValidSignature(added, for: message))
    }

    @Test(
        "Ed25519 public keys of small order or in a second encoding are refused",
        arguments: [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000080",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        ])
    func weakPoints(text: String) throws {
        let bytes = try #require(FixedBytes<32>(hex: text))
        #expect(throws: CryptoFailure.self) { try Ed25519.PublicKey(bytes) }
    }

    @Test("X25519 gives the values of RFC 7748 section 5.2 and 6.1")
    func x25519() throws {
        let first = try X25519.PrivateKey(secret("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"))
        let point = try #require(
            FixedBytes<32>(hex: "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"))
        #expect(
            try first.sharedSecret(with: X25519.PublicKey(point)).hexForTest()
                == "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")
        let second = try X25519.PrivateKey(secret("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"))
        // The top bit of the coordinate is set, and ignored.
        let masked = try #require(
            FixedBytes<32>(hex: "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493"))
        #expect(
            try second.sharedSecret(with: X25519.PublicKey(masked)).hexForTest()
                == "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957")

        let alice = try X25519.PrivateKey(secret("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"))
        let bob = try X25519.PrivateKey(secret("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
        #expect(alice.publicKey.bytes.hex == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
        #expect(bob.publicKey.bytes.hex == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
        let shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
        #expect(try alice.sharedSecret(with: bob.publicKey).hexForTest() == shared)
        #expect(try bob.sharedSecret(with: alice.publicKey).hexForTest() == shared)
    }

    @Test(
        "X25519 refuses points that make the secret known to everyone",
        arguments: [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "0000000000000000000000000000000000000000000000000000000000000080",
            "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
            "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ])
    func smallOrder(text: String) throws {
        let key = X25519.PrivateKey()
        let point = try #require(FixedBytes<32>(hex: text))
        #expect(throws: CryptoFailure.self) { _ = try key.sharedSecret(with: X25519.PublicKey(point)) }
    }

    @Test("keys survive their encodings, and those of the other algorithm are refused")
    func encodings() throws {
        let signing = Ed25519.PrivateKey()
        let agreement = X25519.PrivateKey()
        let readSigning = try Ed25519.PrivateKey(pkcs8: signing.pkcs8.bytes)
        let readAgreement = try X25519.PrivateKey(pkcs8: agreement.pkcs8.bytes)
        #expect(readSigning.seed.hexForTest() == signing.seed.hexForTest())
        #expect(readAgreement.secret.hexForTest() == agreement.secret.hexForTest())
        #expect(try Ed25519.PublicKey(spki: signing.publicKey.spki) == signing.publicKey)
        #expect(try X25519.PublicKey(spki: agreement.publicKey.spki) == agreement.publicKey)
        #expect(throws: CryptoFailure.self) { _ = try Ed25519.PrivateKey(pkcs8: agreement.pkcs8.bytes) }
        #expect(throws: CryptoFailure.self) { try X25519.PublicKey(spki: signing.publicKey.spki) }
        for count in [0, 31, 33] {
            let bytes = SecretBytes(random: count).hexForTest()
            #expect(throws: CryptoFailure.self) { _ = try Ed25519.PrivateKey(seed: secret(bytes)) }
            #expect(throws: CryptoFailure.self) { _ = try X25519.PrivateKey(secret(bytes)) }
        }
    }

    @Test("openssl reads our keys and agrees on signatures and secrets", .needsOpenSSLProgram)
    func program() throws {
        let directory = try ScratchDirectory()
        let signing = Ed25519.PrivateKey()
        let message = try directory.write([1, 2, 3], "message")
        let key = try directory.write(
            PEM.encodeSecret("PRIVATE KEY", signing.pkcs8).copiedToUnprotectedMemory(), "ed.pem")
        let derived = try OpenSSLProgram.run("pkey", "-in", key, "-pubout")
        #expect(derived.output == PEM.encode("PUBLIC KEY", signing.publicKey.spki))
        let made = try OpenSSLProgram.run(
            "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", message, "-out", directory.path("sig"))
        #expect(made.status == 0, "\(made.output)")
        #expect(try directory.read("sig") == signing.signature(for: [1, 2, 3]).bytes)

        let mine = X25519.PrivateKey()
        let theirs = X25519.PrivateKey()
        let mineFile = try directory.write(
            PEM.encodeSecret("PRIVATE KEY", mine.pkcs8).copiedToUnprotectedMemory(), "x.pem")
        let theirsFile = try directory.write(
            [UInt8](PEM.encode("PUBLIC KEY", theirs.publicKey.spki).utf8), "peer.pem")
        let derivedSecret = try OpenSSLProgram.run(
            "pkeyutl", "-derive", "-inkey", mineFile, "-peerkey", theirsFile, "-out", directory.path("shared"))
        #expect(derivedSecret.status == 0, "\(derivedSecret.output)")
        let shared = try directory.read("shared")
        #expect(try Hex.encode(shared) == mine.sharedSecret(with: theirs.publicKey).hexForTest())
    }
}
