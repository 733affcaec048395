/// Scheme, host and port of a URL: what connections are kept for.
package struct HTTPOrigin: Hashable, Sendable, CustomStringConvertible {
    package let scheme: String
    package let host: String
    /// Nil for the scheme's own.
    package let port: String?

    /// - Throws: ``HTTPClientError`` with code `invalidRequest` for what a request could not be sent to.
    package init(of url: String) throws(HTTPClientError) {
        do throws(RequestProblem) {
            let url = try RequestURL(url)
            scheme = url.scheme
            host = url.host.lowercased()
            port = url.port
        } catch {
            throw HTTPClientError(.invalidRequest, .preparing, subject: "URL", reason: error.reason)
        }
    }

    /// "https://example.org:8443"
    package var description: String { "\(scheme)://\(host)" + (port.map { ":\($0)" } ?? "") }
}
