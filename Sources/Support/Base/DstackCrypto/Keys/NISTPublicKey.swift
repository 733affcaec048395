internal import COpenSSL
package import DstackEncoding

/// A point of a NIST curve, checked when it was read: on the curve and not infinity.
package struct NISTPublicKey<Curve: NISTCurve>: Sendable, Hashable {
    /// SEC 1 uncompressed: 0x04 ‖ X ‖ Y.
    package let uncompressed: [UInt8]

    /// Bytes that are known to be a point.
    init(checked point: [UInt8]) { uncompressed = point }

    /// Reads a SEC 1 point, compressed or uncompressed. The hybrid form and infinity are refused.
    package init(sec1 encoded: [UInt8]) throws(CryptoFailure) {
        var point = [UInt8](repeating: 0, count: 1 + 2 * Curve.size)
        switch dstack_ec_read_point(Curve.bits, encoded, encoded.count, &point) {
        case 1: uncompressed = point
        case 0: throw Self.invalidPoint
        default: throw .library("\(Curve.name) public key")
        }
    }

    /// Reads X ‖ Y without a leading byte, as quotes and reports carry it.
    package init(coordinates: some Collection<UInt8>) throws(CryptoFailure) {
        try self.init(sec1: [4] + coordinates)
    }

    /// Reads a SubjectPublicKeyInfo (RFC 5480): named curve, DER, nothing after it.
    package init(spki: [UInt8]) throws(CryptoFailure) {
        // There is one DER form for each form of the point, so comparing with it is the strictest parser there is.
        // Explicit curve parameters fail here (CVE-2020-0601).
        for prefix in [Curve.uncompressedPrefix, Curve.compressedPrefix] {
            guard spki.starts(with: prefix), Int(prefix[1]) + 2 == spki.count else { continue }
            try self.init(sec1: [UInt8](spki.dropFirst(prefix.count)))
            return
        }
        throw CryptoFailure(
            .malformed, "\(Curve.name) public key",
            "not a SubjectPublicKeyInfo of this curve by name (id-ecPublicKey, \(Curve.name))")
    }

    /// X ‖ Y.
    package var coordinates: [UInt8] { [UInt8](uncompressed.dropFirst()) }

    /// SEC 1 compressed: 0x02 or 0x03 by the parity of Y, then X.
    package var compressed: [UInt8] {
        [2 | (uncompressed[2 * Curve.size] & 1)] + uncompressed[1...Curve.size]
    }

    /// SubjectPublicKeyInfo with the uncompressed point, DER (RFC 5480).
    package var spki: [UInt8] { Curve.uncompressedPrefix + uncompressed }

    /// Whether this key made the signature over a message, hashed with the curve's digest.
    package func isValidSignature(_ signature: NISTSignature<Curve>, for message: [UInt8]) -> Bool {
        isValidSignature(signature, forDigest: Curve.digest(message.span.bytes))
    }

    /// Whether this key made the signature over a digest (at most 64 bytes; what is longer than the curve's order is cut
    /// as FIPS 186-5 section 6.4 says).
    package func isValidSignature(_ signature: NISTSignature<Curve>, forDigest digest: [UInt8]) -> Bool {
        dstack_ec_verify(Curve.bits, uncompressed, digest, digest.count, signature.raw) == 1
    }

    private static var invalidPoint: CryptoFailure {
        CryptoFailure(
            .outOfRange, "\(Curve.name) public key",
            "not a point of the curve in SEC 1 compressed or uncompressed form")
    }
}

extension NISTPublicKey<P256> {
    /// X ‖ Y, 64 bytes.
    package var point: FixedBytes<64> { FixedBytes(coordinates) ?? FixedBytes() }
}
