import DstackCrypto
import DstackEncoding
import DstackHTTP
import DstackHTTPServer
import DstackRPC

/// A call's message as it came in.
struct RPCPayload: Sendable {
    let encoding: RPCEncoding
    private let request: HTTPServerRequest

    /// Finds out what a request speaks, by upstream's rule: JSON if the method is GET, if the query has `json`, or if
    /// the type is JSON's; else protobuf. What the client accepts plays no part.
    init(_ request: HTTPServerRequest) {
        self.request = request
        encoding = request.method != .post || Self.isJSON(request) ? .json : .protobuf
    }

    private static func isJSON(_ request: HTTPServerRequest) -> Bool {
        if let type = request.head.contentType {
            if HTTPSyntax.equalIgnoringCase(type, RPCEncoding.json.contentType) { return true }
            let media = type.utf8.prefix {
                $0 != UInt8(ascii: ";") && $0 != UInt8(ascii: " ") && $0 != UInt8(ascii: "\t")
            }
            if HTTPSyntax.equalIgnoringCase(String(Substring(media)), RPCEncoding.json.contentType) { return true }
        }
        guard let query = request.query else { return false }
        if query == "json" { return true }
        return request.queryItems?.contains { $0.name == "json" && ["", "1", "true"].contains($0.value) } ?? false
    }

    var isPost: Bool { request.method == .post }
    /// Of a POST that says everything in it, unless it may be secret.
    var body: [UInt8]? { isPost && request.secretBody == nil && !hasParameters ? request.body : nil }
    /// Whether the query says more than that the body is JSON.
    private var hasParameters: Bool { request.query.map { $0 != "json" } ?? false }
    var byteCount: Int { isPost ? request.bodyCount : request.query?.utf8.count ?? 0 }

    /// - Throws: also where a name is a field's in another spelling.
    func message<Message: RPCMessage>(_ limits: RPCLimits) throws(DecodingFailure) -> Message {
        // A method that takes nothing does not look at what it was given.
        if Message.isVoid { return Message() }
        if isPost {
            if hasParameters { try refuseFields(of: Message.self) }
            return try posted(limits)
        }
        guard request.bodyCount == 0 else {
            throw DecodingFailure(
                .unsupported, "body", "\(request.method) takes its parameters from the query: send POST, or no body")
        }
        return try Message(query: try queryItems(), unknownFields: .refusedWhereMisspelled)
    }

    private func queryItems() throws(DecodingFailure) -> [(name: String, value: String)] {
        guard let items = request.queryItems else {
            throw DecodingFailure(.malformed, "query", "percent-encoded UTF-8 expected")
        }
        return items
    }

    /// A POST's parameters are in its body. Whoever puts one into the query believes that it counts, and without it the message
    /// asks for something else.
    private func refuseFields<Message: RPCMessage>(of type: Message.Type) throws(DecodingFailure) {
        let fields = Message.fieldNames
        for (name, _) in try queryItems() where name != "json" {
            guard let field = fields.meant(by: name) else { continue }
            throw DecodingFailure(
                .unsupported, "query", "a POST has its parameters in the body: put \"\(field)\" there")
        }
    }

    /// But for white space.
    private var firstByte: UInt8? {
        func first(_ bytes: some Sequence<UInt8>) -> UInt8? { bytes.first { !" \t\r\n".utf8.contains($0) } }
        if let secret = request.secretBody { return secret.withUnsafeBytes { first($0) } }
        return first(request.body)
    }

    private func posted<Message: RPCMessage>(_ limits: RPCLimits) throws(DecodingFailure) -> Message {
        do throws(DecodingFailure) {
            if let secret = request.secretBody {
                return try Message(
                    decoding: secret, as: encoding, limits: limits, unknownFields: .refusedWhereMisspelled)
            }
            return try Message(
                decoding: request.body, as: encoding, limits: limits, unknownFields: .refusedWhereMisspelled)
        } catch {
            // In protobuf a brace would begin a group, which no message here has. What curl sends without being told a
            // type is JSON more often than not.
            guard encoding == .protobuf, firstByte == UInt8(ascii: "{") else { throw error }
            let type =
                request.head.contentType.map { "the content type is \($0.prefix(80))" } ?? "there is no content type"
            throw DecodingFailure(
                .malformed, "body", "it looks like JSON, and \(type): send Content-Type: application/json")
        }
    }
}
