/// A CBOR data item (RFC 8949) of the kinds that deterministic documents use.
///
/// There are no tags, no floating-point numbers and no indefinite lengths: a document with one of them is refused, so
/// that an item has exactly one encoding and a hash over the bytes is a hash over the meaning.
package enum CBOR: Sendable {
    /// Major type 0.
    case unsigned(UInt64)
    /// Major type 1: the number −1 − `value`.
    case negative(UInt64)
    /// Major type 2.
    case bytes([UInt8])
    /// Major type 3.
    case text(String)
    /// Major type 4.
    case array([CBOR])
    /// Major type 5 with text keys, in the order in which they stand.
    case map([Member])
    /// Simple values 20 and 21.
    case bool(Bool)
    /// Simple value 22.
    case null

    /// One entry of a map.
    package struct Member: Sendable, Equatable {
        package let key: String
        package let value: CBOR

        package init(_ key: String, _ value: CBOR) {
            self.key = key
            self.value = value
        }
    }

    /// What the item is, with its article, for messages.
    package var kindName: String {
        switch self {
        case .unsigned(let value): "the number \(value)"
        case .negative: "a negative number"
        case .bytes(let bytes): "a byte string of \(bytes.count) byte\(bytes.count == 1 ? "" : "s")"
        case .text: "a text string"
        case .array: "an array"
        case .map: "a map"
        case .bool(let value): value ? "true" : "false"
        case .null: "null"
        }
    }
}

extension CBOR: Equatable {
    /// Whether both have the same encoding. (Swift's own comparison of strings would take canonically equivalent texts
    /// for the same.)
    package static func == (left: CBOR, right: CBOR) -> Bool {
        left.encoded() == right.encoded()
    }
}

// MARK: - Encoding

extension CBOR {
    /// The one encoding of this item: definite lengths, the shortest form of every number and length, members in their
    /// order.
    package func encoded() -> [UInt8] {
        var writer = ByteWriter()
        write(to: &writer)
        return writer.bytes
    }

    private func write(to writer: inout ByteWriter) {
        switch self {
        case .unsigned(let value): Self.writeHead(0, value, to: &writer)
        case .negative(let value): Self.writeHead(1, value, to: &writer)
        case .bytes(let bytes):
            Self.writeHead(2, UInt64(bytes.count), to: &writer)
            writer.append(bytes)
        case .text(let text):
            Self.writeHead(3, UInt64(text.utf8.count), to: &writer)
            writer.append(text.utf8)
        case .array(let items):
            Self.writeHead(4, UInt64(items.count), to: &writer)
            for item in items { item.write(to: &writer) }
        case .map(let members):
            Self.writeHead(5, UInt64(members.count), to: &writer)
            for member in members {
                CBOR.text(member.key).write(to: &writer)
                member.value.write(to: &writer)
            }
        case .bool(let value): writer.u8(value ? 0xF5 : 0xF4)
        case .null: writer.u8(0xF6)
        }
    }

    private static func writeHead(_ major: UInt8, _ argument: UInt64, to writer: inout ByteWriter) {
        let type = major << 5
        switch argument {
        case ..<24: writer.u8(type | UInt8(truncatingIfNeeded: argument))
        case ..<0x100:
            writer.u8(type | 24)
            writer.u8(UInt8(truncatingIfNeeded: argument))
        case ..<0x1_0000:
            writer.u8(type | 25)
            writer.bigEndian(UInt16(truncatingIfNeeded: argument))
        case ..<0x1_0000_0000:
            writer.u8(type | 26)
            writer.bigEndian(UInt32(truncatingIfNeeded: argument))
        default:
            writer.u8(type | 27)
            writer.bigEndian(argument)
        }
    }
}
