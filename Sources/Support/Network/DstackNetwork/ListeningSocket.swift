import CNetwork
import DstackSystem
import Glibc

/// Where a server listens.
package enum ListeningPlace: Sendable, Hashable {
    /// An address or host name, and a port; 0 for any free one.
    case tcp(host: String, port: UInt16)
    /// A socket file with these permission bits. One that is there already is replaced if nobody listens at it; it
    /// goes when the server stops.
    case unix(path: String, mode: UInt32 = 0o600)
    /// `UInt32.max` listens at every CID of this machine.
    case vsock(cid: UInt32, port: UInt32)
    /// A listening stream socket made by somebody else (socket activation). The server closes it when it stops.
    case descriptor(Int32)

    /// - Parameter mode: for a socket file.
    package init(_ address: SocketAddress, mode: UInt32) {
        self =
            switch address {
            case .tcp(let host, let port): .tcp(host: host, port: port)
            case .unix(let path): .unix(path: path, mode: mode)
            case .vsock(let cid, let port): .vsock(cid: cid, port: port)
            }
    }
}

/// Why nobody listens there.
package struct ListenFailure: Error, Sendable {
    /// Whether the system lacks what it takes (descriptors, memory, the kind of socket); else it is the address: malformed,
    /// taken, or not of this machine.
    package let isSystems: Bool
    package let reason: String
    /// What to do about it; nil if there is nothing to say.
    package let hint: String?

    init(_ reason: String, isSystems: Bool = false, hint: String? = nil) {
        self.isSystems = isSystems
        self.reason = reason
        self.hint = hint
    }
}

