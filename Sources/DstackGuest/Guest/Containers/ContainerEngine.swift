import DstackEncoding

/// What runs the application's containers, for reading: nothing here changes anything.
///
///     let engine = ContainerEngineKind.docker(.standard).engine(.project("dstack"))
///     for container in try await engine.list() { … }
///     let logs = try await engine.logs(of: name, LogQuery(tail: .last(100), follows: true))
///     while let frame = try await logs.next() { … }
///
/// Of an engine's containers only those in its scope exist here.
package protocol ContainerEngine: Sendable {
    /// Whether there is an engine on this machine as far as can be told without asking it.
    var isPresent: Bool { get }

    /// All containers in scope, also stopped ones, the newest first.
    func list() async throws(GuestError) -> [Container]

    /// Begins to read a container's output.
    ///
    /// - Parameter reader: who gets a place for it, among those who read logs at the same time.
    /// - Throws: whatever keeps the log from being read; once this returns, the engine has agreed to give it.
    func logs(
        of container: Container, _ query: LogQuery, for reader: LogReader
    ) async throws(GuestError) -> ContainerLogs

    /// The containers in scope that declare a health check.
    func health() async throws(GuestError) -> [ContainerHealth]
}

extension ContainerEngine {
    /// - Throws: ``GuestError/Code/noSuchContainer`` also for containers out of scope: who may not read one need not know
    ///   that it is there.
    package func container(_ name: ContainerName) async throws(GuestError) -> Container {
        try find(name, in: try await list())
    }

    /// The container of a name in a list.
    func find(_ name: ContainerName, in list: [Container]) throws(GuestError) -> Container {
        guard let found = list.first(where: { $0.answers(to: name) }) else {
            throw GuestError(.noSuchContainer, subject: "container \(name.text)", reason: "there is none of this name")
        }
        return found
    }

    /// The same by name.
    package func logs(
        of name: ContainerName, _ query: LogQuery, for reader: LogReader = .own
    ) async throws(GuestError) -> ContainerLogs {
        try await logs(of: try await container(name), query, for: reader)
    }
}

/// The engines that there are.
package enum ContainerEngineKind: Sendable, Hashable {
    case docker(DockerEndpoint)
    /// The program's name or path, and the namespace of containerd in which the containers are.
    case nerdctl(program: String, namespace: String)

    package func engine(_ scope: ContainerScope) -> any ContainerEngine {
        switch self {
        case .docker(let endpoint): DockerEngine(endpoint, scope: scope)
        case .nerdctl(let program, let namespace): NerdctlEngine(program, namespace: namespace, scope: scope)
        }
    }
}

/// Labels that Docker Compose gives to containers, and nerdctl's Compose likewise.
enum ComposeLabel {
    static let project = "com.docker.compose.project"
    static let service = "com.docker.compose.service"
}

/// How a container with a health check fares.
package struct ContainerHealth: Sendable, Hashable {
    package var name: String
    /// Empty where it runs and is healthy, else its state: `starting`, `unhealthy`, `exited`.
    package var problem: String

    package init(name: String, problem: String) {
        self.name = name
        self.problem = problem
    }

    /// From what Docker, and nerdctl after it, tells of a container: nil where it declares no health check.
    static func problem(_ container: JSONNode) throws(DecodingFailure) -> String? {
        let state = try container.member("State")
        guard let health = try state.optionalMember("Health"),
            case let status = try health.member("Status").string(), status != "none"
        else { return nil }
        guard try state.member("Running").bool() else {
            // nerdctl has no word for one that was made and never started; an empty one would mean health.
            let word = try state.member("Status").string()
            return word.isEmpty ? "not running" : word
        }
        if status == "healthy" { return "" }
        return status.isEmpty ? "unknown" : status
    }
}
