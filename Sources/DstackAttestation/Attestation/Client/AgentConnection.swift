import DstackCrypto
import DstackHTTPClient
import DstackRPC
import Synchronization

/// What the copies of a client share: the endpoint that was found, its connections, and what is known of the agent.
final class AgentConnection: Sendable {
    private let endpoint: AgentEndpoint
    private let discovery: AgentDiscovery
    private let timeout: Duration
    private let startupTime: Duration

    private struct Line: Sendable {
        let endpoint: AgentEndpoint
        let http: HTTPClient
        /// URL before the mount and the method.
        let base: String
    }

    private struct State {
        var line: Line?
        var capabilities: AgentCapabilities?
        /// Until when an agent that does not listen is waited for; nil while there is none to wait for.
        var waitsUntil: ContinuousClock.Instant?
    }

    /// Between two tries.
    private static let pause = Duration.milliseconds(20)

    private let state = Mutex(State())

    init(_ endpoint: AgentEndpoint, _ discovery: AgentDiscovery, timeout: Duration, startupTime: Duration) {
        self.endpoint = endpoint
        self.discovery = discovery
        self.timeout = timeout
        self.startupTime = startupTime
    }

    /// How large an answer may be.
    enum AnswerSize: Int {
        /// Keys, signatures, versions.
        case small = 0x4_0000
        /// Evidence in hexadecimal: an attestation has up to 10 MiB.
        case evidence = 0x180_0000
        /// What the agent says of itself, with the compose file of up to 50 MiB as a string within a string: each may double
        /// it.
        case information = 0xE00_0000
    }

    /// - Parameters:
    ///   - mount: what stands between the endpoint and the method, as "/v1".
    ///   - waits: whether an agent that does not listen yet is waited for.
    func call<Request: RPCMessage, Response: RPCMessage>(
        _ method: RPCMethod<Request, Response>, _ request: Request, mount: String = "",
        naming: RPCClient.Naming = .bare, size: AnswerSize = .small, timeout: Duration? = nil, waits: Bool = true
    ) async throws(DstackClientError) -> Response {
        let deadline = ContinuousClock.now + (timeout ?? self.timeout)
        while true {
            let line = try line()
            var client = RPCClient(line.http, at: line.base + mount)
            client.naming = naming
            let time = max(deadline - .now, .milliseconds(1))
            client.httpLimits = HTTPClientLimits(
                maximumBodyBytes: size.rawValue, connectTimeout: time, totalTimeout: time)
            do {
                let response = try await client.call(method, request)
                isMissing(false)
                return response
            } catch {
                let failure = DstackClientError(error, at: line.endpoint)
                guard failure.code == .unreachable else {
                    if failure.status != nil { isMissing(false) }
                    throw failure
                }
                forget()
                // Nobody accepted the connection, so that nothing was sent.
                guard waits, line.endpoint.mayAppear, isMissing(true), ContinuousClock.now + Self.pause < deadline
                else {
                    throw failure
                }
            }
            do {
                try await Task.sleep(for: Self.pause)
            } catch {
                throw DstackClientError(
                    .cancelled, subject: "guest agent at \(line.endpoint)",
                    reason: "the task was cancelled while it waited for the socket")
            }
        }
    }

    /// Notes whether the agent listens.
    ///
    /// - Returns: whether there is still time to wait for it. An agent that has gone for good is waited for once, and not at
    ///   every call.
    @discardableResult
    private func isMissing(_ isMissing: Bool) -> Bool {
        state.withLock { state in
            guard isMissing else {
                state.waitsUntil = nil
                return false
            }
            let now = ContinuousClock.now
            let end = state.waitsUntil ?? now + startupTime
            state.waitsUntil = end
            return now < end
        }
    }

    /// The endpoint for messages: the one found, if one was.
    var description: String { "\(state.withLock { $0.line?.endpoint } ?? endpoint)" }

    private func line() throws(DstackClientError) -> Line {
        if let line = state.withLock({ $0.line }) { return line }
        let found = endpoint == .automatic ? try discovery.find() : endpoint
        var configuration = HTTPClientConfiguration()
        // Keys come back on this line, so no proxy stands in it.
        configuration.proxy = .none
        configuration.userAgent = "dstack-sdk-swift"
        let base: String
        switch found {
        case .unix(let path):
            if case .other(let kind) = SocketPlace(path) {
                throw DstackClientError(
                    .invalidEndpoint, subject: "guest agent at \(found)", reason: "there is \(kind), not a socket",
                    hint: SocketPlace.advice(kind, path))
            }
            configuration.transport = .unix(path: path)
            base = "http://localhost"
        case .url(let url): base = url.last == "/" ? String(url.dropLast()) : url
        case .automatic:
            throw DstackClientError(.invalidEndpoint, subject: "guest agent", reason: "no endpoint was found")
        }
        let line = Line(endpoint: found, http: HTTPClient(configuration), base: base)
        // Two first calls at once may both get here; the second then goes by the first one's line.
        return state.withLock { state in
            if let line = state.line { return line }
            state.line = line
            return line
        }
    }

    /// What was found may have gone: the agent was restarted somewhere else, or as another version.
    private func forget() {
        state.withLock { $0 = State(waitsUntil: $0.waitsUntil) }
    }

    // MARK: Capabilities

    var knownCapabilities: AgentCapabilities? {
        get { state.withLock { $0.capabilities } }
        set { state.withLock { $0.capabilities = newValue } }
    }
}
