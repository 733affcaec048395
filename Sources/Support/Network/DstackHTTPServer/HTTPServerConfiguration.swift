package import DstackHTTP
package import DstackNetwork
package import DstackSystem

/// Where and within what bounds an ``HTTPServer`` serves.
package struct HTTPServerConfiguration: Sendable {
    package var listeners: [HTTPListener]
    package var limits: HTTPServerLimits
    /// Told of what happens beside the handlers, on the loop's thread: it must be quick.
    package var observer: (@Sendable (HTTPServerEvent) -> Void)?
    /// Makes the answer to a request that is refused before it reaches a handler, on the loop's thread; nil for its
    /// reason as text. The connection closes whatever it says.
    package var refusal: (@Sendable (HTTPRefusal) -> HTTPServerResponse)?
    /// What holds for a request with this head, by where it came in; asked before any of its body is read, on the loop's
    /// thread. Nil where the listener's limits are all there is.
    package var route: (@Sendable (HTTPRequestHead, _ listener: String) -> HTTPRouteRules)?
    /// Where handlers run; nil for the threads that all tasks of the process share.
    package var threads: HandlerThreads?

    package init(
        listeners: [HTTPListener], limits: HTTPServerLimits = .init(),
        observer: (@Sendable (HTTPServerEvent) -> Void)? = nil,
        refusal: (@Sendable (HTTPRefusal) -> HTTPServerResponse)? = nil
    ) {
        self.listeners = listeners
        self.limits = limits
        self.observer = observer
        self.refusal = refusal
    }
}

/// What peers may take. Times are absolute unless said: a peer that sends one byte a second gains nothing by it.
package struct HTTPServerLimits: Sendable, Hashable {
    package var maximumHeaderBytes = 32 << 10
    package var maximumHeaderCount = 100
    package var maximumBodyBytes = 1 << 20
    /// Over all connections: the parts of request bodies that are held. What would exceed it is answered with 503.
    package var maximumBufferedBodyBytes = 256 << 20
    /// One more takes the place of one that wastes its own (``PlaceEviction``); it is turned away only where all are being
    /// served.
    package var maximumConnections = 4096
    /// Requests with a handler at once, three quarters of them at most for one address of the network; what comes beyond is
    /// answered with 503.
    package var maximumRequestsInFlight = 1024
    /// Clients that are judged at once (``TLSPeerJudge``), half of them for one address; one more is closed.
    package var maximumJudgements = 256
    /// For a handshake, and as long again for judging the client after it.
    package var handshakeTimeout = Duration.seconds(10)
    /// From the first byte of a request to the end of its header, and from connecting to the first byte.
    package var headerTimeout = Duration.seconds(15)
    /// From the end of the header to the end of the body.
    package var bodyTimeout = Duration.seconds(60)
    /// A body of which less comes for five seconds is refused, long before its time; one that is behind goes first where
    /// places or memory are short.
    package var minimumBytesPerSecond = 1024
    /// Between a response and the first byte of the next request.
    package var idleTimeout = Duration.seconds(75)
    /// How long a client may take nothing of what is sent to it.
    package var writeTimeout = Duration.seconds(30)
    /// How long a handler may take; then it is cancelled and answered for with 504. Nil for no limit.
    package var handlerTimeout: Duration?

    package init() {}
}

/// What holds for some requests beside the limits of their listener.
package struct HTTPRouteRules: Sendable, Hashable {
    /// The largest body. Nil for the listener's ``HTTPServerLimits/maximumBodyBytes``, which is also the most where bodies are
    /// handed over whole: only what is read as it comes may be larger.
    package var maximumBodyBytes: Int?
    /// Whether the handler begins with the head and reads the body as it comes (``HTTPServerRequest/incoming``). Then it may
    /// take as long as the handler does, but must not stand still (``HTTPServerLimits/minimumBytesPerSecond``).
    package var streamsBody = false
    /// How long the handler may take, in place of ``HTTPServerLimits/handlerTimeout``.
    package var handlerTimeout: Duration?

    package init(maximumBodyBytes: Int? = nil, streamsBody: Bool = false, handlerTimeout: Duration? = nil) {
        self.maximumBodyBytes = maximumBodyBytes
        self.streamsBody = streamsBody
        self.handlerTimeout = handlerTimeout
    }

    static let none = HTTPRouteRules()
}

