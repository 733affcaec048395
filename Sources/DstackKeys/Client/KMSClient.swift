import DstackConcurrency
package import DstackEncoding
import DstackHTTPClient
import DstackKeys
import DstackNetwork
package import DstackRPC
package import DstackSystem

/// Talks to one key management service, and to nothing that only claims to be it.
///
/// ```swift
/// let kms = try KMSClient("https://kms.example:8000", trust: .pinned(caPublicKey: root), attest: { … })
/// let keys = try await kms.appKeys(of: app, vmConfiguration: vmConfig)
/// ```
///
/// The server is verified in the handshake, by ``KMSTrust``, before a byte of a request leaves; upstream's clients look at its
/// certificate when the answer is there. Calls go over one connection, as long as it holds, on which this side has shown
/// evidence about its key. A server that wants certificates of its temporary CA is asked for that CA first, over another
/// connection that is verified alike.
package actor KMSClient {
    package struct Configuration: Sendable {
        package var introduction = KMSIntroduction.automatic
        package var connectTimeout = Duration.seconds(5)
        /// For a call with all that it needs: evidence, connections, collateral.
        package var timeout = Duration.seconds(60)
        /// Whether the first server that is accepted is the only one, by its very certificate: for whoever decides about it
        /// outside of the handshake, and must know that later connections lead to the same.
        package var staysWithFirstServer = false
        /// The service's secp256k1 key, compressed, where it is known beforehand; else the service is asked for it.
        package var k256PublicKey: FixedBytes<33>?

        package init() {}
    }

    /// Ends in `/prpc`.
    package nonisolated let url: String
    private let attest: KMSAttest?
    private let configuration: Configuration
    private let clock: any WallClock
    nonisolated let judge: KMSServerJudge

    private struct Connection {
        let http: HTTPClient
        let madeAt: ContinuousClock.Instant
        let isSelfSigned: Bool
        /// Nil without evidence, and for a certificate that somebody else made.
        var identity: KMSClientIdentity?
    }

    private var connection: Connection?
    private var connecting: Task<Connection, any Error>?
    private var wantsTemporaryAuthority = false
    /// Given beforehand, or what the service said first.
    private var knownK256PublicKey: FixedBytes<33>?

    /// How long one certificate is shown. Its evidence is of the moment when it was made.
    private static let identityLifetime = Duration.seconds(3_600)
    /// Far more than the largest answer, a chain of certificates with evidence.
    private static let maximumAnswerBytes = 1 << 20

    /// - Parameters:
    ///   - url: `https`, with or without `/prpc` at its end.
    ///   - trust: by what the service is recognised.
    ///   - attest: gives evidence about this side; nil for who only asks what is given to anyone.
    /// - Throws: ``KMSClientError/Code/invalidConfiguration``.
    package init(
        _ url: String, trust: KMSTrust, attest: KMSAttest? = nil, _ configuration: Configuration = .init(),
        clock: any WallClock = .system
    ) throws(KMSClientError) {
        self.url = try Self.address(url)
        self.attest = attest
        self.configuration = configuration
        self.clock = clock
        knownK256PublicKey = configuration.k256PublicKey
        judge = KMSServerJudge(trust, staysWithFirstServer: configuration.staysWithFirstServer, clock: clock)
    }

    private static func address(_ url: String) throws(KMSClientError) -> String {
        var trimmed = url[...]
        while trimmed.last == "/" { trimmed.removeLast() }
        let full = trimmed.hasSuffix("/prpc") ? String(trimmed) : "\(trimmed)/prpc"
        let origin: HTTPOrigin
        do {
            origin = try HTTPOrigin(of: full)
        } catch {
            throw KMSClientError(.invalidConfiguration, SafeText.line(url, limit: 200), error.reason)
        }
        guard origin.scheme == "https", !full.contains("?"), !full.contains("#") else {
            throw KMSClientError(
                .invalidConfiguration, SafeText.line(url, limit: 200),
                "the address of a KMS begins with https:// and has no query")
        }
        return full
    }

    /// Unix seconds.
    var now: Int64 { clock.unixSeconds }

    /// The server of the connection that was accepted last; nil before the first.
    package nonisolated var server: AcceptedKMS? { judge.server }

    /// SubjectPublicKeyInfo of the root CA by which the service is known, DER; nil as long as none is.
    package nonisolated var caPublicKey: [UInt8]? { judge.caPublicKey }

    // MARK: Calls

    /// Calls any method of the service.
    package func call<Request: RPCMessage, Response: RPCMessage>(
        _ method: RPCMethod<Request, Response>, _ request: Request, naming: RPCClient.Naming = .bare
    ) async throws(KMSClientError) -> Response {
        try await call(method, naming: naming) { _ in request }
    }

    /// Calls any method of the service, with a request that depends on who this side is.
    ///
    /// - Parameter request: makes it, anew for each try, as which goes over a connection with another certificate. It is given
    ///   who this side is there; nil without a key to sign by.
    func call<Request: RPCMessage, Response: RPCMessage>(
        _ method: RPCMethod<Request, Response>, naming: RPCClient.Naming = .bare,
        making request: (KMSClientIdentity?) throws(KMSClientError) -> Request
    ) async throws(KMSClientError) -> Response {
        let deadline = ContinuousClock.now + configuration.timeout
        try await learnRoot(until: deadline)
        var tried: Set<Remedy> = []
        while true {
            let connection = try await connected(until: deadline)
            let left = try left(until: deadline)
            let message = try request(connection.identity)
            do throws(RPCClientError) {
                return try await rpc(connection.http, naming).call(method, message, timeout: left)
            } catch {
                guard let remedy = await remedy(error, connection), tried.insert(remedy).inserted else {
                    throw KMSClientError(error, at: url)
                }
                if remedy == .temporaryAuthority {
                    wantsTemporaryAuthority = true
                    self.connection = nil
                }
            }
        }
    }

    /// What makes a second try worth while. Each is tried once.
    private enum Remedy: Hashable {
        case newConnection
        case newCollateral
        case temporaryAuthority
    }

    private func remedy(_ error: RPCClientError, _ connection: Connection) async -> Remedy? {
        guard let transport = error.transport else { return nil }
        switch transport.code {
        case .connectionChanged: return .newConnection
        case .peerNotTrusted: return await judge.acceptsAfterFetching(transport.connection) ? .newCollateral : nil
        // Where the server's rules for certificates refuse this side's, the handshake or the connection breaks.
        case .tls, .connectionLost, .invalidResponse:
            guard case .automatic = configuration.introduction, connection.isSelfSigned, judge.server != nil else {
                return nil
            }
            return .temporaryAuthority
        default: return nil
        }
    }

    private func left(until deadline: ContinuousClock.Instant) throws(KMSClientError) -> Duration {
        let left = ContinuousClock.now.duration(to: deadline)
        guard left > .zero else {
            throw KMSClientError(.unreachable, url, "the call took longer than \(configuration.timeout)")
        }
        return left
    }

    private func rpc(_ http: HTTPClient, _ naming: RPCClient.Naming = .bare) -> RPCClient {
        var client = RPCClient(http, at: url)
        client.naming = naming
        client.httpLimits.connectTimeout = configuration.connectTimeout
        client.httpLimits.totalTimeout = configuration.timeout
        client.httpLimits.maximumBodyBytes = Self.maximumAnswerBytes
        return client
    }

    // MARK: Connections

    /// What nobody verifies: asks the server that answers which root it has.
    private func learnRoot(until deadline: ContinuousClock.Instant) async throws(KMSClientError) {
        guard case .whoeverAnswersFirst = judge.trust, judge.caPublicKey == nil else { return }
        let answer = try await temporaryAuthority(over: http(KMSServerJudge.unverified(), nil), until: deadline)
        judge.learn(caPublicKey: try KMSAnswers.root(answer.caCertificate).publicKey)
    }

    private func temporaryAuthority(
        over http: HTTPClient, until deadline: ContinuousClock.Instant
    ) async throws(KMSClientError) -> KMSRPC.GetTempCaCertResponse {
        let left = try left(until: deadline)
        do {
            return try await rpc(http).call(KMSRPC.KMS.getTempCACert, timeout: left)
        } catch {
            throw KMSClientError(error, at: url)
        }
    }

    private func connected(until deadline: ContinuousClock.Instant) async throws(KMSClientError) -> Connection {
        if let connection, connection.madeAt.duration(to: .now) < Self.identityLifetime { return connection }
        let task = connecting ?? Task { try await connect(until: deadline) }
        connecting = task
        defer { if connecting == task { connecting = nil } }
        do {
            let made = try await task.value
            connection = made
            return made
        } catch let error as KMSClientError {
            throw error
        } catch {
            throw KMSClientError(.noEvidence, "evidence about this side", "\(error)")
        }
    }

    private func connect(until deadline: ContinuousClock.Instant) async throws -> Connection {
        guard let attest else {
            return Connection(http: http(judge.serverTrust(), nil), madeAt: .now, isSelfSigned: false)
        }
        let now = clock.unixSeconds
        var authority: KMSRPC.GetTempCaCertResponse?
        if case .temporaryAuthority = configuration.introduction { wantsTemporaryAuthority = true }
        if wantsTemporaryAuthority {
            authority = try await temporaryAuthority(over: http(judge.serverTrust(), nil), until: deadline)
        }
        let (answer, introduction) = (authority, configuration.introduction)
        let (credentials, identity): (TLSCredentials, KMSClientIdentity?) = try await Deadline.run(
            within: ContinuousClock.now.duration(to: deadline),
            orThrow: KMSClientError(.noEvidence, "evidence about this side", "it took too long to make")
        ) {
            if case .issued(let issue) = introduction { return (try await issue(attest, now), nil) }
            let identity: KMSClientIdentity
            if let answer {
                let authority = try KMSAnswers.authority(answer)
                identity = try await .issued(by: authority, attest, at: now)
            } else {
                identity = try await .selfSigned(attest, at: now)
            }
            return (identity.credentials, identity)
        }
        return Connection(
            http: http(judge.serverTrust(), credentials), madeAt: .now, isSelfSigned: answer == nil,
            identity: identity)
    }

    private func http(_ trust: ServerTrust, _ identity: TLSCredentials?) -> HTTPClient {
        var http = HTTPClientConfiguration(trust: trust)
        http.clientIdentity = identity
        // A guest reaches its KMS directly; what a proxy variable of some container image says is not meant for it.
        http.proxy = .none
        http.maximumConnectionAge = .seconds(600)
        return HTTPClient(http)
    }

    // MARK: The service's key

    /// The service's secp256k1 key.
    func k256PublicKey() async throws(KMSClientError) -> FixedBytes<33> {
        if let knownK256PublicKey { return knownK256PublicKey }
        return try await meta().k256PublicKey
    }

    /// Takes what the service says of its secp256k1 key, once.
    func learn(k256PublicKey key: FixedBytes<33>) throws(KMSClientError) {
        guard knownK256PublicKey ?? key == key else {
            throw .invalid("k256_pubkey", "it is another key than the one by which the service is known")
        }
        knownK256PublicKey = key
    }
}
