import DstackEncoding

/// Reads a message's fields from upstream's JSON: what is missing keeps its default, and only what is optional may be
/// `null`.
struct JSONMessageDecoder: RPCFieldVisitor {
    private let object: JSONNode
    private let unknownFields: RPCUnknownFields
    /// How many of the object's members are fields.
    private var knownMembers = 0
    private var failure: DecodingFailure?

    static func decode<Message: RPCMessage>(
        _ type: Message.Type, from node: JSONNode, _ unknownFields: RPCUnknownFields
    ) throws(DecodingFailure) -> Message {
        var message = Message()
        if Message.isVoid { return message }
        guard node.kind == .object else { throw node.failure("an object expected, found \(node.kindName)") }
        var decoder = JSONMessageDecoder(node, unknownFields)
        message.visit(&decoder)
        if let failure = decoder.failure { throw failure }
        if unknownFields == .refusedWhereMisspelled, decoder.knownMembers < node.count {
            try refuseMisspelled(node, FieldSpellings(of: &message))
        }
        return message
    }

    private init(_ object: JSONNode, _ unknownFields: RPCUnknownFields) {
        self.object = object
        self.unknownFields = unknownFields
    }

    private static func refuseMisspelled(_ object: JSONNode, _ spellings: FieldSpellings) throws(DecodingFailure) {
        for (name, value) in object.members {
            if let right = spellings.correction(of: name) { throw FieldSpellings.failure(value.failure, right) }
        }
    }

    /// Reads the member of this name, if there is one.
    @inline(__always)
    private mutating func member(_ name: StaticString, _ body: (JSONNode) throws(DecodingFailure) -> Void) {
        guard failure == nil, let node = object[name] else { return }
        knownMembers += 1
        do throws(DecodingFailure) { try body(node) } catch { failure = error }
    }

    mutating func value<Scalar: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ value: inout Scalar, omittedFromJSONIfDefault: Bool
    ) {
        member(name) { (node) throws(DecodingFailure) in value = try Scalar(json: node) }
    }

    mutating func optional<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ value: inout Scalar?) {
        member(name) { (node) throws(DecodingFailure) in value = node.isNull ? nil : try Scalar(json: node) }
    }

    mutating func repeated<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ values: inout [Scalar]) {
        member(name) { (node) throws(DecodingFailure) in
            for element in try node.array() { values.append(try Scalar(json: element)) }
        }
    }

    mutating func message<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ message: inout Message?
    ) {
        let unknownFields = unknownFields
        member(name) { (node) throws(DecodingFailure) in
            message = node.isNull ? nil : try Self.decode(Message.self, from: node, unknownFields)
        }
    }

    mutating func messages<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ messages: inout [Message]
    ) {
        let unknownFields = unknownFields
        member(name) { (node) throws(DecodingFailure) in
            for element in try node.array() {
                messages.append(try Self.decode(Message.self, from: element, unknownFields))
            }
        }
    }

    mutating func map<Key: RPCMapKey, Value: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ values: inout [Key: Value]
    ) {
        member(name) { (node) throws(DecodingFailure) in
            guard node.kind == .object else { throw node.failure("an object expected, found \(node.kindName)") }
            for (text, value) in node.members {
                let key = try Key(text: text, subject: node.subject)
                guard values[key] == nil else { throw value.failure("a duplicate key") }
                values[key] = try Value(json: value)
            }
        }
    }
}
