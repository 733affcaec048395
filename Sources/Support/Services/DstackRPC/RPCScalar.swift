package import DstackCrypto
package import DstackEncoding

/// The type of a field's value: text, bytes, truth values and integers, each with its three encodings.
///
/// Upstream's services use no floating-point, fixed-width or zigzag numbers; its enumerations are integers.
package protocol RPCScalar: Sendable, Equatable {
    /// The default: empty or zero.
    init()
    var isDefault: Bool { get }

    static var wireType: ProtobufWireType { get }
    /// Writes what follows the tag.
    func write(to writer: inout ProtobufWriter)
    init(reading reader: inout ProtobufReader) throws(DecodingFailure)

    /// Writes the value's JSON.
    func write(toJSON json: inout MessageText)
    init(json node: JSONNode) throws(DecodingFailure)

    /// Reads a value of a JSON text in memory that is wiped.
    init(_ value: JSONOutline.Value, in text: SharedSecret) throws(DecodingFailure)

    /// Whether values are secret, and do without memory that nothing wipes.
    static var isSecret: Bool { get }

    /// A value of a query string, or a map's key in JSON.
    ///
    /// - Parameter subject: the field's name, for the failure.
    init(text: String, subject: @autoclosure () -> String) throws(DecodingFailure)

    /// The value's size or, of a number, the value: fit for a log.
    var summary: String { get }
}

extension RPCScalar {
    package static var isSecret: Bool { false }
}

/// What may be a map's key.
package typealias RPCMapKey = RPCScalar & Comparable & Hashable

extension String: RPCScalar {
    package var isDefault: Bool { isEmpty }
    package static var wireType: ProtobufWireType { .lengthDelimited }

    package func write(to writer: inout ProtobufWriter) { writer.lengthDelimited(utf8) }

    package init(reading reader: inout ProtobufReader) throws(DecodingFailure) { self = try reader.string() }

    package func write(toJSON json: inout MessageText) { JSONText.append(self, to: &json.bytes) }

    package init(json node: JSONNode) throws(DecodingFailure) { self = try node.string() }

    package init(text: String, subject: @autoclosure () -> String) throws(DecodingFailure) { self = text }

    package var summary: String { "\(utf8.count) bytes" }
}

/// `bytes`: hexadecimal in JSON and in query strings.
extension Array: RPCScalar where Element == UInt8 {
    package var isDefault: Bool { isEmpty }
    package static var wireType: ProtobufWireType { .lengthDelimited }

    package func write(to writer: inout ProtobufWriter) { writer.lengthDelimited(self) }

    package init(reading reader: inout ProtobufReader) throws(DecodingFailure) { self = try reader.bytes() }

    package func write(toJSON json: inout MessageText) { JSONText.appendHex(self, to: &json.bytes) }

    package init(json node: JSONNode) throws(DecodingFailure) { self = try HexInput.bytes(of: node) }

    package init(text: String, subject: @autoclosure () -> String) throws(DecodingFailure) {
        self = try HexInput.bytes(of: text, subject: subject())
    }

    package var summary: String { "\(count) bytes" }
}

extension Bool: RPCScalar {
    package var isDefault: Bool { !self }
    package static var wireType: ProtobufWireType { .varint }

    package func write(to writer: inout ProtobufWriter) { writer.varint(self ? 1 : 0) }

    package init(reading reader: inout ProtobufReader) throws(DecodingFailure) { self = try reader.varint() != 0 }

    package func write(toJSON json: inout MessageText) { json.bytes.append(contentsOf: (self ? "true" : "false").utf8) }

    package init(json node: JSONNode) throws(DecodingFailure) { self = try node.bool() }

    package init(text: String, subject: @autoclosure () -> String) throws(DecodingFailure) {
        switch text {
        case "true": self = true
        case "false": self = false
        default: throw DecodingFailure(.malformed, subject(), "true or false expected")
        }
    }

    package var summary: String { self ? "true" : "false" }
}

/// Integers are varints in protobuf (a negative one takes ten bytes) and numbers in JSON, 64-bit ones too.
package protocol RPCInteger: RPCScalar, FixedWidthInteger {}

extension RPCInteger {
    package var isDefault: Bool { self == 0 }
    package static var wireType: ProtobufWireType { .varint }

    package func write(to writer: inout ProtobufWriter) {
        writer.varint(UInt64(truncatingIfNeeded: self))
    }

    /// A varint with more bits is cut, as every protobuf implementation does, so that a field may grow.
    package init(reading reader: inout ProtobufReader) throws(DecodingFailure) {
        self.init(truncatingIfNeeded: try reader.varint())
    }

    package func write(toJSON json: inout MessageText) { json.bytes.append(contentsOf: String(self).utf8) }

    package init(json node: JSONNode) throws(DecodingFailure) { self = try node.integer() }

    package init(text: String, subject: @autoclosure () -> String) throws(DecodingFailure) {
        // `Int("+1")` is 1; a number that JSON would not take is none here either.
        guard text.utf8.first != UInt8(ascii: "+"), let value = Self(text) else {
            throw DecodingFailure(.malformed, subject(), "an integer of \(Self.min)...\(Self.max) expected")
        }
        self = value
    }

    package var summary: String { String(self) }
}

extension UInt32: RPCInteger {}
extension UInt64: RPCInteger {}
extension Int32: RPCInteger {}
extension Int64: RPCInteger {}
