package import DstackHTTPServer
package import DstackNetwork
import DstackRPC
import DstackRPCServer

/// Who is taken for the host on the guest API, which can end the machine.
///
/// Over vsock the kernel says where a connection comes from: the host is CID 2, and everything else is a container of
/// this machine or another machine. Over TCP an address says little, so that none is the host's unless it is configured.
/// A Unix socket is for those whom its permissions let in.
package struct HostPeers: Sendable, Equatable {
    /// One who may call.
    package enum Peer: Sendable, Hashable {
        /// A context identifier of vsock; `UInt32.max` for all.
        case vsock(UInt32)
        /// An IP address, exactly.
        case address(InternetAddress)

        /// - Parameter text: `vsock:2`, `vsock:0xffffffff` for all, or an IP address.
        package init?(_ text: String) {
            switch SocketAddress(text, port: 0) {
            case .vsock(let cid, _) where text.hasPrefix("vsock:"): self = .vsock(cid)
            case .tcp(let host, _) where text == host:
                guard let address = InternetAddress(host) else { return nil }
                self = .address(address)
            default: return nil
            }
        }
    }

    package var peers: [Peer]

    /// VMADDR_CID_HOST of linux/vm_sockets.h.
    package static let host = HostPeers([.vsock(2)])

    package init(_ peers: [Peer]) { self.peers = peers }

    /// Whether somebody may call.
    package func allow(_ address: HTTPPeer.Address) -> Bool {
        switch address {
        case .vsock(let cid, _): peers.contains { $0 == .vsock(cid) || $0 == .vsock(.max) }
        case .internet(let host, _): InternetAddress(host).map { peers.contains(.address($0)) } ?? false
        case .unix: true
        case .unknown: false
        }
    }

    var admission: RPCRouter.Admission {
        RPCRouter.Admission { call in
            guard allow(call.peer.address) else {
                throw RPCError(
                    "\(call.peer.address) is not the host: guest-api.peers says who may call here", status: 403)
            }
        }
    }
}
