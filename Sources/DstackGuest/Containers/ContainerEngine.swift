import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import DstackSystem
import Synchronization

/// The container engine of this machine, through the Docker Engine API.
///
///     let engine = try ContainerEngine(.fromEnvironment(), scope: .project("dstack"))
///     for container in try await engine.list() { … }
///     let logs = try await engine.logs(of: name, LogQuery(tail: .last(100), follows: true))
///     while let frame = try await logs.next() { … }
///
/// Only reads. Of the engine's containers only those in ``scope`` exist here.
package struct ContainerEngine: Sendable {
    package let endpoint: ContainerEngineEndpoint
    package let scope: ContainerScope
    private let lists: HTTPClient
    private let streams: HTTPClient
    private let places: Places
    private let logPatience: Duration

    /// - Parameters:
    ///   - maximumStreams: logs read at once; more are refused, because each holds a connection on both sides.
    ///   - logPatience: after so long without output a log ends, even one that is followed (whole seconds).
    package init(
        _ endpoint: ContainerEngineEndpoint, scope: ContainerScope, maximumStreams: Int = 64,
        logPatience: Duration = .seconds(600)
    ) {
        self.endpoint = endpoint
        self.scope = scope
        self.logPatience = logPatience
        places = Places(maximumStreams)
        var configuration = HTTPClientConfiguration(
            transport: endpoint.transport,
            limits: HTTPClientLimits(
                maximumBodyBytes: 16 << 20, connectTimeout: .seconds(5), totalTimeout: .seconds(20)))
        // An engine is on this machine or was named by the operator: a proxy for the world is not for it.
        configuration.proxy = .none
        lists = HTTPClient(configuration)
        configuration.maximumConnections = max(1, maximumStreams)
        streams = HTTPClient(configuration)
    }

    // MARK: Containers

    /// All containers in scope, also stopped ones, in the engine's order (newest first).
    package func list() async throws(GuestError) -> [Container] {
        var path = "/containers/json?all=1"
        if case .project(let project) = scope {
            var filter = JSONWriter()
            filter.object { $0.member("label", ["\(Self.projectLabel)=\(project)"]) }
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

    static let projectLabel = "com.docker.compose.project"
    static let serviceLabel = "com.docker.compose.service"

    /// - Throws: ``GuestError/Code/noSuchContainer`` also for containers out of scope: who may not read one need not know
    ///   that it is there.
    package func container(_ name: ContainerName) async throws(GuestError) -> Container {
        guard let found = try await list().first(where: { $0.answers(to: name) }) else {
            throw GuestError(.noSuchContainer, subject: "container \(name.text)", reason: "there is none of this name")
        }
        return found
    }

    // MARK: Logs

    /// Begins to read a container's output.
    ///
    /// - Throws: whatever keeps the log from being read; once this returns, the engine has agreed to send it.
    package func logs(of name: ContainerName, _ query: LogQuery) async throws(GuestError) -> ContainerLogs {
        let container = try await container(name)
        guard let place = places.take() else {
            throw GuestError(
                .engineUnavailable, subject: "logs of \(name.text)", reason: "too many logs are being read at once")
        }
        // By id, which a container of the same name that takes its place meanwhile does not have.
        let hasTerminal = try await hasTerminal(container.id)
        let request = HTTPRequest(
            .get, endpoint.url("/containers/\(HTTPSyntax.percentEncoded(container.id))/logs?\(query.text)"),
            limits: HTTPClientLimits(
                connectTimeout: .seconds(5), totalTimeout: .seconds(20 * 86_400), stallTimeout: logPatience))
        let refused: (status: Int, body: [UInt8])
        do throws(HTTPClientError) {
            let stream = try await streams.stream(request)
            if stream.status == 200 { return ContainerLogs(stream, hasTerminal: hasTerminal, place: place) }
            refused = (stream.status, try await stream.collect(limit: 64 << 10))
        } catch {
            throw unreachable(error)
        }
        throw refusal(refused.status, refused.body)
    }

    private func hasTerminal(_ id: String) async throws(GuestError) -> Bool {
        let response = try await send("/containers/\(HTTPSyntax.percentEncoded(id))/json")
        guard response.status == 200 else { throw refusal(response.status, response.body) }
        return try decoding { () throws(DecodingFailure) in
            try JSONDocument(parsing: response.body, subject: "container").root.member("Config").member("Tty").bool()
        }
    }

    // MARK: Requests

    private func send(_ path: String) async throws(GuestError) -> HTTPResponse {
        do {
            return try await lists.send(HTTPRequest(.get, endpoint.url(path)))
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

    /// How many logs may be read at once.
    private final class Places: Sendable {
        private let free: Atomic<Int>

        init(_ count: Int) { free = Atomic(max(1, count)) }

        func take() -> LogPlace? {
            let left = free.subtract(1, ordering: .relaxed).newValue
            guard left >= 0 else {
                free.add(1, ordering: .relaxed)
                return nil
            }
            return LogPlace { [self] in free.add(1, ordering: .relaxed) }
        }
    }
}

/// One of the logs that may be read at once; given back when it goes.
final class LogPlace: Sendable {
    private let giveBack: @Sendable () -> Void

    init(_ giveBack: @escaping @Sendable () -> Void) { self.giveBack = giveBack }

    deinit { giveBack() }
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
            project: try label(ContainerEngine.projectLabel), service: try label(ContainerEngine.serviceLabel))
    }
}

extension GuestError.Code {
    /// No container of this name is among those that may be seen.
    package static let noSuchContainer = GuestError.Code(rawValue: "no_such_container")
}
