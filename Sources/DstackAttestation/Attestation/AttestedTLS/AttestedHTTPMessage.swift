/// A request of an ``AttestedHTTPClient``.
public struct AttestedHTTPRequest: Sendable {
    /// The method, upper-case: "GET", "POST".
    public var method: String
    /// An absolute `https` URL in ASCII, without user name and password.
    public var url: String
    /// Sent as they are. Length headers follow from the body and are refused here.
    public var headers: HTTPFields
    /// The body; nil for none.
    public var body: [UInt8]?
    /// For the whole exchange; nil for the client's.
    public var timeout: Duration?

    /// A request.
    public init(
        _ method: String, _ url: String, headers: HTTPFields = HTTPFields(), body: [UInt8]? = nil,
        timeout: Duration? = nil
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.timeout = timeout
    }
}

/// A whole response of an attested peer. Any status is a response; none is an error.
public struct AttestedHTTPResponse: Sendable {
    /// The status code.
    public let status: Int
    /// The header.
    public let headers: HTTPFields
    /// The body.
    public let body: [UInt8]
    /// Who answered: the peer of the connection that the request went over, with the report by which it was accepted
    /// before the request was sent.
    public let peer: AttestedPeer

    /// The body as text; nil if it is not UTF-8.
    public var text: String? { String(validating: body, as: UTF8.self) }
}
