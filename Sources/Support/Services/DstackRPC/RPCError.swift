import DstackEncoding

/// Why a call is answered with an error: a text for whoever called, and the HTTP status.
///
/// Upstream answers every failure with 400 and its clients only look whether the status is 2xx. Here 400 is for what
/// the caller can do something about, a denial among them; a service's own faults have a status of 500 and above.
package struct RPCError: Error, Sendable, Hashable, CustomStringConvertible {
    package let status: Int
    /// The chain of causes from the outside in, joined by `: `; never a secret.
    package let message: String

    package init(_ message: String, status: Int = 400) {
        self.status = status
        self.message = message
    }

    package var description: String { message }

    /// The text is upstream's, which calls a method a service.
    package static func unknownMethod(_ name: String, status: Int = 400) -> RPCError {
        RPCError("Service not found: \(name)", status: status)
    }

    /// The text is upstream's.
    package static let payloadTooLarge = RPCError("failed to read data: payload too large", status: 413)

    /// The error's body: in JSON an object indented by two spaces with the one member `error`.
    package func body(as encoding: RPCEncoding) -> [UInt8] {
        switch encoding {
        case .json:
            var json = Array("{\n  \"error\": ".utf8)
            JSONText.append(message, to: &json)
            json.append(contentsOf: "\n}".utf8)
            return json
        case .protobuf:
            return RPCErrorMessage(message).protobuf
        }
    }
}

/// The protobuf form of an error (`ProtoError` of the generator, `PrpcError` in upstream's own file).
package struct RPCErrorMessage: RPCMessage {
    package var message = ""

    package init() {}
    package init(_ message: String) { self.message = message }

    package mutating func visit(_ fields: inout some RPCFieldVisitor) {
        fields.value(1, "message", &message)
    }
}
