import DstackConcurrency
import DstackHTTP
import DstackHTTPClient
import DstackNetwork
import DstackSystem

/// An HTTPS client that talks to attested code and to nobody else.
///
/// ```swift
/// var policy = VerificationPolicy.standard
/// policy.expected.composeHash = ComposeHash(ofFile: myOwnCopyOfTheComposeFile).bytes
/// policy.expected.osImageHash = FixedBytes(hex: "the image that I trust")
/// let client = try AttestedHTTPClient(policy: policy, collateral: collateral, binding: .sessionBound)
/// let response = try await client.get("https://app.example:8443/")
/// print(response.peer.report.text())
/// ```
///
/// A request is sent only over a connection whose server was verified before, by the policy of this client. Key-bound, the
/// evidence is in the server's certificate and is verified in the handshake. Session-bound, the client asks for evidence
/// about the very connection as the first thing on it, and nothing else goes over the connection before that evidence was
/// accepted; a server that closes the connection is verified anew on the next.
///
/// Redirects are not followed: they are a response. Proxy variables of the environment are honoured; a proxy sees which
/// host is asked for and nothing else.
public final class AttestedHTTPClient: Sendable {
    /// Bounds and choices beside the policy.
    public struct Configuration: Sendable {
        /// For a whole exchange, verification included.
        public var timeout = Duration.seconds(60)
        /// Until a connection stands.
        public var connectTimeout = Duration.seconds(10)
        /// The largest body of a response.
        public var maximumBodyByteCount = 16 << 20
        /// How long a connection serves requests after its server was verified; then it is verified anew.
        public var maximumConnectionAge = Duration.seconds(600)
        /// Session-bound connections to one host at once; more requests wait. Each carries one request at a time.
        public var maximumSessionsPerHost = 4
        /// Whether the certificate must also be for the URL's host. Evidence says which code answers; a name says where.
        public var checksHostName = false
        /// Whom the server may ask for.
        public var identity: TLSIdentity?

        /// The defaults.
        public init() {}
    }

    /// What decides about servers.
    public let verifier: AttestedPeerVerifier
    /// What evidence must be tied to.
    public let binding: EvidenceBinding
    private let configuration: Configuration
    /// All key-bound connections.
    private let client: HTTPClient
    private let sessions: SessionPool

    /// A client with a verifier.
    public init(
        verifier: AttestedPeerVerifier, binding: EvidenceBinding = .keyBound,
        configuration: Configuration = Configuration()
    ) {
        self.verifier = verifier
        self.binding = binding
        self.configuration = configuration
        client = HTTPClient(configuration.http(Self.trust(verifier, .keyBound, configuration)))
        let trust = Self.trust(verifier, .sessionBound, configuration)
        sessions = SessionPool(verifier, configuration) {
            var http = configuration.http(trust)
            // The evidence and the requests after it must find the same connection.
            http.maximumConnections = 1
            return HTTPClient(http)
        }
    }

    /// A client with a policy.
    ///
    /// - Throws: as ``AttestedPeerVerifier/init(policy:collateral:acceptsAnyApplication:acceptsAnySystem:)``.
    public convenience init(
        policy: VerificationPolicy, collateral: ReadyCollateral, binding: EvidenceBinding = .keyBound,
        configuration: Configuration = Configuration()
    ) throws(AttestationError) {
        self.init(
            verifier: try AttestedPeerVerifier(policy: policy, collateral: collateral), binding: binding,
            configuration: configuration)
    }

    /// A client with a policy, a root and a source of collateral; for simulated evidence, or an authority of one's own, the
    /// root is all that differs:
    ///
    /// ```swift
    /// let client = try AttestedHTTPClient(
    ///     policy: policy, trusting: TrustAnchor(path: "simulation/root.pem"),
    ///     collateral: OfflineCollateral(path: "simulation/collateral.json"))
    /// ```
    ///
    /// - Parameters:
    ///   - policy: what is accepted, with the application and the system that are expected.
    ///   - root: the root that evidence must lead back to. Evidence under a simulated one says nothing about hardware, and
    ///     its reports say `simulated`.
    ///   - collateral: what evidence is verified with; fetched where it is left out.
    ///   - binding: what evidence must be tied to.
    ///   - configuration: bounds and choices beside the policy.
    /// - Throws: as ``AttestedPeerVerifier/init(policy:collateral:acceptsAnyApplication:acceptsAnySystem:)``.
    public convenience init(
        policy: VerificationPolicy, trusting root: TrustAnchor,
        collateral: any CollateralProvider = CollateralService(), binding: EvidenceBinding = .keyBound,
        configuration: Configuration = Configuration()
    ) throws(AttestationError) {
        let verifier = QuoteVerifier(trustAnchor: root)
        // What lies in files needs no waiting, not even at the first handshake.
        let ready =
            (collateral as? OfflineCollateral).map { ReadyCollateral($0, verifier: verifier) }
            ?? ReadyCollateral(collateral, verifier: verifier)
        try self.init(policy: policy, collateral: ready, binding: binding, configuration: configuration)
    }

