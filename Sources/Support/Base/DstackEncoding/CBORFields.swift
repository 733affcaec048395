/// Reads the members of a CBOR map by name; failures name the path from the document's root.
package struct CBORFields: Sendable {
    private let members: [CBOR.Member]
    /// The document and where in it this map stands: `measurement.tdx.cbor.tdvf.mrtd`.
    package let path: String

    /// - Throws: if the item is no map.
    package init(_ item: CBOR, path: String) throws(DecodingFailure) {
        guard case .map(let members) = item else {
            throw DecodingFailure(.malformed, path, "a map expected, found \(item.kindName)")
        }
        self.members = members
        self.path = path
    }

    /// The member of a name, or nil. Names are compared byte by byte: to Swift's `==`, canonically equivalent names
    /// (the Kelvin sign and the letter K) would be one.
    package func optional(_ name: String) -> CBOR? {
        members.first { $0.key.utf8.elementsEqual(name.utf8) }?.value
    }

    /// - Throws: if there is no such member.
    package func required(_ name: String) throws(DecodingFailure) -> CBOR {
        guard let value = optional(name) else {
            throw DecodingFailure(.malformed, path, "member \"\(name)\" is missing")
        }
        return value
    }

    package func unsigned(_ name: String) throws(DecodingFailure) -> UInt64 {
        let value = try required(name)
        guard case .unsigned(let number) = value else { throw mismatch(name, "an unsigned number", value) }
        return number
    }

    package func text(_ name: String) throws(DecodingFailure) -> String {
        let value = try required(name)
        guard case .text(let text) = value else { throw mismatch(name, "a text string", value) }
        return text
    }

    package func bytes(_ name: String) throws(DecodingFailure) -> [UInt8] {
        let value = try required(name)
        guard case .bytes(let bytes) = value else { throw mismatch(name, "a byte string", value) }
        return bytes
    }

    /// A byte string of exactly `count` bytes.
    package func fixed<let count: Int>(_ name: String) throws(DecodingFailure) -> FixedBytes<count> {
        let bytes = try bytes(name)
        guard let value = FixedBytes<count>(bytes) else {
            throw DecodingFailure(
                .malformed, "\(path).\(name)", "has invalid length \(bytes.count), expected \(count)")
        }
        return value
    }

    package func fields(_ name: String) throws(DecodingFailure) -> CBORFields {
        try CBORFields(try required(name), path: "\(path).\(name)")
    }

    private func mismatch(_ name: String, _ expected: String, _ found: CBOR) -> DecodingFailure {
        DecodingFailure(.malformed, "\(path).\(name)", "\(expected) expected, found \(found.kindName)")
    }
}
