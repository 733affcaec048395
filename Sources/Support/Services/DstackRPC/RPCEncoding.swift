package import DstackEncoding

/// The two forms of a message on the wire.
package enum RPCEncoding: Sendable, Hashable {
    case json
    case protobuf

    package var contentType: String {
        switch self {
        case .json: "application/json"
        case .protobuf: "application/octet-stream"
        }
    }
}

extension RPCMessage {
    package func encoded(as encoding: RPCEncoding) -> [UInt8] {
        switch encoding {
        case .json: json
        case .protobuf: protobuf
        }
    }

    /// - Parameter bytes: a whole message. Without any bytes it is the default message.
    package init(
        decoding bytes: [UInt8], as encoding: RPCEncoding, limits: RPCLimits = .init(),
        unknownFields: RPCUnknownFields = .ignored
    ) throws(DecodingFailure) {
        switch encoding {
        case .json: try self.init(json: bytes, limits: limits, unknownFields: unknownFields)
        case .protobuf: try self.init(protobuf: bytes, limits: limits)
        }
    }

    /// proto3, fields in the order of declaration, defaults left out.
    package var protobuf: [UInt8] {
        var copy = self
        var encoder = ProtobufEncoder()
        copy.visit(&encoder)
        return encoder.writer.bytes
    }

    package init(protobuf bytes: [UInt8], limits: RPCLimits = .init()) throws(DecodingFailure) {
        self = Self.isVoid ? Self() : try ProtobufDecoder.decode(Self.self, from: bytes, limits: limits)
    }

    /// Upstream's JSON: compact, ASCII, every field present; `null` for a message that is void.
    package var json: [UInt8] {
        if Self.isVoid { return Array("null".utf8) }
        var copy = self
        var bytes = [UInt8]()
        bytes.reserveCapacity(256)
        JSONMessageEncoder.append(&copy, to: &bytes)
        return bytes
    }

    package init(
        json bytes: [UInt8], limits: RPCLimits = .init(), unknownFields: RPCUnknownFields = .ignored
    ) throws(DecodingFailure) {
        guard !Self.isVoid, !bytes.isEmpty else {
            self.init()
            return
        }
        let document = try JSONDocument(
            parsing: bytes, subject: "message", maximumDepth: limits.maximumDepth,
            maximumValues: limits.maximumElements)
        try self.init(json: document.root, unknownFields: unknownFields)
    }

    /// A message that is part of a larger JSON text.
    package init(json node: JSONNode, unknownFields: RPCUnknownFields = .ignored) throws(DecodingFailure) {
        self = try JSONMessageDecoder.decode(Self.self, from: node, unknownFields)
    }

    /// - Parameter items: names and values, percent-decoded.
    package init(
        query items: [(name: String, value: String)], unknownFields: RPCUnknownFields = .ignored
    ) throws(DecodingFailure) {
        self = Self.isVoid ? Self() : try QueryDecoder.decode(Self.self, from: QueryTree(items), unknownFields)
    }
}
