extension RPCMessage {
    /// Names and sizes of the fields that are set: `GetKeyResponse(key: 32 bytes, signature_chain: 2 elements)`.
    package var description: String {
        var copy = self
        var summary = Summary()
        copy.visit(&summary)
        return "\(Self.self)(\(summary.parts.joined(separator: ", ")))"
    }
}

private struct Summary: RPCFieldVisitor {
    var parts: [String] = []

    private mutating func add(_ name: StaticString, _ text: String) { parts.append("\(name): \(text)") }

    mutating func value<Scalar: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ value: inout Scalar, omittedFromJSONIfDefault: Bool
    ) {
        if !value.isDefault { add(name, value.summary) }
    }

    mutating func optional<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ value: inout Scalar?) {
        if let value { add(name, value.summary) }
    }

    mutating func repeated<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ values: inout [Scalar]) {
        if !values.isEmpty { add(name, "\(values.count) elements") }
    }

    mutating func message<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ message: inout Message?
    ) {
        if let message { add(name, message.description) }
    }

    mutating func messages<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ messages: inout [Message]
    ) {
        if !messages.isEmpty { add(name, "\(messages.count) elements") }
    }

    mutating func map<Key: RPCMapKey, Value: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ values: inout [Key: Value]
    ) {
        if !values.isEmpty { add(name, "\(values.count) entries") }
    }
}
