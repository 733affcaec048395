import DstackEncoding

/// What is done about names that a message does not have, in JSON and in query strings.
package enum RPCUnknownFields: Sendable, Hashable {
    /// They are ignored: a peer of another version may say more than is known here.
    case ignored
    /// They are ignored, but for a field's name in another spelling (`notAfter`, `Context`, `public-key`), which is
    /// refused: whoever sent it believes that it counts, and without it the message asks for something else.
    case refusedWhereMisspelled
}

extension RPCMessage {
    /// The names of the fields, in every spelling.
    package static var fieldNames: FieldSpellings {
        var message = Self()
        return FieldSpellings(of: &message)
    }
}

/// The names of a message's fields, to be found whatever their case and what separates their words.
package struct FieldSpellings: RPCFieldVisitor {
    private var exact: Set<[UInt8]> = []
    private var folded: [[UInt8]: StaticString] = [:]

    init(of message: inout some RPCMessage) { message.visit(&self) }

    /// The right spelling of a name that is a field's but for its spelling; nil for a field's name and for any other.
    func correction(of name: String) -> StaticString? {
        guard let field = folded[Self.folded(name)], !exact.contains(Array(name.utf8)) else { return nil }
        return field
    }

    /// - Parameter failure: makes one about the place.
    static func failure(
        _ failure: (String, DecodingFailure.Code) -> DecodingFailure, _ right: StaticString
    ) -> DecodingFailure {
        failure("there is no such member; \"\(right)\" is how it is spelled", .unsupported)
    }

    /// The field that a parameter's name means, spelled right or not, or a part of it (`list[0]`); nil for none.
    package func meant(by name: String) -> StaticString? {
        folded[Self.folded(name)] ?? folded[Self.folded(String(name.prefix { $0 != "[" }))]
    }

    /// Without what separates words, or was meant to: white space, dots and brackets among it.
    private static func folded(_ name: String) -> [UInt8] {
        name.utf8.compactMap { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), 0x80...: byte
            default: nil
            }
        }
    }

    private mutating func add(_ name: StaticString) {
        let text = "\(name)"
        exact.insert(Array(text.utf8))
        folded[Self.folded(text)] = name
    }

    package mutating func value<Scalar: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ value: inout Scalar, omittedFromJSONIfDefault: Bool
    ) { add(name) }

    package mutating func optional<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ value: inout Scalar?) {
        add(name)
    }

    package mutating func repeated<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ values: inout [Scalar])
    {
        add(name)
    }

    package mutating func message<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ message: inout Message?
    ) { add(name) }

    package mutating func messages<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ messages: inout [Message]
    ) { add(name) }

    package mutating func map<Key: RPCMapKey, Value: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ values: inout [Key: Value]
    ) { add(name) }
}
