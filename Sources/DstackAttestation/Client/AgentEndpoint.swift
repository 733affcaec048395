package import DstackSystem
import Glibc

/// Where a guest agent listens.
public enum AgentEndpoint: Sendable, Hashable {
    /// A Unix socket.
    case unix(_ path: String)
    /// `http` or `https`, with a path before the methods' names if there is one. Without TLS for this machine only:
    /// keys come back.
    case url(_ url: String)
    /// Where `DSTACK_SIMULATOR_ENDPOINT` says (a URL or a socket's path), else the first socket that exists of those where
    /// agents listen: `/var/run/dstack.sock`, `/run/dstack.sock`, `/var/run/dstack/dstack.sock`,
    /// `/run/dstack/dstack.sock`. (``TappdClient`` has a variable and sockets of its own.) Looked for at the first call, and
    /// again after one that reached nobody.
    case automatic

    /// A text as environment variables have it: `http://…`, `https://…`, `unix:/path`, or a path.
    init(text: String) {
        if text.hasPrefix("http://") || text.hasPrefix("https://") {
            self = .url(text)
        } else if text.hasPrefix("unix://") {
            self = .unix(String(text.dropFirst("unix://".count)))
        } else if text.hasPrefix("unix:") {
            self = .unix(String(text.dropFirst("unix:".count)))
        } else {
            self = .unix(text)
        }
    }

    /// What to do when nothing accepts connections there.
    var unreachableHint: String {
        guard case .unix(let path) = self else { return "is the guest agent running there?" }
        guard access(path, F_OK) == 0 else {
            return "there is no such socket; in a container it must be mounted, as volume \(path):\(path)"
        }
        return access(path, W_OK) == 0
            ? "the socket is there, but nobody listens: is the guest agent running?"
            : "this user may not write to the socket"
    }
}

extension AgentEndpoint: CustomStringConvertible {
    /// `unix:/path`, the URL, or `automatic`.
    public var description: String {
        switch self {
        case .unix(let path): "unix:\(SafeText.line(path, limit: 200))"
        case .url(let url): SafeText.line(url, limit: 200)
        case .automatic: "automatic"
        }
    }
}

/// Where an agent is looked for that nobody named.
package struct AgentDiscovery: Sendable {
    /// The environment variable that names one.
    package var variable: String
    /// Sockets, in the order in which they are tried.
    package var paths: [String]
    package var environment: @Sendable () -> Environment

    package init(
        variable: String, paths: [String], environment: @escaping @Sendable () -> Environment = { .process }
    ) {
        self.variable = variable
        self.paths = paths
        self.environment = environment
    }

    /// The main socket's.
    package static let dstack = AgentDiscovery(variable: "DSTACK_SIMULATOR_ENDPOINT", socket: "dstack.sock")
    /// The legacy socket's.
    package static let tappd = AgentDiscovery(variable: "TAPPD_SIMULATOR_ENDPOINT", socket: "tappd.sock")

    /// The directories in which every SDK looks, in their order.
    private init(variable: String, socket: String) {
        self.init(
            variable: variable, paths: ["/var/run", "/run", "/var/run/dstack", "/run/dstack"].map { "\($0)/\(socket)" })
    }

    package func find() throws(DstackClientError) -> AgentEndpoint {
        if let text = environment()[variable] { return AgentEndpoint(text: text) }
        if let path = paths.first(where: { access($0, F_OK) == 0 }) { return .unix(path) }
        let mount = paths.first.map { "\($0):\($0)" } ?? ""
        throw DstackClientError(
            .agentNotFound, subject: "guest agent",
            reason: "\(variable) is not set, and none of \(paths.joined(separator: ", ")) exists",
            hint: "in a container, mount the socket (volume \(mount)); without a TEE, run dstack-guest-agent "
                + "--simulate DIR and set \(variable) to its socket")
    }
}
