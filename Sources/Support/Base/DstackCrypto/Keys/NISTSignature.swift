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
        do {
            raw = try Self.parse(der.span.bytes)
        } catch {
            throw CryptoFailure(.malformed, "\(Curve.name) signature", error.description)
        }
    }

    /// SEQUENCE { INTEGER r, INTEGER s }, DER.
    package var der: [UInt8] {
        DER.sequence(
            DER.integer(magnitude: raw.prefix(Curve.size)), DER.integer(magnitude: raw.suffix(Curve.size)))
    }

    private static func parse(_ der: RawSpan) throws(DecodingFailure) -> [UInt8] {
        var reader = DERReader(der)
        var numbers = try reader.constructed(.sequence, "ECDSA signature")
        try reader.expectEnd(of: "ECDSA signature")
        var raw = [UInt8]()
        for _ in 0..<2 {
            let content = try numbers.integer(.integer, "ECDSA signature number")
            guard content.span.unsafeLoad(fromByteOffset: 0, as: UInt8.self) < 0x80 else {
                throw DecodingFailure(
                    .malformed, "ECDSA signature number", at: content.offset, "negative where positive is needed")
            }
            let digits = content.bytes.drop { $0 == 0 }
            guard digits.count <= Curve.size else {
                throw DecodingFailure(
                    .tooLarge, "ECDSA signature number", at: content.offset, "more than \(Curve.size) bytes")
            }
            raw += [UInt8](repeating: 0, count: Curve.size - digits.count) + digits
        }
        try numbers.expectEnd(of: "ECDSA signature")
        return raw
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
