import DstackConcurrency
import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import DstackSystem
import Synchronization

/// A Docker engine, through the Docker Engine API.
///
///     let engine = try DockerEngine(.fromEnvironment(), scope: .project("dstack"))
package struct DockerEngine: ContainerEngine {
    private let endpoint: DockerEndpoint
    private let scope: ContainerScope
    private let lists: HTTPClient
    private let streams: HTTPClient
    private let places: LogPlaces
    private let logPatience: Duration
    private let terminals = Terminals()

    /// - Parameters:
    ///   - maximumStreams: logs that strangers read at once, each of which holds a connection on both sides.
    ///   - logPatience: after so long without output a log ends, even one that is followed (whole seconds).
    package init(
        _ endpoint: DockerEndpoint, scope: ContainerScope, maximumStreams: Int = 64,
        logPatience: Duration = .seconds(600)
    ) {
        self.endpoint = endpoint
        self.scope = scope
        self.logPatience = logPatience
        let own = max(2, maximumStreams / 4)
        places = LogPlaces(maximumStreams, own: own)
        var configuration = HTTPClientConfiguration(transport: endpoint.transport)
        // An engine is on this machine or was named by the operator: a proxy for the world is not for it.
        configuration.proxy = .none
        lists = HTTPClient(configuration)
        configuration.maximumConnections = max(1, maximumStreams) + own
        streams = HTTPClient(configuration)
    }

    /// Whether an engine may be there at all: its socket is.
    package var isPresent: Bool { endpoint.exists }

    // MARK: Containers

    /// All containers in scope, also stopped ones, in the engine's order (newest first).
    package func list() async throws(GuestError) -> [Container] {
        var path = "/containers/json?all=1"
        if case .project(let project) = scope {
            var filter = JSONWriter()
            filter.object { $0.member("label", ["\(ComposeLabel.project)=\(project)"]) }
            path += "&filters=" + HTTPSyntax.percentEncoded(filter.text)
        }
        let response = try await send(path)
        guard response.status == 200 else { throw refusal(response.status, response.body) }
        return try decoding { () throws(DecodingFailure) in
            try JSONDocument(parsing: response.body, subject: "list of containers").root.array().map {
                node throws(DecodingFailure) in try Container(node)
            }
        }
    }

    package func health() async throws(GuestError) -> [ContainerHealth] {
        var health: [ContainerHealth] = []
        for container in try await list() {
            let response = try await send("/containers/\(HTTPSyntax.percentEncoded(container.id))/json", within: 4)
            // One that went meanwhile is none of the application's any more.
            guard response.isSuccess else { continue }
            let problem = try decoding { () throws(DecodingFailure) in
                try ContainerHealth.problem(JSONDocument(parsing: response.body, subject: "container").root)
            }
            if let problem { health.append(ContainerHealth(name: container.displayName, problem: problem)) }
        }
        return health
    }

    // MARK: Logs

    package func logs(
        of container: Container, _ query: LogQuery, for reader: LogReader
    ) async throws(GuestError) -> ContainerLogs {
        let place = try places.take(reader, container)
        // By id, which a container of the same name that takes its place meanwhile does not have.
        let hasTerminal = try await hasTerminal(container.id)
        let request = HTTPRequest(
            .get, endpoint.url("/containers/\(HTTPSyntax.percentEncoded(container.id))/logs?\(query.text)"),
            limits: HTTPClientLimits(
                connectTimeout: .seconds(5), totalTimeout: .seconds(20 * 86_400), stallTimeout: logPatience))
        let refused: (status: Int, body: [UInt8])
        do throws(HTTPClientError) {
            let stream = try await streams.stream(request)
            if stream.status == 200 { return ContainerLogs(DockerLogs(stream, hasTerminal: hasTerminal), place: place) }
            refused = (stream.status, try await stream.collect(limit: 64 << 10))
        } catch {
            throw unreachable(error)
        }
        throw refusal(refused.status, refused.body)
    }

    /// A container has a terminal or not for all its life, so that each is asked about once.
    private func hasTerminal(_ id: String) async throws(GuestError) -> Bool {
        if let known = terminals.known.withLock({ $0.value(of: id) }) { return known }
        let response = try await send("/containers/\(HTTPSyntax.percentEncoded(id))/json")
        guard response.status == 200 else { throw refusal(response.status, response.body) }
        let hasTerminal = try decoding { () throws(DecodingFailure) in
            try JSONDocument(parsing: response.body, subject: "container").root.member("Config").member("Tty").bool()
        }
        terminals.known.withLock { $0.insert(hasTerminal, for: id) }
        return hasTerminal
    }

    /// Which containers have a terminal, by id.
    private final class Terminals: Sendable {
        let known = Mutex(LRUCache<String, Bool>(capacity: 256))
    }

    // MARK: Requests

    private func send(_ path: String, within seconds: Int64 = 20) async throws(GuestError) -> HTTPResponse {
        let limits = HTTPClientLimits(
            maximumBodyBytes: 16 << 20, connectTimeout: .seconds(5), totalTimeout: .seconds(seconds))
        do {
            return try await lists.send(HTTPRequest(.get, endpoint.url(path), limits: limits))
        } catch {
            throw unreachable(error)
        }
    }

    private func unreachable(_ error: HTTPClientError) -> GuestError {
        // libcurl's own text names a host and a port that there are not.
        let isAbsent = error.code == .connection
        return GuestError(
            .engineUnavailable, subject: "container engine at \(endpoint)",
            reason: isAbsent ? "nobody listens there" : error.reason,
            hint: isAbsent ? "is it running, and is DOCKER_HOST right?" : "")
    }

    /// What the engine answered instead of what was asked for.
    private func refusal(_ status: Int, _ body: [UInt8]) -> GuestError {
        let text = (try? JSONDocument(parsing: body, subject: "error").root.member("message").string()) ?? ""
        return GuestError(
            status == 404 ? .noSuchContainer : .engineUnavailable, subject: "container engine",
            reason: text.isEmpty ? "it answered with status \(status)" : SafeText.line(text, limit: 300))
    }

    private func decoding<Value>(_ body: () throws(DecodingFailure) -> Value) throws(GuestError) -> Value {
        do {
            return try body()
        } catch {
            throw GuestError(.engineUnavailable, subject: "container engine", reason: "\(error)")
        }
    }
}

extension Container {
    /// From an element of the engine's list.
    init(_ node: JSONNode) throws(DecodingFailure) {
        let labels = try node.optionalMember("Labels")
        func label(_ name: String) throws(DecodingFailure) -> String? { try labels?.member(named: name)?.string() }
        self.init(
            id: try node.member("Id").string(),
            names: try node.optionalMember("Names")?.array().map { name throws(DecodingFailure) in try name.string() }
                ?? [],
            image: try node.member("Image").string(), imageID: try node.member("ImageID").string(),
            created: try node.member("Created").integer(),
            state: State(rawValue: try node.member("State").string()), status: try node.member("Status").string(),
            project: try label(ComposeLabel.project), service: try label(ComposeLabel.service))
    }
}
