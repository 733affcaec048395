import DstackAttestation
import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackNetwork

/// Ends TLS with an identity of its own choice, and passes every request on to another server over a connection of its
/// own: a gateway, or somebody in the middle.
final class RelayingProxy: Sendable {
    private let server: HTTPServer
    let seen: Record
    let url: String

    /// - Parameter change: what it makes of the other server's answers.
    init(
        _ identity: TLSIdentity, to target: String,
        change: @escaping @Sendable (String, HTTPServerResponse) -> HTTPServerResponse = { $1 }
    ) async throws {
        let seen = Record()
        let client = HTTPClient(HTTPClientConfiguration(trust: .only { _ in .accepted }))
        let tls = HTTPServerTLS(http: identity.credentials)
        server = HTTPServer(
            HTTPServerConfiguration(listeners: [HTTPListener("proxy", .tcp(host: "127.0.0.1", port: 0), tls: tls)])
        ) { request in
            seen.add("\(request.method) \(request.path)")
            var onward = HTTPRequest(request.method, target + request.path, body: request.body)
            onward.mayBeRepeated = true
            guard let response = try? await client.send(onward) else { return .text(502, "bad gateway\n") }
            return change(
                request.path, HTTPServerResponse(response.status, headers: [:], body: response.body))
        }
        self.seen = seen
        url = try await server.start().first?.description ?? ""
    }

    func stop() async { await server.stop(within: .zero) }
}
