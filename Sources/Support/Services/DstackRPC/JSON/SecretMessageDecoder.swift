package import DstackCrypto
package import DstackEncoding

/// Reads a message's fields from JSON in memory that is wiped, as ``JSONMessageDecoder`` does from ordinary memory. What is
/// secret goes from one wiped memory into another; the rest is copied, value by value.
struct SecretMessageDecoder: RPCFieldVisitor {
    private let text: SharedSecret
    private let members: [(name: String, value: JSONOutline.Value)]
    private let unknownFields: RPCUnknownFields
    private var failure: DecodingFailure?

    static func decode<Message: RPCMessage>(
        _ type: Message.Type, from text: SharedSecret, _ limits: RPCLimits, _ unknownFields: RPCUnknownFields
    ) throws(DecodingFailure) -> Message {
        let outline = try text.withBytes { (bytes) throws(DecodingFailure) in
            try JSONOutline(
                of: bytes, subject: "message", maximumDepth: limits.maximumDepth, maximumValues: limits.maximumElements)
        }
        return try decode(type, outline.root, in: text, unknownFields)
    }

    private static func decode<Message: RPCMessage>(
        _ type: Message.Type, _ object: JSONOutline.Value, in text: SharedSecret, _ unknownFields: RPCUnknownFields
    ) throws(DecodingFailure) -> Message {
        var message = Message()
        if Message.isVoid { return message }
        let members = try text.withBytes { (bytes) throws(DecodingFailure) in try object.members(in: bytes) }
        var decoder = SecretMessageDecoder(text: text, members: members, unknownFields: unknownFields)
        message.visit(&decoder)
        if let failure = decoder.failure { throw failure }
        if unknownFields == .refusedWhereMisspelled {
            let spellings = FieldSpellings(of: &message)
            for (name, value) in members {
                if let right = spellings.correction(of: name) { throw FieldSpellings.failure(value.failure, right) }
            }
        }
        return message
    }

    private init(
        text: SharedSecret, members: [(name: String, value: JSONOutline.Value)], unknownFields: RPCUnknownFields
    ) {
        self.text = text
        self.members = members
        self.unknownFields = unknownFields
    }

    private mutating func member(
        _ name: StaticString, _ body: (JSONOutline.Value) throws(DecodingFailure) -> Void
    ) {
        guard failure == nil, let member = members.first(where: { $0.name.utf8.elementsEqual("\(name)".utf8) }) else {
            return
        }
        do throws(DecodingFailure) { try body(member.value) } catch { failure = error }
    }

    mutating func value<Scalar: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ value: inout Scalar, omittedFromJSONIfDefault: Bool
    ) {
        let text = text
        member(name) { (member) throws(DecodingFailure) in value = try Scalar(member, in: text) }
    }

    mutating func optional<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ value: inout Scalar?) {
        let text = text
        member(name) { (member) throws(DecodingFailure) in
            value = member.kind == .null ? nil : try Scalar(member, in: text)
        }
    }

    mutating func repeated<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ values: inout [Scalar]) {
        let text = text
        member(name) { (member) throws(DecodingFailure) in
            for element in try member.elements() { values.append(try Scalar(element, in: text)) }
        }
    }

    mutating func message<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ message: inout Message?
    ) {
        let (text, unknownFields) = (text, unknownFields)
        member(name) { (member) throws(DecodingFailure) in
            message = member.kind == .null ? nil : try Self.decode(Message.self, member, in: text, unknownFields)
        }
    }

    mutating func messages<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ messages: inout [Message]
    ) {
        let (text, unknownFields) = (text, unknownFields)
        member(name) { (member) throws(DecodingFailure) in
            for element in try member.elements() {
                messages.append(try Self.decode(Message.self, element, in: text, unknownFields))
            }
        }
    }

    mutating func map<Key: RPCMapKey, Value: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ values: inout [Key: Value]
    ) {
        let text = text
        member(name) { (member) throws(DecodingFailure) in
            let entries = try text.withBytes { (bytes) throws(DecodingFailure) in try member.members(in: bytes) }
            for (name, value) in entries {
                let key = try Key(text: name, subject: member.subject)
                guard values[key] == nil else { throw value.failure("a duplicate key") }
                values[key] = try Value(value, in: text)
            }
        }
    }
}

extension RPCScalar {
    /// A value that is no secret is copied, and read as any other.
    package init(_ value: JSONOutline.Value, in text: SharedSecret) throws(DecodingFailure) {
        let bytes = text.withUnsafeBytes { [UInt8]($0[value.wholeRange]) }
        try self.init(json: JSONDocument(parsing: bytes, subject: value.subject).root)
    }
}
