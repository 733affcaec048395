package import DstackEncoding

/// A parsed X.509 certificate revocation list of version 2 (RFC 5280 section 5.1). Parsed is not verified.
///
/// Complete, direct lists only: delta and indirect lists, lists of one distribution point or limited to some reasons or
/// kinds of certificates, and lists with an unknown critical extension are refused, since treating one as complete would
/// miss revocations.
package struct CertificateRevocationList: SignedX509 {
    package let der: [UInt8]
    package let signedRanges: SignedX509Ranges
    /// Unix seconds.
    package let thisUpdate: Int64
    /// Unix seconds; nil if the list has none.
    package let nextUpdate: Int64?
    /// Big-endian magnitude of the CRL number; nil if the list has none.
    package let number: [UInt8]?
    private let authorityKeyIdentifierRange: Range<Int>?
    private let revoked: RevokedSerialNumbers

    package init(der: [UInt8]) throws(DecodingFailure) {
        var outer = DERReader(der.span.bytes)
        var list = try outer.constructed(.sequence, "CRL")
        try outer.expectEnd(of: "CRL")
        let tbs = try list.content(.sequence, "CRL to be signed")
        let algorithm = try list.content(.sequence, "CRL signature algorithm").encodingRange
        let signature = try list.bitString("CRL signature").range
        try list.expectEnd(of: "CRL")

        var fields = tbs.reader
        guard try fields.unsigned(UInt8.self, "CRL version") == 1 else {
            throw DecodingFailure(.unsupported, "CRL version", "only version 2 is supported")
        }
        let tbsAlgorithm = try fields.content(.sequence, "CRL signature algorithm").encodingRange
        signedRanges = SignedX509Ranges(
            tbs: tbs.encodingRange, issuer: try fields.content(.sequence, "CRL issuer").encodingRange,
            tbsAlgorithm: tbsAlgorithm, algorithm: algorithm, signature: signature)
        thisUpdate = try X509Time.read(&fields, "CRL thisUpdate")
        let hasNext = fields.nextTag == .utcTime || fields.nextTag == .generalizedTime
        nextUpdate = hasNext ? try X509Time.read(&fields, "CRL nextUpdate") : nil

        var revoked = RevokedSerialNumbers()
        if let entries = try fields.optional(.sequence, "CRL revoked certificates") {
            var reader = entries.reader
            revoked.reserve(entries.span.byteCount)
            while !reader.isAtEnd { try Self.entry(&reader, to: &revoked) }
        }
        self.revoked = revoked

        var number: [UInt8]?
        var authorityKeyIdentifier: Range<Int>?
        if let wrapped = try fields.optional(.constructedContext(0), "CRL extensions") {
            var wrapper = wrapped.reader
            var extensions = try wrapper.constructed(.sequence, "CRL extensions")
            try wrapper.expectEnd(of: "CRL extensions")
            var seen: [ObjectIdentifier] = []
            while !extensions.isAtEnd {
                let identifier = try Self.extensionOfList(
                    &extensions, number: &number, authorityKeyIdentifier: &authorityKeyIdentifier)
                seen.append(identifier)
                guard seen.count <= Certificate.maximumExtensions else {
                    throw DecodingFailure(
                        .tooLarge, "CRL extensions", "more than \(Certificate.maximumExtensions) extensions")
                }
                guard !seen.dropLast().contains(identifier) else {
                    throw DecodingFailure(.malformed, "CRL extension", "extension \(identifier) appears more than once")
                }
            }
        }
        // RFC 5280 section 5.2.3: every list has one.
        guard number != nil else { throw DecodingFailure(.malformed, "CRL number", "there is none") }
        self.number = number
        authorityKeyIdentifierRange = authorityKeyIdentifier
        try fields.expectEnd(of: "CRL to be signed")
        self.der = der
    }

    private static func entry(
        _ reader: inout DERReader, to revoked: inout RevokedSerialNumbers
    ) throws(DecodingFailure) {
        var fields = try reader.constructed(.sequence, "CRL entry")
        revoked.append(try fields.integer(.integer, "CRL entry serial number"))
        _ = try X509Time.read(&fields, "CRL entry date")
        if let extensions = try fields.optional(.sequence, "CRL entry extensions") {
            var list = extensions.reader
            while !list.isAtEnd {
                var item = try list.constructed(.sequence, "CRL entry extension")
                let identifier = try item.objectIdentifier("CRL entry extension")
                let isCritical = item.nextTag == .boolean ? try item.boolean("CRL entry extension") : false
                let value = try item.content(.octetString, "CRL entry extension")
                try item.expectEnd(of: "CRL entry extension")
                // Certificate issuer (indirect lists) changes whose entry this is, and those after it; an unknown critical
                // one may do so.
                guard !isCritical, identifier != .certificateIssuer else {
                    throw DecodingFailure(
                        .unsupported, "CRL entry extension", at: value.offset,
                        isCritical ? "critical extension \(identifier)" : "an entry of another issuer (\(identifier))")
                }
                if identifier == .crlReason {
                    var reason = value.reader
                    // RFC 5280 section 5.3.1: 0 to 10 without 7. removeFromCRL (8) un-revokes and belongs to delta lists
                    // only.
                    let code = try reason.unsigned(UInt8.self, tag: .enumerated, "CRL entry reason")
                    try reason.expectEnd(of: "CRL entry reason")
                    guard code <= 10, code != 7, code != 8 else {
                        throw DecodingFailure(
                            .unsupported, "CRL entry reason", at: value.offset,
                            code == 8 ? "removeFromCRL in a complete list" : "there is no reason \(code)")
                    }
                }
            }
        }
        try fields.expectEnd(of: "CRL entry")
    }

    private static func extensionOfList(
        _ list: inout DERReader, number: inout [UInt8]?, authorityKeyIdentifier: inout Range<Int>?
    ) throws(DecodingFailure) -> ObjectIdentifier {
        var item = try list.constructed(.sequence, "CRL extension")
        let identifier = try item.objectIdentifier("CRL extension")
        let isCritical = item.nextTag == .boolean ? try item.boolean("CRL extension criticality") : false
        let value = try item.content(.octetString, "CRL extension value")
        try item.expectEnd(of: "CRL extension")
        switch identifier {
        case .crlNumber:
            var reader = value.reader
            let content = try reader.integer(.integer, "CRL number")
            try reader.expectEnd(of: "CRL number")
            let octets = content.bytes
            guard octets[0] & 0x80 == 0, octets.count <= 21 else {
                throw DecodingFailure(.malformed, "CRL number", at: content.offset, "not a positive number")
            }
            number = Array(octets.drop { $0 == 0 })
        case .authorityKeyIdentifier:
            authorityKeyIdentifier = value.range
        case .issuingDistributionPoint:
            // Even one that restricts nothing but the place: what is revoked may be on the list of another place.
            throw DecodingFailure(
                .unsupported, "CRL", at: value.offset, "a list of one distribution point is not a complete list")
        case .deltaCRLIndicator:
            throw DecodingFailure(.unsupported, "CRL", at: value.offset, "a delta list is not a complete list")
        default:
            guard !isCritical else {
                throw DecodingFailure(
                    .unsupported, "CRL extension", at: value.offset, "unknown critical extension \(identifier)")
            }
        }
        return identifier
    }
}

