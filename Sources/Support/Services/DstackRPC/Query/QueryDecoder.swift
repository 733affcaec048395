import DstackEncoding
import DstackSystem

/// Reads a message's fields from a query string, as JSON's conventions say, except that every value is a text.
struct QueryDecoder: RPCFieldVisitor {
    private let tree: QueryTree
    private let unknownFields: RPCUnknownFields
    private var failure: DecodingFailure?

    static func decode<Message: RPCMessage>(
        _ type: Message.Type, from tree: QueryTree, _ unknownFields: RPCUnknownFields
    ) throws(DecodingFailure) -> Message {
        var message = Message()
        if Message.isVoid { return message }
        var decoder = QueryDecoder(tree, unknownFields)
        message.visit(&decoder)
        if let failure = decoder.failure { throw failure }
        if unknownFields == .refusedWhereMisspelled {
            let spellings = FieldSpellings(of: &message)
            for (name, _) in tree.children {
                guard let right = spellings.correction(of: name) else { continue }
                throw DecodingFailure(
                    .unsupported, SafeText.line(name, limit: 60),
                    "there is no such parameter; \"\(right)\" is how it is spelled")
            }
        }
        return message
    }

    private init(_ tree: QueryTree, _ unknownFields: RPCUnknownFields) {
        self.tree = tree
        self.unknownFields = unknownFields
    }

    @inline(__always)
    private mutating func field(
        _ name: StaticString, _ body: (QueryTree, String) throws(DecodingFailure) -> Void
    ) {
        let name = "\(name)"
        guard failure == nil, let field = tree[name] else { return }
        do throws(DecodingFailure) { try body(field, name) } catch { failure = error }
    }

    mutating func value<Scalar: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ value: inout Scalar, omittedFromJSONIfDefault: Bool
    ) {
        field(name) { (field, name) throws(DecodingFailure) in
            value = try Scalar(text: try field.text(name), subject: name)
        }
    }

    mutating func optional<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ value: inout Scalar?) {
        field(name) { (field, name) throws(DecodingFailure) in
            let text = try field.text(name)
            value = text.isEmpty ? nil : try Scalar(text: text, subject: name)
        }
    }

    mutating func repeated<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ values: inout [Scalar]) {
        field(name) { (field, name) throws(DecodingFailure) in
            for element in try field.elements(name) {
                values.append(try Scalar(text: try element.text(name), subject: name))
            }
        }
    }

    mutating func message<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ message: inout Message?
    ) {
        let unknownFields = unknownFields
        field(name) { (field, name) throws(DecodingFailure) in
            message = try Self.decode(Message.self, from: field, unknownFields)
        }
    }

    mutating func messages<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ messages: inout [Message]
    ) {
        let unknownFields = unknownFields
        field(name) { (field, name) throws(DecodingFailure) in
            for element in try field.elements(name) {
                messages.append(try Self.decode(Message.self, from: element, unknownFields))
            }
        }
    }

    mutating func map<Key: RPCMapKey, Value: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ values: inout [Key: Value]
    ) {
        field(name) { (field, name) throws(DecodingFailure) in
            for (text, child) in field.children {
                values[try Key(text: text, subject: name)] = try Value(text: try child.text(name), subject: name)
            }
        }
    }
}
