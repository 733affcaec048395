/// A strictly parsed JSON text (RFC 8259) that keeps its bytes, so that the exact range of every value is known.
///
/// Strict means: one value and nothing after it, UTF-8 without byte-order mark, no duplicate member (compared after
/// unescaping), no unpaired surrogate, a bounded depth. Signed documents are verified over ``JSONNode/rawBytes`` of this
/// very text: what was checked and what is read can then never differ.
///
/// All nodes lie in one flat array in document order; a node knows where its subtree ends. Parsing allocates that array
/// and nothing per value. Beside the text, a document takes at most 16/3 times the text's bytes (64 KiB where that is
/// more), and while an object's names are compared at most three times as much again; the time is linear.
@usableFromInline
package final class JSONDocument: Sendable {
    package enum Kind: UInt8, Sendable {
        case object, array, string, number, boolTrue, boolFalse, null
    }

    struct Node: Sendable {
        var kind: Kind
        /// For a string: whether it contains a backslash.
        var isEscaped: Bool
        /// Number of elements or members, or the largest number if it does not fit.
        var shortCount: UInt16
        /// Range of the value in the text; strings include their quotes.
        var start: Int32
        var end: Int32
        /// Index of the first node behind this one's subtree.
        var next: Int32
    }

    /// A longer text is refused. Nothing that is read here is nearly as long.
    static let maximumByteCount = 1 << 28

    /// How many values and names a text may have: one for three bytes, and in any case some thousands. What people and
    /// programs write has twice as many bytes for each; a text of nothing but zeros and commas would cost many times its
    /// size.
    static func maximumValues(in byteCount: Int) -> Int { max(1 << 12, byteCount / 3) }

    @usableFromInline
    package let bytes: [UInt8]
    let nodes: [Node]
    /// What the text is, for messages: "tcb_info", "app-compose.json".
    package let subject: String

    /// - Parameters:
    ///   - bytes: the whole text.
    ///   - subject: what the text is, in failures.
    ///   - maximumDepth: how deep arrays and objects may nest.
    ///   - maximumValues: how many values and member names there may be, where that is less than ``maximumValues(in:)``.
    /// - Throws: ``DecodingFailure`` with the offset of the first byte that is wrong.
    package init(
        parsing bytes: [UInt8], subject: String, maximumDepth: Int = 64, maximumValues: Int = .max
    ) throws(DecodingFailure) {
        var parser = try JSONParser(
            bytes.span, subject: subject, maximumDepth: maximumDepth, maximumValues: maximumValues)
        try parser.parse()
        self.nodes = parser.nodes
        self.bytes = bytes
        self.subject = subject
    }

    package convenience init(parsing text: String, subject: String, maximumDepth: Int = 64) throws(DecodingFailure) {
        try self.init(parsing: Array(text.utf8), subject: subject, maximumDepth: maximumDepth)
    }

    package var root: JSONNode { JSONNode(document: self, index: 0) }

    /// The value of an object's member; nil if the node is no object or has no such member.
    func member(_ name: StaticString, of index: Int) -> Int? {
        guard nodes[index].kind == .object else { return nil }
        var child = index + 1
        let end = Int(nodes[index].next)
        while child < end {
            let candidate = nodes[child]
            let isIt =
                candidate.isEscaped
                ? JSONNode(document: self, index: child).equals(name) : isPlainText(candidate, name)
            if isIt { return child + 1 }
            child = Int(nodes[child + 1].next)
        }
        return nil
    }

    /// Whether an unescaped string's content is exactly this text.
    func isPlainText(_ node: Node, _ text: StaticString) -> Bool {
        let length = Int(node.end - node.start) - 2
        guard length == text.utf8CodeUnitCount else { return false }
        let bytes = bytes
        let content = bytes.span.extracting(Int(node.start) + 1..<Int(node.end) - 1)
        for index in 0..<length where content[index] != text.utf8Start[index] { return false }
        return true
    }

    /// The number at a node without a fraction or an exponent and of at most 64 bits, if it is one.
    func wholeNumber(at index: Int) -> (magnitude: UInt64, isNegative: Bool)? {
        let node = nodes[index]
        guard node.kind == .number else { return nil }
        let bytes = bytes
        let digits = bytes.span.extracting(Int(node.start)..<Int(node.end))
        // The parser lets no number be empty, nor a sign stand alone.
        let isNegative = digits[0] == UInt8(ascii: "-")
        var magnitude: UInt64 = 0
        for index in (isNegative ? 1 : 0)..<digits.count {
            let digit = digits[index] &- UInt8(ascii: "0")
            guard digit <= 9 else { return nil }
            let (product, overflow) = magnitude.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
            guard !overflow, !carry else { return nil }
            magnitude = sum
        }
        return (magnitude, isNegative)
    }

    /// The number of elements or members of a node.
    func count(at index: Int) -> Int {
        let node = nodes[index]
        guard node.shortCount == .max else { return Int(node.shortCount) }
        var count = 0
        var child = index + 1
        while child < Int(node.next) {
            child = Int(nodes[node.kind == .object ? child + 1 : child].next)
            count += 1
        }
        return count
    }

    /// A name for messages: whole if it is short, else its beginning as it stands in the text. An empty one is shown as it is
    /// written, or nobody would see it.
    private func shortText(of name: Node) -> String {
        let content = bytes[Int(name.start) + 1..<Int(name.end) - 1]
        guard !content.isEmpty else { return "\"\"" }
        guard content.count > 64 else {
            return name.isEscaped ? JSONParser.unescape(content) : String(decoding: content, as: UTF8.self)
        }
        return String(decoding: content.prefix(60), as: UTF8.self) + "…"
    }

    /// Where a node stands, as `tcbLevels[2].tcb.pcesvn`; empty for the root. Only failures ask.
    func path(to target: Int) -> String {
        var path = ""
        var index = 0
        while index != target {
            let node = nodes[index]
            var child = index + 1
            var position = 0
            var found = false
            while child < Int(node.next) {
                let value = node.kind == .object ? child + 1 : child
                let end = Int(nodes[value].next)
                if target < end {
                    if node.kind == .object {
                        let name = shortText(of: nodes[child])
                        path += path.isEmpty ? name : "." + name
                    } else {
                        path += "[\(position)]"
                    }
                    // The target may be the member's name; its value's path is as good.
                    if target <= value { return path }
                    index = value
                    found = true
                    break
                }
                child = end
                position += 1
            }
            if !found { return path }
        }
        return path
    }
}

