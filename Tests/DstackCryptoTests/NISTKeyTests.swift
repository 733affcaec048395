import DstackCrypto
import DstackEncoding
import Foundation
import TestKit
import Testing

@Suite("NIST keys and signatures")
struct NISTKeyTests {
    /// Orders of the curves (SP 800-186 section 3.2.1).
    static let p256Order = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
    static let p384Order =
        "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973"

    @Test("a signature verifies under its own key and message only")
    func signing() throws {
        try Self.check(P256.self)
        try Self.check(P384.self)
    }

    private static func check<Curve: NISTCurve>(_: Curve.Type) throws {
        let key = NISTPrivateKey<Curve>()
        let other = NISTPrivateKey<Curve>()
        for message in [[], [0], [UInt8](repeating: 7, count: 1000)] as [[UInt8]] {
            let signature = try key.signature(for: message)
            #expect(signature.raw.count == 2 * Curve.size)
            #expect(key.publicKey.isValidSignature(signature, for: message))
            #expect(!key.publicKey.isValidSignature(signature, for: message + [0]))
            #expect(!other.publicKey.isValidSignature(signature, for: message))
            #expect(try NISTSignature<Curve>(der: signature.der) == signature)
            for index in signature.raw.indices {
                var changed = signature.raw
                changed[index] ^= 1
                #expect(!key.publicKey.isValidSignature(try NISTSignature(raw: changed), for: message))
            }
        }
    }

    @Test("zero, the order and what is above it are no scalars; one and n-1 are")
    func scalarRange() throws {
        try Self.checkRange(P256.self, Self.p256Order)
        try Self.checkRange(P384.self, Self.p384Order)
    }

    private static func checkRange<Curve: NISTCurve>(_: Curve.Type, _ orderText: String) throws {
        func accepts(_ scalar: [UInt8]) -> CryptoFailure.Code? {
            do throws(CryptoFailure) {
                _ = try NISTPrivateKey<Curve>(scalar: SecretBytes(copying: scalar))
                return nil
            } catch { return error.code }
        }
        let order = hex(orderText)
        let zero = [UInt8](repeating: 0, count: Curve.size)
        #expect(accepts(zero) == .outOfRange)
        #expect(accepts(zero.dropLast() + [1]) == nil)
        #expect(accepts(order.dropLast() + [order[Curve.size - 1] - 1]) == nil)
        #expect(accepts(order) == .outOfRange)
        #expect(accepts(order.dropLast() + [order[Curve.size - 1] + 1]) == .outOfRange)
        #expect(accepts([UInt8](repeating: 0xFF, count: Curve.size)) == .outOfRange)
        #expect(accepts([]) == .malformed)
        #expect(accepts([0] + order) == .malformed)
        #expect(accepts([UInt8](zero.dropFirst())) == .malformed)
    }

    @Test("signatures with r or s zero, n, or above n are refused")
    func signatureRange() throws {
        try Self.checkSignatureRange(P256.self, Self.p256Order)
        try Self.checkSignatureRange(P384.self, Self.p384Order)
    }

    private static func checkSignatureRange<Curve: NISTCurve>(_: Curve.Type, _ orderText: String) throws {
        let key = NISTPrivateKey<Curve>()
        let message = [UInt8]("message".utf8)
        let good = try key.signature(for: message)
        let order = hex(orderText)
        var above = order
        above[Curve.size - 1] += 1
        let zero = [UInt8](repeating: 0, count: Curve.size)
        let one = [UInt8](zero.dropLast() + [1])
        let all = [UInt8](repeating: 0xFF, count: Curve.size)
        let r = [UInt8](good.raw.prefix(Curve.size))
        let s = [UInt8](good.raw.suffix(Curve.size))
        for bad in [zero, order, above, all] {
            #expect(!key.publicKey.isValidSignature(try NISTSignature(raw: bad + s), for: message))
            #expect(!key.publicKey.isValidSignature(try NISTSignature(raw: r + bad), for: message))
            #expect(!key.publicKey.isValidSignature(try NISTSignature(raw: bad + bad), for: message))
        }
        #expect(!key.publicKey.isValidSignature(try NISTSignature(raw: one + one), for: message))
        // n - s is as valid as s: NIST curves have no low-s rule.
        var high = [UInt8](repeating: 0, count: Curve.size)
        var borrow = 0
        for index in (0..<Curve.size).reversed() {
            let difference = Int(order[index]) - Int(s[index]) - borrow
            high[index] = UInt8(truncatingIfNeeded: difference)
            borrow = difference < 0 ? 1 : 0
        }
        #expect(key.publicKey.isValidSignature(try NISTSignature(raw: r + high), for: message))
    }

