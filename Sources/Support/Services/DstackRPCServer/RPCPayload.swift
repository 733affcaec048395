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
    /// Of a POST, unless it may be secret.
    var body: [UInt8]? { isPost && request.secretBody == nil ? request.body : nil }
    var byteCount: Int { isPost ? request.bodyCount : request.query?.utf8.count ?? 0 }

    /// - Throws: also where a name is a field's in another spelling.
    func message<Message: RPCMessage>(_ limits: RPCLimits) throws(DecodingFailure) -> Message {
        // A method that takes nothing does not look at what it was given.
        if Message.isVoid { return Message() }
        if isPost { return try posted(limits) }
        guard let items = request.queryItems else {
            throw DecodingFailure(.malformed, "query", "percent-encoded UTF-8 expected")
        }
        return try Message(query: items, unknownFields: .refusedWhereMisspelled)
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
