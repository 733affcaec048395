import COpenSSL
import DstackCrypto
import DstackEncoding
import PlainP256
import TestKit
import Testing

/// Big numbers for making signatures that no signer makes, with OpenSSL's arithmetic. Everything leaks; it is a test.
private struct Number: Equatable {
    let pointer: OpaquePointer

    init(_ pointer: OpaquePointer) { self.pointer = pointer }
    init(_ bytes: [UInt8]) throws {
        pointer = try #require(BN_bin2bn(bytes, Int32(bytes.count), nil))
    }
    init(_ word: UInt) throws {
        pointer = try #require(BN_new())
        BN_set_word(pointer, word)
    }

    static func == (left: Number, right: Number) -> Bool { BN_cmp(left.pointer, right.pointer) == 0 }

    private static func make(_ body: (OpaquePointer, OpaquePointer) -> Int32) throws -> Number {
        let result = try #require(BN_new())
        let context = try #require(BN_CTX_new())
        defer { BN_CTX_free(context) }
        try #require(body(result, context) == 1)
        return Number(result)
    }

    func times(_ other: Number, modulo: Number) throws -> Number {
        try Self.make { BN_mod_mul($0, pointer, other.pointer, modulo.pointer, $1) }
    }
    func minus(_ other: Number, modulo: Number) throws -> Number {
        try Self.make { BN_mod_sub($0, pointer, other.pointer, modulo.pointer, $1) }
    }
    func plus(_ other: Number) throws -> Number {
        try Self.make { result, _ in BN_add(result, pointer, other.pointer) }
    }
    func inverse(modulo: Number) throws -> Number {
        try Self.make { BN_mod_inverse($0, pointer, modulo.pointer, $1) == nil ? 0 : 1 }
    }

    func bytes(_ count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        try #require(BN_bn2binpad(pointer, &bytes, Int32(count)) == count)
        return bytes
    }
}

/// Cases as Project Wycheproof collects them, made from the equation of ECDSA: with u1 = e/s and u2 = r/s, a signature is
/// good if x(u1·G + u2·Q) mod n = r.
@Suite("ECDSA on P-256 at its edges")
struct ECDSAEdgeCaseTests {
    private let order: Number
    private let group: OpaquePointer

    init() throws {
        order = try Number(hex(NISTKeyTests.p256Order))
        group = try #require(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1))
    }

    /// Every verifier there is for one key: the plain one, the fast one with and without table, and the latter as it is where
    /// OpenSSL has none of its deprecated functions. They must agree.
    private struct Verifiers {
        let plain: P256.PublicKey
        let fast: [P256VerifyingKey]

        init(_ key: P256.PublicKey) throws {
            plain = key
            fast = try [false, true].map { try #require(P256VerifyingKey(point: key.point, table: $0)) }
        }

        init(_ point: [UInt8]) throws { try self.init(P256.PublicKey(sec1: point)) }

        func accept(_ digest: [UInt8], _ raw: [UInt8]) throws -> Bool {
            let verdict = plain.isValidSignature(try P256.Signature(raw: raw), forDigest: digest)
            let fixedDigest = try #require(FixedBytes<32>(digest))
            let signature = P256Signature(raw: try #require(FixedBytes<64>(raw)))
            var prepared = [signature]
            P256Signature.prepare(&prepared)
            for key in fast {
                #expect(key.isValid(signature, digest: fixedDigest) == verdict, "table \(key.hasTable)")
                #expect(key.isValid(prepared[0], digest: fixedDigest) == verdict, "table \(key.hasTable), prepared")
            }
            for wantsTable in [0, 1] as [Int32] {
                let found = plain_p256_verify_once(plain.point.bytes, digest, raw, wantsTable)
                #expect(found == (verdict ? 1 : 0), "without what OpenSSL deprecates")
            }
            return verdict
        }

        func accept(_ digest: [UInt8], _ r: Number, _ s: Number) throws -> Bool {
            try accept(digest, r.bytes(32) + s.bytes(32))
        }
    }

    private func point(_ scalar: Number) throws -> [UInt8] {
        try P256.PrivateKey(scalar: SecretBytes(copying: scalar.bytes(32))).publicKey.uncompressed
    }

    private func x(_ point: [UInt8]) throws -> Number { try Number([UInt8](point[1...32])) }

    /// x mod n.
    private func reduced(_ number: Number) throws -> Number { try number.minus(Number(0), modulo: order) }

    @Test("u1·G = u2·Q, where adding needs the formula for doubling, is a good signature")
    func doubling() throws {
        let secret = try Number(SystemRandom().bytes(31))
        let u1 = try Number(SystemRandom().bytes(31))
        // R = 2·u1·G, because u2 = u1/d.
        let r = try reduced(x(point(u1.times(Number(2), modulo: order))))
        let u2 = try u1.times(secret.inverse(modulo: order), modulo: order)
        let s = try r.times(u2.inverse(modulo: order), modulo: order)
        let digest = try u1.times(s, modulo: order).bytes(32)
        #expect(try Verifiers(point(secret)).accept(digest, r, s))
        #expect(try !Verifiers(point(u1)).accept(digest, r, s))
    }

    @Test("u1·G = -u2·Q, whose sum is infinity, is no signature, whatever r is")
    func infinity() throws {
        let secret = try Number(SystemRandom().bytes(31))
        let digest = try Number(SystemRandom().bytes(31))
        let s = try Number(SystemRandom().bytes(31))
        // e + r·d = 0.
        let r = try Number(0).minus(digest.times(secret.inverse(modulo: order), modulo: order), modulo: order)
        #expect(try !Verifiers(point(secret)).accept(digest.bytes(32), r, s))
    }

    @Test("a point whose x is not below n is a good signature with r = x - n")
    func reducedX() throws {
        let context = try #require(BN_CTX_new())
        defer { BN_CTX_free(context) }
        // Some x = n + i has a point R. Take any e and s; then Q = (s·R - e·G)/r has that signature.
        for index: UInt in 1..<1000 {
            let candidate = try order.plus(Number(index))
            let nonce = try #require(EC_POINT_new(group))
            guard EC_POINT_set_compressed_coordinates(group, nonce, candidate.pointer, 0, context) == 1 else {
                ERR_clear_error()
                continue
            }
            let r = try Number(index)
            let digest = try Number(SystemRandom().bytes(31))
            let s = try Number(SystemRandom().bytes(31))
            let inverse = try r.inverse(modulo: order)
            let onNonce = try s.times(inverse, modulo: order)
            let onGenerator = try Number(0).minus(digest.times(inverse, modulo: order), modulo: order)
            let key = try #require(EC_POINT_new(group))
            try #require(
                EC_POINT_mul(group, key, onGenerator.pointer, nonce, onNonce.pointer, context) == 1)
            var encoded = [UInt8](repeating: 0, count: 65)
            try #require(
                EC_POINT_point2oct(group, key, POINT_CONVERSION_UNCOMPRESSED, &encoded, 65, context) == 65)
            let verifiers = try Verifiers(encoded)
            #expect(try verifiers.accept(digest.bytes(32), r, s))
            // The unreduced x is no r.
            #expect(try !verifiers.accept(digest.bytes(32), candidate, s))
            let next = try r.plus(Number(1))
            #expect(try !verifiers.accept(digest.bytes(32), next, s))
            return
        }
        Issue.record("no point found")
    }

