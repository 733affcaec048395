package import DstackCrypto
package import DstackEncoding

/// A P-256 key of the simulated platform. It signs anything, which is what makes it a tool for tests and nothing else.
package final class MockKey: Sendable {
    package let privateKey: P256.PrivateKey

    package init(_ privateKey: consuming P256.PrivateKey) { self.privateKey = privateKey }

    /// A fresh random key.
    package convenience init() { self.init(P256.PrivateKey()) }

    /// The key of a seed and a label: SHA-256("dstack simulated TEE key 1" ‖ 00 ‖ label ‖ 00 ‖ BE32 counter ‖ seed), with
    /// the counter raised from 0 until the number is a scalar of the curve (the first is, but for one seed in 2³²).
    package convenience init(seed: FixedBytes<32>, label: String) {
        var counter: UInt32 = 0
        while true {
            let bytes = Self.derive("key", label, counter: counter, seed: seed)
            if let key = try? P256.PrivateKey(scalar: SecretBytes(copying: bytes.bytes.span.bytes)) {
                self.init(key)
                return
            }
            counter &+= 1
        }
    }

    /// Bytes that depend on the seed and say nothing about it.
    package static func derive(
        _ kind: String, _ label: String, counter: UInt32 = 0, seed: FixedBytes<32>
    ) -> FixedBytes<32> {
        var input = ByteWriter()
        input.append("dstack simulated TEE \(kind) 1\u{0}\(label)\u{0}".utf8)
        input.bigEndian(counter)
        input.fixed(seed)
        return SHA256.hash(input.bytes)
    }

    /// X‖Y.
    package var point: FixedBytes<64> { privateKey.publicKey.point }

    /// SubjectPublicKeyInfo, DER.
    package var spki: [UInt8] { privateKey.publicKey.spki }

    /// r‖s over a message, as quotes and Intel's JSON documents carry it.
    package func sign(_ message: [UInt8]) throws(MockTEEError) -> FixedBytes<64> {
        do {
            return try privateKey.signature(for: message).bytes
        } catch {
            throw MockTEEError(error)
        }
    }
}
