import DstackCrypto
package import DstackEncoding
import DstackMockTEE

/// A P-256 key whose signatures are the same in every run, so that a seed and a number always give the same bytes.
///
/// The nonces come from a small fixed pool, which tells everybody the private key. It certifies simulated platforms only.
package struct FuzzKey: Sendable {
    /// X‖Y.
    package let point: FixedBytes<64>
    /// SubjectPublicKeyInfo, DER.
    package let spki: [UInt8]
    private let scalar: FixedBytes<32>

    /// The key of a scalar; nil for 0 and for numbers that are not below the group's order.
    package init?(scalar: FixedBytes<32>) {
        guard let key = try? P256.PrivateKey(scalar: SecretBytes(copying: scalar.bytes.span.bytes)) else { return nil }
        self.scalar = scalar
        point = key.publicKey.point
        spki = key.publicKey.spki
    }

    /// The key that a simulated platform of a seed has under a label.
    init(of platformSeed: FixedBytes<32>, label: String) throws(FuzzFailure) {
        guard let key = FuzzKey(scalar: MockKey.derive("key", label, seed: platformSeed)) else {
            throw FuzzFailure("no key for \(label)")
        }
        self = key
    }

    private struct Nonce {
        /// x of k·G, which is r.
        let r: P256Scalar
        let inverse: P256Scalar
    }

    private static let nonces: [Nonce] = (0..<16).compactMap { index in
        let bytes = SHA256.hash(Array("dstack fuzz nonce \(index)".utf8))
        guard let key = FuzzKey(scalar: bytes), let x = FixedBytes<32>(key.point.bytes.prefix(32)) else { return nil }
        return Nonce(r: P256Scalar(reducing: x), inverse: P256Scalar(reducing: bytes).inverse)
    }

    /// r‖s over a message.
    package func sign(_ message: [UInt8]) -> FixedBytes<64> {
        let digest = SHA256.hash(message)
        let nonce = Self.nonces[Int(digest[31]) % Self.nonces.count]
        let s = nonce.inverse * (P256Scalar(reducing: digest) + nonce.r * P256Scalar(reducing: scalar))
        return FixedBytes(nonce.r.bytes + s.bytes) ?? FixedBytes()
    }

    /// The same signature as certificates carry it.
    package func derSignature(_ message: [UInt8]) -> [UInt8] { Self.der(sign(message)) }

    /// A signature's two numbers as an ECDSA-Sig-Value.
    static func der(_ raw: FixedBytes<64>) -> [UInt8] {
        DER.sequence(DER.integer(magnitude: raw.bytes[..<32]), DER.integer(magnitude: raw.bytes[32...]))
    }

    /// The other signature of the same message under the same key: (r, n − s).
    package static func malleated(_ raw: FixedBytes<64>) -> FixedBytes<64> {
        let s = P256Scalar(reducing: FixedBytes(raw.bytes[32...]) ?? FixedBytes())
        return FixedBytes(raw.bytes[..<32] + s.negated.bytes) ?? raw
    }

    /// One form for both signatures of a message: the one with the smaller s.
    package static func normalized(_ raw: FixedBytes<64>) -> FixedBytes<64> {
        let other = malleated(raw)
        return raw.bytes.lexicographicallyPrecedes(other.bytes) ? raw : other
    }
}

/// What keeps cases from being made or run: never the result of one.
package struct FuzzFailure: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) { self.description = description }
}
