import DstackCommandLine
import DstackHTTP
import DstackHTTPClient
import DstackRPC
import DstackSystem

/// The listener for operators of a running service.
struct AdminConnection {
    private static let url = Option(
        "admin", .text("URL"), environment: "DSTACK_KMS_ADMIN_URL", default: "http://127.0.0.1:8001",
        "the operators' listener of the service")
    private static let tokenFile = Option("token-file", .file, "file with the operators' token")

    static let arguments: [any ArgumentDeclaration] = [url, tokenFile]

    static let note =
        "The running service is asked at its operators' listener (core.admin). The token is read from --token-file, else from "
        + "DSTACK_KMS_ADMIN_TOKEN or ADMIN_API_TOKEN."

    private let http: HTTPClient
    private let base: String
    private let headers: HTTPHeaders

    init(_ arguments: Arguments) throws {
        var configuration = HTTPClientConfiguration()
        // It is this machine's, or one that is named: what a proxy variable says is not meant for it.
        configuration.proxy = .none
        http = HTTPClient(configuration)
        let url = arguments[Self.url]
        base = url.hasSuffix("/") ? String(url.dropLast()) : url
        var headers: HTTPHeaders = ["User-Agent": "dstack-kms/\(BuildInfo.current.version)"]
        if let token = try Self.token(arguments) { headers["Authorization"] = "Bearer \(token)" }
        self.headers = headers
    }

    private static func token(_ arguments: Arguments) throws -> String? {
        if let path = arguments[tokenFile] {
            return String(decoding: try File.read(path, limit: 4_096), as: UTF8.self).trimmed
        }
        for name in ["DSTACK_KMS_ADMIN_TOKEN", "ADMIN_API_TOKEN"] {
            if let text = Environment.process[name]?.trimmed, !text.isEmpty { return text }
        }
        return nil
    }

    func call<Request: RPCMessage, Response: RPCMessage>(
        _ method: RPCMethod<Request, Response>, _ request: Request
    ) async throws -> Response {
        var client = RPCClient(http, at: "\(base)/prpc")
        client.naming = .qualified
        client.headers = headers
        do throws(RPCClientError) {
            return try await client.call(method, request, timeout: .seconds(30))
        } catch {
            throw failure(error.description, status: error.status)
        }
    }

    /// Reads an answer as it comes.
    func stream(_ path: String) async throws -> HTTPResponseStream {
        var request = HTTPRequest(.get, "\(base)\(path)")
        request.headers = headers
        let stream: HTTPResponseStream
        do {
            stream = try await http.stream(request)
        } catch {
            throw failure("\(error)", status: nil)
        }
        guard stream.status == 200 else { throw failure("status \(stream.status)", status: stream.status) }
        return stream
    }

    private func failure(_ reason: String, status: Int?) -> CommandFailure {
        switch status {
        case 401:
            CommandFailure(
                .wrongRequest, "\(base): credentials are missing or wrong",
                hint: "set DSTACK_KMS_ADMIN_TOKEN, or name a file with --token-file")
        case .some(400..<500): CommandFailure(.wrongRequest, reason)
        case .some: CommandFailure(.worldFailed, reason)
        case nil:
            CommandFailure(
                .worldFailed, reason,
                hint: "does the service run, with core.admin.enabled = true? Name its address with --admin")
        }
    }
}
