package import DstackHTTP

/// The first part of a request, checked: request line, headers, and what they say about the body and the connection.
package struct HTTPRequestHead: Sendable {
    package enum Version: Sendable, Hashable {
        case http10
        case http11
    }

    /// How the end of the body is known. A request that leaves room for two readings never gets here.
    package enum Framing: Sendable, Hashable {
        case none
        case length(Int)
        case chunked
    }

    package var method: HTTPMethod { parts.method }
    /// The target's path as sent, percent-encoding and all; `*` for `OPTIONS *`.
    package var path: String { parts.path }
    /// What followed the first `?`, as sent.
    package var query: String? { parts.query }
    package var version: Version { parts.version }
    package var headers: HTTPHeaders { parts.headers }
    /// The first `Content-Type`, which says how to read the body.
    package var contentType: String? { parts.contentType }
    /// From the absolute target or the Host header; nil if there was neither.
    package var host: String? { parts.host }
    package var framing: Framing { parts.framing }
    /// Whether the client wants to send another request on this connection.
    package var keepsAlive: Bool { parts.keepsAlive }
    /// Whether the client waits for `100 Continue` before it sends the body.
    package var expectsContinue: Bool { parts.expectsContinue }

    /// In one place, because a head goes through many hands.
    private let parts: Parts

    init(_ parts: Parts) { self.parts = parts }

    final class Parts: Sendable {
        let method: HTTPMethod
        let path: String
        let query: String?
        let version: Version
        let headers: HTTPHeaders
        let contentType: String?
        let host: String?
        let framing: Framing
        let keepsAlive: Bool
        let expectsContinue: Bool

        init(
            method: HTTPMethod, path: String, query: String?, version: Version, headers: HTTPHeaders, host: String?,
            framing: Framing, keepsAlive: Bool, expectsContinue: Bool
        ) {
            self.method = method
            self.path = path
            self.query = query
            self.version = version
            self.headers = headers
            contentType = headers["Content-Type"]
            self.host = host
            self.framing = framing
            self.keepsAlive = keepsAlive
            self.expectsContinue = expectsContinue
        }
    }
}

/// Why a message is not accepted: the status to answer with before closing, and a reason for the log and the peer.
package struct HTTPRefusal: Error, Sendable, Equatable {
    package let status: Int
    package let reason: String

    package init(_ status: Int, _ reason: String) {
        self.status = status
        self.reason = reason
    }

    static func bodyTooLarge(_ limit: Int) -> HTTPRefusal { HTTPRefusal(413, "the body is over \(limit) bytes") }
    static let tooMuchAtOnce = HTTPRefusal(503, "too much is being received at once")
}
