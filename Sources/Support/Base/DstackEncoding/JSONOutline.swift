/// Where the values of a JSON text stand. The text itself stays where it is: for documents with secrets, which
/// ``JSONDocument`` would copy into memory that nothing wipes. As strict as that.
///
/// ```swift
/// let outline = try JSONOutline(of: secret.bytes, subject: "appkeys.json")
/// let key = try outline.root.member("k256_key", in: secret.bytes)
/// ```
package struct JSONOutline: Sendable {
    fileprivate let nodes: [JSONDocument.Node]
    /// What the text is, for messages.
    package let subject: String

    /// - Throws: ``DecodingFailure`` as ``JSONDocument/init(parsing:subject:maximumDepth:)`` does; it tells positions and
    ///   names of members, and never values.
    package init(
        of text: RawSpan, subject: String, maximumDepth: Int = 16, maximumValues: Int = 1 << 16
    ) throws(DecodingFailure) {
        var parser = try JSONParser(
            Span<UInt8>(_bytes: text), subject: subject, maximumDepth: maximumDepth, maximumValues: maximumValues)
        try parser.parse()
        nodes = parser.nodes
        self.subject = subject
    }

    package var root: Value { Value(outline: self, index: 0, name: "") }

    /// One value: a place in the text.
    package struct Value: Sendable {
        fileprivate let outline: JSONOutline
        fileprivate let index: Int
        /// The names of the members that lead here.
        fileprivate let name: String

        private var node: JSONDocument.Node { outline.nodes[index] }

        package var kind: JSONDocument.Kind { node.kind }

        /// What stands between a string's quotes, or all of another value.
        package var range: Range<Int> {
            kind == .string ? Int(node.start) + 1..<Int(node.end) - 1 : Int(node.start)..<Int(node.end)
        }

        /// All of a value, a string's quotes too.
        package var wholeRange: Range<Int> { Int(node.start)..<Int(node.end) }

        /// The names that lead here, and the text's, for messages.
        package var subject: String { name.isEmpty ? outline.subject : "\(outline.subject).\(name)" }

        /// Whether a string has escapes.
        package var isEscaped: Bool { node.isEscaped }

        /// A failure about this value, which names it and does not show it.
        package func failure(_ reason: String, _ code: DecodingFailure.Code = .malformed) -> DecodingFailure {
            DecodingFailure(code, subject, at: Int(node.start), reason)
        }

        /// The members of an object, in order.
        ///
        /// - Throws: for anything but an object, and for a member whose name has escapes or is longer than 64 bytes: no
        ///   format that needs this reader has such names, and what is not a name does not belong into messages.
        package func members(in text: RawSpan) throws(DecodingFailure) -> [(name: String, value: Value)] {
            guard kind == .object else { throw failure("an object expected") }
            var members: [(name: String, value: Value)] = []
            var child = index + 1
            while child < Int(node.next) {
                let place = Value(outline: outline, index: child, name: name)
                guard !place.isEscaped, place.range.count <= 64 else {
                    throw place.failure("a member name of at most 64 bytes without escapes expected")
                }
                let text = String(decoding: [UInt8](copying: text.extracting(place.range)), as: UTF8.self)
                members.append(
                    (text, Value(outline: outline, index: child + 1, name: name.isEmpty ? text : "\(name).\(text)")))
                child = Int(outline.nodes[child + 1].next)
            }
            return members
        }

        /// The elements of an array, in order.
        ///
        /// - Throws: for anything but an array.
        package func elements() throws(DecodingFailure) -> [Value] {
            guard kind == .array else { throw failure("an array expected") }
            var elements: [Value] = []
            var child = index + 1
            while child < Int(node.next) {
                elements.append(Value(outline: outline, index: child, name: "\(name)[\(elements.count)]"))
                child = Int(outline.nodes[child].next)
            }
            return elements
        }

        /// A member of an object, or nil if there is none or it is null.
        package func optionalMember(_ name: String, in text: RawSpan) throws(DecodingFailure) -> Value? {
            try members(in: text).first { $0.name.utf8.elementsEqual(name.utf8) && $0.value.kind != .null }?.value
        }

        /// A member of an object.
        package func member(_ name: String, in text: RawSpan) throws(DecodingFailure) -> Value {
            guard let value = try optionalMember(name, in: text) else {
                throw failure("member \"\(name)\" is missing")
            }
            return value
        }
    }
}
