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

    package let method: HTTPMethod
    /// The target's path as sent, percent-encoding and all; `*` for `OPTIONS *`.
    package let path: String
    /// What followed the first `?`, as sent.
    package let query: String?
    package let version: Version
    package let headers: HTTPHeaders
    /// From the absolute target or the Host header; nil if there was neither.
    package let host: String?
    package let framing: Framing
    /// Whether the client wants to send another request on this connection.
    package let keepsAlive: Bool
    /// Whether the client waits for `100 Continue` before it sends the body.
    package let expectsContinue: Bool
}

/// Why a message is not accepted: the status to answer with before closing, and a reason for the log and the peer.
package struct HTTPRefusal: Error, Sendable, Equatable {
    package let status: Int
    package let reason: String

    package init(_ status: Int, _ reason: String) {
        self.status = status
        self.reason = reason
    }
}