/// A bound, listening, non-blocking socket and what must be undone when it goes.
package struct ListeningSocket: ~Copyable {
    package let descriptor: Int32
    /// Where it is bound.
    package let address: ResolvedAddress?
    private let file: SocketFile?

    package init(_ place: ListeningPlace) throws(ListenFailure) {
        switch place {
        case .tcp(let host, let port):
            descriptor = try Self.listening(Self.openTCP(host, port))
            file = nil
        case .unix(let path, let mode):
            let (opened, made) = try Self.openUnix(path, mode)
            descriptor = try Self.listening(opened)
            file = made
        case .vsock(let cid, let port):
            descriptor = try Self.listening(Self.openVSock(cid, port))
            file = nil
        case .descriptor(let given):
            try Self.checkInherited(given)
            descriptor = given
            file = nil
        }
        address = ResolvedAddress(localOf: descriptor)
    }

    deinit {
        close(descriptor)
        file?.removeIfOwn()
    }

    private static func errorText() -> String { String(cString: strerror(errno)) }

    /// An address that cannot be had, with the usual reason for it.
    private static func unbound(_ address: String, _ code: Int32) -> ListenFailure {
        let hint: String? =
            switch code {
            case EADDRINUSE:
                "something listens there already (`ss -ltnp` shows what): end it, or choose another address"
            case EADDRNOTAVAIL: "this machine does not have that address: `ip address` shows which it has"
            case EACCES, EPERM:
                "it takes a privilege (for ports below 1024 CAP_NET_BIND_SERVICE): choose another address, or grant it"
            case ENOENT, ENOTDIR: "make the directory first"
            default: nil
            }
        let reason = code == ESTALE ? "another file took its place" : String(cString: strerror(code))
        return ListenFailure("\(address) cannot be bound: \(reason)", hint: hint)
    }

    private static func listening(_ descriptor: Int32) throws(ListenFailure) -> Int32 {
        // The kernel cuts this to its own limit (net.core.somaxconn).
        guard listen(descriptor, 4096) == 0 else {
            let reason = errorText()
            close(descriptor)
            throw ListenFailure("listening failed: \(reason)")
        }
        return descriptor
    }

    private static func resolved(_ address: SocketAddress) throws(ListenFailure) -> ResolvedAddress {
        do throws(SystemError) {
            return try address.resolved(toListen: true)
        } catch {
            throw ListenFailure(error.reason)
        }
    }

    // MARK: TCP and vsock

    private static func openTCP(_ host: String, _ port: UInt16) throws(ListenFailure) -> Int32 {
        let address = try resolved(.tcp(host: host, port: port))
        let descriptor = address.makeSocket()
        guard descriptor >= 0 else { throw ListenFailure("no socket: \(errorText())", isSystems: true) }
        var one: Int32 = 1
        // Without it, connections of a previous run that are still dying would keep the port taken.
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        guard address.withSockaddr({ bind(descriptor, $0, $1) }) == 0 else {
            let code = errno
            close(descriptor)
            throw unbound("\(host) port \(port)", code)
        }
        return descriptor
    }

    private static func openVSock(_ cid: UInt32, _ port: UInt32) throws(ListenFailure) -> Int32 {
        let address = try resolved(.vsock(cid: cid, port: port))
        let descriptor = address.makeSocket()
        guard descriptor >= 0, address.withSockaddr({ bind(descriptor, $0, $1) }) == 0 else {
            let code = errno
            if descriptor >= 0 { close(descriptor) }
            throw ListenFailure(
                "vsock:\(cid):\(port) cannot be bound: \(String(cString: strerror(code)))",
                isSystems: code == EAFNOSUPPORT)
        }
        return descriptor
    }

    // MARK: Unix

    private static func openUnix(_ path: String, _ mode: UInt32) throws(ListenFailure) -> (Int32, SocketFile) {
        guard let address = UnixAddress(path: path) else {
            throw ListenFailure("a Unix socket path has 1 to 107 bytes: \(path)")
        }
        try removeStale(path, address)
        let descriptor = try socketUnix()
        var file = SocketFile(path: path)
        let status = address.withSockaddr {
            dstack_bind_unix(descriptor, $0, $1, path, mode, &file.device, &file.inode)
        }
        guard status == 0 else {
            let code = errno
            close(descriptor)
            throw unbound(path, code)
        }
        return (descriptor, file)
    }

    /// Removes a socket file that nobody listens at. Anything else at the path stays, and is an error.
    private static func removeStale(_ path: String, _ address: UnixAddress) throws(ListenFailure) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else { throw ListenFailure("\(path) exists and is not a socket") }
        let probe = try socketUnix()
        defer { close(probe) }
        // A full backlog (EAGAIN) is somebody listening, too.
        guard address.withSockaddr({ connect(probe, $0, $1) }) != 0, errno == ECONNREFUSED else {
            throw ListenFailure("another process listens at \(path)", hint: "end it, or choose another address")
        }
        unlink(path)
    }

    private static func socketUnix() throws(ListenFailure) -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { throw ListenFailure("no socket: \(errorText())", isSystems: true) }
        return descriptor
    }

    // MARK: Inherited

    private static func checkInherited(_ descriptor: Int32) throws(ListenFailure) {
        func option(_ option: Int32) -> Int32? {
            var value: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            return getsockopt(descriptor, SOL_SOCKET, option, &value, &length) == 0 ? value : nil
        }
        guard option(SO_ACCEPTCONN) == 1, option(SO_TYPE) == Int32(SOCK_STREAM.rawValue) else {
            throw ListenFailure("descriptor \(descriptor) is not a listening stream socket")
        }
        let flags = fcntl(descriptor, F_GETFL)
        guard flags >= 0, fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0,
            fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0
        else { throw ListenFailure("descriptor \(descriptor): \(errorText())", isSystems: true) }
    }

    /// Whether an inherited descriptor is a listening Unix socket.
    package static func isUnixListener(_ descriptor: Int32) -> Bool {
        var domain: Int32 = 0
        var accepts: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0, domain == AF_UNIX,
            getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &length) == 0
        else { return false }
        return accepts == 1
    }
}

/// A socket file by path and identity, so that only the own one is removed: another server may have taken the path over.
private struct SocketFile {
    let path: String
    var device = dev_t()
    var inode = ino_t()

    init(path: String) { self.path = path }

    func removeIfOwn() {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_dev == device, status.st_ino == inode else { return }
        unlink(path)
    }
}