/// One value of a ``JSONDocument``.
@usableFromInline
package struct JSONNode: Sendable {
    @usableFromInline
    package let document: JSONDocument
    let index: Int

    private var node: JSONDocument.Node { document.nodes[index] }

    package var kind: JSONDocument.Kind { node.kind }

    /// Range of the value in the document's bytes; a string's quotes belong to it.
    package var range: Range<Int> { Int(node.start)..<Int(node.end) }

    /// The value exactly as it stands in the text.
    package var rawBytes: [UInt8] { Array(document.bytes[range]) }

    /// Number of elements of an array or members of an object; 0 for anything else.
    package var count: Int { document.count(at: index) }

    /// The path from the root and the document's name, for messages.
    package var subject: String {
        let path = document.path(to: index)
        return path.isEmpty || path.first == "[" ? document.subject + path : "\(document.subject).\(path)"
    }

    @usableFromInline
    package func failure(_ reason: String, _ code: DecodingFailure.Code = .malformed) -> DecodingFailure {
        DecodingFailure(code, subject, at: Int(node.start), reason)
    }
}

// MARK: - Reading values

extension JSONNode {
    package var isNull: Bool { kind == .null }

    package func bool() throws(DecodingFailure) -> Bool {
        switch kind {
        case .boolTrue: return true
        case .boolFalse: return false
        default: throw failure("true or false expected, found \(kindName)")
        }
    }

    /// The string's value with its escapes resolved.
    package func string() throws(DecodingFailure) -> String {
        guard kind == .string else { throw failure("a string expected, found \(kindName)") }
        return decodedString
    }

    /// An integer that fits in `Value`; a number with a fraction or an exponent is none.
    @inlinable
    package func integer<Value: FixedWidthInteger>(
        _ type: Value.Type = Value.self
    ) throws(DecodingFailure) -> Value {
        // No member is wider than 64 bits, so the digits are read once as such.
        guard let (magnitude, isNegative) = wholeNumber else {
            throw integerFailure("\(Value.min)", "\(Value.max)")
        }
        if !isNegative, let value = Value(exactly: magnitude) { return value }
        // "-0" is a number, but readers differ on whether it is an integer.
        if isNegative, magnitude > 0, magnitude <= 1 << 63,
            let value = Value(exactly: Int64(truncatingIfNeeded: 0 &- magnitude))
        {
            return value
        }
        throw integerFailure("\(Value.min)", "\(Value.max)")
    }

    @usableFromInline
    @inline(never)
    func integerFailure(_ least: String, _ greatest: String) -> DecodingFailure {
        guard kind == .number else { return failure("an integer expected, found \(kindName)") }
        return failure("an integer of \(least)...\(greatest) expected, found \(numberText)")
    }

    /// The number without a fraction or an exponent and of at most 64 bits, if it is one.
    @usableFromInline
    var wholeNumber: (magnitude: UInt64, isNegative: Bool)? { document.wholeNumber(at: index) }

    /// The number as it stands in the text.
    package var numberText: String {
        String(decoding: document.bytes[range].prefix(40), as: UTF8.self)
    }

    /// What the value is, with its article, for messages.
    package var kindName: String {
        switch kind {
        case .object: "an object"
        case .array: "an array"
        case .string: "a string"
        case .number: "the number \(numberText)"
        case .boolTrue: "true"
        case .boolFalse: "false"
        case .null: "null"
        }
    }

    /// The string with its escapes resolved; the parser has checked them.
    var decodedString: String {
        let content = document.bytes[Int(node.start) + 1..<Int(node.end) - 1]
        guard node.isEscaped else { return String(decoding: content, as: UTF8.self) }
        return JSONParser.unescape(content)
    }

