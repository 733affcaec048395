public import DstackAttestation
import DstackHTTP
import DstackHTTPServer

/// A whole request, as a handler of an ``AttestedHTTPServer`` gets it.
public struct AttestedServerRequest: Sendable {
    /// The method, upper-case: "GET", "POST".
    public let method: String
    /// The path as sent, percent-encoded.
    public let path: String
    /// What follows the `?`, as sent; nil if there is none.
    public let query: String?
    /// The header.
    public let headers: HTTPFields
    /// The body.
    public let body: [UInt8]
    /// The client, where it has shown evidence.
    public let client: AttestedPeer?
    /// The client's address and port.
    public let clientAddress: String

    init(_ request: HTTPServerRequest, _ client: AttestedPeer?) {
        method = request.method.rawValue
        path = request.path
        query = request.query
        headers = HTTPFields(request.headers)
        body = request.body
        self.client = client
        clientAddress = "\(request.peer.address)"
    }
}

/// What a handler of an ``AttestedHTTPServer`` answers. Length, date and connection headers are the server's.
public struct AttestedServerResponse: Sendable {
    /// The status, 200 to 599.
    public var status: Int
    /// The header.
    public var headers: HTTPFields
    /// The body.
    public var body: [UInt8]

    /// A response.
    public init(_ status: Int, headers: HTTPFields = HTTPFields(), body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// A text.
    public static func text(_ status: Int, _ text: String) -> AttestedServerResponse {
        AttestedServerResponse(
            status, headers: ["Content-Type": "text/plain; charset=utf-8"], body: Array(text.utf8))
    }

    /// JSON.
    public static func json(_ body: [UInt8], status: Int = 200) -> AttestedServerResponse {
        AttestedServerResponse(status, headers: ["Content-Type": "application/json"], body: body)
    }

    /// 404.
    public static let notFound = text(404, "not found\n")

    var http: HTTPServerResponse { HTTPServerResponse(status, headers: headers.headers, body: body) }
}
