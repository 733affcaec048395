/// Builds DER; the counterpart of ``DERReader``. Values are byte arrays that compose.
package enum DER {
    /// Tag, shortest length, content.
    package static func encode(_ tag: DERTag, _ content: [UInt8]) -> [UInt8] {
        var output: [UInt8] = [tag.octet]
        if content.count < 0x80 {
            output.append(UInt8(content.count))
        } else {
            var octets: [UInt8] = []
            var length = content.count
            while length > 0 {
                octets.append(UInt8(length & 0xFF))
                length >>= 8
            }
            output.append(0x80 | UInt8(octets.count))
            output += octets.reversed()
        }
        return output + content
    }

    package static func sequence(_ parts: [UInt8]...) -> [UInt8] { encode(.sequence, parts.flatMap(\.self)) }

    package static func sequence(of parts: [[UInt8]]) -> [UInt8] { encode(.sequence, parts.flatMap(\.self)) }

    /// A SET OF; DER sorts its elements by their encoding.
    package static func set(of parts: [[UInt8]]) -> [UInt8] {
        encode(.set, parts.sorted { $0.lexicographicallyPrecedes($1) }.flatMap(\.self))
    }

    /// A non-negative INTEGER from big-endian magnitude bytes of any length.
    package static func integer(magnitude: some Collection<UInt8>) -> [UInt8] {
        var content = Array(magnitude.drop { $0 == 0 })
        if content.first.map({ $0 & 0x80 != 0 }) ?? true { content.insert(0, at: 0) }
        return encode(.integer, content)
    }

    package static func integer(_ value: some UnsignedInteger & FixedWidthInteger) -> [UInt8] {
        integer(magnitude: withUnsafeBytes(of: value.bigEndian) { Array($0) })
    }

    package static func enumerated(_ value: UInt8) -> [UInt8] { encode(.enumerated, [value]) }

    package static func boolean(_ value: Bool) -> [UInt8] { encode(.boolean, [value ? 0xFF : 0x00]) }

    package static func octetString(_ bytes: [UInt8]) -> [UInt8] { encode(.octetString, bytes) }

    /// A BIT STRING without unused bits.
    package static func bitString(_ bytes: [UInt8]) -> [UInt8] { encode(.bitString, [0] + bytes) }

    package static func objectIdentifier(_ value: ObjectIdentifier) -> [UInt8] {
        encode(.objectIdentifier, value.content)
    }

    package static let null: [UInt8] = [0x05, 0x00]
}
