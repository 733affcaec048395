import CCryptoPP
import DstackCrypto
import DstackEncoding
import TestKit
import Testing

@Suite("Sealed boxes")
struct SealedBoxTests {
    private static func open(_ row: [String: Any], _ secretName: String = "recipient_secret") throws -> String {
        let key = try X25519.PrivateKey(secret(row.text(secretName)))
        return try SealedBox.open(row.bytes("sealed"), with: key).hexForTest()
    }

    @Test("boxes of libsodium and of the vectors open, and are made the same", .needsVectors("keys/kdf.json"))
    func vectors() throws {
        let file = try Vectors.object("keys/sealed-box.json")
        for row in try file.rows("upstream_known_answers") {
            #expect(try Self.open(row) == row.text("message"))
            let key = try X25519.PrivateKey(secret(row.text("recipient_secret")))
            #expect(try key.publicKey.bytes.hex == row.text("recipient_public"))
        }
        for row in try file.rows("cases") {
            #expect(try Self.open(row) == row.text("message"))
            let recipient = X25519.PublicKey(try #require(try FixedBytes<32>(row.bytes("recipient_public"))))
            let ephemeral = try X25519.PrivateKey(secret(row.text("ephemeral_secret")))
            let message = try row.bytes("message")
            let sealed = try SealedBox.seal(message.span.bytes, to: recipient, ephemeral: ephemeral)
            #expect(try Hex.encode(sealed) == row.text("sealed"))
            let keys = sealed.prefix(32) + recipient.bytes.bytes
            var nonce = [UInt8](repeating: 0, count: 24)
            #expect(dstack_blake2b(Array(keys), keys.count, &nonce, nonce.count) == 0)
            #expect(try Hex.encode(nonce) == row.text("nonce"))
        }
        for row in try file.rows("must_fail") {
            #expect(throws: CryptoFailure.self, "\(row["why"] ?? "")") { try Self.open(row) }
        }
    }

    @Test("a box opens for its recipient only, and not after any change", arguments: [0, 1, 31, 32, 33, 64, 1000])
    func roundTrip(count: Int) throws {
        let recipient = X25519.PrivateKey()
        let text = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
        let box = try SealedBox.seal(text, to: recipient.publicKey)
        #expect(box.count == count + SealedBox.overhead)
        #expect(try SealedBox.open(box, with: recipient).copiedToUnprotectedMemory() == text)
        let again = try SealedBox.seal(text, to: recipient.publicKey)
        #expect(again != box)
        let other = X25519.PrivateKey()
        #expect(throws: CryptoFailure.self) { _ = try SealedBox.open(box, with: other) }
        for index in stride(from: 0, to: box.count, by: max(1, box.count / 80)) {
            var changed = box
            changed[index] ^= 1
            #expect(throws: CryptoFailure.self) { _ = try SealedBox.open(changed, with: recipient) }
        }
        for end in [0, 1, 32, 47, box.count - 1] {
            #expect(throws: CryptoFailure.self) {
                _ = try SealedBox.open([UInt8](box.prefix(end)), with: recipient)
            }
        }
    }

    @Test("nothing is sealed for a point of small order")
    func smallOrder() {
        #expect(throws: CryptoFailure.self) {
            try SealedBox.seal([], to: X25519.PublicKey(FixedBytes()))
        }
    }
}
