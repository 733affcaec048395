package import DstackEncoding

/// A parsed X.509 version 3 certificate (RFC 5280 section 4.1). Parsed is not verified: who signed it is another question.
///
/// Strict DER, so that one certificate has one encoding; names and keys keep their bytes and are compared as such.
package struct Certificate: SignedX509 {
    package struct Extension: Sendable {
        package let identifier: ObjectIdentifier
        package let isCritical: Bool
        /// Where the content of extnValue stands in ``Certificate/der``.
        let range: Range<Int>
    }

    /// Bits of the key usage extension (RFC 5280 section 4.2.1.3), bit 0 first.
    package struct KeyUsage: OptionSet, Hashable, Sendable {
        package let rawValue: UInt16
        package init(rawValue: UInt16) { self.rawValue = rawValue }
        package static let digitalSignature = KeyUsage(rawValue: 1 << 0)
        package static let keyCertSign = KeyUsage(rawValue: 1 << 5)
        package static let crlSign = KeyUsage(rawValue: 1 << 6)
    }

    package struct BasicConstraints: Hashable, Sendable {
        package let isCA: Bool
        /// How many intermediate CA certificates may follow; nil for any number.
        package let pathLength: Int?
    }

    /// The most extensions read, ten times what certificates have: each is compared with all before it.
    static let maximumExtensions = 128

    package let der: [UInt8]
    package let signedRanges: SignedX509Ranges
    /// Two's complement content of the serial number, minimal, positive.
    package let serialNumber: [UInt8]
    let subjectRange: Range<Int>
    let keyRange: Range<Int>
    /// Unix seconds, inclusive.
    package let notBefore: Int64
    /// Unix seconds, inclusive.
    package let notAfter: Int64
    /// X‖Y if the key is P-256 by name and uncompressed.
    package let p256Point: FixedBytes<64>?
    package let extensions: [Extension]
    package let basicConstraints: BasicConstraints?
    package let keyUsage: KeyUsage?
    package let extendedKeyUsage: [ObjectIdentifier]?

    /// - Throws: ``DecodingFailure`` for anything that is not exactly one DER certificate of version 3.
    package init(der: [UInt8]) throws(DecodingFailure) {
        var outer = DERReader(der.span.bytes)
        var certificate = try outer.constructed(.sequence, "certificate")
        try outer.expectEnd(of: "certificate")
        let tbs = try certificate.content(.sequence, "certificate to be signed")
        let algorithm = try certificate.content(.sequence, "certificate signature algorithm").encodingRange
        let signature = try certificate.bitString("certificate signature").range
        try certificate.expectEnd(of: "certificate")

        var fields = tbs.reader
        var version = try fields.constructed(.constructedContext(0), "certificate version")
        guard try version.unsigned(UInt8.self, "certificate version") == 2 else {
            throw DecodingFailure(.unsupported, "certificate version", "only version 3 is supported")
        }
        try version.expectEnd(of: "certificate version")
        let serial = try fields.integer(.integer, "certificate serial number")
        serialNumber = serial.bytes
        guard serialNumber.count <= 21, serialNumber[0] & 0x80 == 0 else {
            throw DecodingFailure(
                .malformed, "certificate serial number", at: serial.offset, "not a positive number of 20 octets or less"
            )
        }
        let tbsAlgorithm = try fields.content(.sequence, "certificate signature algorithm").encodingRange
        signedRanges = SignedX509Ranges(
            tbs: tbs.encodingRange, issuer: try fields.content(.sequence, "certificate issuer").encodingRange,
            tbsAlgorithm: tbsAlgorithm, algorithm: algorithm, signature: signature)
        var validity = try fields.constructed(.sequence, "certificate validity")
        notBefore = try X509Time.read(&validity, "certificate notBefore")
        notAfter = try X509Time.read(&validity, "certificate notAfter")
        try validity.expectEnd(of: "certificate validity")
        subjectRange = try fields.content(.sequence, "certificate subject").encodingRange
        let key = try fields.content(.sequence, "certificate public key")
        keyRange = key.encodingRange
        p256Point = Self.p256Point(key.encoding)

        var parsed = ParsedExtensions()
        if let wrapped = try fields.optional(.constructedContext(3), "certificate extensions") {
            var wrapper = wrapped.reader
            var list = try wrapper.constructed(.sequence, "certificate extensions")
            try wrapper.expectEnd(of: "certificate extensions")
            guard !list.isAtEnd else {
                throw DecodingFailure(.malformed, "certificate extensions", at: list.offset, "an empty list")
            }
            while !list.isAtEnd { try parsed.read(&list) }
        }
        try fields.expectEnd(of: "certificate to be signed")
        extensions = parsed.extensions
        basicConstraints = parsed.basicConstraints
        keyUsage = parsed.keyUsage
        extendedKeyUsage = parsed.extendedKeyUsage
        self.der = der
    }

    private static func p256Point(_ encoding: RawSpan) -> FixedBytes<64>? {
        let prefix = p256SubjectPublicKeyInfoPrefix
        guard encoding.byteCount == prefix.count + 64,
            encoding.extracting(0..<prefix.count).hasSameBytes(as: prefix.span.bytes)
        else { return nil }
        return FixedBytes(copying: encoding.extracting(prefix.count..<encoding.byteCount))
    }
}

// MARK: - Parts

