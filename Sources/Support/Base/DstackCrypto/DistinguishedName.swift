package import DstackEncoding

/// Reads X.501 Names for people. Decisions compare names as raw DER, never as these texts; where a rule asks for a common
/// name ("Intel SGX TCB Signing"), it asks for the one attribute of that type.
package enum DistinguishedName {
    /// The value of the only commonName attribute; "" if there is none, several, or one that is no text.
    package static func commonName(_ name: ArraySlice<UInt8>) -> String {
        // Empty where the Name is malformed, too.
        (try? onlyCommonName(name)) ?? ""
    }

    /// All attributes in order; empty where the Name is malformed.
    package static func attributes(_ name: ArraySlice<UInt8>) -> [(type: ObjectIdentifier, value: String)] {
        (try? parse(Array(name))) ?? []
    }

    /// As `CN=…, O=…`, most specific first as it stands in the certificate; unusual attributes by number.
    package static func text(_ name: ArraySlice<UInt8>) -> String {
        attributes(name).map { "\(shortName($0.type))=\($0.value)" }.joined(separator: ", ")
    }

    private static func shortName(_ type: ObjectIdentifier) -> String {
        switch type {
        case .commonName: "CN"
        case .organizationName: "O"
        case .organizationalUnitName: "OU"
        case .localityName: "L"
        case .stateOrProvinceName: "ST"
        case .countryName: "C"
        default: type.description
        }
    }

    private static func onlyCommonName(_ name: ArraySlice<UInt8>) throws(DecodingFailure) -> String {
        var result = ""
        var count = 0
        var outer = DERReader(name.span.bytes)
        var sequence = try outer.constructed(.sequence, "name")
        while !sequence.isAtEnd {
            var set = try sequence.constructed(.set, "relative name")
            while !set.isAtEnd {
                var attribute = try set.constructed(.sequence, "name attribute")
                let (type, value) = try self.attribute(&attribute)
                guard type == .commonName else { continue }
                result = value
                count += 1
            }
        }
        return count == 1 ? result : ""
    }

    private static func attribute(
        _ attribute: inout DERReader
    ) throws(DecodingFailure) -> (type: ObjectIdentifier, value: String) {
        let type = try attribute.objectIdentifier("name attribute type")
        let value = try attribute.any("name attribute value")
        try attribute.expectEnd(of: "name attribute")
        // X.690 section 10.2: strings in DER are never put together from parts.
        guard value.tag.octet & 0x20 == 0 else {
            throw DecodingFailure(
                .malformed, "certificate name", at: value.offset, "a value that is no primitive string")
        }
        return (type, text(value))
    }

    private static func text(_ value: borrowing DERContent) -> String {
        switch value.tag {
        case .utf8String, .printableString, .ia5String:
            value.span.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
        default: "#" + Hex.encode(value.bytes)
        }
    }

    private static func parse(_ name: [UInt8]) throws(DecodingFailure) -> [(type: ObjectIdentifier, value: String)] {
        var result: [(type: ObjectIdentifier, value: String)] = []
        var outer = DERReader(name.span.bytes)
        var sequence = try outer.constructed(.sequence, "name")
        while !sequence.isAtEnd {
            var set = try sequence.constructed(.set, "relative name")
            while !set.isAtEnd {
                var attribute = try set.constructed(.sequence, "name attribute")
                result.append(try self.attribute(&attribute))
            }
        }
        return result
    }
}
