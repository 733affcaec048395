import DstackCrypto
import DstackEncoding
import TestKit
import Testing

@Suite("secp256k1")
struct Secp256k1Tests {
    static let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
    /// (n - 1) / 2: the highest s that counts as low.
    static let halfOrder = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0"
    static let one = String(repeating: "00", count: 31) + "01"

    @Test(
        "nonces are those of RFC 6979, so signatures are known beforehand",
        arguments: [
            (
                "Satoshi Nakamoto",
                "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
                    + "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"
            ),
            (
                "All those moments will be lost in time, like tears in rain. Time to die...",
                "8600dbd41e348fe5c9465ab92d23e3db8b98b873beecd930736488696438cb6b"
                    + "547fe64427496db33bf66019dacbf0039c04199abb0122918601db38a72cfc21"
            ),
        ])
    func deterministic(message: String, expected: String) throws {
        let key = try Secp256k1.PrivateKey(scalar: secret(Self.one))
        let digest = SHA256.hash([UInt8](message.utf8))
        let signature = try key.signature(forDigest: digest)
        #expect(signature.withoutRecoveryID.hex == expected)
        #expect(key.publicKey.isValidSignature(signature.withoutRecoveryID, forDigest: digest))
        #expect(try signature.recoveredPublicKey(forDigest: digest) == key.publicKey)
    }