extension Certificate {
    /// The DER of the subject's Name.
    package var subject: ArraySlice<UInt8> { der[subjectRange] }
    /// The DER of the SubjectPublicKeyInfo.
    package var subjectPublicKeyInfo: ArraySlice<UInt8> { der[keyRange] }
    /// The bytes that the signature covers.
    package var toBeSigned: ArraySlice<UInt8> { der[signedRanges.tbs] }
    /// The signature's octets, as the algorithm encodes them.
    package var signature: ArraySlice<UInt8> { der[signedRanges.signature] }
    /// SHA-256 over the whole certificate.
    package var fingerprint: FixedBytes<32> { SHA256.hash(der) }

    /// The AlgorithmIdentifier beside the signature, DER.
    package var signatureAlgorithm: ArraySlice<UInt8> { der[signedRanges.algorithm] }
    /// The AlgorithmIdentifier among what is signed, DER; RFC 5280 section 4.1.1.2 wants both to be the same.
    package var signedSignatureAlgorithm: ArraySlice<UInt8> { der[signedRanges.tbsAlgorithm] }

    /// The content octets of an extension's value, or nil if there is no such extension. An extension occurs at most once.
    package func value(of identifier: ObjectIdentifier) -> ArraySlice<UInt8>? {
        extensions.first { $0.identifier == identifier }.map { der[$0.range] }
    }

    /// The subject's common name for people, or "" if there is none.
    package var subjectCommonName: String { DistinguishedName.commonName(subject) }
    /// The issuer's common name for people, or "" if there is none.
    package var issuerCommonName: String { DistinguishedName.commonName(issuer) }
}

// MARK: - Extensions

private struct ParsedExtensions {
    var extensions: [Certificate.Extension] = []
    var basicConstraints: Certificate.BasicConstraints?
    var keyUsage: Certificate.KeyUsage?
    var extendedKeyUsage: [ObjectIdentifier]?

    mutating func read(_ list: inout DERReader) throws(DecodingFailure) {
        var fields = try list.constructed(.sequence, "certificate extension")
        let start = fields.offset
        let identifier = try fields.objectIdentifier("certificate extension")
        var isCritical = false
        if fields.nextTag == .boolean {
            isCritical = try fields.boolean("certificate extension criticality")
            guard isCritical else {
                throw DecodingFailure(
                    .malformed, "certificate extension criticality", at: start, "a default value is not written in DER")
            }
        }
        let value = try fields.content(.octetString, "certificate extension value")
        try fields.expectEnd(of: "certificate extension")
        guard extensions.count < Certificate.maximumExtensions else {
            throw DecodingFailure(
                .tooLarge, "certificate extensions", at: start, "more than \(Certificate.maximumExtensions) extensions")
        }
        guard !extensions.contains(where: { $0.identifier == identifier }) else {
            throw DecodingFailure(
                .malformed, "certificate extension", at: start, "extension \(identifier) appears more than once")
        }
        extensions.append(
            Certificate.Extension(identifier: identifier, isCritical: isCritical, range: value.range))
        switch identifier {
        case .basicConstraints: basicConstraints = try Self.basicConstraints(value.reader)
        case .keyUsage: keyUsage = try Self.keyUsage(value.reader)
        case .extendedKeyUsage: extendedKeyUsage = try Self.extendedKeyUsage(value.reader)
        default: break
        }
    }

    private static func basicConstraints(
        _ reader: consuming DERReader
    ) throws(DecodingFailure) -> Certificate.BasicConstraints {
        var fields = try reader.constructed(.sequence, "basic constraints")
        try reader.expectEnd(of: "basic constraints")
        var isCA = false
        var pathLength: Int?
        if fields.nextTag == .boolean {
            isCA = try fields.boolean("basic constraints cA")
        }
        if fields.nextTag == .integer {
            pathLength = Int(try fields.unsigned(UInt16.self, "basic constraints path length"))
        }
        try fields.expectEnd(of: "basic constraints")
        return Certificate.BasicConstraints(isCA: isCA, pathLength: pathLength)
    }

    private static func keyUsage(_ reader: consuming DERReader) throws(DecodingFailure) -> Certificate.KeyUsage {
        let bits = try reader.content(.bitString, "key usage")
        try reader.expectEnd(of: "key usage")
        guard bits.span.byteCount == 2 || bits.span.byteCount == 3 else {
            throw DecodingFailure(.malformed, "key usage", at: bits.offset, "one or two octets of bits expected")
        }
        // X.690 sections 8.6.2.2 and 11.2.1: how many bits at the end are not used, and they are zero.
        let unused = bits.span.unsafeLoad(fromByteOffset: 0, as: UInt8.self)
        let last = bits.span.unsafeLoad(fromByteOffset: bits.span.byteCount - 1, as: UInt8.self)
        guard unused <= 7, last & (1 << unused - 1) == 0 else {
            throw DecodingFailure(.malformed, "key usage", at: bits.offset, "bits that are not used must be zero")
        }
        var value: UInt16 = 0
        for index in 1..<bits.span.byteCount {
            let octet = bits.span.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            for bit in 0..<8 where octet & (0x80 >> UInt8(bit)) != 0 { value |= 1 << UInt16(8 * (index - 1) + bit) }
        }
        return Certificate.KeyUsage(rawValue: value)
    }

    private static func extendedKeyUsage(_ reader: consuming DERReader) throws(DecodingFailure) -> [ObjectIdentifier] {
        var list = try reader.constructed(.sequence, "extended key usage")
        try reader.expectEnd(of: "extended key usage")
        var purposes: [ObjectIdentifier] = []
        while !list.isAtEnd { purposes.append(try list.objectIdentifier("extended key usage")) }
        return purposes
    }
}
