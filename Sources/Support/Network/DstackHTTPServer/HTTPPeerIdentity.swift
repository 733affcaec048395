package import DstackNetwork

extension HTTPPeer {
    /// Who is at the other end, as far as that can be told: what is shared out among strangers is shared among these.
    ///
    /// It keeps one from having a share for each of his connections. It does not say who may do what: an address of a network
    /// is not that of its neighbour (``InternetAddress`` is exact).
    package enum Identity: Sendable, Hashable {
        /// An IPv4 address, or an IPv6 network of 64 bits.
        case network(InternetAddress)
        /// All processes of a user, by a Unix socket: whoever runs one process can run as many as he likes.
        case user(UInt32)
        /// All of a machine, by vsock.
        case machine(UInt32)
        /// All that nothing is known of are one.
        case unknown

        package init(_ address: HTTPPeer.Address) {
            self =
                switch address {
                case .internet(let host, _): InternetAddress(host).map { .network($0.network) } ?? .unknown
                case .unix(_, let userID, _): .user(userID)
                case .vsock(let cid, _): .machine(cid)
                case .unknown: .unknown
                }
        }
    }
}

extension HTTPPeer.Identity: CustomStringConvertible {
    package var description: String {
        switch self {
        case .network(let address): "\(address)"
        case .user(let userID): "uid \(userID)"
        case .machine(let cid): "vsock:\(cid)"
        case .unknown: "unknown"
        }
    }
}
