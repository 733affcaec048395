import DstackCrypto
import DstackHTTPClient
import DstackRPC
import Synchronization

/// What the copies of a client share: the endpoint that was found, its connections, and what is known of the agent.
final class AgentConnection: Sendable {
    private let endpoint: AgentEndpoint
    private let discovery: AgentDiscovery
    private let timeout: Duration

    private struct Line: Sendable {
        let endpoint: AgentEndpoint
        let http: HTTPClient
        /// URL before the mount and the method.
        let base: String
    }

    private struct State {
        var line: Line?
        var capabilities: AgentCapabilities?
    }

    private let state = Mutex(State())

    init(_ endpoint: AgentEndpoint, _ discovery: AgentDiscovery, timeout: Duration) {
        self.endpoint = endpoint
        self.discovery = discovery
        self.timeout = timeout
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

    /// - Parameter mount: what stands between the endpoint and the method, as "/v1".
    func call<Request: RPCMessage, Response: RPCMessage>(
        _ method: RPCMethod<Request, Response>, _ request: Request, mount: String = "",
        naming: RPCClient.Naming = .bare, size: AnswerSize = .small, timeout: Duration? = nil
    ) async throws(DstackClientError) -> Response {
        let line = try line()
        var client = RPCClient(line.http, at: line.base + mount)
        client.naming = naming
        let time = timeout ?? self.timeout
        client.httpLimits = HTTPClientLimits(
            maximumBodyBytes: size.rawValue, connectTimeout: time, totalTimeout: time)
        do {
            return try await client.call(method, request)
        } catch {
            let failure = DstackClientError(error, at: line.endpoint)
            if failure.code == .unreachable { forget() }
            throw failure
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
        state.withLock { $0 = State() }
    }

    // MARK: Capabilities

    var knownCapabilities: AgentCapabilities? {
        get { state.withLock { $0.capabilities } }
        set { state.withLock { $0.capabilities = newValue } }
    }
}
