/// One method of a service, declared once for those who serve it and those who call it.
///
/// ```swift
/// static let getKey = RPCMethod<GetKeyArgs, GetKeyResponse>("DstackGuest", "GetKey", .repeatable)
/// ```
package struct RPCMethod<Request: RPCMessage, Response: RPCMessage>: Sendable {
    /// What a client may do when a kept connection breaks before the answer.
    package enum Repetition: Sendable, Hashable {
        /// Doing the call twice does no harm.
        case repeatable
        /// It might, so every call gets a connection of its own.
        case once
    }

    package let service: String
    package let name: String
    package let repetition: Repetition

    package init(_ service: String, _ name: String, _ repetition: Repetition) {
        self.service = service
        self.name = name
        self.repetition = repetition
    }

    /// The same method under another service's name, as where one service is a superset of another.
    package func of(_ service: String) -> RPCMethod { RPCMethod(service, name, repetition) }
}