extension CertificateRevocationList {

    /// The DER that says which of the issuer's keys signed (RFC 5280 section 5.2.1); nil if the list does not.
    package var authorityKeyIdentifier: ArraySlice<UInt8>? { authorityKeyIdentifierRange.map { der[$0] } }

    /// How many certificates the list revokes.
    package var revokedCount: Int { revoked.count }

    /// Whether the list has a serial number, given as ``Certificate/serialNumber`` gives it.
    package func revokes(serialNumber: [UInt8]) -> Bool { revoked.contains(serialNumber, in: der) }

    /// The CRL number, if there is one and it has at most 64 bits.
    package var numberValue: UInt64? {
        guard let number, number.count <= 8 else { return nil }
        return number.reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// The serial numbers of a revocation list, by where they stand in it.
///
/// Most lists are read for a single question, which a scan over one word a number answers faster than building a set
/// would take; it stays fast for lists of many thousands.
private struct RevokedSerialNumbers {
    /// The last eight octets of each number, to compare before all of it is.
    private var ends: [UInt64] = []
    /// Content octets, minimal two's complement.
    private var ranges: [Range<Int>] = []

    var count: Int { ends.count }

    /// - Parameter byteCount: of all entries.
    mutating func reserve(_ byteCount: Int) {
        // Intel's entries have 51 octets; a guess that is wrong costs a copy or some memory.
        ends.reserveCapacity(byteCount / 50 + 1)
        ranges.reserveCapacity(byteCount / 50 + 1)
    }

    mutating func append(_ serial: borrowing DERContent) {
        ends.append(Self.end(serial.span))
        ranges.append(serial.range)
    }

    func contains(_ number: [UInt8], in list: [UInt8]) -> Bool {
        let end = Self.end(number.span.bytes)
        for index in ends.indices where ends[index] == end {
            if list.span.bytes.extracting(ranges[index]).hasSameBytes(as: number.span.bytes) { return true }
        }
        return false
    }

    private static func end(_ number: RawSpan) -> UInt64 {
        var end: UInt64 = 0
        for index in max(0, number.byteCount - 8)..<number.byteCount {
            end = end << 8 | UInt64(number.unsafeLoad(fromByteOffset: index, as: UInt8.self))
        }
        return end
    }
}
