package import DstackCrypto
package import DstackHTTP

/// One request of an ``HTTPClient``.
package struct HTTPRequest: Sendable {
    package var method: HTTPMethod
    /// An absolute `http` or `https` URL in ASCII, without user name and password.
    package var url: String
    /// Sent as they are; names and values that would break the message are refused. `Content-Length` and
    /// `Transfer-Encoding` follow from the body and are refused here.
    package var headers: HTTPHeaders
    package var body: [UInt8]?
    /// A body in memory that is wiped, in place of ``body``. It is sent from there.
    package var secretBody: SharedSecret?
    /// Whether the response's body is kept in memory that is wiped: ``HTTPResponse/secretBody``. Not for one that is read as
    /// it comes.
    package var expectsSecret = false
    /// Limits for this request; nil for the client's.
    package var limits: HTTPClientLimits?
    /// Whether a second copy may be sent when a kept connection turns out to be dead before any answer.
    ///
    /// A request that must not be repeated always gets a fresh connection, because on a kept one "the peer closed it
    /// while idle" and "the peer died after doing the work" look alike. Preset from the method.
    package var mayBeRepeated: Bool
    /// The only connection that the request may go over. Where there is none of that identity any more, the request fails
    /// with ``HTTPClientError/Code/connectionChanged`` before a byte of it is sent.
    package var requiredConnection: HTTPClientConnection?
    /// If set, the response carries 32 bytes of keying material of its connection under this label (RFC 8446 section
    /// 7.5), with an empty context; without TLS 1.3 the request fails before it is sent.
    package var exporterLabel: String?
    /// Whether the exchange ends with the TLS handshake, which any server can complete, whatever it speaks (HTTP/2 is
    /// offered too) and whoever it wants to talk to. Nothing is sent; the response has status 0 and a connection.
    package var endsWithHandshake = false

    package init(
        _ method: HTTPMethod, _ url: String, headers: HTTPHeaders = [:], body: [UInt8]? = nil,
        limits: HTTPClientLimits? = nil
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.limits = limits
        mayBeRepeated = method.isIdempotent
    }
}

/// A whole response. Any status is a response; none is an error.
package struct HTTPResponse: Sendable {
    package let status: Int
    package let headers: HTTPHeaders
    /// Empty where ``HTTPRequest/expectsSecret`` was set.
    package let body: [UInt8]
    /// The body where ``HTTPRequest/expectsSecret`` was set and there is any.
    package let secretBody: SharedSecret?
    /// What the server presented, leaf first, DER; empty unless the client's `reportsPeerCertificates` is set.
    package let peerCertificates: [[UInt8]]
    /// Whether this request had to open a connection (rather than use a kept one).
    package let openedConnection: Bool
    /// The connection that the request went over; nil where no verifier was asked about it.
    package let connection: HTTPClientConnection?
    /// What ``HTTPRequest/exporterLabel`` asked for; else empty.
    package let exporter: [UInt8]
    /// How long the server asks to wait before the next request (`Retry-After`: seconds, or a time by this machine's clock);
    /// nil where it does not, or asks for no time at all.
    package let retryAfter: Duration?

    package init(
        status: Int, headers: HTTPHeaders, body: [UInt8], secretBody: SharedSecret? = nil,
        peerCertificates: [[UInt8]] = [],
        openedConnection: Bool = true, connection: HTTPClientConnection? = nil, exporter: [UInt8] = [],
        retryAfter: Duration? = nil
    ) {
        self.status = status
        self.headers = headers
        self.body = body
        self.secretBody = secretBody
        self.peerCertificates = peerCertificates
        self.openedConnection = openedConnection
        self.connection = connection
        self.exporter = exporter
        self.retryAfter = retryAfter
    }

    package var isSuccess: Bool { (200...299).contains(status) }
}

/// What one exchange may cost. Every response is hostile until it was looked at.
package struct HTTPClientLimits: Sendable, Hashable {
    package var maximumBodyBytes: Int
    /// Of all header lines of one response together.
    package var maximumHeaderBytes: Int
    /// Until a connection stands, name resolution and TLS included.
    package var connectTimeout: Duration
    /// For the whole exchange.
    package var totalTimeout: Duration
    /// How long a transfer may pass without a single byte in either direction; whole seconds, nil for no such limit.
    package var stallTimeout: Duration?

    package init(
        maximumBodyBytes: Int = 16 << 20, maximumHeaderBytes: Int = 64 << 10,
        connectTimeout: Duration = .seconds(10), totalTimeout: Duration = .seconds(60),
        stallTimeout: Duration? = nil
    ) {
        self.maximumBodyBytes = maximumBodyBytes
        self.maximumHeaderBytes = maximumHeaderBytes
        self.connectTimeout = connectTimeout
        self.totalTimeout = totalTimeout
        self.stallTimeout = stallTimeout
    }
}
