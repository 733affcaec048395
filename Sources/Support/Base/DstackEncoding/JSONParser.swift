/// The parser behind ``JSONDocument``.
///
/// Its time is linear in the text whatever the text is, and so is its memory: ``JSONDocument/maximumValues(in:)`` bounds
/// the nodes, and ``refuseDuplicates(_:_:)`` what the search for duplicate names needs.
struct JSONParser: ~Escapable {
    let text: Span<UInt8>
    let subject: String
    private let maximumDepth: Int
    private let maximumValues: Int
    private var position = 0
    private(set) var nodes: [JSONDocument.Node] = []
    /// What the search for duplicate names works with, kept from one object to the next.
    var scratch = NameTable()

    /// - Throws: ``DecodingFailure`` for a text that is longer than any document.
    @_lifetime(copy text)
    init(
        _ text: Span<UInt8>, subject: String, maximumDepth: Int, maximumValues: Int
    ) throws(DecodingFailure) {
        guard text.count <= JSONDocument.maximumByteCount else {
            throw DecodingFailure(.tooLarge, subject, "\(text.count) bytes of JSON are more than this reader takes")
        }
        self.text = text
        self.subject = subject
        self.maximumDepth = maximumDepth
        self.maximumValues = min(maximumValues, JSONDocument.maximumValues(in: text.count))
        // Room for all nodes at once: an array that grows holds its old elements, too, while it moves. In a short text to
        // count takes longer than to grow.
        let expected = text.count <= 1 << 16 ? text.count / 6 + 4 : Self.valueBound(text)
        nodes.reserveCapacity(min(expected, self.maximumValues))
    }

    /// No fewer than the values and names of a text: before each of them stands one of these, but for the first.
    private static func valueBound(_ text: Span<UInt8>) -> Int {
        var count = 1
        for index in 0..<text.count {
            let byte = text[unchecked: index]
            let leads =
                (byte == UInt8(ascii: ",")) != (byte == UInt8(ascii: ":")) || byte | 0x20 == UInt8(ascii: "{")
            count &+= leads ? 1 : 0
        }
        return count
    }

    mutating func parse() throws(DecodingFailure) {
        skipSpace()
        try value(depth: 0)
        skipSpace()
        guard position == text.count else {
            throw DecodingFailure(.trailing, subject, at: position, "text after the JSON value")
        }
    }

    private func failure(_ reason: String) -> DecodingFailure {
        position < text.count
            ? DecodingFailure(.malformed, subject, at: position, reason)
            : DecodingFailure(.truncated, subject, at: position, "the JSON text ends too early: \(reason)")
    }

