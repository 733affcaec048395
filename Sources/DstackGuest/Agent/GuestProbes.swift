import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackRPC
import DstackSystem
import Synchronization

/// Asks an agent over its own sockets, as its clients do.
final class GuestProbes: Sendable {
    private struct Probe: Sendable {
        let name: String
        let client: HTTPClient
        let url: String
    }

    private let probes = Mutex<[Probe]>([])

    /// - Parameter bound: where the listeners ended up, in the same order.
    func prepare(_ listeners: [HTTPListener], _ bound: [HTTPBoundListener]) {
        var found: [Probe] = []
        for (listener, place) in zip(listeners, bound) {
            let transport: HTTPClientConfiguration.Transport
            var authority = "localhost"
            switch listener.endpoint {
            case .unix(let path, _): transport = .unix(path: path)
            case .descriptor(let descriptor):
                guard let path = GuestListeners.path(of: descriptor) else { continue }
                transport = .unix(path: path)
            case .tcp(let host, _):
                guard let port = place.port else { continue }
                transport = .network
                authority = Self.authority(host, port)
            // A vsock cannot be reached from the machine that it belongs to.
            case .vsock: continue
            }
            let path =
                switch listener.name {
                case GuestListeners.Name.main: "/Version"
                case GuestListeners.Name.tappd: "/prpc/Tappd.Version"
                // All that it has depends on other parts of the machine, whose failures a restart does not mend.
                case GuestListeners.Name.guestAPI: ""
                default: "/prpc/Worker.Version"
                }
            guard !path.isEmpty else { continue }
            var configuration = HTTPClientConfiguration(transport: transport)
            configuration.proxy = .none
            configuration.userAgent = "dstack-guest-agent/watchdog"
            found.append(
                Probe(name: listener.name, client: HTTPClient(configuration), url: "http://\(authority)\(path)"))
        }
        probes.withLock { $0 = found }
    }

    /// Where a server that listens at every address is reached from here.
    private static func authority(_ host: String, _ port: UInt32) -> String {
        switch host {
        case "0.0.0.0": "127.0.0.1:\(port)"
        case "::": "[::1]:\(port)"
        default: host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        }
    }

    func run() async throws {
        for probe in probes.withLock({ $0 }) {
            let limits = HTTPClientLimits(
                maximumBodyBytes: 1 << 20, connectTimeout: .seconds(2), totalTimeout: .seconds(4))
            var request = HTTPRequest(.get, probe.url, limits: limits)
            // On a connection of its own: whether new ones are accepted is part of the question.
            request.mayBeRepeated = false
            let response = try await probe.client.send(request)
            guard response.isSuccess else {
                throw GuestError(
                    .systemUnavailable, subject: probe.name, reason: "it answers with status \(response.status)")
            }
        }
    }
}
