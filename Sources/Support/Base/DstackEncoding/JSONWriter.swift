/// Writes JSON text (RFC 8259), compact, members in the order given, only the escapes that are required.
///
/// Values are written by nested closures, so that what comes out is always well-formed:
///
/// ```swift
/// var writer = JSONWriter()
/// writer.object { object in
///     object.member("status", "UpToDate")
///     object.array("advisory_ids") { array in array.element("INTEL-SA-00615") }
/// }
/// ```
package struct JSONWriter {
    package private(set) var bytes: [UInt8] = []
    /// Indent by two spaces a level, for people; compact otherwise.
    private let isPretty: Bool
    private var depth = 0

    package init(pretty: Bool = false) { isPretty = pretty }

    package var text: String { String(decoding: bytes, as: UTF8.self) }

    package mutating func object(_ body: (inout Object) -> Void) {
        container(UInt8(ascii: "{"), UInt8(ascii: "}")) { writer in
            var object = Object(writer: writer)
            // The text has one owner at a time, so that appending never copies it.
            writer.bytes = []
            body(&object)
            writer = object.writer
            return object.isEmpty
        }
    }

    package mutating func array(_ body: (inout Elements) -> Void) {
        container(UInt8(ascii: "["), UInt8(ascii: "]")) { writer in
            var elements = Elements(writer: writer)
            writer.bytes = []
            body(&elements)
            writer = elements.writer
            return elements.isEmpty
        }
    }

    private mutating func container(_ open: UInt8, _ close: UInt8, _ body: (inout JSONWriter) -> Bool) {
        bytes.append(open)
        depth += 1
        let isEmpty = body(&self)
        depth -= 1
        if !isEmpty { lineBreak() }
        bytes.append(close)
    }

    fileprivate mutating func lineBreak() {
        guard isPretty else { return }
        bytes.append(UInt8(ascii: "\n"))
        bytes.append(contentsOf: repeatElement(UInt8(ascii: " "), count: depth * 2))
    }

    package mutating func value(_ text: String) { Self.append(text, to: &bytes) }
    package mutating func value(_ number: some BinaryInteger) { bytes.append(contentsOf: "\(number)".utf8) }
    package mutating func value(_ flag: Bool) { bytes.append(contentsOf: (flag ? "true" : "false").utf8) }
    package mutating func null() { bytes.append(contentsOf: "null".utf8) }
    /// Text that is JSON already.
    package mutating func raw(_ json: some Sequence<UInt8>) { bytes.append(contentsOf: json) }

    package struct Object {
        fileprivate var writer: JSONWriter
        fileprivate var isEmpty = true

        fileprivate init(writer: JSONWriter) { self.writer = writer }

        private mutating func name(_ name: String) {
            if !isEmpty { writer.bytes.append(UInt8(ascii: ",")) }
            isEmpty = false
            writer.lineBreak()
            writer.value(name)
            writer.bytes.append(UInt8(ascii: ":"))
            if writer.isPretty { writer.bytes.append(UInt8(ascii: " ")) }
        }

        package mutating func member(_ name: String, _ value: String?) {
            self.name(name)
            if let value { writer.value(value) } else { writer.null() }
        }

        package mutating func member(_ name: String, _ value: (some BinaryInteger)?) {
            self.name(name)
            if let value { writer.value(value) } else { writer.null() }
        }

        package mutating func member(_ name: String, _ value: Bool?) {
            self.name(name)
            if let value { writer.value(value) } else { writer.null() }
        }

        package mutating func member(_ name: String, _ values: [String]) {
            array(name) { array in for value in values { array.element(value) } }
        }

        package mutating func null(_ name: String) {
            self.name(name)
            writer.null()
        }

        /// A member whose value is JSON text already.
        package mutating func raw(_ name: String, _ json: some Sequence<UInt8>) {
            self.name(name)
            writer.raw(json)
        }

        package mutating func object(_ name: String, _ body: (inout Object) -> Void) {
            self.name(name)
            writer.object(body)
        }

        package mutating func array(_ name: String, _ body: (inout Elements) -> Void) {
            self.name(name)
            writer.array(body)
        }
    }

    package struct Elements {
        fileprivate var writer: JSONWriter
        fileprivate var isEmpty = true

        fileprivate init(writer: JSONWriter) { self.writer = writer }

        private mutating func next() {
            if !isEmpty { writer.bytes.append(UInt8(ascii: ",")) }
            isEmpty = false
            writer.lineBreak()
        }

        package mutating func element(_ value: String) {
            next()
            writer.value(value)
        }

        package mutating func element(_ value: some BinaryInteger) {
            next()
            writer.value(value)
        }

        /// An element that is JSON text already.
        package mutating func raw(_ json: some Sequence<UInt8>) {
            next()
            writer.raw(json)
        }

        package mutating func object(_ body: (inout Object) -> Void) {
            next()
            writer.object(body)
        }

        package mutating func array(_ body: (inout Elements) -> Void) {
            next()
            writer.array(body)
        }
    }

    /// Appends a JSON string with its quotes: only `"`, `\` and control characters are escaped (RFC 8785 section 3.2.2.2,
    /// ECMA-262 QuoteJSONString).
    package static func append(_ text: String, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            if needsEscape(byte) { appendEscape(of: byte, to: &bytes) } else { bytes.append(byte) }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// Whether a byte of a string cannot stand for itself in any JSON text.
    @inline(__always)
    private static func needsEscape(_ byte: UInt8) -> Bool {
        byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\")
    }

    /// Appends the escape of an ASCII character: the short form where there is one, else lower-case digits.
    package static func appendEscape(of byte: UInt8, to bytes: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            bytes.append(UInt8(ascii: "\\"))
            bytes.append(byte)
        case 0x08: bytes.append(contentsOf: #"\b"#.utf8)
        case 0x09: bytes.append(contentsOf: #"\t"#.utf8)
        case 0x0A: bytes.append(contentsOf: #"\n"#.utf8)
        case 0x0C: bytes.append(contentsOf: #"\f"#.utf8)
        case 0x0D: bytes.append(contentsOf: #"\r"#.utf8)
        default: bytes.append(contentsOf: (#"\u00"# + Hex.encode([byte])).utf8)
        }
    }
}
