import Glibc

/// Where a listener is, as configurations write it: `unix:PATH`, `tcp:IP:PORT`, `vsock:CID` or a bare IP address, the
/// last two with a port of their own setting.
package enum GuestAddress: Sendable, Hashable, CustomStringConvertible {
    case unix(path: String)
    case tcp(host: String, port: UInt16)
    case vsock(cid: UInt32, port: UInt32)

    /// - Parameter port: the port that is set beside the address.
    package init?(_ text: String, port: UInt32?) {
        if let path = text.dropping("unix:") {
            guard !path.isEmpty, !path.utf8.contains(0) else { return nil }
            self = .unix(path: path)
        } else if let cid = text.dropping("vsock:") {
            let number = cid.dropping("0x").map { UInt32($0, radix: 16) } ?? UInt32(cid)
            guard let number, let port else { return nil }
            self = .vsock(cid: number, port: port)
        } else if let rest = text.dropping("tcp:"), let colon = rest.lastIndex(of: ":"),
            let own = UInt16(rest[rest.index(after: colon)...])
        {
            guard let host = Self.host(String(rest[..<colon])) else { return nil }
            self = .tcp(host: host, port: own)
        } else {
            guard let host = Self.host(text.dropping("tcp:") ?? text), let port, let small = UInt16(exactly: port)
            else { return nil }
            self = .tcp(host: host, port: small)
        }
    }

    /// Numeric addresses only: a name would make the start depend on a resolver.
    private static func host(_ text: String) -> String? {
        let bare = text.hasPrefix("[") && text.hasSuffix("]") ? String(text.dropFirst().dropLast()) : text
        var (four, six) = (in_addr(), in6_addr())
        return inet_pton(AF_INET, bare, &four) == 1 || inet_pton(AF_INET6, bare, &six) == 1 ? bare : nil
    }

    package var description: String {
        switch self {
        case .unix(let path): "unix:\(path)"
        case .tcp(let host, let port): host.contains(":") ? "tcp:[\(host)]:\(port)" : "tcp:\(host):\(port)"
        case .vsock(let cid, let port): "vsock:\(cid):\(port)"
        }
    }
}

extension String {
    /// What follows a prefix; nil without it.
    fileprivate func dropping(_ prefix: String) -> String? {
        hasPrefix(prefix) ? String(dropFirst(prefix.count)) : nil
    }
}

extension GuestSettings {
    /// The four places where an agent listens.
    package struct Listeners: Sendable {
        package var main = Listener(.unix(path: "/var/run/dstack/dstack.sock"))
        package var tappd = Listener(.unix(path: "/var/run/dstack/tappd.sock"))
        package var external = Listener(.tcp(host: "0.0.0.0", port: 8090))
        package var guestAPI = Listener(.vsock(cid: .max, port: 8000), mode: 0o600)
        /// Who may call the guest API.
        package var hostPeers = HostPeers.host
        /// Whether the sockets that a service manager passed take the place of the first two.
        package var usesActivation = true
        /// Beside the public listener, e.g. where that is a Unix socket.
        package var secondExternal: GuestAddress?

        package init() {}
    }

    package struct Listener: Sendable {
        package var address: GuestAddress
        /// Whether a socket file that nobody listens at may be replaced.
        package var replacesStale = true
        /// Permissions of a socket file. Containers run as any user, and every one of them may ask.
        package var mode: UInt32 = 0o777

        package init(_ address: GuestAddress, mode: UInt32 = 0o777) {
            self.address = address
            self.mode = mode
        }
    }
}