    /// Judges a server by the handshake alone: no request is sent, and the server may speak something else than HTTP/1.1, or
    /// to nobody without a certificate of its own choice. Evidence in the server's certificate decides, whatever
    /// ``binding`` is; for a connection that one makes oneself there is ``AttestedPeerVerifier/install(in:verifyingPeersAs:)``.
    ///
    /// - Parameter url: `https`, with host and port.
    /// - Throws: ``AttestedTLSError``.
    public func peer(at url: String) async throws(AttestedTLSError) -> AttestedPeer {
        let deadline = ContinuousClock.now + configuration.timeout
        var (http, _) = try Self.checked(AttestedHTTPRequest("HEAD", url))
        http.endsWithHandshake = true
        do throws(AttestedTLSError) {
            return try await peer(http, deadline)
        } catch {
            guard let quote = error.quote, try await updatesCollateral(for: quote, after: error, deadline) else {
                throw error
            }
        }
        return try await peer(http, deadline)
    }

    private func peer(
        _ request: HTTPRequest, _ deadline: ContinuousClock.Instant
    ) async throws(AttestedTLSError) -> AttestedPeer {
        var request = request
        request.limits = try configuration.limits(until: deadline)
        guard case .success(let peer)? = try await sendKeyBound(request).connection?.verdict else {
            throw AttestedTLSError(
                .transport, check: "connection", reason: "there is no connection with a verified server")
        }
        return peer
    }

    /// Gets a URL.
    public func get(_ url: String) async throws(AttestedTLSError) -> AttestedHTTPResponse {
        try await send(AttestedHTTPRequest("GET", url))
    }

    /// Sends a request, once its server has been verified. Cancelling the task ends it.
    ///
    /// - Throws: ``AttestedTLSError``; with the codes of verification, nothing of the request has been sent.
    public func send(_ request: AttestedHTTPRequest) async throws(AttestedTLSError) -> AttestedHTTPResponse {
        let deadline = ContinuousClock.now + (request.timeout ?? configuration.timeout)
        let (http, origin) = try Self.checked(request)
        do throws(AttestedTLSError) {
            return try await send(http, origin, deadline)
        } catch {
            guard let quote = error.quote, try await updatesCollateral(for: quote, after: error, deadline) else {
                throw error
            }
        }
        return try await send(http, origin, deadline)
    }

    private func send(
        _ request: HTTPRequest, _ origin: HTTPOrigin, _ deadline: ContinuousClock.Instant
    ) async throws(AttestedTLSError) -> AttestedHTTPResponse {
        switch binding {
        case .keyBound:
            var request = request
            request.limits = try configuration.limits(until: deadline)
            let response = try await sendKeyBound(request)
            guard case .success(let peer)? = response.connection?.verdict else {
                throw AttestedTLSError(
                    .transport, check: "connection", reason: "the answer came over a connection without TLS")
            }
            return AttestedHTTPResponse(response, peer)
        case .sessionBound: return try await sessions.send(request, origin, deadline)
        }
    }

    /// Where a kept connection's evidence has expired in the meantime, nothing was sent, and a new connection is made.
    private func sendKeyBound(_ request: HTTPRequest) async throws(AttestedTLSError) -> HTTPResponse {
        do throws(HTTPClientError) {
            do throws(HTTPClientError) {
                return try await client.send(request)
            } catch  where error.code == .connectionChanged {
                var request = request
                request.mayBeRepeated = false
                return try await client.send(request)
            }
        } catch {
            throw AttestedTLSError(error)
        }
    }

    /// Fetches collateral where that could make another verdict: outside of handshakes, before a second try.
    private func updatesCollateral(
        for quote: Quote, after error: AttestedTLSError, _ deadline: ContinuousClock.Instant
    ) async throws(AttestedTLSError) -> Bool {
        let collateral = verifier.collateral
        do {
            return try await Deadline.run(
                within: ContinuousClock.now.duration(to: deadline), orThrow: AttestedTLSError.timedOut
            ) { try await collateral.prepare(for: quote) }
        } catch let late as AttestedTLSError {
            throw late
        } catch let reason {
            // What is there already was judged; that it could not be renewed changes nothing.
            guard error.code == .collateralUnavailable else { return false }
            throw AttestedTLSError(.collateralUnavailable, check: "collateral", reason: "\(reason)")
        }
    }

