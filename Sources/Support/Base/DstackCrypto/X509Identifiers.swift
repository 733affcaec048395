package import DstackEncoding

extension ObjectIdentifier {
    // RFC 5758 section 3.2, RFC 5480 section 2.1.1
    package static let ecdsaWithSHA256 = ObjectIdentifier(1, 2, 840, 10045, 4, 3, 2)
    package static let ecPublicKey = ObjectIdentifier(1, 2, 840, 10045, 2, 1)
    package static let prime256v1 = ObjectIdentifier(1, 2, 840, 10045, 3, 1, 7)

    // RFC 5280 section 4.2.1 and 5.2
    package static let subjectKeyIdentifier = ObjectIdentifier(2, 5, 29, 14)
    package static let keyUsage = ObjectIdentifier(2, 5, 29, 15)
    package static let subjectAlternativeName = ObjectIdentifier(2, 5, 29, 17)
    package static let basicConstraints = ObjectIdentifier(2, 5, 29, 19)
    package static let crlNumber = ObjectIdentifier(2, 5, 29, 20)
    package static let crlReason = ObjectIdentifier(2, 5, 29, 21)
    package static let certificateIssuer = ObjectIdentifier(2, 5, 29, 29)
    package static let deltaCRLIndicator = ObjectIdentifier(2, 5, 29, 27)
    package static let issuingDistributionPoint = ObjectIdentifier(2, 5, 29, 28)
    package static let nameConstraints = ObjectIdentifier(2, 5, 29, 30)
    package static let crlDistributionPoints = ObjectIdentifier(2, 5, 29, 31)
    package static let authorityKeyIdentifier = ObjectIdentifier(2, 5, 29, 35)
    package static let extendedKeyUsage = ObjectIdentifier(2, 5, 29, 37)

    // RFC 5280 section 4.2.1.12
    package static let serverAuth = ObjectIdentifier(1, 3, 6, 1, 5, 5, 7, 3, 1)
    package static let clientAuth = ObjectIdentifier(1, 3, 6, 1, 5, 5, 7, 3, 2)

    // X.520
    package static let commonName = ObjectIdentifier(2, 5, 4, 3)
    package static let countryName = ObjectIdentifier(2, 5, 4, 6)
    package static let localityName = ObjectIdentifier(2, 5, 4, 7)
    package static let stateOrProvinceName = ObjectIdentifier(2, 5, 4, 8)
    package static let organizationName = ObjectIdentifier(2, 5, 4, 10)
    package static let organizationalUnitName = ObjectIdentifier(2, 5, 4, 11)
}

/// `ecdsa-with-SHA256` as an AlgorithmIdentifier: parameters must be absent (RFC 5758 section 3.2).
package let ecdsaWithSHA256Algorithm = DER.sequence(DER.objectIdentifier(.ecdsaWithSHA256))

/// The DER of a P-256 SubjectPublicKeyInfo up to its point; named curve, uncompressed (RFC 5480 section 2).
package let p256SubjectPublicKeyInfoPrefix: [UInt8] = {
    let algorithm = DER.sequence(DER.objectIdentifier(.ecPublicKey), DER.objectIdentifier(.prime256v1))
    // SEQUENCE (89 octets) { algorithm, BIT STRING (66 octets) { no unused bits, 04, X, Y } }
    return [0x30, 0x59] + algorithm + [0x03, 0x42, 0x00, 0x04]
}()

/// The times of X.509 (RFC 5280 section 4.1.2.5): UTCTime up to 2049, GeneralizedTime from 2050, both to the second and
/// with `Z`.
package enum X509Time {
    /// Reads the next value as a Time.
    package static func read(
        _ reader: inout DERReader, _ subject: StaticString
    ) throws(DecodingFailure) -> Int64 {
        let content = try reader.any(subject)
        let isShort = content.tag == .utcTime
        guard isShort || content.tag == .generalizedTime, content.span.byteCount == (isShort ? 13 : 15) else {
            throw malformed(subject, content.offset)
        }
        // All loads are in bounds: there are 13 or 15 octets.
        let span = content.span
        func pair(_ position: Int) -> Int? {
            let tens = span.unsafeLoad(fromUncheckedByteOffset: position, as: UInt8.self) &- UInt8(ascii: "0")
            let ones = span.unsafeLoad(fromUncheckedByteOffset: position + 1, as: UInt8.self) &- UInt8(ascii: "0")
            return tens <= 9 && ones <= 9 ? Int(tens) * 10 + Int(ones) : nil
        }
        let start = isShort ? 0 : 2
        guard let century = isShort ? 0 : pair(0), let yearOfCentury = pair(start), let month = pair(start + 2),
            let day = pair(start + 4), let hour = pair(start + 6), let minute = pair(start + 8),
            let second = pair(start + 10),
            span.unsafeLoad(fromUncheckedByteOffset: start + 12, as: UInt8.self) == UInt8(ascii: "Z")
        else { throw malformed(subject, content.offset) }
        let year = isShort ? yearOfCentury + (yearOfCentury < 50 ? 2000 : 1900) : century * 100 + yearOfCentury
        guard isShort || year >= 2050,
            let time = CivilTime(
                year: Int64(year), month: month, day: day, hour: hour, minute: minute, second: second)
        else { throw malformed(subject, content.offset) }
        return time.unixSeconds
    }

    @inline(never)
    private static func malformed(_ subject: StaticString, _ offset: Int) -> DecodingFailure {
        DecodingFailure(
            .malformed, "\(subject)", at: offset,
            "a UTCTime (to 2049) or a GeneralizedTime (from 2050) to the second with Z expected")
    }
}
