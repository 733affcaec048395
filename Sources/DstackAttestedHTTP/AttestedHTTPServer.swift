public import DstackAttestation
import DstackHTTP
import DstackHTTPServer
import DstackNetwork
package import DstackSystem
import Synchronization

/// A small HTTPS server for attested code: its certificate proves what runs here, and clients can ask for evidence about
/// their very connection.
///
/// ```swift
/// let server = AttestedHTTPServer(
///     .init(host: "0.0.0.0", port: 8443), identity: identity,
///     renewIdentity: { try await issueIdentity() },
///     attestSession: { binding in try await attester.attestation(reportData: binding.reportData).encoded.bytes }
/// ) { request in
///     .text(200, "hello\n")
/// }
/// try await server.run { print("listening at \($0.url)") }
/// ```
///
/// ``/DstackAttestation/SessionEvidence/path`` is the server's own; every other path is the handler's. A server starts once.
public final class AttestedHTTPServer: Sendable {
    /// Answers a request. Cancelled when it takes longer than the configuration allows.
    public typealias Handler = @Sendable (AttestedServerRequest) async -> AttestedServerResponse

    /// Where a server listens.
    public struct Address: Sendable, Hashable {
        /// "https://127.0.0.1:8443"
        public let url: String
        /// The port, also where any free one was asked for.
        public let port: UInt16
    }

    private struct State {
        var identity: TLSIdentity
        var clients: Configuration.Clients
        var duties: Task<Void, Never>?
    }

    private let configuration: Configuration
    private let state: Mutex<State>
    private let renewIdentity: (@Sendable () async throws -> TLSIdentity)?
    private let observer: (@Sendable (Event) -> Void)?
    private let clock: any WallClock
    private let server: HTTPServer

    private static let listenerName = "https"

    /// A server.
    ///
    /// - Parameters:
    ///   - configuration: where it listens, whom it lets in, its bounds.
    ///   - identity: key and certificates to begin with.
    ///   - renewIdentity: gives the next ones, before the certificate expires. Nil where the server does not live that long.
    ///   - attestSession: gives an attestation envelope whose report data is the binding's. Nil for a server without
    ///     session-bound evidence.
    ///   - observer: told of what happens beside the handler; it must be quick.
    ///   - handler: answers requests.
    public convenience init(
        _ configuration: Configuration, identity: TLSIdentity,
        renewIdentity: (@Sendable () async throws -> TLSIdentity)? = nil,
        attestSession: (@Sendable (SessionBinding) async throws -> [UInt8])? = nil,
        observer: (@Sendable (Event) -> Void)? = nil, handler: @escaping Handler
    ) {
        self.init(
            configuration, identity: identity, renewIdentity: renewIdentity, attestSession: attestSession,
            observer: observer, clock: SystemWallClock(), handler: handler)
    }

    package init(
        _ configuration: Configuration, identity: TLSIdentity,
        renewIdentity: (@Sendable () async throws -> TLSIdentity)?,
        attestSession: (@Sendable (SessionBinding) async throws -> [UInt8])?,
        observer: (@Sendable (Event) -> Void)?, clock: any WallClock, handler: @escaping Handler
    ) {
        self.configuration = configuration
        state = Mutex(State(identity: identity, clients: configuration.clients))
        self.renewIdentity = renewIdentity
        self.observer = observer
        self.clock = clock
        let witness = attestSession.map { SessionWitness(configuration, observer: observer, attest: $0) }
        server = HTTPServer(configuration.http(Self.listenerName, identity, observer)) { request in
            if request.path == SessionEvidence.path {
                return await witness?.answer(request) ?? SessionWitness.refusal(404, "there is no such evidence here")
            }
            // The server has looked whether it holds before it let the request in.
            let peer = (request.peer.verdict as? AttestedClientVerdict)?.peer
            return await handler(AttestedServerRequest(request, peer)).http
        }
    }

    deinit { state.withLock { $0.duties }?.cancel() }

    /// Opens the listener and begins to serve, until ``stop(within:)``.
    ///
    /// - Throws: ``/DstackAttestation/AttestationError`` with code `server_unavailable` where the address or the identity
    ///   cannot be used.
    public func start() async throws(AttestationError) -> Address {
        let bound: [HTTPBoundListener]
        do throws(HTTPServerError) {
            bound = try await server.start()
        } catch {
            throw AttestationError(
                .serverUnavailable, subject: error.subject, reason: error.reason, hint: error.hint ?? "")
        }
        beginDuties()
        let address = bound.first
        return Address(
            url: address?.description ?? "", port: UInt16(truncatingIfNeeded: address?.port ?? 0))
    }