    /// Whether the string's value equals a text, without building a `String`.
    package func equals(_ text: StaticString) -> Bool {
        guard kind == .string else { return false }
        // By code units: Swift's own comparison takes canonically equivalent texts for the same.
        if node.isEscaped { return decodedString.utf8.elementsEqual("\(text)".utf8) }
        return document.isPlainText(node, text)
    }

    /// The bytes of an unescaped string; nil if it is not a string or has escapes.
    @usableFromInline
    package var plainStringRange: Range<Int>? {
        let node = node
        guard node.kind == .string, !node.isEscaped else { return nil }
        return Int(node.start) + 1..<Int(node.end) - 1
    }
}

// MARK: - Walking

extension JSONNode {
    /// The member of an object, or nil if this is no object or has no such member.
    package subscript(name: StaticString) -> JSONNode? {
        document.member(name, of: index).map { JSONNode(document: document, index: $0) }
    }

    /// The member of an object by a name known only at run time.
    package func member(named name: String) -> JSONNode? {
        guard kind == .object else { return nil }
        var child = index + 1
        while child < Int(node.next) {
            let candidate = JSONNode(document: document, index: child)
            let value = JSONNode(document: document, index: child + 1)
            let isIt =
                if let range = candidate.plainStringRange {
                    range.count == name.utf8.count && document.bytes[range].elementsEqual(name.utf8)
                } else {
                    candidate.decodedString.utf8.elementsEqual(name.utf8)
                }
            if isIt { return value }
            child = Int(value.node.next)
        }
        return nil
    }

    /// - Throws: if this is no object or has no such member.
    package func member(_ name: StaticString) throws(DecodingFailure) -> JSONNode {
        guard kind == .object else { throw failure("an object expected, found \(kindName)") }
        guard let value = self[name] else { throw failure("member \"\(name)\" is missing") }
        return value
    }

    /// The member, or nil if it is absent or null.
    package func optionalMember(_ name: StaticString) throws(DecodingFailure) -> JSONNode? {
        guard kind == .object else { throw failure("an object expected, found \(kindName)") }
        guard let value = self[name], !value.isNull else { return nil }
        return value
    }

    /// The elements of an array, in order; empty for anything else.
    package var elements: Elements { Elements(document: document, parent: kind == .array ? index : nil) }

    /// - Throws: if this is no array.
    package func array() throws(DecodingFailure) -> Elements {
        guard kind == .array else { throw failure("an array expected, found \(kindName)") }
        return elements
    }

    /// The same member, a whole number, of every element of an array, without a node for each.
    ///
    /// - Throws: if this is no array of `count` objects with that member, or a number does not fit in 8 bits.
    package func octets<let count: Int>(
        ofMember name: StaticString, _ type: FixedBytes<count>.Type = FixedBytes<count>.self
    ) throws(DecodingFailure) -> FixedBytes<count> {
        guard kind == .array, self.count == count else {
            throw failure("\(count) elements expected, found \(self.count)")
        }
        var octets = FixedBytes<count>()
        var child = index + 1
        for position in 0..<count {
            if let member = document.member(name, of: child), let number = document.wholeNumber(at: member),
                number.magnitude <= 255, !number.isNegative
            {
                octets[position] = UInt8(truncatingIfNeeded: number.magnitude)
            } else {
                // What is wrong with it, the careful way tells.
                octets[position] = try JSONNode(document: document, index: child).member(name).integer()
            }
            child = Int(document.nodes[child].next)
        }
        return octets
    }

    package struct Elements: Sequence, IteratorProtocol {
        let document: JSONDocument
        var child: Int
        let end: Int

        init(document: JSONDocument, parent: Int?) {
            self.document = document
            guard let parent else { (child, end) = (0, 0); return }
            child = parent + 1
            end = Int(document.nodes[parent].next)
        }

        package mutating func next() -> JSONNode? {
            guard child < end else { return nil }
            defer { child = Int(document.nodes[child].next) }
            return JSONNode(document: document, index: child)
        }
    }

    /// The members of an object in document order; empty for anything else. Their names are made as they are come to.
    package var members: Members { Members(document: document, parent: kind == .object ? index : nil) }

    package struct Members: Sequence, IteratorProtocol {
        private let document: JSONDocument
        private var child: Int
        private let end: Int

        fileprivate init(document: JSONDocument, parent: Int?) {
            self.document = document
            guard let parent else { (child, end) = (0, 0); return }
            child = parent + 1
            end = Int(document.nodes[parent].next)
        }

        package mutating func next() -> (name: String, value: JSONNode)? {
            guard child < end else { return nil }
            let name = JSONNode(document: document, index: child)
            let value = JSONNode(document: document, index: child + 1)
            child = Int(document.nodes[child + 1].next)
            return (name.decodedString, value)
        }
    }

    /// - Throws: naming the first member that is not in the list. For formats that allow no unknown member.
    package func expectOnlyMembers(_ known: [String]) throws(DecodingFailure) {
        guard kind == .object else { throw failure("an object expected, found \(kindName)") }
        for (name, value) in members where !known.contains(name) {
            throw value.failure("unknown member; known are \(known.joined(separator: ", "))", .unsupported)
        }
    }
}
