import DstackCrypto
import DstackEncoding
import DstackRPC

/// The older interface of guest agents, on a socket of its own. **For applications that need their old keys and quotes;**
/// new ones use ``DstackClient``.
///
/// Its automatic endpoint is `TAPPD_SIMULATOR_ENDPOINT`, else the first socket of `/var/run/tappd.sock`,
/// `/run/tappd.sock`, `/var/run/dstack/tappd.sock`, `/run/dstack/tappd.sock`.
public struct TappdClient: Sendable {
    private let connection: AgentConnection

    /// A client of the agent at an endpoint.
    ///
    /// - Parameters:
    ///   - timeout: for each call as a whole.
    ///   - startupTime: how long a socket that nobody listens on yet is waited for, as by ``DstackClient``.
    public init(
        _ endpoint: AgentEndpoint = .automatic, timeout: Duration = .seconds(10), startupTime: Duration = .seconds(5)
    ) {
        self.init(endpoint, discovery: .tappd, timeout: timeout, startupTime: startupTime)
    }

    package init(
        _ endpoint: AgentEndpoint = .automatic, discovery: AgentDiscovery, timeout: Duration = .seconds(10),
        startupTime: Duration = .seconds(5)
    ) {
        connection = AgentConnection(endpoint, discovery, timeout: timeout, startupTime: startupTime)
    }

    private func call<Request: RPCMessage, Response: RPCMessage>(
        _ method: RPCMethod<Request, Response>, _ request: Request, timeout: Duration? = nil, waits: Bool = true
    ) async throws(DstackClientError) -> Response {
        try await connection.call(
            method, request, mount: "/prpc", naming: .qualified, size: .evidence, timeout: timeout, waits: waits)
    }

    /// What the agent's software is.
    ///
    /// - Throws: ``DstackClientError/Code/unsupported`` by agents before 0.5.7.
    public func version() async throws(DstackClientError) -> AgentVersion {
        AgentVersion(try await call(AgentRPC.Tappd.version, RPCEmpty()))
    }

    /// Whether an agent answers now, whatever it says.
    public func isReachable(within time: Duration = .milliseconds(500)) async -> Bool {
        do throws(DstackClientError) {
            _ = try await call(AgentRPC.Tappd.version, RPCEmpty(), timeout: time, waits: false)
            return true
        } catch {
            return error.status != nil
        }
    }

    /// What the agent says of the instance: a statement, not evidence.
    public func info() async throws(DstackClientError) -> AgentInfo {
        try AgentInfo(try await call(AgentRPC.Tappd.info, RPCEmpty()), "Info")
    }

    // MARK: Keys

    /// The P-256 key of a path with a certificate made for it now.
    ///
    /// The certificate is for no usage and carries no evidence, as the older SDKs ask for, unless the request says
    /// otherwise; the request's validity and app info have no place here.
    ///
    /// - Parameters:
    ///   - request: with the path as its subject if it is nil.
    ///   - isRandom: whether the key is a fresh one all the same.
    public func deriveKey(
        path: String, _ request: TLSIdentityRequest? = nil, isRandom: Bool = false
    ) async throws(DstackClientError) -> TLSIdentity {
        var asked = request ?? TLSIdentityRequest(subject: path, alternativeNames: [])
        if request == nil { (asked.usages, asked.carriesEvidence) = ([], false) }
        guard !asked.needsTLSOptions else {
            throw DstackClientError(
                .invalidRequest, subject: "DeriveKey",
                reason: "the older interface takes neither validity nor app info",
                hint: "use DstackClient.tlsIdentity(_:)")
        }
        let parts = asked
        let response = try await call(
            AgentRPC.Tappd.deriveKey,
            .with {
                $0.path = path
                $0.subject = parts.subject
                $0.altNames = parts.alternativeNames
                $0.usageRATLS = parts.carriesEvidence
                $0.usageServerAuth = parts.usages.contains(.server)
                $0.usageClientAuth = parts.usages.contains(.client)
                $0.randomSeed = isRandom
            })
        return try asked.identity(response, "DeriveKey")
    }

    /// The secp256k1 key of a path: the same as ``DstackClient/key(path:purpose:algorithm:)`` gives.
    public func deriveK256Key(
        path: String, purpose: String = ""
    ) async throws(DstackClientError) -> AgentKey {
        let response = try await call(
            AgentRPC.Tappd.deriveK256Key, .with { ($0.path, $0.purpose) = (path, purpose) })
        return try AgentKey(
            "DeriveK256Key", response.k256Key, algorithm: .secp256k1, claim: .purpose(purpose),
            chain: response.k256SignatureChain)
    }

    // MARK: Quotes

    /// A quote over the hash of any content, behind a tag.
    ///
    /// - Throws: ``DstackClientError/Code/notAuthentic`` if the quote that came back is for anything else.
    public func tdxQuote(
        _ content: [UInt8], hash: ReportData.HashAlgorithm = .sha512, tag: ReportData.Tag = .appData
    ) async throws(DstackClientError) -> AgentQuote {
        guard !tag.text.isEmpty else {
            throw DstackClientError(
                .invalidRequest, subject: "TdxQuote", reason: "an empty tag, which means app-data on the wire")
        }
        let response = try await call(
            AgentRPC.Tappd.tdxQuote,
            .with { ($0.reportData, $0.hashAlgorithm, $0.prefix) = (content, hash.rawValue, tag.text) })
        return try AgentQuote(
            "TdxQuote", quote: response.quote, eventLog: response.eventLog,
            reportData: ReportData(tag: tag, content: content, hash: hash))
    }

    /// A quote over report data as it is.
    public func rawQuote(_ reportData: ReportData) async throws(DstackClientError) -> AgentQuote {
        let response = try await call(
            AgentRPC.Tappd.rawQuote, .with { $0.reportData = reportData.bytes.bytes })
        return try AgentQuote(
            "RawQuote", quote: response.quote, eventLog: response.eventLog, reportData: reportData)
    }
}