    /// Stops accepting, lets requests under way finish until the deadline, and returns when all is closed.
    public func stop(within patience: Duration = .seconds(10)) async {
        endDuties()
        await server.stop(within: patience)
    }

    /// Serves until the task is cancelled, then stops as ``stop(within:)`` does.
    public func run(
        drainingWithin patience: Duration = .seconds(10), whenListening: @Sendable (Address) -> Void = { _ in }
    ) async throws(AttestationError) {
        whenListening(try await start())
        await server.serve(drainingWithin: patience)
        endDuties()
    }

    /// Key and certificates of new connections.
    public var currentIdentity: TLSIdentity { state.withLock { $0.identity } }

    /// Gives new connections another identity; those that are there keep theirs.
    public func replaceIdentity(_ new: TLSIdentity) async throws(AttestationError) {
        try await change { $0.credentials = new.credentials }
        state.withLock { $0.identity = new }
    }

    /// Changes whom requests are taken from, also on connections that are there: before its next request, a client is judged
    /// by the new verifier, and one without the certificate that is needed now is answered with 403 and closed.
    public func replaceClients(_ new: Configuration.Clients) async throws(AttestationError) {
        try await change { $0.clientCertificates = new.clientCertificates }
        let isRunning = state.withLock { state in
            state.clients = new
            return state.duties != nil
        }
        if isRunning { beginDuties() }
    }

    private func change(_ body: @escaping @Sendable (inout HTTPServerTLS) -> Void) async throws(AttestationError) {
        do throws(HTTPServerError) {
            try await server.changeTLS(of: Self.listenerName, body)
        } catch {
            throw AttestationError(.serverUnavailable, subject: error.subject, reason: error.reason)
        }
    }

    // MARK: Renewal

    private func beginDuties() {
        let duties = Duties(self)
        let task = Task { await duties.run() }
        state.withLock { state in
            state.duties?.cancel()
            state.duties = task
        }
    }

    private func endDuties() {
        state.withLock { state in
            state.duties?.cancel()
            state.duties = nil
        }
    }

    /// What happens beside the listener. Does not keep the server alive.
    private struct Duties {
        private weak let server: AttestedHTTPServer?
        private let collateral: ReadyCollateral?
        private let interval: Duration

        init(_ server: AttestedHTTPServer) {
            self.server = server
            collateral = server.state.withLock { $0.clients.verifier?.collateral }
            interval = server.configuration.renewalCheckInterval
        }

        func run() async {
            await withTaskGroup { group in
                if let collateral { group.addTask { await collateral.run() } }
                group.addTask {
                    while !Task.isCancelled, await server?.renewIfDue() != nil {
                        try? await Task.sleep(for: interval)
                    }
                }
            }
        }
    }

    /// Nil once there is nothing to renew with.
    private func renewIfDue() async -> Bool? {
        guard let renewIdentity else { return nil }
        let old = currentIdentity
        guard clock.unixSeconds >= old.renewalTime else { return false }
        do {
            let new = try await renewIdentity()
            guard new.notAfter > old.notAfter, new.notBefore <= clock.unixSeconds else {
                throw AttestationError(
                    .invalidTLSIdentity, subject: "renewed certificate",
                    reason: "it does not hold longer than the one that it is to replace, or not yet")
            }
            try await replaceIdentity(new)
            observer?(.renewed(notAfter: new.notAfter))
            return true
        } catch {
            observer?(.renewalFailed(reason: "\(error)"))
            return false
        }
    }
}

extension TLSIdentity {
    /// When to replace it: at the beginning of the last third of its validity, and not before its last 30 days.
    var renewalTime: Int64 {
        let (validity, overflow) = notAfter.subtractingReportingOverflow(notBefore)
        return notAfter &- min(overflow ? .max : validity / 3, 30 * 86_400)
    }
}

extension AttestationError.Code {
    /// A server cannot listen where it is told to, or with what it is given.
    public static let serverUnavailable = Self(rawValue: "server_unavailable")
}
