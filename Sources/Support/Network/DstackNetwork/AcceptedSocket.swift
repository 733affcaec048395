import CNetwork
package import DstackSystem
import Glibc

/// What the system says of a connection that was accepted.
package enum AcceptedSocket {
    /// Who holds the other end of a Unix socket, as of connecting.
    package struct Credentials: Sendable, Hashable {
        package let processID: Int32
        package let userID: UInt32
        package let groupID: UInt32
    }

    /// Nil where the system does not say.
    package static func credentials(_ descriptor: Int32) -> Credentials? {
        var processID: Int32 = 0
        var userID: UInt32 = 0
        var groupID: UInt32 = 0
        guard dstack_peer_credentials(descriptor, &processID, &userID, &groupID) else { return nil }
        return Credentials(processID: processID, userID: userID, groupID: groupID)
    }

    /// The process that made a connection over a Unix socket. It costs a descriptor until it is looked up.
    package static func process(_ descriptor: Int32, _ processID: Int32) -> PeerProcess {
        PeerProcess(number: processID, handle: dstack_peer_process(descriptor, processID))
    }

    /// Has what is written go out at once, not when the last piece is acknowledged (TCP).
    package static func sendAtOnce(_ descriptor: Int32) {
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
    }
}
