import DstackEncoding
import DstackHTTP
import DstackHTTPServer
import DstackSystem

/// `/logs/<name>`: a container's output as plain text, for programs and for `curl`.
extension Dashboard {
    func logs(_ name: String, _ request: HTTPServerRequest) async -> HTTPServerResponse {
        let parameters: LogParameters
        do {
            parameters = try LogParameters(request.queryItems, now: clock.unixSeconds)
        } catch {
            return Self.refusal(error.status, error.reason)
        }
        guard let engine else { return Self.refusal(400, "there is no container engine") }
        guard let name = ContainerName(name) else { return Self.refusal(400, "Invalid container name") }
        let logs: ContainerLogs
        do {
            logs = try await engine.logs(of: name, parameters.query)
        } catch {
            return Self.refusal(error.code == .noSuchContainer ? 404 : 400, "\(error)")
        }
        return HTTPServerResponse(
            200, headers: Self.plainTextHeaders,
            body: .stream { writer in
                var encoder = LogEncoder(parameters.format)
                // One piece a frame, as soon as it is there; a slow client holds the engine up.
                while let frame = try await logs.next() {
                    try await writer.write(encoder.encode(frame))
                }
            })
    }

    static let plainTextHeaders: HTTPHeaders = [
        "Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
    ]

    /// `{"error":"…"}`
    static func refusal(_ status: Int, _ reason: String) -> HTTPServerResponse {
        var writer = JSONWriter()
        writer.object { $0.member("error", reason) }
        return .json(writer.bytes, status: status)
    }
}
