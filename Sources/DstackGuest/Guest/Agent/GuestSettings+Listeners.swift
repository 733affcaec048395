package import DstackNetwork

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
        package var secondExternal: SocketAddress?

        package init() {}
    }

    package struct Listener: Sendable {
        package var address: SocketAddress
        /// Whether a socket file that nobody listens at may be replaced.
        package var replacesStale = true
        /// Permissions of a socket file. Containers run as any user, and every one of them may ask.
        package var mode: UInt32 = 0o777

        package init(_ address: SocketAddress, mode: UInt32 = 0o777) {
            self.address = address
            self.mode = mode
        }
    }
}
