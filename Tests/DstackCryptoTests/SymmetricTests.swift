import DstackCrypto
import DstackEncoding
import TestKit
import Testing

@Suite("Digests, authentication codes and key derivation")
struct SymmetricTests {
    @Test("SHA-3 gives the values of FIPS 202")
    func sha3() {
        #expect(
            SHA3_256.hash([]).hex == "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a")
        let abc = [UInt8]("abc".utf8)
        #expect(
            SHA3_256.hash(abc).hex == "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532")
        #expect(
            SHA3_384.hash(abc).hex
                == "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b298d88cea927ac7f539f1edf228376d25")
        #expect(
            SHA3_512.hash(abc).hex
                == "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e"
                + "10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0")
        #expect(SHA3_256.hash(abc) != Keccak.hash256(abc))
        #expect(SHA256.secretHash(abc.span.bytes).hexForTest() == SHA256.hash(abc).hex)
    }

    struct Code: Sendable {
        let key: [UInt8]
        let message: [UInt8]
        let sha256: String
        let sha512: String
    }

    /// RFC 4231 sections 4.2 to 4.8, without the truncated one.
    static let codes = [
        Code(
            key: [UInt8](repeating: 0x0B, count: 20), message: [UInt8]("Hi There".utf8),
            sha256: "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            sha512: "87aa7cdea5ef619d4ff0b4241a1d6cb02379f4e2ce4ec2787ad0b30545e17cde"
                + "daa833b7d6b8a702038b274eaea3f4e4be9d914eeb61f1702e696c203a126854"),
        Code(
            key: [UInt8]("Jefe".utf8), message: [UInt8]("what do ya want for nothing?".utf8),
            sha256: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            sha512: "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554"
                + "9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737"),
        Code(
            key: [UInt8](repeating: 0xAA, count: 20), message: [UInt8](repeating: 0xDD, count: 50),
            sha256: "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            sha512: "fa73b0089d56a284efb0f0756c890be9b1b5dbdd8ee81a3655f83e33b2279d39"
                + "bf3e848279a722c806b485a47e67c807b946a337bee8942674278859e13292fb"),
        Code(
            key: [UInt8](1...25), message: [UInt8](repeating: 0xCD, count: 50),
            sha256: "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
            sha512: "b0ba465637458c6990e5a8c5f61d4af7e576d97ff94b872de76f8050361ee3db"
                + "a91ca5c11aa25eb4d679275cc5788063a5f19741120c4f2de2adebeb10a298dd"),
        Code(
            key: [UInt8](repeating: 0xAA, count: 131),
            message: [UInt8]("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
            sha256: "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            sha512: "80b24263c7c1a3ebb71493c1dd7be8b49b46d1f41b4aeec1121b013783f8f352"
                + "6b56d037e05f2598bd0fd2215d6a1e5295e64f73f63f0aec8b915a985d786598"),
        Code(
            key: [UInt8](repeating: 0xAA, count: 131),
            message: [UInt8](
                ("This is a test using a larger than block-size key and a larger than block-size data. "
                    + "The key needs to be hashed before being used by the HMAC algorithm.").utf8),
            sha256: "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
            sha512: "e37b6a775dc87dbaa4dfa9f96e5e3ffddebd71f8867289865df5a32d20cdc944"
                + "b6022cac3c4982b10d5eeb55c3e4de15134676fb6de0446065c97440fa8c6a58"),
    ]

    @Test("HMAC gives the values of RFC 4231", arguments: codes)
    func hmac(code: Code) {
        let key = SecretBytes(copying: code.key)
        #expect(HMACSHA256.code(for: code.message, key: key).hex == code.sha256)
        #expect(HMACSHA512.code(for: code.message, key: key).hex == code.sha512)
        let isValid = HMACSHA256.isValid(hex(code.sha256), for: code.message, key: key)
        #expect(isValid)
        let isLongerValid = HMACSHA256.isValid(hex(code.sha256) + [0], for: code.message, key: key)
        #expect(!isLongerValid)
        var changed = hex(code.sha512)
        changed[63] ^= 1
        let isChangedValid = HMACSHA512.isValid(changed, for: code.message, key: key)
        #expect(!isChangedValid)
    }

    @Test("an empty key and an empty message have a code")
    func emptyHMAC() {
        let key = SecretBytes(copying: [UInt8]())
        #expect(
            HMACSHA256.code(for: [UInt8](), key: key).hex
                == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad")
    }

    struct Derivation: Sendable {
        let material: [UInt8]
        let salt: [UInt8]
        let info: [UInt8]
        let prk: String
        let okm: String
    }

    /// RFC 5869 appendix A.1 to A.3.
    static let derivations = [
        Derivation(
            material: [UInt8](repeating: 0x0B, count: 22), salt: [UInt8](0...12), info: [UInt8](0xF0...0xF9),
            prk: "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            okm: "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"),
        Derivation(
            material: [UInt8](0x00...0x4F), salt: [UInt8](0x60...0xAF), info: [UInt8](0xB0...0xFF),
            prk: "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            okm: "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
                + "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
                + "cc30c58179ec3e87c14c01d5c1f3434f1d87"),
        Derivation(
            material: [UInt8](repeating: 0x0B, count: 22), salt: [], info: [],
            prk: "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            okm: "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"),
    ]

    @Test("HKDF gives the values of RFC 5869", arguments: derivations)
    func hkdf(derivation: Derivation) throws {
        let count = derivation.okm.utf8.count / 2
        #expect(
            HKDFSHA256.extract(derivation.material.span.bytes, salt: derivation.salt).hexForTest() == derivation.prk)
        let whole = try HKDFSHA256.deriveKey(
            from: derivation.material.span.bytes, salt: derivation.salt, info: derivation.info, count: count)
        #expect(whole.hexForTest() == derivation.okm)
        let parts = derivation.info.map { [$0] }
        let inParts = try HKDFSHA256.deriveKey(
            from: derivation.material.span.bytes, salt: derivation.salt, unframedInfo: parts, count: count)
        #expect(inParts.hexForTest() == derivation.okm)
    }

    @Test("HKDF output of every length is the beginning of a longer one, up to the limit")
    func hkdfLengths() throws {
        let key = SecretBytes(copying: [UInt8](repeating: 7, count: 32))
        let longest = try HKDFSHA256.expand(key, info: [1], count: HKDFSHA256.longestOutput).hexForTest()
        #expect(longest.utf8.count == 255 * 64)
        for count in [0, 1, 31, 32, 33, 64, 65, 8159] {
            let shorter = try HKDFSHA256.expand(key, info: [1], count: count).hexForTest()
            #expect(longest.hasPrefix(shorter))
            #expect(shorter.utf8.count == 2 * count)
        }
        for count in [-1, HKDFSHA256.longestOutput + 1, .max, .min] {
            #expect(throws: CryptoFailure.self) { _ = try HKDFSHA256.expand(key, info: [], count: count) }
        }
        // Longer than what OpenSSL's own HKDF takes.
        let info = [UInt8](repeating: 9, count: 5000)
        let long = try HKDFSHA256.expand(key, info: info, count: 32)
        let byHand = HMACSHA256.code(for: info + [1], key: key)
        #expect(long.hexForTest() == byHand.hex)
    }

    struct Sealing: Sendable {
        let key: String
        let nonce: String
        let text: String
        let authenticated: String
        let ciphertext: String
        let tag: String
    }

    /// McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, cases 13 to 16.
    static let sealings = [
        Sealing(
            key: String(repeating: "00", count: 32), nonce: String(repeating: "00", count: 12), text: "",
            authenticated: "", ciphertext: "", tag: "530f8afbc74536b9a963b4f1c4cb738b"),
        Sealing(
            key: String(repeating: "00", count: 32), nonce: String(repeating: "00", count: 12),
            text: String(repeating: "00", count: 16), authenticated: "",
            ciphertext: "cea7403d4d606b6e074ec5d3baf39d18", tag: "d0d1c8a799996bf0265b98b5d48ab919"),
        Sealing(
            key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", nonce: "cafebabefacedbaddecaf888",
            text: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                + "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
            authenticated: "",
            ciphertext: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                + "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
            tag: "b094dac5d93471bdec1a502270e3cc6c"),
        Sealing(
            key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", nonce: "cafebabefacedbaddecaf888",
            text: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                + "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            authenticated: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            ciphertext: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                + "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            tag: "76fc6ece0f4e1768cddf8853bb2d551b"),
    ]

    @Test("AES-256-GCM gives the values of its specification", arguments: sealings)
    func aesGCM(sealing: Sealing) throws {
        try Self.check(AES256GCM.self, sealing)
    }

    @Test("ChaCha20-Poly1305 gives the value of RFC 8439 section 2.8.2")
    func chaCha() throws {
        try Self.check(
            ChaCha20Poly1305.self,
            Sealing(
                key: "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
                nonce: "070000004041424344454647",
                text: Hex.encode(
                    Array(
                        ("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
                            + "sunscreen would be it.").utf8)), authenticated: "50515253c0c1c2c3c4c5c6c7",
                ciphertext: "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
                    + "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
                    + "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116",
                tag: "1ae10b594f09e26a7e902ecbd0600691"))
    }

    private static func check<Cipher: AuthenticatedCipher>(_: Cipher.Type, _ sealing: Sealing) throws {
        let key = secret(sealing.key)
        let nonce = try #require(FixedBytes<12>(hex: sealing.nonce))
        let authenticated = hex(sealing.authenticated)
        let sealed = try Cipher.seal(
            hex(sealing.text), key: key, nonce: nonce, authenticating: authenticated)
        #expect(Hex.encode(sealed.ciphertext) == sealing.ciphertext)
        #expect(sealed.tag.hex == sealing.tag)
        #expect(try SealedText(combined: sealed.combined) == sealed)
        #expect(try Cipher.open(sealed, key: key, authenticating: authenticated).hexForTest() == sealing.text)

        // Any single change is noticed, and the error says nothing else.
        func verdict(_ sealed: SealedText, _ authenticated: [UInt8]) -> CryptoFailure? {
            do throws(CryptoFailure) {
                _ = try Cipher.open(sealed, key: key, authenticating: authenticated)
                return nil
            } catch { return error }
        }
        let refusal = CryptoFailure(.notAuthentic, Cipher.name, "the text cannot be opened with this key")
        for index in sealed.combined.indices {
            var changed = sealed.combined
            changed[index] ^= 1
            #expect(verdict(try SealedText(combined: changed), authenticated) == refusal)
        }
        #expect(verdict(sealed, authenticated + [0]) == refusal)
        for end in 28..<sealed.combined.count {
            #expect(verdict(try SealedText(combined: sealed.combined.prefix(end)), authenticated) == refusal)
        }
        let wrong = SecretBytes(random: 32)
        #expect(throws: refusal) { _ = try Cipher.open(sealed, key: wrong, authenticating: authenticated) }
    }

    @Test("nonces that are not given are random; keys of another length are refused")
    func sealingRules() throws {
        let key = SecretBytes(random: 32)
        let first = try AES256GCM.seal([1, 2, 3], key: key)
        let second = try AES256GCM.seal([1, 2, 3], key: key)
        #expect(first.nonce != second.nonce)
        #expect(first.ciphertext != second.ciphertext)
        for count in [0, 16, 24, 31, 33] {
            let short = SecretBytes(random: count)
            #expect(throws: CryptoFailure.self) { _ = try AES256GCM.seal([1], key: short) }
            #expect(throws: CryptoFailure.self) { _ = try AES256GCM.open(first, key: short) }
        }
        #expect(throws: CryptoFailure.self) { try SealedText(combined: [UInt8](repeating: 0, count: 27)) }
    }
}
