import DstackEncoding
import DstackHTTP
import DstackSystem

/// What a peer said with an error, in any of the forms in use, made fit to be shown.
enum RPCErrorText {
    private static let maximumLength = 1_000

    static func read(_ body: [UInt8], contentType: String?) -> String {
        let text = json(body) ?? protobuf(body, contentType)
        let shown =
            text.map { SafeText.line($0, limit: maximumLength) } ?? SafeText.line(bytes: body, limit: maximumLength)
        return shown.isEmpty ? "without a reason" : shown
    }

    /// `{"error": "…"}`, or a web framework's `{"error": {"code": 404, "reason": "…", "description": "…"}}`.
    private static func json(_ body: [UInt8]) -> String? {
        guard body.count <= 1 << 20,
            let document = try? JSONDocument(parsing: body, subject: "error", maximumDepth: 8, maximumValues: 1_000),
            let error = document.root["error"]
        else { return nil }
        return try? (error["description"] ?? error["reason"] ?? error).string()
    }

    private static func protobuf(_ body: [UInt8], _ contentType: String?) -> String? {
        guard let contentType, HTTPSyntax.equalIgnoringCase(contentType, RPCEncoding.protobuf.contentType),
            body.count <= 1 << 20, let error = try? RPCErrorMessage(protobuf: body)
        else { return nil }
        return error.message
    }
}
