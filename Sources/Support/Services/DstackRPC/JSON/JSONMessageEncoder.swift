/// Writes a message's fields as upstream's JSON: compact, in the order of declaration, every field present.
struct JSONMessageEncoder: RPCFieldVisitor {
    private var json: MessageText
    private var isFirst = true

    /// Appends a message's JSON.
    static func append(_ message: inout some RPCMessage, to json: inout MessageText) {
        // The text has one owner at a time, so that appending never copies it.
        var encoder = JSONMessageEncoder(json: json)
        json = MessageText()
        encoder.json.bytes.append(UInt8(ascii: "{"))
        message.visit(&encoder)
        encoder.json.bytes.append(UInt8(ascii: "}"))
        json = encoder.json
    }

    private init(json: MessageText) { self.json = json }

    /// Of what messages of upstream's have beyond upstream.
    private static let firstOwnNumber: UInt32 = 1_001

    private mutating func name(_ name: StaticString) {
        if !isFirst { json.bytes.append(UInt8(ascii: ",")) }
        isFirst = false
        json.bytes.append(UInt8(ascii: "\""))
        name.withUTF8Buffer { json.bytes.append(contentsOf: $0) }
        json.bytes.append(UInt8(ascii: "\""))
        json.bytes.append(UInt8(ascii: ":"))
    }

    private mutating func null() { json.bytes.append(contentsOf: "null".utf8) }

    mutating func value<Scalar: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ value: inout Scalar, omittedFromJSONIfDefault: Bool
    ) {
        if omittedFromJSONIfDefault, value.isDefault { return }
        self.name(name)
        value.write(toJSON: &json)
    }

    mutating func optional<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ value: inout Scalar?) {
        // Clients of upstream's services see upstream's members and no others, as long as they ask for nothing else.
        if value == nil, number >= Self.firstOwnNumber { return }
        self.name(name)
        if let value { value.write(toJSON: &json) } else { null() }
    }

    mutating func repeated<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ values: inout [Scalar]) {
        self.name(name)
        json.bytes.append(UInt8(ascii: "["))
        for index in values.indices {
            if index > 0 { json.bytes.append(UInt8(ascii: ",")) }
            values[index].write(toJSON: &json)
        }
        json.bytes.append(UInt8(ascii: "]"))
    }

    mutating func message<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ message: inout Message?
    ) {
        self.name(name)
        guard var present = message else { return null() }
        Self.append(&present, to: &json)
    }

    mutating func messages<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ messages: inout [Message]
    ) {
        self.name(name)
        json.bytes.append(UInt8(ascii: "["))
        for index in messages.indices {
            if index > 0 { json.bytes.append(UInt8(ascii: ",")) }
            Self.append(&messages[index], to: &json)
        }
        json.bytes.append(UInt8(ascii: "]"))
    }

    mutating func map<Key: RPCMapKey, Value: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ values: inout [Key: Value]
    ) {
        self.name(name)
        json.bytes.append(UInt8(ascii: "{"))
        for (index, entry) in values.sorted(by: { $0.key < $1.key }).enumerated() {
            if index > 0 { json.bytes.append(UInt8(ascii: ",")) }
            JSONText.append("\(entry.key)", to: &json.bytes)
            json.bytes.append(UInt8(ascii: ":"))
            entry.value.write(toJSON: &json)
        }
        json.bytes.append(UInt8(ascii: "}"))
    }
}
