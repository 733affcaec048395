/// A message of upstream's services, declared once for all of its encodings.
///
/// A message is a struct with a default for each property and one list of its fields:
///
/// ```swift
/// package struct GetKeyArgs: RPCMessage {
///     package var path = ""
///     package var purpose = ""
///     package init() {}
///
///     package mutating func visit(_ fields: inout some RPCFieldVisitor) {
///         fields.value(1, "path", &path)
///         fields.value(2, "purpose", &purpose)
///     }
/// }
/// ```
///
/// The list is a walk over the properties in the order of declaration, not data: a walker that encodes, decodes or
/// describes comes by, and what it does costs no allocation and no key path per field.
///
/// A message prints the sizes of its fields, never their contents: many hold keys.
package protocol RPCMessage: Sendable, Equatable, CustomStringConvertible {
    /// The default message: empty texts, zeros, nothing present.
    init()

    /// Shows every field to the visitor, in the order of declaration. It must not depend on the fields' values.
    mutating func visit(_ fields: inout some RPCFieldVisitor)

    /// Whether the message has no content by definition, as ``RPCEmpty``: what a peer sends in its place is not looked
    /// at, and its JSON is `null`.
    static var isVoid: Bool { get }
}

extension RPCMessage {
    package static var isVoid: Bool { false }

    /// A message with some fields set: `.with { $0.path = "a" }`.
    package static func with<Failure: Error>(
        _ fill: (inout Self) throws(Failure) -> Void
    ) throws(Failure) -> Self {
        var message = Self()
        try fill(&message)
        return message
    }
}

/// What walks over a message's fields.
///
/// Numbers and names are those of upstream's .proto files; the names are JSON's too.
package protocol RPCFieldVisitor {
    /// A field that is always there. Protobuf leaves it out where it has the default value; JSON never does, except
    /// where `omittedFromJSONIfDefault` says so.
    mutating func value<Scalar: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ value: inout Scalar, omittedFromJSONIfDefault: Bool)
    /// An `optional` field; `null` in JSON where there is no value, and nothing at all for one beyond upstream's, which have
    /// numbers from 1001 on.
    mutating func optional<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ value: inout Scalar?)
    mutating func repeated<Scalar: RPCScalar>(_ number: UInt32, _ name: StaticString, _ values: inout [Scalar])
    /// A message inside this one, which is optional always, declared `optional` or not.
    mutating func message<Message: RPCMessage>(_ number: UInt32, _ name: StaticString, _ message: inout Message?)
    mutating func messages<Message: RPCMessage>(_ number: UInt32, _ name: StaticString, _ messages: inout [Message])
    /// A `map`; in JSON an object whose names are the keys' texts.
    mutating func map<Key: RPCMapKey, Value: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ values: inout [Key: Value])
}

extension RPCFieldVisitor {
    package mutating func value<Scalar: RPCScalar>(
        _ number: UInt32, _ name: StaticString, _ value: inout Scalar
    ) {
        self.value(number, name, &value, omittedFromJSONIfDefault: false)
    }
}

/// `google.protobuf.Empty`: of a method that takes, or returns, nothing.
package struct RPCEmpty: RPCMessage {
    package init() {}
    package mutating func visit(_ fields: inout some RPCFieldVisitor) {}
    package static var isVoid: Bool { true }
}

/// What a message may cost to decode, beside its own length, which whoever receives it bounds.
package struct RPCLimits: Sendable, Hashable {
    /// How deep messages, and values that nobody asked for, may nest.
    package var maximumDepth = 64
    /// In protobuf the elements of all repeated fields and maps together, in JSON all values: two bytes of input can
    /// stand for some hundred bytes of memory.
    package var maximumElements = 1 << 18

    package init() {}

    /// How many elements a message of so many bytes may have in protobuf, however many ``maximumElements`` allows: one
    /// for four bytes, and in any case some thousands.
    static func maximumElements(in byteCount: Int) -> Int { max(1 << 12, byteCount / 4) }
}
