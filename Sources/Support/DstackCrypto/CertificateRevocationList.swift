package import DstackEncoding

/// A parsed X.509 certificate revocation list of version 2 (RFC 5280 section 5.1). Parsed is not verified.
///
/// Complete, direct lists only: delta and indirect lists, lists limited to some reasons or kinds of certificates, and
/// lists with an unknown critical extension are refused, since treating one as complete would miss revocations.
package struct CertificateRevocationList: Sendable {
    package let der: [UInt8]
    let tbsRange: Range<Int>
    let issuerRange: Range<Int>
    let tbsAlgorithmRange: Range<Int>
    let algorithmRange: Range<Int>
    let signatureRange: Range<Int>
    /// Unix seconds.
    package let thisUpdate: Int64
    /// Unix seconds; nil if the list has none.
    package let nextUpdate: Int64?
    /// Big-endian magnitude of the CRL number; nil if the list has none.
    package let number: [UInt8]?
    /// Contents of the revoked serial numbers, minimal two's complement.
    private let revoked: Set<[UInt8]>

    package init(der: [UInt8]) throws(DecodingFailure) {
        var outer = DERReader(der.span.bytes)
        var list = try outer.constructed(.sequence, "CRL")
        try outer.expectEnd(of: "CRL")
        let tbs = try list.content(.sequence, "CRL to be signed")
        tbsRange = tbs.encodingRange
        algorithmRange = try list.content(.sequence, "CRL signature algorithm").encodingRange
        signatureRange = try list.bitString("CRL signature").range
        try list.expectEnd(of: "CRL")

        var fields = tbs.reader
        guard try fields.unsigned(UInt8.self, "CRL version") == 1 else {
            throw DecodingFailure(.unsupported, "CRL version", "only version 2 is supported")
        }
        tbsAlgorithmRange = try fields.content(.sequence, "CRL signature algorithm").encodingRange
        issuerRange = try fields.content(.sequence, "CRL issuer").encodingRange
        thisUpdate = try X509Time.read(&fields, "CRL thisUpdate")
        let hasNext = fields.nextTag == .utcTime || fields.nextTag == .generalizedTime
        nextUpdate = hasNext ? try X509Time.read(&fields, "CRL nextUpdate") : nil

        var revoked: Set<[UInt8]> = []
        if let entries = try fields.optional(.sequence, "CRL revoked certificates") {
            var reader = entries.reader
            while !reader.isAtEnd { revoked.insert(try Self.entry(&reader)) }
        }
        self.revoked = revoked

        var number: [UInt8]?
        if let wrapped = try fields.optional(.constructedContext(0), "CRL extensions") {
            var wrapper = wrapped.reader
            var extensions = try wrapper.constructed(.sequence, "CRL extensions")
            try wrapper.expectEnd(of: "CRL extensions")
            var seen: Set<ObjectIdentifier> = []
            while !extensions.isAtEnd {
                let identifier = try Self.extensionOfList(&extensions, number: &number)
                guard seen.insert(identifier).inserted else {
                    throw DecodingFailure(.malformed, "CRL extension", "extension \(identifier) appears more than once")
                }
            }
        }
        self.number = number
        try fields.expectEnd(of: "CRL to be signed")
        self.der = der
    }

    private static func entry(_ reader: inout DERReader) throws(DecodingFailure) -> [UInt8] {
        var fields = try reader.constructed(.sequence, "CRL entry")
        let serial = try fields.integer(.integer, "CRL entry serial number").bytes
        _ = try X509Time.read(&fields, "CRL entry date")
        if let extensions = try fields.optional(.sequence, "CRL entry extensions") {
            var list = extensions.reader
            while !list.isAtEnd {
                var item = try list.constructed(.sequence, "CRL entry extension")
                let identifier = try item.objectIdentifier("CRL entry extension")
                let isCritical = item.nextTag == .boolean ? try item.boolean("CRL entry extension") : false
                let value = try item.content(.octetString, "CRL entry extension")
                try item.expectEnd(of: "CRL entry extension")
                // Certificate issuer (indirect lists) is critical; so an unknown critical one may change whose entry
                // this is.
                guard !isCritical else {
                    throw DecodingFailure(
                        .unsupported, "CRL entry extension", at: value.offset, "critical extension \(identifier)")
                }
                if identifier == .crlReason {
                    var reason = value.reader
                    // removeFromCRL (8) un-revokes and belongs to delta lists only.
                    guard try reason.unsigned(UInt8.self, tag: .enumerated, "CRL entry reason") != 8 else {
                        throw DecodingFailure(
                            .unsupported, "CRL entry reason", at: value.offset, "removeFromCRL in a complete list")
                    }
                }
            }
        }
        try fields.expectEnd(of: "CRL entry")
        return serial
    }

    private static func extensionOfList(
        _ list: inout DERReader, number: inout [UInt8]?
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
            let octets = content.bytes
            guard octets[0] & 0x80 == 0, octets.count <= 21 else {
                throw DecodingFailure(.malformed, "CRL number", at: content.offset, "not a positive number")
            }
            number = Array(octets.drop { $0 == 0 })
        case .authorityKeyIdentifier:
            break
        case .issuingDistributionPoint:
            try issuingDistributionPoint(value.reader)
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

    /// Only a name of the distribution point may be given; every restriction of the list's scope is refused.
    private static func issuingDistributionPoint(_ reader: consuming DERReader) throws(DecodingFailure) {
        var fields = try reader.constructed(.sequence, "issuing distribution point")
        try reader.expectEnd(of: "issuing distribution point")
        _ = try fields.optional(.constructedContext(0), "issuing distribution point name")
        guard fields.isAtEnd else {
            throw DecodingFailure(
                .unsupported, "issuing distribution point", at: fields.offset,
                "a list limited to some certificates or reasons, or an indirect one")
        }
    }
}

extension CertificateRevocationList {
    /// The DER of the issuer's Name.
    package var issuer: ArraySlice<UInt8> { der[issuerRange] }

    /// SHA-256 of the bytes that the signature covers.
    package var digest: FixedBytes<32> { SHA256.hash(der.span.bytes.extracting(tbsRange)) }

    /// Whether both algorithm fields say ecdsa-with-SHA256 without parameters.
    package var isSignedWithP256SHA256Algorithm: Bool {
        der[tbsAlgorithmRange].elementsEqual(ecdsaWithSHA256Algorithm)
            && der[algorithmRange].elementsEqual(ecdsaWithSHA256Algorithm)
    }

    /// The signature as numbers.
    package func p256Signature() throws(DecodingFailure) -> P256Signature {
        try P256Signature(der: der.span.bytes.extracting(signatureRange), base: signatureRange.lowerBound)
    }

    /// How many certificates the list revokes.
    package var revokedCount: Int { revoked.count }

    /// Whether the list has a serial number, given as ``Certificate/serialNumber`` gives it.
    package func revokes(serialNumber: [UInt8]) -> Bool { revoked.contains(serialNumber) }

    /// The CRL number, if there is one and it has at most 64 bits.
    package var numberValue: UInt64? {
        guard let number, number.count <= 8 else { return nil }
        return number.reduce(0) { $0 << 8 | UInt64($1) }
    }
}
