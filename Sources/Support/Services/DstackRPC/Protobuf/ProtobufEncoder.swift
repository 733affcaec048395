/// Writes a message's fields as proto3 does: in the order of declaration, defaults left out, numbers in packed form.
struct ProtobufEncoder: RPCFieldVisitor {
    private(set) var writer = ProtobufWriter()

    mutating func value<Scalar: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ value: inout Scalar, omittedFromJSONIfDefault: Bool
    ) {
        guard !value.isDefault else { return }
        writer.tag(number, Scalar.wireType)
        value.write(to: &writer)
    }

    mutating func optional<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ value: inout Scalar?) {
        guard let value else { return }
        writer.tag(number, Scalar.wireType)
        value.write(to: &writer)
    }

    mutating func repeated<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ values: inout [Scalar]) {
        guard Scalar.wireType != .lengthDelimited else {
            for value in values {
                writer.tag(number, .lengthDelimited)
                value.write(to: &writer)
            }
            return
        }
        guard !values.isEmpty else { return }
        var packed = ProtobufWriter()
        for value in values { value.write(to: &packed) }
        append(number, packed)
    }

    mutating func message<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ message: inout Message?
    ) {
        guard message != nil else { return }
        var nested = ProtobufEncoder()
        message?.visit(&nested)
        append(number, nested.writer)
    }

    mutating func messages<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ messages: inout [Message]
    ) {
        for index in messages.indices {
            var nested = ProtobufEncoder()
            messages[index].visit(&nested)
            append(number, nested.writer)
        }
    }

    mutating func map<Key: RPCMapKey, Value: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ values: inout [Key: Value]
    ) {
        // Sorted, so that equal messages have equal bytes.
        for (key, value) in values.sorted(by: { $0.key < $1.key }) {
            var entry = ProtobufWriter()
            entry.tag(1, Key.wireType)
            key.write(to: &entry)
            entry.tag(2, Value.wireType)
            value.write(to: &entry)
            append(number, entry)
        }
    }

    private mutating func append(_ number: UInt32, _ content: ProtobufWriter) {
        writer.tag(number, .lengthDelimited)
        writer.lengthDelimited(content)
    }
}
