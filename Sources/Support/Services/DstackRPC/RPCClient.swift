import DstackCrypto
package import DstackHTTP
package import DstackHTTPClient

/// Calls methods of one peer, over whatever its ``HTTPClient`` is connected to: TCP, TLS, a Unix socket, vsock.
///
/// ```swift
/// let agent = RPCClient(
///     HTTPClient(.init(transport: .unix(path: "/run/dstack.sock"))), at: "http://localhost")
/// let key = try await agent.call(AgentRPC.DstackGuest.getKey, .with { $0.path = "a" })
/// ```
package struct RPCClient: Sendable {
    /// How a method's name stands in the path.
    package enum Naming: Sendable, Hashable {
        /// `/GetKey`
        case bare
        /// `/Tappd.DeriveKey`
        case qualified
    }

    private let http: HTTPClient
    /// Without a slash at the end.
    private let base: String
    package var encoding = RPCEncoding.json
    package var naming = Naming.bare
    /// Sent with every call.
    package var headers: HTTPHeaders = [:]
    /// Of one exchange; the body's size is that of the response.
    package var httpLimits = HTTPClientLimits()
    /// Of a response's decoding.
    package var limits = RPCLimits()

    /// - Parameter base: what comes before the method's name: "http://localhost", "https://kms.example:8000/prpc".
    package init(_ http: HTTPClient, at base: String) {
        self.http = http
        self.base = base.last == "/" ? String(base.dropLast()) : base
    }

    /// - Parameter timeout: for this call; nil for that of ``httpLimits``.
    package func call<Request: RPCMessage, Response: RPCMessage>(
        _ method: RPCMethod<Request, Response>, _ request: Request, timeout: Duration? = nil
    ) async throws(RPCClientError) -> Response {
        let subject = "\(method.name) of \(method.service)"
        let response: HTTPResponse
        do {
            response = try await http.send(httpRequest(method, request, timeout))
        } catch {
            throw RPCClientError(.transport, subject, reason: error.description, transport: error)
        }
        guard response.isSuccess else { throw Self.refusal(response, subject) }
        do {
            if let body = response.secretBody {
                return try Response(decoding: body, as: encoding, limits: limits)
            }
            // An empty body is what some servers send for `null`; of a message with content it is the default one
            // in protobuf only.
            if encoding == .json, response.body.isEmpty, !Response.isVoid {
                throw RPCClientError(
                    .invalidResponse, subject, status: response.status, reason: "a JSON object expected, found nothing")
            }
            return try Response(decoding: response.body, as: encoding, limits: limits)
        } catch let error as RPCClientError {
            throw error
        } catch {
            throw RPCClientError(.invalidResponse, subject, status: response.status, reason: "\(error)")
        }
    }

    /// Calls a method that takes nothing.
    package func call<Response: RPCMessage>(
        _ method: RPCMethod<RPCEmpty, Response>, timeout: Duration? = nil
    ) async throws(RPCClientError) -> Response {
        try await call(method, RPCEmpty(), timeout: timeout)
    }

    private func httpRequest<Request: RPCMessage, Response: RPCMessage>(
        _ method: RPCMethod<Request, Response>, _ message: Request, _ timeout: Duration?
    ) -> HTTPRequest {
        // Servers in use decide by the query (upstream's own client sends no type) or by the type: both are given.
        var url = "\(base)/\(naming == .qualified ? "\(method.service)." : "")\(method.name)"
        if encoding == .json { url += "?json" }
        var headers = headers
        headers["Content-Type"] = encoding.contentType
        var limits = httpLimits
        if let timeout {
            limits.totalTimeout = timeout
            limits.connectTimeout = min(limits.connectTimeout, timeout)
        }
        var request = HTTPRequest(.post, url, headers: headers, limits: limits)
        switch message.encoded(as: encoding) {
        case .plain(let bytes): request.body = bytes
        case .secret(let secret): request.secretBody = secret
        }
        request.expectsSecret = Response.holdsSecrets
        request.mayBeRepeated = method.repetition == .repeatable
        return request
    }

    private static func refusal(_ response: HTTPResponse, _ subject: String) -> RPCClientError {
        let body = response.secretBody?.copiedToUnprotectedMemory() ?? response.body
        let reason = RPCErrorText.read(body, contentType: response.headers["Content-Type"])
        // Upstream answers an unknown method with 400 and this text, newer agents with 404.
        let isUnknown = response.status == 404 || reason.hasPrefix("Service not found: ")
        return RPCClientError(isUnknown ? .unknownMethod : .refused, subject, status: response.status, reason: reason)
    }
}
