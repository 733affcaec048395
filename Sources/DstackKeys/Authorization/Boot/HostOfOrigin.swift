import DstackHTTPClient
import DstackNetwork

/// The host of a URL, the same for all spellings.
enum HostOfOrigin: Hashable {
    case address(InternetAddress)
    /// In lower case, without the dot at its end.
    case name(String)

    init(_ origin: HTTPOrigin) {
        var host = origin.host[...]
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        if let address = InternetAddress(String(host)) {
            self = .address(address)
        } else {
            while host.hasSuffix(".") { host.removeLast() }
            self = .name(host.lowercased())
        }
    }

    /// Whether it is this very machine.
    var isLoopback: Bool {
        switch self {
        case .address(let address): "\(address)".hasPrefix("127.") || address == InternetAddress("::1")
        case .name(let name): name == "localhost" || name.hasSuffix(".localhost")
        }
    }
}

extension HTTPProxy {
    /// As the environment says, but never for this machine itself, where a proxy elsewhere would look for a service of its own.
    static func fromEnvironment(reaching origin: HTTPOrigin) -> HTTPProxy {
        HostOfOrigin(origin).isLoopback ? .none : .fromEnvironment()
    }
}
