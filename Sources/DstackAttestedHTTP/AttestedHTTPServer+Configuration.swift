public import DstackAttestation
import DstackHTTP
import DstackHTTPServer
import DstackNetwork
import DstackSystem

extension AttestedHTTPServer {
    /// Where a server listens, whom it lets in, and its bounds.
    public struct Configuration: Sendable {
        /// Whether clients are asked who they are.
        public enum Clients: Sendable {
            /// They are not.
            case notAsked
            /// A client may have a certificate; one that has a certificate without acceptable evidence is refused. The first of
            /// a platform that was not seen before waits for its collateral, no longer than a handshake may take.
            case optional(AttestedPeerVerifier)
            /// Every client needs a certificate with acceptable evidence.
            case required(AttestedPeerVerifier)

            var verifier: AttestedPeerVerifier? {
                switch self {
                case .notAsked: nil
                case .optional(let verifier), .required(let verifier): verifier
                }
            }
        }

        /// An address or a host name of this machine.
        public var host: String
        /// The port; 0 for any free one.
        public var port: UInt16
        /// Whether clients are asked who they are.
        public var clients = Clients.notAsked
        /// The largest body of a request.
        public var maximumBodyByteCount = 1 << 20
        /// Connections at once. One more takes the place of one that wastes its own: that sends or takes too slowly, or asks
        /// for nothing; of the address that has most of these. The limit of the process's descriptors is raised for
        /// them, and no more than half of it is used.
        public var maximumConnections = 4096
        /// How long the handler may take, and the making of evidence.
        public var requestTimeout = Duration.seconds(60)
        /// How often one connection may ask for evidence about itself. Once is enough for a client that keeps it.
        public var maximumEvidencePerConnection = 8
        /// How much evidence is made at once, by all connections together: a quote takes the machine milliseconds to
        /// seconds. What comes beyond is told to come back.
        public var maximumEvidenceAtOnce = 4
        /// How often the certificate's age is looked at, and how long a failed renewal waits for the next try.
        public var renewalCheckInterval = Duration.seconds(60)

        /// A configuration; by default any free port of this machine alone.
        public init(host: String = "127.0.0.1", port: UInt16 = 0) {
            self.host = host
            self.port = port
        }
    }

    /// What a server does beside answering.
    public enum Event: Sendable {
        /// A handshake failed, or a client was refused by its evidence after it; the reason says why. After the first twenty at most one a second is
        /// told of, since anybody can have as many as he likes.
        case handshakeFailed(peer: String, reason: String)
        /// So many more handshakes failed than were told of.
        case handshakeFailuresLeftOut(count: Int)
        /// Evidence about a connection could not be made.
        case evidenceFailed(peer: String, reason: String)
        /// New connections have a new certificate.
        case renewed(notAfter: Int64)
        /// The certificate could not be renewed; it is tried again.
        case renewalFailed(reason: String)
    }
}

extension AttestedHTTPServer.Configuration {
    func http(
        _ name: String, _ identity: TLSIdentity, _ observer: (@Sendable (AttestedHTTPServer.Event) -> Void)?
    ) -> HTTPServerConfiguration {
        let tls = HTTPServerTLS(http: identity.credentials, clientCertificates: clients.clientCertificates)
        var http = HTTPServerConfiguration(listeners: [HTTPListener(name, .tcp(host: host, port: port), tls: tls)])
        http.limits.maximumBodyBytes = maximumBodyByteCount
        let descriptors = Int(clamping: DescriptorLimit.raise())
        http.limits.maximumConnections = min(maximumConnections, max(16, descriptors / 2))
        http.route = { head, _ in
            HTTPRouteRules(
                maximumBodyBytes: head.path == SessionEvidence.path ? SessionWitness.maximumBodyBytes : nil)
        }
        http.limits.handlerTimeout = requestTimeout
        guard let observer else { return http }
        let reports = LimitedReports()
        http.observer = { event in
            let failure: (peer: HTTPPeer.Address, reason: String)
            switch event {
            case .handshakeFailed(_, let failed, let why), .clientRefused(_, let failed, let why):
                failure = (failed, why)
            default: return
            }
            reports.add("handshake") {
                observer(.handshakeFailed(peer: "\(failure.peer)", reason: failure.reason))
            } sum: {
                observer(.handshakeFailuresLeftOut(count: $0))
            }
        }
        return http
    }

}

extension AttestedHTTPServer.Configuration.Clients {
    /// What takes no waiting is said in the handshake, and the rest after it.
    var clientCertificates: HTTPServerTLS.ClientCertificates? {
        guard let verifier else { return nil }
        let isRequired = if case .required = self { true } else { false }
        let judge = AttestedClientJudge(verifier)
        return HTTPServerTLS.ClientCertificates(isRequired: isRequired, judge: judge) { judge.check($0) }
    }
}
