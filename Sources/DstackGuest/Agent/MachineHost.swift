import DstackEncoding
import DstackHTTP
import DstackHTTPClient
package import DstackRPC

/// The machine that the agent runs on, as its kernel and its container engine tell.
package struct MachineHost: GuestHost {
    private let dataDisks: [String]
    /// Nil where there is no container engine.
    private let engine: ContainerEngine?
    private let application: ContainerEngine?

    /// - Parameters:
    ///   - dataDisks: mount points of the disks to tell of.
    ///   - endpoint: where the container engine listens; nil for nowhere.
    ///   - scope: which containers are the application's.
    package init(dataDisks: [String], endpoint: ContainerEngineEndpoint?, scope: ContainerScope) {
        self.dataDisks = dataDisks
        // The host sees all containers, as it always has; only health is the application's alone.
        engine = endpoint.map { ContainerEngine($0, scope: .engine) }
        application = endpoint.map { ContainerEngine($0, scope: scope) }
    }

    package func systemInformation() async throws -> GuestAPIRPC.SystemInfo {
        try SystemInformation.current(dataDisks: dataDisks).message
    }

    package func networkInformation() async throws -> GuestAPIRPC.NetworkInformation {
        try await NetworkInformation.current().message
    }

    package func containers() async throws -> GuestAPIRPC.ListContainersResponse {
        guard let engine else { throw RPCError("there is no container engine") }
        do {
            return GuestAPIRPC.ListContainersResponse(try await engine.list())
        } catch {
            throw RPCError("\(error)")
        }
    }

    package func containerHealth() async throws -> [(name: String, problem: String)] {
        guard let application else { throw RPCError("there is no container engine") }
        var configuration = HTTPClientConfiguration(
            transport: application.endpoint.transport,
            limits: HTTPClientLimits(
                maximumBodyBytes: 4 << 20, connectTimeout: .seconds(2), totalTimeout: .seconds(4)))
        configuration.proxy = .none
        let http = HTTPClient(configuration)
        var health: [(name: String, problem: String)] = []
        for container in try await application.list() {
            let path = "/containers/\(HTTPSyntax.percentEncoded(container.id))/json"
            let response = try await http.send(HTTPRequest(.get, application.endpoint.url(path)))
            // One that went meanwhile is none of the application's any more.
            guard response.isSuccess else { continue }
            let root = try JSONDocument(parsing: response.body, subject: "container").root
            if let problem = try Self.problem(root) { health.append((container.displayName, problem)) }
        }
        return health
    }

    /// Empty for a container that runs and is healthy; nil for one that declares no health check.
    static func problem(_ container: JSONNode) throws(DecodingFailure) -> String? {
        let state = try container.member("State")
        guard let health = try state.optionalMember("Health"),
            case let status = try health.member("Status").string(), status != "none"
        else { return nil }
        guard try state.member("Running").bool() else { return try state.member("Status").string() }
        return status == "healthy" ? "" : status
    }
}
