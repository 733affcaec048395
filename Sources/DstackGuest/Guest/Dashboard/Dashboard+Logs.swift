import DstackEncoding
import DstackHTTP
import DstackHTTPServer
import DstackPages
import DstackSystem

/// `/logs/<name>`: a container's output as plain text, for programs and for `curl`.
extension Dashboard {
    func logs(_ name: String, _ request: HTTPServerRequest) async -> HTTPServerResponse {
        let parameters: LogParameters
        do {
            parameters = try LogParameters(request.queryItems, now: clock.unixSeconds)
        } catch {
            return refusal(error.status, error.reason, request)
        }
        guard let containers else { return refusal(400, "there is no container engine", request) }
        guard let name = ContainerName(name) else { return refusal(400, "Invalid container name", request) }
        let logs: ContainerLogs
        let first: LogFrame?
        do {
            let container = try await containers.container(name)
            logs = try await containers.engine.logs(
                of: container, parameters.query, for: .stranger(request.peer.address.identity))
            // An engine may agree to give a log and then say in the log's place why there is none. What is not followed is
            // there at once or not at all, so that it can be waited for.
            first = parameters.query.follows ? nil : try await logs.next()
            if !parameters.query.follows, first == nil {
                return HTTPServerResponse(200, headers: Self.plainTextHeaders)
            }
        } catch {
            EngineComplaints.shared.note(error, name.text)
            return refusal(error.code == .noSuchContainer ? 404 : 400, "\(error)", request)
        }
        return HTTPServerResponse(
            200, headers: Self.plainTextHeaders,
            body: .stream { writer in
                var encoder = LogEncoder(parameters.format)
                if let first { try await writer.write(encoder.encode(first)) }
                // One piece a frame, as soon as it is there; a slow client holds the engine up.
                while true {
                    let frame: LogFrame?
                    do throws(GuestError) {
                        frame = try await logs.next()
                    } catch {
                        EngineComplaints.shared.note(error, name.text)
                        // The reason, for whoever reads it; that the answer is not whole, the connection's end says.
                        try await writer.write(encoder.failure("\(error)"))
                        throw error
                    }
                    guard let frame else { return }
                    try await writer.write(encoder.encode(frame))
                }
            })
    }

    static let plainTextHeaders: HTTPHeaders = [
        "Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
    ]

    /// `{"error":"…"}`, or a page for those who look at it in a browser.
    func refusal(_ status: Int, _ reason: String, _ request: HTTPServerRequest) -> HTTPServerResponse {
        if request.prefersPage { return problemPage("No log", reason, .warning).response(status) }
        var writer = JSONWriter()
        writer.object { $0.member("error", reason) }
        return .json(writer.bytes, status: status)
    }
}