    private mutating func skipSpace() {
        while position < text.count {
            switch text[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    private mutating func open(_ kind: JSONDocument.Kind) -> Int {
        let index = nodes.count
        let node = JSONDocument.Node(
            kind: kind, isEscaped: false, shortCount: 0, start: Int32(position), end: 0, next: 0)
        nodes.append(node)
        return index
    }

    private mutating func close(_ index: Int, count: Int = 0) {
        var node = nodes[index]
        node.end = Int32(position)
        node.next = Int32(nodes.count)
        node.shortCount = UInt16(clamping: count)
        nodes[index] = node
    }

    /// Adds a value without parts, which ends here.
    @inline(__always)
    private mutating func leaf(_ kind: JSONDocument.Kind, from start: Int, isEscaped: Bool = false) {
        nodes.append(
            JSONDocument.Node(
                kind: kind, isEscaped: isEscaped, shortCount: 0, start: Int32(truncatingIfNeeded: start),
                end: Int32(truncatingIfNeeded: position), next: Int32(truncatingIfNeeded: nodes.count + 1)))
    }

    private mutating func value(depth: Int) throws(DecodingFailure) {
        guard nodes.count < maximumValues else {
            throw tooMany()
        }
        guard position < text.count else { throw failure("a value expected") }
        let byte = text[position]
        switch byte {
        case UInt8(ascii: "{"): try object(depth: depth + 1)
        case UInt8(ascii: "["): try array(depth: depth + 1)
        case UInt8(ascii: "\""): try string()
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try number()
        case UInt8(ascii: "t"): try literal("true", .boolTrue)
        case UInt8(ascii: "f"): try literal("false", .boolFalse)
        case UInt8(ascii: "n"): try literal("null", .null)
        default: throw failure("a value expected")
        }
    }

    private func tooMany() -> DecodingFailure {
        DecodingFailure(
            .tooLarge, subject, at: position,
            "more than \(maximumValues) values, which is the limit for \(text.count) bytes of this text")
    }

    private func checkDepth(_ depth: Int) throws(DecodingFailure) {
        guard depth <= maximumDepth else {
            throw DecodingFailure(.tooLarge, subject, at: position, "nested deeper than \(maximumDepth) levels")
        }
    }

    /// Whether a container has nothing in it; then its end is read.
    @inline(__always)
    private mutating func isEmpty(_ end: UInt8) -> Bool {
        skipSpace()
        guard position < text.count, text[position] == end else { return false }
        position += 1
        return true
    }

    /// Reads what stands behind a value in a container: its end, or a comma, behind which there must be more.
    @inline(__always)
    private mutating func isEnd(_ end: UInt8, _ expectation: StaticString) throws(DecodingFailure) -> Bool {
        skipSpace()
        guard position < text.count, text[position] == end || text[position] == UInt8(ascii: ",") else {
            throw failure("\(expectation)")
        }
        let isEnd = text[position] == end
        position += 1
        if !isEnd { skipSpace() }
        return isEnd
    }

    private mutating func object(depth: Int) throws(DecodingFailure) {
        try checkDepth(depth)
        let index = open(.object)
        position += 1
        var count = 0
        if isEmpty(UInt8(ascii: "}")) { return close(index) }
        while true {
            guard position < text.count, text[position] == UInt8(ascii: "\"") else {
                throw failure("a member name in quotes expected")
            }
            try string()
            skipSpace()
            guard position < text.count, text[position] == UInt8(ascii: ":") else { throw failure("':' expected") }
            position += 1
            skipSpace()
            try value(depth: depth)
            count += 1
            if try isEnd(UInt8(ascii: "}"), "',' or '}' expected") { break }
        }
        close(index, count: count)
        try refuseDuplicates(index, count)
    }

    private mutating func array(depth: Int) throws(DecodingFailure) {
        try checkDepth(depth)
        let index = open(.array)
        position += 1
        var count = 0
        if isEmpty(UInt8(ascii: "]")) { return close(index) }
        while true {
            try value(depth: depth)
            count += 1
            if try isEnd(UInt8(ascii: "]"), "',' or ']' expected") { break }
        }
        close(index, count: count)
    }

    private mutating func literal(_ word: StaticString, _ kind: JSONDocument.Kind) throws(DecodingFailure) {
        let start = position
        let length = word.utf8CodeUnitCount
        guard text.count - position >= length else { throw failure("\(word) expected") }
        for offset in 0..<length where text[position + offset] != word.utf8Start[offset] {
            throw failure("\(word) expected")
        }
        position += length
        leaf(kind, from: start)
    }

    private func isDigit(at position: Int) -> Bool {
        position < text.count && text[position] >= UInt8(ascii: "0") && text[position] <= UInt8(ascii: "9")
    }

    private mutating func digits() throws(DecodingFailure) {
        guard isDigit(at: position) else { throw failure("a digit expected") }
        while isDigit(at: position) { position += 1 }
    }

    private mutating func number() throws(DecodingFailure) {
        let start = position
        if text[position] == UInt8(ascii: "-") { position += 1 }
        if position < text.count, text[position] == UInt8(ascii: "0") {
            position += 1
            if isDigit(at: position) { throw failure("a number may not begin with 0") }
        } else {
            try digits()
        }
        if position < text.count, text[position] == UInt8(ascii: ".") {
            position += 1
            try digits()
        }
        if position < text.count, text[position] | 0x20 == UInt8(ascii: "e") {
            position += 1
            if position < text.count, text[position] == UInt8(ascii: "+") || text[position] == UInt8(ascii: "-") {
                position += 1
            }
            try digits()
        }
        leaf(.number, from: start)
    }

    private mutating func string() throws(DecodingFailure) {
        let start = position
        var isEscaped = false
        position += 1
        while true {
            // Nearly everything is plain ASCII.
            var next = position
            while next < text.count, Self.isPlain(text[unchecked: next]) { next += 1 }
            position = next
            guard position < text.count else { throw failure("a closing quote expected") }
            let byte = text[position]
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return leaf(.string, from: start, isEscaped: isEscaped)
            case UInt8(ascii: "\\"):
                isEscaped = true
                try escape()
            case 0x80...:
                try multibyte(byte)
            default:
                throw failure("a control character in a string must be escaped")
            }
        }
    }

    /// Whether a byte of a string means itself: ASCII, but for control characters, quote and backslash.
    @inline(__always)
    private static func isPlain(_ byte: UInt8) -> Bool {
        byte &- 0x20 < 0x60 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    private mutating func escape() throws(DecodingFailure) {
        position += 1
        guard position < text.count else { throw failure("an escape expected") }
        let kind = text[position]
        switch kind {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            position += 1
        case UInt8(ascii: "u"):
            position += 1
            let unit = try hexUnit()
            if (0xD800..<0xDC00).contains(unit) {
                guard position + 1 < text.count, text[position] == UInt8(ascii: "\\"),
                    text[position + 1] == UInt8(ascii: "u")
                else { throw failure("an unpaired surrogate") }
                position += 2
                guard (0xDC00..<0xE000).contains(try hexUnit()) else { throw failure("an unpaired surrogate") }
            } else if (0xDC00..<0xE000).contains(unit) {
                throw failure("an unpaired surrogate")
            }
        default:
            throw failure("an unknown escape")
        }
    }

    private mutating func hexUnit() throws(DecodingFailure) -> UInt32 {
        var unit: UInt32 = 0
        for _ in 0..<4 {
            guard position < text.count, let digit = Hex.value(of: text[position]) else {
                throw failure("four hexadecimal digits expected")
            }
            unit = unit << 4 | UInt32(digit)
            position += 1
        }
        return unit
    }

    /// One well-formed UTF-8 sequence (Unicode 15, table 3-7).
    private mutating func multibyte(_ lead: UInt8) throws(DecodingFailure) {
        let count: Int
        var second: ClosedRange<UInt8> = 0x80...0xBF
        switch lead {
        case 0xC2...0xDF: count = 1
        case 0xE0: (count, second) = (2, 0xA0...0xBF)
        case 0xED: (count, second) = (2, 0x80...0x9F)
        case 0xE1...0xEF: count = 2
        case 0xF0: (count, second) = (3, 0x90...0xBF)
        case 0xF1...0xF3: count = 3
        case 0xF4: (count, second) = (3, 0x80...0x8F)
        default: throw failure("not UTF-8")
        }
        guard position + count < text.count, second.contains(text[position + 1]) else { throw failure("not UTF-8") }
        for offset in stride(from: 2, through: count, by: 1) where text[position + offset] & 0xC0 != 0x80 {
            throw failure("not UTF-8")
        }
        position += count + 1
    }
}