    @Test("the generator and its address")
    func generator() throws {
        let key = try Secp256k1.PrivateKey(scalar: secret(Self.one))
        let x = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
        #expect(key.publicKey.compressed.hex == "02" + x)
        #expect(
            key.publicKey.uncompressed.hex
                == "04" + x + "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8")
        #expect(key.publicKey.ethereumAddress.hex == "7e5f4552091a69125d5dfcb7b8c2659029395bdf")
    }

    @Test("zero, the order and what is above it are no scalars")
    func scalarRange() {
        func accepts(_ text: String) -> Bool {
            succeeds { _ = try Secp256k1.PrivateKey(scalar: secret(text)) }
        }
        #expect(accepts(Self.one))
        #expect(accepts(String(Self.order.dropLast()) + "0"))
        #expect(!accepts(Self.order))
        #expect(!accepts(String(Self.order.dropLast()) + "2"))
        #expect(!accepts(String(repeating: "00", count: 32)))
        #expect(!accepts(String(repeating: "ff", count: 32)))
        #expect(!accepts(""))
        #expect(!accepts(Self.one + "00"))
    }

    @Test("random keys sign low, verify, and are recovered; nothing else is")
    func roundTrip() throws {
        let source = PredictableBytesForTests("secp256k1")
        for index in 0..<50 {
            let key = Secp256k1.PrivateKey(random: source)
            let digest = Keccak.hash256([UInt8(index)])
            let signature = try key.signature(forDigest: digest)
            let again = try key.signature(forDigest: digest)
            #expect(signature == again)
            #expect(!Array(hex(Self.halfOrder)).lexicographicallyPrecedes(Array(signature.bytes.bytes[32..<64])))
            #expect(key.publicKey.isValidSignature(signature.withoutRecoveryID, forDigest: digest))
            #expect(try signature.recoveredPublicKey(forDigest: digest) == key.publicKey)
            let other = Keccak.hash256([UInt8(index), 1])
            #expect(!key.publicKey.isValidSignature(signature.withoutRecoveryID, forDigest: other))
            #expect((try? signature.recoveredPublicKey(forDigest: other)) != key.publicKey)
            for position in [0, 31, 32, 63, 64] {
                var changed = signature.bytes.bytes
                changed[position] ^= 1
                #expect((try? Secp256k1.Signature(changed).recoveredPublicKey(forDigest: digest)) != key.publicKey)
                if position < 64, let plain = FixedBytes<64>(changed.prefix(64)) {
                    #expect(!key.publicKey.isValidSignature(plain, forDigest: digest))
                }
            }
        }
    }

    @Test("the second signature with n - s is refused, in verification and in recovery")
    func highS() throws {
        let key = Secp256k1.PrivateKey()
        let digest = SHA256.hash([1])
        let signature = try key.signature(forDigest: digest)
        var high = signature.bytes
        let order = hex(Self.order)
        var borrow = 0
        for index in (0..<32).reversed() {
            let difference = Int(order[index]) - Int(signature.bytes[32 + index]) - borrow
            high[32 + index] = UInt8(truncatingIfNeeded: difference)
            borrow = difference < 0 ? 1 : 0
        }
        high[64] ^= 1
        let malleated = try Secp256k1.Signature(high.bytes)
        #expect(!key.publicKey.isValidSignature(malleated.withoutRecoveryID, forDigest: digest))
        #expect(throws: CryptoFailure.self) { try malleated.recoveredPublicKey(forDigest: digest) }
    }

    @Test("r or s of zero, n or above are refused")
    func signatureRange() throws {
        let key = Secp256k1.PrivateKey()
        let digest = SHA256.hash([1])
        let good = try key.signature(forDigest: digest).bytes.hex
        let r = String(good.prefix(64))
        let s = String(good.dropFirst(64).prefix(64))
        let zero = String(repeating: "00", count: 32)
        for bad in [zero, Self.order, String(Self.order.dropLast()) + "2", String(repeating: "ff", count: 32)] {
            for text in [bad + s, r + bad, bad + bad] {
                let plain = try #require(FixedBytes<64>(hex: text))
                #expect(!key.publicKey.isValidSignature(plain, forDigest: digest))
                for recovery: UInt8 in 0...3 {
                    #expect(throws: CryptoFailure.self) {
                        try Secp256k1.Signature(hex(text) + [recovery]).recoveredPublicKey(forDigest: digest)
                    }
                }
            }
        }
    }

    @Test("the recovery id is 0 to 3, or with Ethereum's offset where that is asked for")
    func recoveryID() throws {
        let digest = SHA256.hash([1])
        let key = Secp256k1.PrivateKey()
        let bytes = try key.signature(forDigest: digest).bytes.bytes
        let offset = bytes.dropLast() + [bytes[64] + 27]
        #expect(throws: CryptoFailure.self) { try Secp256k1.Signature(Array(offset)) }
        let read = try Secp256k1.Signature(Array(offset), acceptingOffset: true)
        #expect(read.bytes.bytes == bytes)
        #expect(try read.recoveredPublicKey(forDigest: digest) == key.publicKey)
        for bad: UInt8 in [4, 26, 31, 255] {
            #expect(throws: CryptoFailure.self) {
                try Secp256k1.Signature(Array(bytes.dropLast()) + [bad], acceptingOffset: true)
            }
        }
        for count in [0, 64, 66] {
            #expect(throws: CryptoFailure.self) { try Secp256k1.Signature([UInt8](repeating: 1, count: count)) }
        }
        // Ids 2 and 3 are for r that was reduced modulo n: never for an r as large as this one.
        #expect(throws: CryptoFailure.self) {
            try Secp256k1.Signature(hex(Self.halfOrder + Self.one) + [2]).recoveredPublicKey(forDigest: digest)
        }
    }

    @Test(
        "what is no point of the curve is refused",
        arguments: [
            "", "00", "04", String(repeating: "00", count: 65), "04" + String(repeating: "00", count: 64),
            "02" + String(repeating: "ff", count: 32),
            // x = p; the generator with another y, in hybrid form, too long.
            "02fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f",
            "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
                + "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b9",
            "0679be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
                + "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8",
            "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f8179800",
            // 5³ + 7 is no square modulo p.
            "020000000000000000000000000000000000000000000000000000000000000005",
        ])
    func notAPoint(text: String) {
        #expect(throws: CryptoFailure.self) { try Secp256k1.PublicKey(sec1: hex(text)) }
    }

    @Test("both forms of a point are the same key")
    func pointForms() throws {
        for _ in 0..<10 {
            let key = Secp256k1.PrivateKey().publicKey
            #expect(try Secp256k1.PublicKey(sec1: key.compressed.bytes) == key)
            #expect(try Secp256k1.PublicKey(sec1: key.uncompressed.bytes) == key)
        }
    }
}
