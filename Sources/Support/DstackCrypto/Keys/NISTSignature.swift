package import DstackEncoding

/// An ECDSA signature: two numbers. Only verification decides whether they are in range.
package struct NISTSignature<Curve: NISTCurve>: Sendable, Hashable {
    /// r ‖ s, each as long as the curve's coordinates, big-endian.
    package let raw: [UInt8]

    /// r ‖ s, exactly twice the curve's size.
    package init(raw: [UInt8]) throws(CryptoFailure) {
        guard raw.count == 2 * Curve.size else {
            throw CryptoFailure(
                .malformed, "\(Curve.name) signature", "\(raw.count) bytes where r and s need \(2 * Curve.size)")
        }
        self.raw = raw
    }

    /// Reads SEQUENCE { INTEGER r, INTEGER s } (RFC 3279 section 2.2.3), DER to the letter: shortest lengths, shortest
    /// positive integers, nothing after them. Lax readers let one signature have many encodings.
    package init(der: [UInt8]) throws(CryptoFailure) {
        guard let raw = Self.parse(der) else {
            throw CryptoFailure(
                .malformed, "\(Curve.name) signature",
                "not the DER of two positive integers of at most \(Curve.size) bytes")
        }
        self.raw = raw
    }

    /// SEQUENCE { INTEGER r, INTEGER s }, DER.
    package var der: [UInt8] {
        DER.sequence(
            DER.integer(magnitude: raw.prefix(Curve.size)), DER.integer(magnitude: raw.suffix(Curve.size)))
    }

    private static func parse(_ der: [UInt8]) -> [UInt8]? {
        // The longest signature here (P-384) has 2 + 2·(2 + 49) = 104 bytes, so every length is one byte below 0x80.
        guard der.count >= 8, der.count <= 2 + 2 * (3 + Curve.size), der[0] == 0x30, Int(der[1]) == der.count - 2
        else { return nil }
        var rest = der.dropFirst(2)
        var raw = [UInt8]()
        for _ in 0..<2 {
            guard rest.count >= 2, rest.removeFirst() == 2 else { return nil }
            let length = Int(rest.removeFirst())
            guard length >= 1, length <= rest.count else { return nil }
            var number = rest.prefix(length)
            rest = rest.dropFirst(length)
            guard let first = number.first, first < 0x80 else { return nil }
            if first == 0, number.count > 1 {
                number = number.dropFirst()
                // The zero is there only to keep the number positive.
                guard let next = number.first, next >= 0x80 else { return nil }
            }
            guard number.count <= Curve.size else { return nil }
            raw += [UInt8](repeating: 0, count: Curve.size - number.count) + number
        }
        return rest.isEmpty ? raw : nil
    }
}

extension NISTSignature<P256> {
    package init(_ bytes: FixedBytes<64>) {
        self.init(checked: bytes.bytes)
    }

    /// r ‖ s, 64 bytes.
    package var bytes: FixedBytes<64> { FixedBytes(raw) ?? FixedBytes() }
}

extension NISTSignature {
    /// Bytes that are known to have the right length.
    init(checked raw: [UInt8]) { self.raw = raw }
}
