import DstackCrypto
import DstackRPC

/// A confidential application's way to its guest agent: keys, TLS identities, quotes and what the instance is.
///
/// ```swift
/// let client = DstackClient()
/// let quote = try await client.quote(reportData: challenge)
/// let key = try await client.key(path: "wallet", purpose: "ethereum")
/// let identity = try await client.tlsIdentity(TLSIdentityRequest(subject: "example.com"))
/// ```
///
/// Making a client costs nothing: the agent is looked for at the first call (``AgentEndpoint/automatic``), and an error
/// then names every place that was looked at. Copies share connections. A call ends with its task, with the timeout, or
/// with an answer that was bounded, parsed and compared with what was asked.
///
/// A client belongs inside the trust domain, next to its agent. Whoever reads what it returns elsewhere verifies it there
/// (``QuoteVerifier``).
public struct DstackClient: Sendable {
    let connection: AgentConnection

    /// A client of the agent at an endpoint.
    ///
    /// - Parameters:
    ///   - timeout: for each call as a whole.
    ///   - startupTime: how long a call waits for a socket that is not there yet, or on which nobody listens yet, since
    ///     agent and application often start together. Within the timeout; once, until an agent has answered again; it ends
    ///     with the call's task. Zero for never.
    public init(
        _ endpoint: AgentEndpoint = .automatic, timeout: Duration = .seconds(10), startupTime: Duration = .seconds(5)
    ) {
        self.init(endpoint, discovery: .dstack, timeout: timeout, startupTime: startupTime)
    }

    package init(
        _ endpoint: AgentEndpoint = .automatic, discovery: AgentDiscovery, timeout: Duration = .seconds(10),
        startupTime: Duration = .seconds(5)
    ) {
        connection = AgentConnection(endpoint, discovery, timeout: timeout, startupTime: startupTime)
    }

    // MARK: The agent

    /// What the agent's software is.
    ///
    /// - Throws: ``DstackClientError/Code/unsupported`` by agents before 0.5.7.
    public func version() async throws(DstackClientError) -> AgentVersion {
        AgentVersion(try await connection.call(AgentRPC.DstackGuest.version, RPCEmpty()))
    }

    /// Whether an agent answers now, whatever it says.
    public func isReachable(within time: Duration = .milliseconds(500)) async -> Bool {
        do throws(DstackClientError) {
            _ = try await connection.call(AgentRPC.DstackGuest.version, RPCEmpty(), timeout: time, waits: false)
            return true
        } catch {
            return error.status != nil
        }
    }

    /// What the agent can do. Asked for once; the answer holds for all copies of this client, until it loses the agent.
    public func capabilities() async throws(DstackClientError) -> AgentCapabilities {
        if let known = connection.knownCapabilities { return known }
        var capabilities: AgentCapabilities = []
        do throws(DstackClientError) {
            _ = try await version()
            capabilities.formUnion([.v0, .ed25519, .tlsOptions])
        } catch {
            // Agents without the method are older; they name what they do not have.
            guard error.code == .unsupported, error.reason.contains("Service not found") else { throw error }
            capabilities.insert(.v0)
        }
        do throws(DstackClientError) {
            _ = try await v1.version()
            capabilities.insert(.v1)
        } catch {
            guard error.status != nil else { throw error }
        }
        connection.knownCapabilities = capabilities
        return capabilities
    }

    /// Refuses what an older agent would not refuse but silently do differently.
    func require(_ capability: AgentCapabilities, _ what: String) async throws(DstackClientError) {
        guard try await capabilities().contains(capability) else {
            throw DstackClientError(
                .unsupported, subject: what, reason: "the agent at \(connection.description) is too old for it",
                hint: "agents from 0.5.7 on can do it")
        }
    }

    /// What the agent says of the instance: a statement, not evidence.
    public func info() async throws(DstackClientError) -> AgentInfo {
        try AgentInfo(
            try await connection.call(AgentRPC.DstackGuest.info, RPCEmpty(), size: .information), "Info")
    }

    /// What the boot recorded of the GPUs' attestation: JSON, byte for byte; nil where there is none.
    ///
    /// It counts once its SHA-256 equals `evidence_sha256` in the `gpu-attestation` event of a verified log.
    public func gpuInfo() async throws(DstackClientError) -> String? {
        let text = try await connection.call(AgentRPC.DstackGuest.gpuInfo, RPCEmpty(), size: .evidence).attestation
        return text.isEmpty ? nil : text
    }

    /// The methods of the newer interface, whose keys are other keys.
    public var v1: V1 { V1(connection: connection) }
}

extension AgentVersion {
    init(_ message: AgentRPC.WorkerVersion) {
        self.init(version: message.version, revision: message.revision)
    }
}
