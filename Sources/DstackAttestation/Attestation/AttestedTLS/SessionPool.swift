import DstackConcurrency
import DstackCrypto
import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import DstackSystem
import Synchronization

/// Connections whose evidence is about themselves. Each is of a client of its own with no more than one connection, so that
/// what is asked for on it and what goes over it cannot end up on two.
final class SessionPool: Sendable {
    /// One host's clients.
    private final class Host: Sendable {
        let gate: Gate
        /// Those that no request uses, the one used last at the end.
        let idle = Mutex<[SessionClient]>([])

        init(permits: Int) { gate = Gate(permits: permits) }
    }

    private let verifier: AttestedPeerVerifier
    private let configuration: AttestedHTTPClient.Configuration
    private let makeClient: @Sendable () -> HTTPClient
    private let hosts = Mutex<[HTTPOrigin: Host]>([:])

    /// Hosts whose connections are kept.
    private static let maximumHosts = 64

    init(
        _ verifier: AttestedPeerVerifier, _ configuration: AttestedHTTPClient.Configuration,
        makeClient: @escaping @Sendable () -> HTTPClient
    ) {
        self.verifier = verifier
        self.configuration = configuration
        self.makeClient = makeClient
    }

    func send(
        _ request: HTTPRequest, _ origin: HTTPOrigin, _ deadline: ContinuousClock.Instant
    ) async throws(AttestedTLSError) -> AttestedHTTPResponse {
        let host = hosts.withLock { hosts in
            if let known = hosts[origin] { return known }
            if hosts.count >= Self.maximumHosts { hosts.removeAll() }
            let new = Host(permits: configuration.maximumSessionsPerHost)
            hosts[origin] = new
            return new
        }
        switch await host.gate.enter(until: deadline) {
        case .admitted: break
        case .timedOut: throw .timedOut
        case .cancelled:
            throw AttestedTLSError(.cancelled, check: "connection", reason: "the task was cancelled")
        }
        defer { host.gate.leave() }
        let kept = host.idle.withLock { $0.popLast() }
        // What has expired is not verified again on the same connection: the server may have another certificate by now.
        let client =
            kept.flatMap { $0.session == nil ? nil : $0 }
            ?? SessionClient(makeClient(), origin, verifier, configuration)
        // A client on which something went wrong goes, with its connection.
        let response = try await client.send(request, deadline)
        host.idle.withLock { $0.append(client) }
        return response
    }
}

/// A client of one host with one connection at a time, and one request at a time. Its user sees to the latter.
final class SessionClient: Sendable {
    fileprivate struct Session {
        let connection: HTTPClientConnection
        let peer: AttestedPeer
        let verifiedAt: ContinuousClock.Instant
    }

    private let client: HTTPClient
    private let origin: HTTPOrigin
    private let verifier: AttestedPeerVerifier
    private let configuration: AttestedHTTPClient.Configuration
    /// The connection whose evidence was accepted.
    private let current = Mutex<Session?>(nil)

    /// A server that closes every connection after the evidence is asked so often.
    private static let maximumAttempts = 3

    init(
        _ client: HTTPClient, _ origin: HTTPOrigin, _ verifier: AttestedPeerVerifier,
        _ configuration: AttestedHTTPClient.Configuration
    ) {
        self.client = client
        self.origin = origin
        self.verifier = verifier
        self.configuration = configuration
    }

    /// Sends a request over a connection with accepted evidence. The transport lets it go over that connection only: should
    /// there be another by then, the request stays here, and the other is verified first.
    func send(
        _ request: HTTPRequest, _ deadline: ContinuousClock.Instant
    ) async throws(AttestedTLSError) -> AttestedHTTPResponse {
        var request = request
        for _ in 0..<Self.maximumAttempts {
            let session = try await session(deadline)
            request.requiredConnection = session.connection
            request.limits = try configuration.limits(until: deadline)
            do throws(HTTPClientError) {
                return AttestedHTTPResponse(try await client.send(request), session.peer)
            } catch {
                current.withLock { $0 = nil }
                guard error.code == .connectionChanged else { throw AttestedTLSError(error) }
            }
        }
        throw AttestedTLSError(
            .transport, check: "connection",
            reason: "\(origin): the server closes its connections after the evidence, so that no request can follow it")
    }

    /// The connection whose evidence still holds.
    fileprivate var session: Session? {
        guard let session = current.withLock({ $0 }),
            ContinuousClock.now - session.verifiedAt < configuration.maximumConnectionAge,
            verifier.stillHolds(session.peer)
        else { return nil }
        return session
    }

    private func session(_ deadline: ContinuousClock.Instant) async throws(AttestedTLSError) -> Session {
        if let session { return session }
        let session = try await establish(deadline)
        current.withLock { $0 = session }
        return session
    }

    private func establish(_ deadline: ContinuousClock.Instant) async throws(AttestedTLSError) -> Session {
        let nonce: FixedBytes<32> = SystemRandom().fixed()
        var request = HTTPRequest(
            .post, "\(origin)\(SessionEvidence.path)", headers: ["Content-Type": SessionEvidence.contentType],
            body: SessionEvidence.request(nonce: nonce))
        // Asking twice does no harm, and only so may it use a connection that is there.
        request.mayBeRepeated = true
        request.exporterLabel = SessionBinding.exporterLabel
        var limits = try configuration.limits(until: deadline)
        limits.maximumBodyBytes = SessionEvidence.maximumResponseByteCount
        request.limits = limits
        let response: HTTPResponse
        do throws(HTTPClientError) {
            response = try await client.send(request)
        } catch {
            throw AttestedTLSError(error)
        }
        guard let connection = response.connection, let exporter = FixedBytes<32>(response.exporter) else {
            throw AttestedTLSError(
                .tlsVersion, check: "tls_version", reason: "the connection has no exporter of TLS 1.3")
        }
        let answer = try Self.answer(response)
        let verdict = verifier.verify(
            answer, exporter: exporter, nonce: nonce, certificates: connection.certificates)
        return Session(connection: connection, peer: try verdict.get(), verifiedAt: .now)
    }

    private static func answer(_ response: HTTPResponse) throws(AttestedTLSError) -> SessionEvidence.Response {
        guard response.status == 200 else {
            let said = SafeText.line(bytes: response.body.prefix(300), limit: 300)
            throw AttestedTLSError(
                .noSessionEvidence, check: "session_evidence",
                reason: "the server gives no evidence about the connection: status \(response.status)"
                    + (said.isEmpty ? "" : " (\(said))"))
        }
        do throws(AttestationError) {
            return try SessionEvidence.response(in: response.body)
        } catch {
            throw AttestedTLSError(.noSessionEvidence, check: "session_evidence", reason: error.description)
        }
    }
}