    private static func checked(
        _ request: AttestedHTTPRequest
    ) throws(AttestedTLSError) -> (HTTPRequest, HTTPOrigin) {
        guard let method = HTTPMethod(rawValue: request.method) else {
            throw AttestedTLSError(.invalidRequest, check: "request", reason: "the method is not a token")
        }
        let origin: HTTPOrigin
        do throws(HTTPClientError) {
            origin = try HTTPOrigin(of: request.url)
        } catch {
            throw AttestedTLSError(.invalidRequest, check: "request", reason: error.reason)
        }
        guard origin.scheme == "https" else {
            throw AttestedTLSError(
                .invalidRequest, check: "request", reason: "the URL's scheme is \(origin.scheme), it must be https")
        }
        return (HTTPRequest(method, request.url, headers: request.headers.headers, body: request.body), origin)
    }

    private static func trust(
        _ verifier: AttestedPeerVerifier, _ binding: EvidenceBinding, _ configuration: Configuration
    ) -> ServerTrust {
        var trust = ServerTrust.only(checksHost: configuration.checksHostName) { peer in
            let verdict = verifier.verdict(of: peer, binding)
            peer.connection.attachment = verdict
            if case .failure(let error)? = verdict { return .refused(error.description) }
            return .accepted
        }
        guard binding == .keyBound else { return trust }
        trust.stillAccepts = { connection in
            guard case .success(let peer)? = connection.verdict else { return false }
            return verifier.stillHolds(peer)
        }
        return trust
    }
}

extension AttestedPeerVerifier {
    /// What a handshake can say; nil where the evidence is still to come.
    fileprivate func verdict(
        of peer: ServerTrust.Peer, _ binding: EvidenceBinding
    ) -> Result<AttestedPeer, AttestedTLSError>? {
        switch binding {
        case .keyBound: return verify(peer.certificates, as: .server)
        case .sessionBound:
            let version = peer.connection.tlsVersion
            guard version == "TLSv1.3" else {
                return .failure(
                    AttestedTLSError(
                        .tlsVersion, check: "tls_version",
                        reason: "the server agreed to \(version), and session-bound evidence needs TLS 1.3"))
            }
            do throws(AttestedTLSError) {
                try checkCertificate(peer.certificates, as: .server)
                return nil
            } catch {
                return .failure(error)
            }
        }
    }
}

extension HTTPClientConnection {
    /// What the verifier left in the handshake.
    var verdict: Result<AttestedPeer, AttestedTLSError>? { attachment as? Result<AttestedPeer, AttestedTLSError> }
}

extension AttestedHTTPClient.Configuration {
    func http(_ trust: ServerTrust) -> HTTPClientConfiguration {
        var http = HTTPClientConfiguration(trust: trust)
        http.maximumConnectionAge = maximumConnectionAge
        // A proxy's own machine is never what a person means by localhost.
        let direct = ["localhost", "127.0.0.0/8", "::1"] + [http.proxy.exceptions].compactMap { $0 }
        http.proxy.exceptions = direct.joined(separator: ",")
        http.clientIdentity = identity?.credentials
        return http
    }

    /// What is left of the time.
    func limits(until deadline: ContinuousClock.Instant) throws(AttestedTLSError) -> HTTPClientLimits {
        let rest = deadline - .now
        guard rest > .zero else { throw .timedOut }
        return HTTPClientLimits(
            maximumBodyBytes: maximumBodyByteCount, connectTimeout: min(connectTimeout, rest), totalTimeout: rest)
    }
}

extension AttestedHTTPResponse {
    init(_ response: HTTPResponse, _ peer: AttestedPeer) {
        self.init(status: response.status, headers: HTTPFields(response.headers), body: response.body, peer: peer)
    }
}

extension AttestedTLSError {
    static var timedOut: AttestedTLSError {
        AttestedTLSError(.timeout, check: "connection", reason: "it took longer than the time that was allowed for it")
    }

    init(_ error: HTTPClientError) {
        if case .failure(let refusal)? = error.connection?.verdict {
            self = refusal
            return
        }
        switch error.code {
        case .peerNotTrusted: self.init(.certificateRules, check: "host_name", reason: error.description)
        case .timeout: self.init(.timeout, check: "connection", reason: error.description)
        case .cancelled: self.init(.cancelled, check: "connection", reason: error.description)
        case .tooLarge: self.init(.tooLarge, check: "response", reason: error.description)
        case .invalidRequest, .invalidConfiguration:
            self.init(.invalidRequest, check: "request", reason: error.description)
        default: self.init(.transport, check: "connection", reason: error.description)
        }
    }
}
