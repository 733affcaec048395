package import DstackSystem
import Glibc

/// Where a guest agent listens.
public enum AgentEndpoint: Sendable, Hashable {
    /// A Unix socket.
    case unix(_ path: String)
    /// `http` or `https`, with a path before the methods' names if there is one. Without TLS for this machine only:
    /// keys come back.
    case url(_ url: String)
    /// Where `DSTACK_SIMULATOR_ENDPOINT` says (a URL or a socket's path), else the first socket of those where agents
    /// listen: `/var/run/dstack.sock`, `/run/dstack.sock`, `/var/run/dstack/dstack.sock`,
    /// `/run/dstack/dstack.sock`. (``TappdClient`` has a variable and sockets of its own.) Looked for at the first call, and
    /// again after one that reached nobody.
    case automatic

    /// A text as environment variables have it: `http://…`, `https://…`, `unix:/path`, or a path.
    ///
    /// - Throws: ``DstackClientError/Code/invalidEndpoint`` for what is none of them and would, taken as a path, send its
    ///   reader looking for a file of that name.
    package init(text: String, from variable: String) throws(DstackClientError) {
        func invalid(_ reason: String, _ hint: String) -> DstackClientError {
            DstackClientError(
                .invalidEndpoint, subject: "\(variable) \"\(SafeText.line(text, limit: 200))\"", reason: reason,
                hint: hint)
        }
        let forms = "a socket's path, unix:/path, http://… or https://… is right"
        guard let first = text.unicodeScalars.first, let last = text.unicodeScalars.last,
            !first.properties.isWhitespace, !last.properties.isWhitespace
        else { throw invalid("it begins or ends with white space", "take that away") }
        // Shells take both away; files of variables and programs that start others do not.
        guard !"\"'`\u{201C}\u{2018}".unicodeScalars.contains(first) else {
            throw invalid("it stands in quotation marks, which are a part of it here", "take them away")
        }
        guard !text.hasPrefix("~"), !text.hasPrefix("unix:~"), !text.hasPrefix("unix://~") else {
            throw invalid("~ is not replaced here, only by a shell", "write the home directory's own path")
        }
        var path = Substring(text)
        if let scheme = Self.scheme(of: text) {
            let rest = text.dropFirst(scheme.count + 1)
            switch scheme.lowercased() {
            case "http", "https":
                guard rest.hasPrefix("//") else { throw invalid("a URL has // behind its scheme", forms) }
                self = .url(text)
                return
            case "unix":
                path = rest.hasPrefix("//") ? rest.dropFirst(2) : rest
                guard path.hasPrefix("/") else {
                    throw invalid("behind unix: an absolute path is expected", "for example unix:/var/run/dstack.sock")
                }
            case _ where rest.hasPrefix("//"):
                let place = rest.drop { $0 == "/" }
                throw invalid(
                    "there is no way to an agent by \(scheme)://",
                    scheme.lowercased().hasSuffix("unix")
                        ? "for a socket: unix:/\(SafeText.line(String(place)))" : forms)
            case _ where !text.contains("/"):
                throw invalid(
                    "it is neither a URL nor a path", "for a host and a port: http://\(SafeText.line(text)); \(forms)")
            default: break
            }
        }
        guard path.last != "/" else {
            throw invalid(
                "a socket's path does not end with a slash",
                "a simulation's socket is dstack.sock (or tappd.sock) in its directory")
        }
        self = .unix(String(path))
    }

    /// What stands before the first colon, if it can be the scheme of a URL (RFC 3986, section 3.1).
    private static func scheme(of text: String) -> String? {
        guard let colon = text.firstIndex(of: ":"), let first = text.utf8.first,
            (0x61...0x7A).contains(first | 0x20)
        else { return nil }
        let scheme = text[..<colon]
        let isScheme = scheme.utf8.allSatisfy { byte in
            (0x61...0x7A).contains(byte | 0x20) || (0x30...0x39).contains(byte) || "+-.".utf8.contains(byte)
        }
        return isScheme ? String(scheme) : nil
    }

    /// Whether an agent that is about to start may appear there.
    var mayAppear: Bool {
        guard case .unix(let path) = self else { return false }
        return switch SocketPlace(path) {
        case .missing: true
        case .socket: access(path, W_OK) == 0
        case .other, .hidden: false
        }
    }

    /// What to do when nothing accepts connections there.
    var unreachableHint: String {
        guard case .unix(let path) = self else { return "is the guest agent running there?" }
        return switch SocketPlace(path) {
        case .missing: "there is no such socket; in a container it must be mounted, as volume \(path):\(path)"
        case .socket where access(path, W_OK) == 0:
            "the socket is there, but nobody listens: is the guest agent running?"
        case .socket: "this user may not write to the socket"
        case .hidden(let reason): "it cannot be looked at: \(reason)"
        case .other(let kind): "it is \(kind), not a socket"
        }
    }
}

/// What is at a path where a socket is looked for. Links are followed.
enum SocketPlace {
    case socket
    /// Nothing, or a link that leads nowhere.
    case missing
    /// With the reason.
    case hidden(String)
    /// Something else, in words.
    case other(String)

    init(_ path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else {
            self = errno == ENOENT ? .missing : .hidden(String(cString: strerror(errno)))
            return
        }
        switch status.st_mode & S_IFMT {
        case S_IFSOCK: self = .socket
        case S_IFDIR: self = .other("a directory")
        case S_IFREG: self = .other("a plain file")
        default: self = .other("a device or pipe")
        }
    }

    /// What to do about something that is there in place of a socket.
    static func advice(_ kind: String, _ path: String) -> String {
        if let name = ["dstack.sock", "tappd.sock"].first(where: { access("\(path)/\($0)", F_OK) == 0 }) {
            return "the socket in it is \(path)/\(name)"
        }
        return kind == "a directory"
            ? "Docker makes a directory where a socket to mount is missing: start the agent first, remove the directory, "
                + "and make the container anew"
            : "remove it, or name the socket"
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
        let environment = environment()
        if let text = environment[variable] { return try AgentEndpoint(text: text, from: variable) }
        // Both mean the same, and a person looks for the mistake in different places.
        let absence = "\(variable) \(environment.variables[variable] == nil ? "is not set" : "is empty")"
        // Something that is there and is no socket must not hide the one behind it.
        var others: [(path: String, kind: String)] = []
        for path in paths {
            switch SocketPlace(path) {
            case .socket: return .unix(path)
            case .other(let kind): others.append((path, kind))
            case .hidden, .missing: break
            }
        }
        let mount = paths.first.map { "\($0):\($0)" } ?? ""
        let advice =
            "in a container, mount the socket (volume \(mount)); without a TEE, run `dstack simulate DIR` and "
            + "set \(variable) to its socket"
        guard let first = others.first else {
            throw DstackClientError(
                .agentNotFound, subject: "guest agent",
                reason: "\(absence), and none of \(paths.joined(separator: ", ")) exists", hint: advice)
        }
        throw DstackClientError(
            .agentNotFound, subject: "guest agent",
            reason: "\(absence), and none of \(paths.joined(separator: ", ")) is a socket: "
                + others.map { "\($0.path) is \($0.kind)" }.joined(separator: ", "),
            hint: "\(SocketPlace.advice(first.kind, first.path)); \(advice)")
    }
}
