package import DstackNetwork

/// How an ``HTTPClient`` reaches and recognises its peers. One client has one configuration: connections are shared
/// among its requests, so what they were verified by must be the same for all.
package struct HTTPClientConfiguration: Sendable {
    package enum Transport: Sendable, Hashable {
        /// TCP to the URL's host, through the proxy if one is set.
        case network
        /// A Unix socket; the URL's host only names the peer.
        case unix(path: String)
        /// A Linux abstract Unix socket; the name without its leading zero byte.
        case abstractUnix(name: String)
        /// A vsock peer: 2 is the host, 3 and above are virtual machines.
        case vsock(cid: UInt32, port: UInt32)
    }

    package enum Redirects: Sendable, Hashable {
        /// A 3xx is the response.
        case refused
        /// GET and HEAD follow up to so many, each to the scheme of the request.
        case followed(atMost: Int)
    }

    package var transport: Transport = .network
    package var proxy: HTTPProxy = .fromEnvironment()
    package var trust: ServerTrust = .system
    /// Whom the server may ask for.
    package var clientIdentity: TLSCredentials?
    package var limits = HTTPClientLimits()
    package var redirects: Redirects = .refused
    /// Sent as `User-Agent`.
    package var userAgent = "dstack"
    /// At once, to all peers; more requests wait (within their total timeout).
    package var maximumConnections = 64
    /// How long after its handshake a connection serves new requests; whole seconds, nil for no such limit.
    package var maximumConnectionAge: Duration?
    /// Whether responses carry the server's certificates.
    package var reportsPeerCertificates = false

    package init() {}

    package init(
        transport: Transport = .network, trust: ServerTrust = .system, limits: HTTPClientLimits = .init()
    ) {
        self.transport = transport
        self.trust = trust
        self.limits = limits
    }
}

/// By what a client recognises a server.
///
/// TLS sessions are never resumed, so every new connection passes the whole of this check.
package struct ServerTrust: Sendable {
    package enum Authorities: Sendable, Hashable {
        /// Those of the operating system.
        case system
        /// Only these, PEM.
        case pem([UInt8])
        /// Only those in this PEM file.
        case file(String)
    }

    /// What a verifier is shown.
    package struct Peer: Sendable {
        /// Certificates, leaf first, DER: the verified chain up to its authority if ``ServerTrust/checksChain``, else
        /// what the server presented.
        package let certificates: [[UInt8]]
        /// The URL's host.
        package let host: String
        /// The connection that is being made.
        package let connection: HTTPClientConnection
    }

    /// A refusal's reason becomes the error's.
    package typealias Verdict = TLSVerifier.Verdict

    /// Decides in the middle of the handshake, on the thread of all clients: a slow verifier holds up their other requests,
    /// and one that waits for a request waits for ever.
    package typealias Verifier = @Sendable (Peer) -> Verdict

    package var authorities: Authorities
    /// Whether the chain must lead to one of the ``authorities``.
    package private(set) var checksChain: Bool
    /// Whether the leaf must be for the URL's host.
    package private(set) var checksHost: Bool
    package private(set) var verifier: Verifier?
    /// Asked before each request, on the thread of all clients, whether what a connection was accepted by still holds, for what
    /// expires sooner than connections do. Where it does not, the connection closes, and the request fails with
    /// ``HTTPClientError/Code/connectionChanged`` before a byte of it is sent. Nil where nothing expires.
    package var stillAccepts: (@Sendable (HTTPClientConnection) -> Bool)?
    /// Called with each new connection's `SSL_CTX` (OpenSSL's own pointer) after all other settings; false fails the
    /// request. The pointer is valid during the call.
    package var configureTLS: (@Sendable (OpaquePointer) -> Bool)?

    private init(authorities: Authorities, checksChain: Bool, checksHost: Bool, verifier: Verifier?) {
        self.authorities = authorities
        self.checksChain = checksChain
        self.checksHost = checksHost
        self.verifier = verifier
    }

    /// Chain, dates and host, with the operating system's authorities.
    package static let system = chain(to: .system)

    /// Chain, dates and host; then the verifier, if any, which can only refuse more.
    package static func chain(to authorities: Authorities, and verifier: Verifier? = nil) -> ServerTrust {
        ServerTrust(authorities: authorities, checksChain: true, checksHost: true, verifier: verifier)
    }

    /// The verifier alone, as for certificates that prove themselves (RA-TLS): no authority, no dates, and the host
    /// only if asked for. TLS still proves that the peer holds the leaf's key.
    package static func only(checksHost: Bool = false, _ verifier: @escaping Verifier) -> ServerTrust {
        ServerTrust(authorities: .pem([]), checksChain: false, checksHost: checksHost, verifier: verifier)
    }
}