    @Test("raw signatures of another length are refused", arguments: [0, 1, 63, 65, 96, 128])
    func rawLength(count: Int) {
        #expect(throws: CryptoFailure.self) { try P256.Signature(raw: [UInt8](repeating: 1, count: count)) }
    }

    @Test(
        "signatures in anything but strict DER are refused",
        arguments: [
            "", "30", "3000", "3003020101", "30060201010201", "3006020101020101 00", "3081060201010201 01",
            "3007020101020101", "30070202000102 0101", "300602018102 0101", "3006020101020181", "30050200020101",
            "30800201010201010000", "3106020101020101", "3006030101020101", "3006020101040101", "300702020080 020100ff",
            "3006020101020200",
        ])
    func strictDER(text: String) {
        #expect(throws: CryptoFailure.self) { try P256.Signature(der: hex(text)) }
    }

    @Test("DER integers keep leading zeros out and the sign bit clear")
    func derForms() throws {
        let one = [UInt8](repeating: 0, count: 31) + [1]
        let high = [0x80] + [UInt8](repeating: 0, count: 31)
        #expect(try P256.Signature(raw: one + one).der == hex("3006020101020101"))
        #expect(
            try P256.Signature(raw: high + one).der == hex("3026022100" + Hex.encode(high) + "020101"))
        for raw in [one + one, high + one, one + high, high + high, [UInt8](repeating: 0, count: 64)] {
            #expect(try P256.Signature(der: P256.Signature(raw: raw).der).raw == raw)
        }
        // 33 significant bytes do not fit.
        #expect(throws: CryptoFailure.self) {
            try P256.Signature(der: hex("3026022101" + Hex.encode(high) + "020101"))
        }
    }

    static let notPoints = [
        "", "00", "04", "0200", String(repeating: "00", count: 65), "04" + String(repeating: "00", count: 64),
        "04" + String(repeating: "ff", count: 64), "02" + String(repeating: "ff", count: 32),
        // x = p is zero in disguise.
        "02ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
        // The generator with a y that is off by one; hybrid form of the generator; too long.
        "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
            + "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f4",
        "076b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
            + "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
        "036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c29600",
        // No y exists for this x.
        "020000000000000000000000000000000000000000000000000000000000000001",
    ]

    @Test("what is no point of the curve is refused", arguments: notPoints)
    func notAPoint(text: String) {
        #expect(throws: CryptoFailure.self) { try P256.PublicKey(sec1: hex(text)) }
    }

    @Test("compressed and uncompressed points and SubjectPublicKeyInfo are the same key")
    func publicKeyForms() throws {
        try Self.checkForms(P256.self)
        try Self.checkForms(P384.self)
    }

    private static func checkForms<Curve: NISTCurve>(_: Curve.Type) throws {
        for _ in 0..<8 {
            let publicKey = NISTPrivateKey<Curve>().publicKey
            #expect(try NISTPublicKey<Curve>(sec1: publicKey.uncompressed) == publicKey)
            #expect(try NISTPublicKey<Curve>(sec1: publicKey.compressed) == publicKey)
            #expect(try NISTPublicKey<Curve>(coordinates: publicKey.coordinates) == publicKey)
            #expect(try NISTPublicKey<Curve>(spki: publicKey.spki) == publicKey)
            #expect(try NISTPublicKey<Curve>(spki: Curve.compressedPrefix + publicKey.compressed) == publicKey)
            #expect(throws: CryptoFailure.self) { try NISTPublicKey<Curve>(spki: publicKey.spki + [0]) }
            #expect(throws: CryptoFailure.self) { try NISTPublicKey<Curve>(spki: publicKey.spki.dropLast()) }
            for index in 0..<Curve.uncompressedPrefix.count {
                var changed = publicKey.spki
                changed[index] ^= 1
                #expect(throws: CryptoFailure.self) { try NISTPublicKey<Curve>(spki: changed) }
            }
        }
    }

    @Test("private keys survive every encoding")
    func privateKeyForms() throws {
        try Self.checkPrivateForms(P256.self)
        try Self.checkPrivateForms(P384.self)
    }

    private static func checkPrivateForms<Curve: NISTCurve>(_: Curve.Type) throws {
        let key = NISTPrivateKey<Curve>(random: PredictableBytesForTests("private forms"))
        let scalar = key.scalar.hexForTest()
        let fromPKCS8 = try NISTPrivateKey<Curve>(pkcs8: key.pkcs8.bytes)
        let fromSEC1 = try NISTPrivateKey<Curve>(sec1: key.sec1.bytes)
        let fromPEM = try NISTPrivateKey<Curve>(pem: key.pkcs8PEM.bytes)
        let fromSEC1PEM = try NISTPrivateKey<Curve>(pem: key.sec1PEM.bytes)
        #expect(fromPKCS8.scalar.hexForTest() == scalar)
        #expect(fromSEC1.scalar.hexForTest() == scalar)
        #expect(fromPEM.scalar.hexForTest() == scalar)
        #expect(fromSEC1PEM.scalar.hexForTest() == scalar)
        #expect(fromPEM.publicKey == key.publicKey)

        // Every truncation, an extra byte, and a public key that is another's.
        let der = key.pkcs8.copiedToUnprotectedMemory()
        func accepts(_ bytes: [UInt8]) -> Bool {
            succeeds { _ = try NISTPrivateKey<Curve>(pkcs8: bytes.span.bytes) }
        }
        #expect(accepts(der))
        for end in der.indices { #expect(!accepts([UInt8](der[..<end]))) }
        #expect(!accepts(der + [0]))
        let other = NISTPrivateKey<Curve>().publicKey.uncompressed
        #expect(!accepts(der.dropLast(other.count) + other))
    }

    @Test("a key of another curve or kind is refused")
    func wrongCurve() {
        let large = P384.PrivateKey()
        let small = P256.PrivateKey()
        #expect(throws: CryptoFailure.self) { _ = try P256.PrivateKey(pkcs8: large.pkcs8.bytes) }
        #expect(throws: CryptoFailure.self) { _ = try P384.PrivateKey(sec1: small.sec1.bytes) }
        #expect(throws: CryptoFailure.self) { try P256.PublicKey(spki: large.publicKey.spki) }
    }

    @Test("ECDH gives both sides the same secret (RFC 5903 section 8.1)")
    func agreement() throws {
        let mine = try P256.PrivateKey(
            scalar: secret("C88F01F510D9AC3F70A292DAA2316DE544E9AAB8AFE84049C62A9C57862D1433"))
        let theirs = try P256.PrivateKey(
            scalar: secret("C6EF9C5D78AE012A011164ACB397CE2088685D8F06BF9BE0B283AB46476BEE53"))
        let expected = "d6840f6b42f6edafd13116e0e12565202fef8e9ece7dce03812464d04b9442de"
        #expect(try mine.sharedSecret(with: theirs.publicKey).hexForTest() == expected)
        #expect(try theirs.sharedSecret(with: mine.publicKey).hexForTest() == expected)
        let a = P384.PrivateKey()
        let b = P384.PrivateKey()
        #expect(
            try a.sharedSecret(with: b.publicKey).hexForTest() == b.sharedSecret(with: a.publicKey).hexForTest())
    }

    @Test("known signatures verify (RFC 6979 A.2.5 and A.2.6)")
    func knownSignatures() throws {
        let p256 = try P256.PrivateKey(
            scalar: secret("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721"))
        let sample = [UInt8]("sample".utf8)
        #expect(
            p256.publicKey.isValidSignature(
                try P256.Signature(
                    raw: hex(
                        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
                            + "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8")), for: sample))
        // The same message hashed with SHA-512: the digest is cut to the length of the order.
        #expect(
            p256.publicKey.isValidSignature(
                try P256.Signature(
                    raw: hex(
                        "8496A60B5E9B47C825488827E0495B0E3FA109EC4568FD3F8D1097678EB97F00"
                            + "2362AB1ADBE2B8ADF9CB9EDAB740EA6049C028114F2460F96554F61FAE3302FE")),
                forDigest: SHA512.hash(sample).bytes))
        let p384 = try P384.PrivateKey(
            scalar: secret(
                "6B9D3DAD2E1B8C1C05B19875B6659F4DE23C3B667BF297BA9AA47740787137D8"
                    + "96D5724E4C70A825F872C9EA60D2EDF5"))
        #expect(
            p384.publicKey.isValidSignature(
                try P384.Signature(
                    raw: hex(
                        "94EDBB92A5ECB8AAD4736E56C691916B3F88140666CE9FA73D64C4EA95AD133C"
                            + "81A648152E44ACF96E36DD1E80FABE4699EF4AEB15F178CEA1FE40DB2603138F"
                            + "130E740A19624526203B6351D0A3A94FA329C145786E679E7B82C71A38628AC8")), for: sample))
    }

    @Test("openssl reads our keys, verifies our signatures, and we read its keys", .needsOpenSSLProgram)
    func program() throws {
        let directory = try ScratchDirectory()
        try Self.checkProgram(P256.self, "prime256v1", "-sha256", directory)
        try Self.checkProgram(P384.self, "secp384r1", "-sha384", directory)
    }

    private static func checkProgram<Curve: NISTCurve>(
        _: Curve.Type, _ curve: String, _ digest: String, _ directory: ScratchDirectory
    ) throws {
        func reads(_ name: String) throws -> Bool {
            let text = try directory.read(name)
            return succeeds { _ = try NISTPrivateKey<Curve>(pem: text.span.bytes) }
        }
        let key = NISTPrivateKey<Curve>()
        let message = try directory.write([1, 2, 3, 4], "message")
        let pkcs8 = try directory.write(key.pkcs8PEM.copiedToUnprotectedMemory(), "pkcs8.pem")
        let sec1 = try directory.write(key.sec1PEM.copiedToUnprotectedMemory(), "sec1.pem")
        let publicKey = try directory.write([UInt8](PEM.encode("PUBLIC KEY", key.publicKey.spki).utf8), "pub.pem")
        for file in [pkcs8, sec1] {
            let derived = try OpenSSLProgram.run("pkey", "-in", file, "-pubout")
            #expect(derived.output == PEM.encode("PUBLIC KEY", key.publicKey.spki))
            #expect(try OpenSSLProgram.run("pkey", "-in", file, "-check", "-noout").status == 0)
        }
        let signature = try directory.write(key.signature(for: [1, 2, 3, 4]).der, "sig")
        #expect(
            try OpenSSLProgram.run("dgst", digest, "-verify", publicKey, "-signature", signature, message).status == 0)
        let made = directory.path("made.sig")
        #expect(try OpenSSLProgram.run("dgst", digest, "-sign", pkcs8, "-out", made, message).status == 0)
        let theirs = try NISTSignature<Curve>(der: directory.read("made.sig"))
        #expect(key.publicKey.isValidSignature(theirs, for: [1, 2, 3, 4]))

        // Its forms: parameters as a PEM block before the key, PKCS#8, and curves by their numbers, which are refused.
        _ = try OpenSSLProgram.run("ecparam", "-name", curve, "-genkey", "-out", directory.path("gen.pem"))
        #expect(try reads("gen.pem"))
        _ = try OpenSSLProgram.run(
            "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:\(curve)", "-out", directory.path("gen8.pem"))
        #expect(try reads("gen8.pem"))
        _ = try OpenSSLProgram.run(
            "ecparam", "-name", curve, "-genkey", "-param_enc", "explicit", "-noout", "-out",
            directory.path("explicit.pem"))
        #expect(try !reads("explicit.pem"))
    }
}
