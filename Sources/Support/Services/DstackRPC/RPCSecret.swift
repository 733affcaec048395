package import DstackCrypto
package import DstackEncoding

/// A field of `bytes` that is secret: read from, kept in and sent from memory that is wiped.
///
/// A client does so by itself in both directions, and a server in its responses. Requests lie in ordinary memory before they
/// are read, unless the listener that they come in by says that it receives secrets.
package struct RPCSecret: Sendable {
    /// Nil for no bytes.
    private let content: SharedSecret?

    package init() { content = nil }
    package init(_ secret: SharedSecret) { content = secret.count == 0 ? nil : secret }
    package init(_ secret: consuming SecretBytes) { self.init(SharedSecret(secret)) }
    /// A copy of bytes that live elsewhere; wiping those is the caller's duty.
    package init(copying bytes: [UInt8]) { self.init(SecretBytes(copying: bytes)) }

    package var count: Int { content?.count ?? 0 }

    /// A second secret with the same bytes.
    package func duplicate() -> SecretBytes { content?.duplicate() ?? SecretBytes(copying: []) }

    /// Calls `body` with the bytes in place.
    package func withBytes<Result: ~Copyable, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        if let content { return try content.withBytes(body) }
        return try body(RawSpan())
    }

    /// What an encoded message has in its place.
    func placed(_ form: PlacedSecret.Form, at offset: Int) -> PlacedSecret? {
        content.map { PlacedSecret(offset: offset, form: form, secret: $0) }
    }
}

extension RPCSecret: RPCScalar {
    /// Whether both hold the same bytes. The time depends on the lengths only.
    package static func == (left: Self, right: Self) -> Bool {
        switch (left.content, right.content) {
        case (nil, nil): true
        case (let left?, let right?): left.isEqual(to: right)
        default: false
        }
    }

    package static var isSecret: Bool { true }
    package var isDefault: Bool { content == nil }
    package static var wireType: ProtobufWireType { .lengthDelimited }

    package func write(to writer: inout ProtobufWriter) { writer.lengthDelimited(self) }
    package init(reading reader: inout ProtobufReader) throws(DecodingFailure) { self = try reader.secret() }

    package func write(toJSON json: inout MessageText) {
        json.bytes.append(UInt8(ascii: "\""))
        json.appendPlace(of: self, .hexadecimal, 2 * count)
        json.bytes.append(UInt8(ascii: "\""))
    }

    /// From ordinary memory, which whoever has it answers for.
    package init(json node: JSONNode) throws(DecodingFailure) {
        var bytes = try HexInput.bytes(of: node)
        self.init(SharedSecret(absorbing: &bytes))
    }

    package init(_ value: JSONOutline.Value, in text: SharedSecret) throws(DecodingFailure) {
        let bytes: SecretBytes = try text.withBytes { (text) throws(DecodingFailure) in
            try SecretJSON(text, value).hex(allowingPrefix: true)
        }
        self.init(SharedSecret(bytes))
    }

    /// Refused: addresses are logged, kept and shown by everything that a request passes.
    package init(text: String, subject: @autoclosure () -> String) throws(DecodingFailure) {
        throw DecodingFailure(.unsupported, subject(), "a secret has no place in a query")
    }

    package var summary: String { "\(count) bytes" }
}

/// A field of `string` that is secret, as a key in PEM.
package struct RPCSecretText: RPCScalar {
    /// UTF-8.
    package let utf8: RPCSecret

    package init() { utf8 = RPCSecret() }
    package init(utf8: RPCSecret) { self.utf8 = utf8 }
    /// A copy of a text that lives elsewhere, in memory that nothing wipes.
    package init(copying text: String) { utf8 = RPCSecret(copying: Array(text.utf8)) }

    package static var isSecret: Bool { true }
    package var isDefault: Bool { utf8.isDefault }
    package static var wireType: ProtobufWireType { .lengthDelimited }

    package func write(to writer: inout ProtobufWriter) { utf8.write(to: &writer) }
    package init(reading reader: inout ProtobufReader) throws(DecodingFailure) { utf8 = try reader.secret() }

    package func write(toJSON json: inout MessageText) {
        let count = utf8.withBytes { SecretText.quotedCount($0) }
        guard !utf8.isDefault else { return json.bytes.append(contentsOf: "\"\"".utf8) }
        json.appendPlace(of: utf8, .jsonString, count)
    }

    package init(json node: JSONNode) throws(DecodingFailure) {
        var bytes = Array(try node.string().utf8)
        utf8 = RPCSecret(SharedSecret(absorbing: &bytes))
    }

    package init(_ value: JSONOutline.Value, in text: SharedSecret) throws(DecodingFailure) {
        let bytes: SecretBytes = try text.withBytes { (text) throws(DecodingFailure) in
            try SecretJSON(text, value).string()
        }
        utf8 = RPCSecret(SharedSecret(bytes))
    }

    package init(text: String, subject: @autoclosure () -> String) throws(DecodingFailure) {
        utf8 = try RPCSecret(text: text, subject: subject())
    }

    package var summary: String { utf8.summary }
}

extension RPCMessage {
    /// Whether any field is secret: such a message is read from, and written to, memory that is wiped.
    package static var holdsSecrets: Bool {
        var message = Self()
        var search = SecretSearch()
        message.visit(&search)
        return search.hasFound
    }
}

private struct SecretSearch: RPCFieldVisitor {
    var hasFound = false

    mutating func value<Scalar: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ value: inout Scalar, omittedFromJSONIfDefault: Bool
    ) { hasFound = hasFound || Scalar.isSecret }

    mutating func optional<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ value: inout Scalar?) {
        hasFound = hasFound || Scalar.isSecret
    }

    mutating func repeated<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ values: inout [Scalar]) {
        hasFound = hasFound || Scalar.isSecret
    }

    // A message may have messages of its own kind in it; what such have, the outer one has, too.

    mutating func message<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ message: inout Message?
    ) { search(Message.self) }

    mutating func messages<Message: RPCMessage>(
        _ number: UInt32, _ name: StaticString, _ messages: inout [Message]
    ) { search(Message.self) }

    mutating func map<Key: RPCMapKey, Value: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ values: inout [Key: Value]
    ) { hasFound = hasFound || Value.isSecret }

    private var visited: Set<Swift.ObjectIdentifier> = []

    private mutating func search<Message: RPCMessage>(_ type: Message.Type) {
        guard !hasFound, visited.insert(Swift.ObjectIdentifier(type)).inserted else { return }
        var message = Message()
        message.visit(&self)
    }
}