/// One address that a server listens at.
package struct HTTPListener: Sendable {
    /// Reported with each request.
    package var name: String
    package var endpoint: ListeningPlace
    /// Nil for plain HTTP.
    package var tls: HTTPServerTLS?
    /// Whether an HTTP/1.1 request must have a Host header. Preset: over TCP, where one address may have many hosts.
    package var requiresHost: Bool
    /// Whether ``HTTPPeer/process`` is there for clients of a Unix socket. It costs a descriptor for each connection until
    /// the process is looked up.
    package var identifiesProcesses = false
    /// Whether requests may hold secrets. What is read from its connections lies in memory that is wiped then, and bodies are
    /// handed over as ``HTTPServerRequest/secretBody``; not those that handlers read as they come.
    package var receivesSecrets = false
    /// What peers of this listener may take, in place of the server's. What all connections share stays the server's: how many
    /// there are, how many requests are under way and clients are judged, and the memory for bodies.
    package var limits: HTTPServerLimits?

    package init(_ name: String, _ endpoint: ListeningPlace, tls: HTTPServerTLS? = nil) {
        self.name = name
        self.endpoint = endpoint
        self.tls = tls
        requiresHost = if case .tcp = endpoint { true } else { false }
    }
}

/// The TLS side of a listener.
package typealias HTTPServerTLS = TLSServerSettings

extension TLSServerSettings {
    /// For HTTP/1.1. Where clients offer other protocols only, they are served all the same: HTTP/1.1 is what they get.
    ///
    /// - Parameters:
    ///   - certificateChain: PEM, leaf first.
    ///   - privateKey: PEM, unencrypted.
    package init(certificateChain: [UInt8], privateKey: [UInt8], clientCertificates: ClientCertificates? = nil) {
        self.init(
            http: TLSCredentials(certificateChain: certificateChain, privateKey: privateKey),
            clientCertificates: clientCertificates)
    }

    /// For HTTP/1.1.
    package init(http credentials: TLSCredentials, clientCertificates: ClientCertificates? = nil) {
        self.init(credentials, applicationProtocols: ["http/1.1"], clientCertificates: clientCertificates)
    }
}

/// Where a listener ended up.
package struct HTTPBoundListener: Sendable, Hashable, CustomStringConvertible {
    package let name: String
    /// "http://127.0.0.1:8080", "unix:/run/x.sock", "vsock:2:10000"
    package let description: String
    /// Of a TCP or vsock listener.
    package let port: UInt32?

    init(_ listener: HTTPListener, _ socket: borrowing ListeningSocket) {
        name = listener.name
        switch (listener.endpoint, socket.address?.remote) {
        case (_, .internet(let host, let port)?):
            description = "\(listener.tls == nil ? "http" : "https")://\(SocketAddress.authority(host, port))"
            self.port = UInt32(port)
        case (_, .vsock(let cid, let port)?):
            description = "\(SocketAddress.vsock(cid: cid, port: port))"
            self.port = port
        case (.unix(let path, _), nil):
            description = "\(SocketAddress.unix(path: path))"
            port = nil
        default:
            description = "descriptor \(socket.descriptor)"
            port = nil
        }
    }

    package init(name: String, description: String, port: UInt32?) {
        self.name = name
        self.description = description
        self.port = port
    }
}

/// What a server does beside answering.
package enum HTTPServerEvent: Sendable {
    /// A handler's or the server's own answer has been handed to the connection.
    case answered(listener: String, peer: HTTPPeer.Address, method: HTTPMethod, path: String, status: Int)
    /// A request that never reached a handler; the connection closes.
    case refused(listener: String, peer: HTTPPeer.Address, HTTPRefusal)
    case handshakeFailed(listener: String, peer: HTTPPeer.Address, reason: String)
    /// A client was refused by its certificates, after the handshake or later.
    case clientRefused(listener: String, peer: HTTPPeer.Address, reason: String)
    /// A connection was closed, old or new, because there are too many.
    case overloaded(listener: String)
    /// The system has no more descriptors or memory; accepting pauses for a moment.
    case acceptFailed(listener: String, reason: String)
    /// A handler's response could not be sent as it was and became a 500.
    case invalidResponse(listener: String, path: String, reason: String)
}

/// Why a server does not start.
package struct HTTPServerError: ExplainedFailure, Sendable, CustomStringConvertible {
    package enum Code: Sendable, Hashable {
        /// The address is malformed, taken, or not of this machine.
        case listen
        /// The certificate or key cannot be used.
        case tls
        /// No thread, memory or descriptors; or the machine lacks the kind of socket.
        case system
        /// The server runs already, or has run.
        case state
    }

    package let code: Code
    /// The listener's name.
    package let subject: String
    package let reason: String
    /// What to do about it; nil if there is nothing to say.
    package let hint: String?

    package init(_ code: Code, _ subject: String, _ reason: String, hint: String? = nil) {
        self.code = code
        self.subject = subject
        self.reason = reason
        self.hint = hint
    }

    package var description: String { "\(subject): \(reason)" }

    package var exitStatus: ExitStatus { .worldFailed }
}
