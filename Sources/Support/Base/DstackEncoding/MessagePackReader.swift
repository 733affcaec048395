/// What a MessagePack value begins with: a scalar itself, or the kind and length of what follows.
package enum MessagePackHead: Equatable, Sendable {
    case null
    case bool(Bool)
    case unsigned(UInt64)
    /// An integer below zero.
    case negative(Int64)
    case float(Double)
    /// So many bytes of UTF-8 follow.
    case string(Int)
    /// So many bytes follow.
    case binary(Int)
    /// So many values follow.
    case array(Int)
    /// So many pairs of values follow.
    case map(Int)
    /// So many bytes of an application's own type follow.
    case extended(type: Int8, Int)

    fileprivate var kind: String {
        switch self {
        case .null: "nil"
        case .bool: "a boolean"
        case .unsigned, .negative: "an integer"
        case .float: "a floating-point number"
        case .string: "a string"
        case .binary: "binary data"
        case .array: "an array"
        case .map: "a map"
        case .extended: "an extension"
        }
    }
}

/// Reads MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md) value by value; no tree is built, so a
/// hostile input costs no more memory than its own size.
///
/// Integers and lengths may be in longer forms than needed, as other readers accept them. Every length and count is
/// checked against what is left: an item takes at least one byte.
package struct MessagePackReader: ~Escapable {
    private var reader: ByteReader

    /// How deep values may nest where a reader skips what it does not know.
    package static let maximumSkippedDepth = 32

    @_lifetime(copy reader)
    package init(_ reader: ByteReader) {
        self.reader = reader
    }

    /// Offset in the outermost input of the next byte.
    package var offset: Int { reader.offset }

    package var isAtEnd: Bool { reader.isAtEnd }

    /// - Throws: if any byte is left.
    package func expectEnd(of subject: StaticString) throws(DecodingFailure) { try reader.expectEnd(of: subject) }

    /// Whether the next value is nil; it is moved past if so.
    package mutating func skipNull() throws(DecodingFailure) -> Bool {
        guard reader.peek == 0xC0 else { return false }
        try reader.skip(1, "nil")
        return true
    }

    /// Whether the next value is a text.
    package var isAtString: Bool {
        reader.peek.map { (0xA0...0xBF).contains($0) || (0xD9...0xDB).contains($0) } ?? false
    }

    /// The head of the next value. What follows it must be read next.
    package mutating func head(_ subject: StaticString) throws(DecodingFailure) -> MessagePackHead {
        let start = offset
        let first = try reader.u8(subject)
        switch first {
        case 0x00...0x7F: return .unsigned(UInt64(first))
        case 0x80...0x8F: return .map(try count(UInt64(first & 0x0F), itemSize: 2, start, subject))
        case 0x90...0x9F: return .array(try count(UInt64(first & 0x0F), start, subject))
        case 0xA0...0xBF: return .string(try count(UInt64(first & 0x1F), start, subject))
        case 0xC0: return .null
        case 0xC2: return .bool(false)
        case 0xC3: return .bool(true)
        case 0xC4, 0xC5, 0xC6: return .binary(try count(try integer(first - 0xC4, subject), start, subject))
        case 0xC7, 0xC8, 0xC9: return try extended(try integer(first - 0xC7, subject), start, subject)
        case 0xCA: return .float(Double(Float(bitPattern: try reader.bigEndian(UInt32.self, subject))))
        case 0xCB: return .float(Double(bitPattern: try reader.bigEndian(UInt64.self, subject)))
        case 0xCC...0xCF: return .unsigned(try integer(first - 0xCC, subject))
        case 0xD0: return signed(Int64(Int8(bitPattern: try reader.u8(subject))))
        case 0xD1: return signed(Int64(try reader.bigEndian(Int16.self, subject)))
        case 0xD2: return signed(Int64(try reader.bigEndian(Int32.self, subject)))
        case 0xD3: return signed(try reader.bigEndian(Int64.self, subject))
        case 0xD4...0xD8: return try extended(1 << UInt64(first - 0xD4), start, subject)
        case 0xD9, 0xDA, 0xDB: return .string(try count(try integer(first - 0xD9, subject), start, subject))
        case 0xDC, 0xDD: return .array(try count(try integer(first - 0xDC + 1, subject), start, subject))
        case 0xDE, 0xDF: return .map(try count(try integer(first - 0xDE + 1, subject), itemSize: 2, start, subject))
        case 0xE0...0xFF: return .negative(Int64(Int8(bitPattern: first)))
        default:
            throw DecodingFailure(.malformed, "\(subject)", at: start, "byte 0xc1 is never used in MessagePack")
        }
    }

    /// A big-endian integer of 2^`power` bytes.
    private mutating func integer(_ power: UInt8, _ subject: StaticString) throws(DecodingFailure) -> UInt64 {
        switch power {
        case 0: UInt64(try reader.u8(subject))
        case 1: UInt64(try reader.bigEndian(UInt16.self, subject))
        case 2: UInt64(try reader.bigEndian(UInt32.self, subject))
        default: try reader.bigEndian(UInt64.self, subject)
        }
    }

    private func signed(_ value: Int64) -> MessagePackHead {
        value < 0 ? .negative(value) : .unsigned(UInt64(value))
    }

    private mutating func extended(
        _ length: UInt64, _ start: Int, _ subject: StaticString
    ) throws(DecodingFailure) -> MessagePackHead {
        let type = Int8(bitPattern: try reader.u8(subject))
        return .extended(type: type, try count(length, start, subject))
    }

    private func count(
        _ count: UInt64, itemSize: UInt64 = 1, _ start: Int, _ subject: StaticString
    ) throws(DecodingFailure) -> Int {
        guard count <= UInt64(reader.remaining) / itemSize else {
            throw DecodingFailure(
                .truncated, "\(subject)", at: start, "length \(count) announced, only \(reader.remaining) bytes left")
        }
        return Int(count)
    }

    // MARK: Values

    private func unexpected(
        _ head: MessagePackHead, _ wanted: String, _ start: Int, _ subject: StaticString
    ) -> DecodingFailure {
        DecodingFailure(.malformed, "\(subject)", at: start, "\(wanted) is needed, not \(head.kind)")
    }

    /// An integer from zero.
    package mutating func unsigned(_ subject: StaticString) throws(DecodingFailure) -> UInt64 {
        let start = offset
        let head = try head(subject)
        guard case .unsigned(let value) = head else {
            throw unexpected(head, "an integer from zero", start, subject)
        }
        return value
    }

    /// The count of an array, whose items must be read next.
    package mutating func array(_ subject: StaticString) throws(DecodingFailure) -> Int {
        let start = offset
        let head = try head(subject)
        guard case .array(let count) = head else { throw unexpected(head, "an array", start, subject) }
        return count
    }

    package mutating func string(_ subject: StaticString) throws(DecodingFailure) -> String {
        let start = offset
        let head = try head(subject)
        guard case .string(let count) = head else { throw unexpected(head, "a string", start, subject) }
        guard let text = String(validating: try reader.bytes(count, subject), as: UTF8.self) else {
            throw DecodingFailure(.malformed, "\(subject)", at: start, "not valid UTF-8")
        }
        return text
    }

    /// Bytes as binary data or as an array of integers up to 255: serialisers that know no byte strings write the
    /// latter.
    package mutating func bytes(_ subject: StaticString) throws(DecodingFailure) -> [UInt8] {
        let start = offset
        let head = try head(subject)
        switch head {
        case .binary(let count):
            return try reader.bytes(count, subject)
        case .array(let count):
            var bytes = [UInt8]()
            bytes.reserveCapacity(count)
            for _ in 0..<count {
                let itemStart = offset
                let value = try unsigned(subject)
                guard let byte = UInt8(exactly: value) else {
                    throw DecodingFailure(.malformed, "\(subject)", at: itemStart, "\(value) is not a byte")
                }
                bytes.append(byte)
            }
            return bytes
        default:
            throw unexpected(head, "binary data or an array of integers", start, subject)
        }
    }

    /// Moves past one value and all inside it.
    package mutating func skipValue(_ subject: StaticString) throws(DecodingFailure) {
        // Values still to be read at each level; a list instead of recursion, so that nesting cannot exhaust the stack.
        var pending = [1]
        while let count = pending.last {
            guard count > 0 else {
                pending.removeLast()
                continue
            }
            pending[pending.count - 1] = count - 1
            let start = offset
            switch try head(subject) {
            case .string(let length), .binary(let length), .extended(_, let length):
                try reader.skip(length, subject)
            case .array(let items): pending.append(items)
            case .map(let pairs): pending.append(2 * pairs)
            case .null, .bool, .unsigned, .negative, .float: break
            }
            guard pending.count <= Self.maximumSkippedDepth + 1 else {
                throw DecodingFailure(
                    .tooLarge, "\(subject)", at: start,
                    "nested deeper than \(Self.maximumSkippedDepth) levels")
            }
        }
    }

    /// Reads a structure: a map from member names to values, in any order, or an array of the members in the order of
    /// `names` (then the last ones may be missing).
    ///
    /// `member` is called for each known member and must read its value. Unknown members are moved past. A member that
    /// occurs twice is refused: two readers could otherwise see two different values.
    /// - Returns: which members were there.
    @discardableResult
    package mutating func structure(
        _ names: [String], _ subject: StaticString,
        _ member: (inout MessagePackReader, Int) throws(DecodingFailure) -> Void
    ) throws(DecodingFailure) -> Set<Int> {
        let start = offset
        let head = try head(subject)
        var seen: Set<Int> = []
        switch head {
        case .array(let count):
            for index in 0..<count {
                if index < names.count {
                    try member(&self, index)
                    seen.insert(index)
                } else {
                    try skipValue(subject)
                }
            }
        case .map(let count):
            for _ in 0..<count {
                let nameStart = offset
                let name = try string(subject)
                guard let index = names.firstIndex(where: { $0.utf8.elementsEqual(name.utf8) }) else {
                    try skipValue(subject)
                    continue
                }
                guard seen.insert(index).inserted else {
                    throw DecodingFailure(.malformed, "\(subject)", at: nameStart, "member \(name) occurs twice")
                }
                try member(&self, index)
            }
        default:
            throw unexpected(head, "a map", start, subject)
        }
        return seen
    }
}
