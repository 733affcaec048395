import DstackEncoding

/// Reads a message's fields from protobuf.
///
/// Input and declaration are walked side by side: each declared field takes its values as long as they come next. In
/// the usual order one walk is enough; input in another order begins the next walk, and a field that none takes is
/// skipped. So nothing is indexed and nothing is allocated but the values.
struct ProtobufDecoder: RPCFieldVisitor {
    private var reader: ProtobufReader
    private let limits: RPCLimits
    private let depth: Int
    /// How many elements of repeated fields are still allowed, in the whole of the outermost message.
    private var remainingElements: Int
    /// The tag that comes next; nil at the end.
    private var next: (number: UInt32, type: ProtobufWireType)?
    private var hasProgressed = false
    private var failure: DecodingFailure?

    static func decode<Message: RPCMessage>(
        _ type: Message.Type, from reader: ProtobufReader, limits: RPCLimits
    ) throws(DecodingFailure) -> Message {
        var message = Message()
        var decoder = ProtobufDecoder(
            reader, limits: limits, depth: 1,
            remainingElements: min(limits.maximumElements, RPCLimits.maximumElements(in: reader.count)))
        try decoder.fill(&message)
        return message
    }

    private init(_ reader: ProtobufReader, limits: RPCLimits, depth: Int, remainingElements: Int) {
        self.reader = reader
        self.limits = limits
        self.depth = depth
        self.remainingElements = remainingElements
    }

    private mutating func fill(_ message: inout some RPCMessage) throws(DecodingFailure) {
        try advance()
        while let field = next {
            hasProgressed = false
            message.visit(&self)
            if let failure { throw failure }
            if !hasProgressed {
                try reader.skip(field, maximumDepth: limits.maximumDepth - depth)
                try advance()
            }
        }
    }

    private mutating func advance() throws(DecodingFailure) {
        next = reader.isAtEnd ? nil : try reader.tag()
    }

    /// Takes the next field as often as it has this number.
    @inline(__always)
    private mutating func take(
        _ number: UInt32, _ body: (inout ProtobufDecoder, ProtobufWireType) throws(DecodingFailure) -> Void
    ) {
        guard next?.number == number, failure == nil else { return }
        do throws(DecodingFailure) {
            while let field = next, field.number == number {
                hasProgressed = true
                try body(&self, field.type)
                try advance()
            }
        } catch {
            failure = error
        }
    }

    /// A known field of another type is refused, as upstream does, rather than taken for an unknown one.
    private func expect(_ expected: ProtobufWireType, _ found: ProtobufWireType) throws(DecodingFailure) {
        guard expected == found else {
            let number = next?.number ?? 0
            throw reader.failure("field \(number) has wire type \(found.rawValue), expected \(expected.rawValue)")
        }
    }

    private mutating func countElement() throws(DecodingFailure) {
        guard remainingElements > 0 else {
            throw reader.failure("more than \(limits.maximumElements) elements", .tooLarge)
        }
        remainingElements -= 1
    }

    mutating func value<Scalar: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ value: inout Scalar, omittedFromJSONIfDefault: Bool
    ) {
        take(number) { (decoder, type) throws(DecodingFailure) in
            try decoder.expect(Scalar.wireType, type)
            value = try Scalar(reading: &decoder.reader)
        }
    }

    mutating func optional<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ value: inout Scalar?) {
        take(number) { (decoder, type) throws(DecodingFailure) in
            try decoder.expect(Scalar.wireType, type)
            value = try Scalar(reading: &decoder.reader)
        }
    }

    mutating func repeated<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ values: inout [Scalar]) {
        take(number) { (decoder, type) throws(DecodingFailure) in
            // Numbers come packed or one by one, whatever the declaration says.
            if type == .lengthDelimited, Scalar.wireType != .lengthDelimited {
                var packed = try decoder.reader.reader()
                while !packed.isAtEnd {
                    try decoder.countElement()
                    values.append(try Scalar(reading: &packed))
                }
            } else {
                try decoder.expect(Scalar.wireType, type)
                try decoder.countElement()
                values.append(try Scalar(reading: &decoder.reader))
            }
        }
    }

    mutating func message<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ message: inout Message?
    ) {
        take(number) { (decoder, type) throws(DecodingFailure) in
            // A message that comes twice is one message in two parts.
            var merged = message ?? Message()
            message = nil
            try decoder.nested(type, &merged)
            message = merged
        }
    }

    mutating func messages<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ messages: inout [Message]
    ) {
        take(number) { (decoder, type) throws(DecodingFailure) in
            try decoder.countElement()
            var element = Message()
            try decoder.nested(type, &element)
            messages.append(element)
        }
    }

    mutating func map<Key: RPCMapKey, Value: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ values: inout [Key: Value]
    ) {
        take(number) { (decoder, type) throws(DecodingFailure) in
            try decoder.countElement()
            var entry = MapEntry<Key, Value>()
            try decoder.nested(type, &entry)
            values[entry.key] = entry.value
        }
    }

    private mutating func nested(
        _ type: ProtobufWireType, _ message: inout some RPCMessage
    ) throws(DecodingFailure) {
        try expect(.lengthDelimited, type)
        guard depth < limits.maximumDepth else {
            throw reader.failure("nested deeper than \(limits.maximumDepth) levels", .tooLarge)
        }
        var decoder = ProtobufDecoder(
            try reader.reader(), limits: limits, depth: depth + 1, remainingElements: remainingElements)
        try decoder.fill(&message)
        remainingElements = decoder.remainingElements
    }

    /// A map is a list of such messages; of two with one key the later counts.
    private struct MapEntry<Key: RPCMapKey, Value: RPCScalar>: RPCMessage {
        var key = Key()
        var value = Value()

        mutating func visit(_ fields: inout some RPCFieldVisitor) {
            fields.value(1, "key", &key)
            fields.value(2, "value", &value)
        }
    }
}
