/// Reads one deterministic CBOR document (RFC 8949 section 4.2.1, except that members may stand in any order).
///
/// Refused: bytes after the item, lengths and numbers that are not in their shortest form, indefinite lengths, tags,
/// floating-point numbers, keys that are not text, duplicate keys, text that is not UTF-8, and nesting over a limit.
/// Nothing is allocated by a length that the bytes left could not hold.
package struct CBORDecoder: ~Escapable {
    private var reader: ByteReader
    private let subject: StaticString
    private let maximumDepth: Int
    /// How many items are still allowed.
    private var remainingItems: Int

    /// Decodes a whole document.
    ///
    /// - Parameters:
    ///   - document: exactly one item.
    ///   - subject: what the document is, in failures.
    ///   - maximumDepth: how deep arrays and maps may nest; 0 allows neither.
    ///   - maximumItems: how many items and keys there may be: one byte can stand for an item of some dozens.
    /// - Throws: ``DecodingFailure`` with the offset of the item that is wrong.
    package static func decode(
        _ document: [UInt8], subject: StaticString, maximumDepth: Int = 8, maximumItems: Int = 1 << 14
    ) throws(DecodingFailure) -> CBOR {
        var decoder = CBORDecoder(
            ByteReader(document.span.bytes), subject: subject, maximumDepth: maximumDepth,
            maximumItems: maximumItems)
        let item = try decoder.item(depth: 0)
        try decoder.reader.expectEnd(of: subject)
        return item
    }

    @_lifetime(copy reader)
    private init(_ reader: consuming ByteReader, subject: StaticString, maximumDepth: Int, maximumItems: Int) {
        self.reader = reader
        self.subject = subject
        self.maximumDepth = maximumDepth
        remainingItems = maximumItems
    }

    private func failure(_ code: DecodingFailure.Code, at offset: Int, _ reason: String) -> DecodingFailure {
        DecodingFailure(code, "\(subject)", at: offset, reason)
    }

    private mutating func item(depth: Int) throws(DecodingFailure) -> CBOR {
        let start = reader.offset
        guard remainingItems > 0 else { throw failure(.tooLarge, at: start, "more items than this format has") }
        remainingItems -= 1
        let initial = try reader.u8(subject)
        let major = initial >> 5
        if major == 7 { return try simple(initial & 31, at: start) }
        guard major != 6 else {
            throw failure(.unsupported, at: start, "a tag, which this format does not have")
        }
        let argument = try argument(initial & 31, at: start)
        switch major {
        case 0: return .unsigned(argument)
        case 1: return .negative(argument)
        case 2: return .bytes(try reader.bytes(try count(argument, unit: 1, at: start), subject))
        case 3: return .text(try text(argument, at: start))
        case 4: return .array(try array(argument, depth: depth, at: start))
        default: return .map(try map(argument, depth: depth, at: start))
        }
    }

    /// The number that follows an initial byte, in its shortest form only.
    private mutating func argument(_ information: UInt8, at start: Int) throws(DecodingFailure) -> UInt64 {
        let value: UInt64
        let smallest: UInt64
        switch information {
        case ..<24: return UInt64(information)
        case 24: (value, smallest) = (UInt64(try reader.u8(subject)), 24)
        case 25: (value, smallest) = (UInt64(try reader.bigEndian(UInt16.self, subject)), 0x100)
        case 26: (value, smallest) = (UInt64(try reader.bigEndian(UInt32.self, subject)), 0x1_0000)
        case 27: (value, smallest) = (try reader.bigEndian(UInt64.self, subject), 0x1_0000_0000)
        case 31: throw failure(.unsupported, at: start, "an indefinite length, where a definite one is required")
        default: throw failure(.malformed, at: start, "additional information \(information) is reserved")
        }
        guard value >= smallest else {
            throw failure(.malformed, at: start, "the number \(value) is not in its shortest form")
        }
        return value
    }

    /// A length or count of elements that take at least `unit` bytes each, if that many bytes are left.
    private func count(_ argument: UInt64, unit: Int, at start: Int) throws(DecodingFailure) -> Int {
        guard argument <= UInt64(reader.remaining / unit) else {
            throw failure(
                .truncated, at: start, "a length of \(argument), but only \(reader.remaining) bytes are left")
        }
        return Int(argument)
    }

    private mutating func text(_ argument: UInt64, at start: Int) throws(DecodingFailure) -> String {
        let bytes = try reader.bytes(try count(argument, unit: 1, at: start), subject)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw failure(.malformed, at: start, "a text string that is not UTF-8")
        }
        return text
    }

    private func checkDepth(_ depth: Int, at start: Int) throws(DecodingFailure) {
        guard depth < maximumDepth else {
            throw failure(.tooLarge, at: start, "nested deeper than \(maximumDepth) levels")
        }
    }

    private mutating func array(_ argument: UInt64, depth: Int, at start: Int) throws(DecodingFailure) -> [CBOR] {
        try checkDepth(depth, at: start)
        let count = try count(argument, unit: 1, at: start)
        // Not reserved at once: an item in memory is many times larger than the one byte that announces it.
        var items: [CBOR] = []
        for _ in 0..<count { items.append(try item(depth: depth + 1)) }
        return items
    }

    private mutating func map(_ argument: UInt64, depth: Int, at start: Int) throws(DecodingFailure) -> [CBOR.Member] {
        try checkDepth(depth, at: start)
        let count = try count(argument, unit: 2, at: start)
        var members: [CBOR.Member] = []
        // Keys are compared as bytes; Swift's strings would compare by canonical equivalence.
        var keys: Set<[UInt8]> = []
        for _ in 0..<count {
            let position = reader.offset
            guard let initial = reader.peek, initial >> 5 == 3 else {
                if reader.isAtEnd { throw failure(.truncated, at: position, "a map key is missing") }
                throw failure(.unsupported, at: position, "a map key that is not text")
            }
            guard case .text(let key) = try item(depth: depth + 1) else {
                throw failure(.unsupported, at: position, "a map key that is not text")
            }
            guard keys.insert(Array(key.utf8)).inserted else {
                throw failure(.malformed, at: position, "a duplicate map key")
            }
            members.append(CBOR.Member(key, try item(depth: depth + 1)))
        }
        return members
    }

    private mutating func simple(_ information: UInt8, at start: Int) throws(DecodingFailure) -> CBOR {
        switch information {
        case 20: return .bool(false)
        case 21: return .bool(true)
        case 22: return .null
        case 25, 26, 27: throw failure(.unsupported, at: start, "a floating-point number")
        case 31: throw failure(.malformed, at: start, "a break without an indefinite length")
        default: throw failure(.unsupported, at: start, "the simple value \(information)")
        }
    }
}