    @Test("digests of zero, n and all ones are numbers like others")
    func digests() throws {
        for digest in [
            [UInt8](repeating: 0, count: 32), hex(NISTKeyTests.p256Order), [UInt8](repeating: 0xFF, count: 32),
        ] {
            let key = P256.PrivateKey()
            let verifiers = try Verifiers(key.publicKey)
            let signature = try key.signature(forDigest: digest)
            #expect(try verifiers.accept(digest, signature.raw))
            var other = digest
            other[31] ^= 1
            #expect(try !verifiers.accept(other, signature.raw))
        }
        // e and e + n are the same number: a digest of n is a digest of zero.
        let key = P256.PrivateKey()
        let signature = try key.signature(forDigest: [UInt8](repeating: 0, count: 32))
        #expect(try Verifiers(key.publicKey).accept(hex(NISTKeyTests.p256Order), signature.raw))
    }

    @Test("private keys one and n-1, whose points are the generator and its negative, sign and verify")
    func extremeKeys() throws {
        let highest = try Number(0).minus(Number(1), modulo: order)
        for scalar in [try Number(1), highest] {
            let key = try P256.PrivateKey(scalar: SecretBytes(copying: scalar.bytes(32)))
            let verifiers = try Verifiers(key.publicKey)
            let digest = SystemRandom().bytes(32)
            let signature = try key.signature(forDigest: digest)
            #expect(try verifiers.accept(digest, signature.raw))
            #expect(try !verifiers.accept(SystemRandom().bytes(32), signature.raw))
        }
    }

    @Test("r and s of zero, one, n-1, n, n+1, p and all ones, in every combination, are refused")
    func range() throws {
        let verifiers = try Verifiers(P256.PrivateKey().publicKey)
        let digest = SystemRandom().bytes(32)
        let prime = hex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff")
        let numbers = [
            try Number(0), try Number(1), try Number(0).minus(Number(1), modulo: order), order,
            try order.plus(Number(1)), try Number(prime), try Number([UInt8](repeating: 0xFF, count: 32)),
        ]
        for r in numbers {
            for s in numbers {
                #expect(try !verifiers.accept(digest, r, s))
            }
        }
    }

    @Test("all verifiers agree on good signatures and on damaged ones")
    func agreement() throws {
        let source = PredictableBytesForTests("agreement")
        for _ in 0..<4 {
            let key = P256.PrivateKey(random: source)
            let verifiers = try Verifiers(key.publicKey)
            for index in 0..<16 {
                let digest = source.bytes(32)
                let raw = try key.signature(forDigest: digest).raw
                #expect(try verifiers.accept(digest, raw))
                var changed = raw
                changed[Int(source.bytes(1)[0]) % 64] ^= 1 << UInt8(index % 8)
                #expect(try !verifiers.accept(digest, changed))
            }
        }
    }
}
