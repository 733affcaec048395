import COpenSSL
package import DstackEncoding

/// An ECDSA P-256 signature as Intel writes it: r‖s, 32 bytes each, big-endian.
package struct P256Signature: Hashable, Sendable {
    package let raw: FixedBytes<64>
    /// s⁻¹ modulo the group order, once ``prepare(_:)`` has found it. A function of `raw` alone.
    fileprivate var inverse: FixedBytes<32>?

    package init(raw: FixedBytes<64>) {
        self.raw = raw
    }

    /// Reads an ECDSA-Sig-Value (RFC 3279 section 2.2.3), the form of certificates and revocation lists.
    ///
    /// - Throws: ``DecodingFailure`` unless it is exactly a DER SEQUENCE of two positive INTEGERs of at most 256 bits.
    package init(der span: RawSpan, base: Int = 0) throws(DecodingFailure) {
        var outer = DERReader(span, base: base)
        var fields = try outer.constructed(.sequence, "ECDSA signature")
        try outer.expectEnd(of: "ECDSA signature")
        var raw = FixedBytes<64>()
        for half in 0..<2 {
            let number = try fields.integer(.integer, "ECDSA signature number")
            var bytes = number.span
            if bytes.unsafeLoad(fromByteOffset: 0, as: UInt8.self) == 0 {
                bytes = bytes.extracting(1..<bytes.byteCount)
            } else if bytes.unsafeLoad(fromByteOffset: 0, as: UInt8.self) & 0x80 != 0 {
                throw DecodingFailure(.malformed, "ECDSA signature number", at: number.offset, "must not be negative")
            }
            guard bytes.byteCount <= 32 else {
                throw DecodingFailure(.tooLarge, "ECDSA signature number", at: number.offset, "more than 256 bits")
            }
            let start = 32 * half + 32 - bytes.byteCount
            for index in 0..<bytes.byteCount {
                raw[start + index] = bytes.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            }
        }
        try fields.expectEnd(of: "ECDSA signature")
        self.raw = raw
    }

    /// The DER form.
    package var der: [UInt8] {
        let bytes = raw.bytes
        return DER.sequence(DER.integer(magnitude: bytes[..<32]), DER.integer(magnitude: bytes[32...]))
    }

    /// Finds the inverses of many signatures with a single modular inversion, which takes a sixth of a verification off
    /// each. Signatures whose s is not in 1 ..< n are left alone; verification refuses them anyway.
    package static func prepare(_ signatures: inout [P256Signature]) {
        let indices = signatures.indices.filter { index in
            signatures[index].raw.withUnsafeBytes { dstack_p256_scalars_in_range($0.baseAddress) == 1 }
        }
        var numbers: [UInt8] = []
        numbers.reserveCapacity(indices.count * 32)
        for index in indices {
            for position in 32..<64 { numbers.append(signatures[index].raw[position]) }
        }
        var inverses = [UInt8](repeating: 0, count: numbers.count)
        guard dstack_p256_invert(numbers, indices.count, &inverses) == 1 else { return }
        for (position, index) in indices.enumerated() {
            signatures[index].inverse = FixedBytes(inverses[32 * position..<32 * position + 32])
        }
    }

    package static func == (left: P256Signature, right: P256Signature) -> Bool { left.raw == right.raw }
    package func hash(into hasher: inout Hasher) { hasher.combine(raw) }
}

/// A P-256 public key that verifies many signatures, possibly with a table of its multiples, which halves the time.
///
/// Verification handles public values only, so nothing in it is constant time. The arithmetic is OpenSSL's; the plain
/// `ECDSA_do_verify` path is the oracle in the tests.
package final class P256VerifyingKey: Sendable {
    /// X‖Y, 32 bytes each, big-endian.
    package let point: FixedBytes<64>
    package let hasTable: Bool
    // The C object is never written after initialisation.
    private nonisolated(unsafe) let key: OpaquePointer

    /// Nil if X‖Y is not a point of the curve (which zeros are not).
    ///
    /// - Parameter table: whether to build the table, which takes some 20 ms: worth it after about 40 verifications.
    package init?(point: FixedBytes<64>, table: Bool = false) {
        guard let key = point.withUnsafeBytes({ dstack_p256_key_new($0.baseAddress) }) else { return nil }
        self.point = point
        self.key = key
        self.hasTable = table && dstack_p256_key_precompute(key) == 1
    }

    deinit { dstack_p256_key_free(key) }

    /// Whether a signature over a SHA-256 digest is by this key. r and s outside 1 ..< n are refused; high s is valid,
    /// as in FIPS 186.
    package func isValid(_ signature: P256Signature, digest: FixedBytes<32>) -> Bool {
        let verdict = digest.withUnsafeBytes { digest in
            signature.raw.withUnsafeBytes { raw in
                guard let inverse = signature.inverse else {
                    return dstack_p256_verify(key, digest.baseAddress, raw.baseAddress, nil)
                }
                return inverse.withUnsafeBytes {
                    dstack_p256_verify(key, digest.baseAddress, raw.baseAddress, $0.baseAddress)
                }
            }
        }
        return verdict == 1
    }
}
