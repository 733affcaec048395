import DstackHTTPClient
package import DstackSystem
import Glibc

/// Where a Docker engine listens.
package enum DockerEndpoint: Sendable, Hashable, CustomStringConvertible {
    case unix(path: String)
    /// Without TLS: for engines on the same machine.
    case tcp(host: String, port: UInt16)

    /// Where Docker listens unless told otherwise.
    package static let standard = DockerEndpoint.unix(path: "/var/run/docker.sock")

    /// What `DOCKER_HOST` says (`unix:///path` or `tcp://host:port`), else ``standard``.
    ///
    /// - Throws: for any other form: to read another engine than the one named would mislead.
    package static func fromEnvironment(
        _ environment: Environment = .process
    ) throws(GuestError) -> DockerEndpoint {
        guard let text = environment["DOCKER_HOST"], !text.isEmpty else { return .standard }
        guard let endpoint = DockerEndpoint(text) else {
            throw GuestError(
                .invalidConfiguration, subject: "DOCKER_HOST", reason: "\(SafeText.quoted(text)) is not supported",
                hint: "unix:///path or tcp://host:port")
        }
        return endpoint
    }

    package init?(_ text: String) {
        if text.hasPrefix("unix://") {
            let path = text.dropFirst("unix://".count)
            guard path.hasPrefix("/"), UnixAddress(path: String(path)) != nil else { return nil }
            self = .unix(path: String(path))
            return
        }
        guard text.hasPrefix("tcp://") || text.hasPrefix("http://"), let scheme = text.firstRange(of: "://") else {
            return nil
        }
        let rest = text[scheme.upperBound...].split(separator: "/", omittingEmptySubsequences: false)
        guard let authority = rest.first, rest.dropFirst().allSatisfy({ $0.isEmpty }),
            let colon = authority.lastIndex(of: ":"), let port = UInt16(authority[authority.index(after: colon)...]),
            case let host = authority[..<colon], !host.isEmpty,
            host.utf8.allSatisfy({ byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x3A, 0x5B, 0x5D: true
                default: false
                }
            })
        else { return nil }
        self = .tcp(host: String(host), port: port)
    }

    package var description: String {
        switch self {
        case .unix(let path): "unix://\(path)"
        case .tcp(let host, let port): "tcp://\(host):\(port)"
        }
    }

    /// Whether an engine may be there at all: false where its socket does not even exist, as on a machine without one.
    var exists: Bool {
        switch self {
        case .unix(let path): access(path, F_OK) == 0
        case .tcp: true
        }
    }

    var transport: HTTPClientConfiguration.Transport {
        switch self {
        case .unix(let path): .unix(path: path)
        case .tcp: .network
        }
    }

    func url(_ path: String) -> String {
        switch self {
        case .unix: "http://docker\(path)"
        case .tcp(let host, let port): "http://\(host):\(port)\(path)"
        }
    }
}
