package import DstackCrypto
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
    package func encoded(as encoding: RPCEncoding) -> EncodedMessage {
        switch encoding {
        case .json: encodedJSON
        case .protobuf: encodedProtobuf
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

    /// - Parameter secret: a whole message in memory that is wiped, from which what is secret in it never comes out.
    package init(
        decoding secret: SharedSecret, as encoding: RPCEncoding, limits: RPCLimits = .init(),
        unknownFields: RPCUnknownFields = .ignored
    ) throws(DecodingFailure) {
        guard !Self.isVoid, secret.count > 0 else {
            self.init()
            return
        }
        switch encoding {
        case .json: self = try SecretMessageDecoder.decode(Self.self, from: secret, limits, unknownFields)
        case .protobuf: self = try ProtobufDecoder.decode(Self.self, from: ProtobufReader(secret), limits: limits)
        }
    }

    /// proto3, fields in the order of declaration, defaults left out. In ordinary memory, any secrets too.
    package var protobuf: [UInt8] { encodedProtobuf.unprotected }

    private var encodedProtobuf: EncodedMessage {
        var copy = self
        var encoder = ProtobufEncoder()
        copy.visit(&encoder)
        return encoder.writer.encoded
    }

    package init(protobuf bytes: [UInt8], limits: RPCLimits = .init()) throws(DecodingFailure) {
        self = Self.isVoid ? Self() : try ProtobufDecoder.decode(Self.self, from: ProtobufReader(bytes), limits: limits)
    }

    /// Upstream's JSON: compact, ASCII, every field present; `null` for a message that is void. In ordinary memory, any
    /// secrets too.
    package var json: [UInt8] { encodedJSON.unprotected }

    private var encodedJSON: EncodedMessage {
        if Self.isVoid { return .plain(Array("null".utf8)) }
        var copy = self
        var text = MessageText()
        text.bytes.reserveCapacity(256)
        JSONMessageEncoder.append(&copy, to: &text)
        return text.encoded
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
