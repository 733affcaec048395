import CEvent
import Glibc

/// A bound, listening, non-blocking socket and what must be undone when it goes.
struct ListeningSocket: ~Copyable {
    let descriptor: Int32
    let bound: HTTPBoundListener
    private let file: SocketFile?

    init(_ listener: HTTPListener) throws(HTTPServerError) {
        switch listener.endpoint {
        case .tcp(let host, let port):
            descriptor = try Self.listening(listener.name, Self.openTCP(listener.name, host, port))
            file = nil
        case .unix(let path, let mode):
            let (opened, made) = try Self.openUnix(listener.name, path, mode)
            descriptor = try Self.listening(listener.name, opened)
            file = made
        case .vsock(let cid, let port):
            let opened = dstack_server_bind_vsock(cid, port)
            guard opened >= 0 else {
                throw HTTPServerError(
                    errno == EAFNOSUPPORT ? .system : .listen, listener.name,
                    "vsock:\(cid):\(port) cannot be bound: \(Self.errorText())")
            }
            descriptor = try Self.listening(listener.name, opened)
            file = nil
        case .descriptor(let given):
            try Self.checkInherited(listener.name, given)
            descriptor = given
            file = nil
        }
        bound = Self.describe(listener, descriptor)
    }

    deinit {
        close(descriptor)
        file?.removeIfOwn()
    }

    private static func errorText() -> String { String(cString: strerror(errno)) }

    /// An address that cannot be had, with the usual reason for it.
    private static func unbound(_ name: String, _ address: String, _ code: Int32) -> HTTPServerError {
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
        return HTTPServerError(.listen, name, "\(address) cannot be bound: \(reason)", hint: hint)
    }

    private static func listening(_ name: String, _ descriptor: Int32) throws(HTTPServerError) -> Int32 {
        // The kernel cuts this to its own limit (net.core.somaxconn).
        guard listen(descriptor, 4096) == 0 else {
            let reason = errorText()
            close(descriptor)
            throw HTTPServerError(.listen, name, "listening failed: \(reason)")
        }
        return descriptor
    }

    // MARK: TCP

    private static func openTCP(_ name: String, _ host: String, _ port: UInt16) throws(HTTPServerError) -> Int32 {
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        var found: UnsafeMutablePointer<addrinfo>?
        let bare = host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
        let status = getaddrinfo(bare.isEmpty ? nil : bare, String(port), &hints, &found)
        guard status == 0, let address = found?.pointee else {
            throw HTTPServerError(.listen, name, "\(host) is no address: \(String(cString: gai_strerror(status)))")
        }
        defer { freeaddrinfo(found) }
        let type = address.ai_socktype | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(address.ai_family, type, address.ai_protocol)
        guard descriptor >= 0 else { throw HTTPServerError(.system, name, "no socket: \(errorText())") }
        var one: Int32 = 1
        // Without it, connections of a previous run that are still dying would keep the port taken.
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        guard bind(descriptor, address.ai_addr, address.ai_addrlen) == 0 else {
            let code = errno
            close(descriptor)
            throw unbound(name, "\(host) port \(port)", code)
        }
        return descriptor
    }

    // MARK: Unix

    private static func openUnix(
        _ name: String, _ path: String, _ mode: UInt32
    ) throws(HTTPServerError) -> (Int32, SocketFile) {
        guard var address = unixAddress(path) else {
            throw HTTPServerError(.listen, name, "a Unix socket path has 1 to 107 bytes: \(path)")
        }
        try removeStale(name, path, &address)
        let descriptor = socketUnix()
        guard descriptor >= 0 else { throw HTTPServerError(.system, name, "no socket: \(errorText())") }
        var file = SocketFile(path: path)
        let status = withAddress(&address) {
            dstack_server_bind_unix(descriptor, $0, $1, path, mode, &file.device, &file.inode)
        }
        guard status == 0 else {
            let code = errno
            close(descriptor)
            throw unbound(name, path, code)
        }
        return (descriptor, file)
    }

    /// Removes a socket file that nobody listens at. Anything else at the path stays, and is an error.
    private static func removeStale(
        _ name: String, _ path: String, _ address: inout sockaddr_un
    ) throws(HTTPServerError) {
        var status = stat()
        guard lstat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw HTTPServerError(.listen, name, "\(path) exists and is not a socket")
        }
        let probe = socketUnix()
        guard probe >= 0 else { throw HTTPServerError(.system, name, "no socket: \(errorText())") }
        defer { close(probe) }
        // A full backlog (EAGAIN) is somebody listening, too.
        guard withAddress(&address, { connect(probe, $0, $1) }) != 0, errno == ECONNREFUSED else {
            throw HTTPServerError(
                .listen, name, "another process listens at \(path)", hint: "end it, or choose another address")
        }
        unlink(path)
    }

    private static func socketUnix() -> Int32 {
        socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    }

    private static func unixAddress(_ path: String) -> sockaddr_un? {
        guard !path.isEmpty, path.utf8.count <= 107, !path.utf8.contains(0) else { return nil }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        return address
    }

    private static func withAddress(
        _ address: inout sockaddr_un, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) -> Int32 {
        withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }

    // MARK: Inherited

    private static func checkInherited(_ name: String, _ descriptor: Int32) throws(HTTPServerError) {
        func option(_ option: Int32) -> Int32? {
            var value: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            return getsockopt(descriptor, SOL_SOCKET, option, &value, &length) == 0 ? value : nil
        }
        guard option(SO_ACCEPTCONN) == 1, option(SO_TYPE) == Int32(SOCK_STREAM.rawValue) else {
            throw HTTPServerError(.listen, name, "descriptor \(descriptor) is not a listening stream socket")
        }
        let flags = fcntl(descriptor, F_GETFL)
        guard flags >= 0, fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0,
            fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0
        else { throw HTTPServerError(.system, name, "descriptor \(descriptor): \(errorText())") }
    }

    // MARK: Names

    private static func describe(_ listener: HTTPListener, _ descriptor: Int32) -> HTTPBoundListener {
        let scheme = listener.tls == nil ? "http" : "https"
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let address = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                getsockname(descriptor, pointer, &length) == 0 ? PeerAddress.read(pointer, length) : .unknown
            }
        }
        switch (listener.endpoint, address) {
        case (_, .internet(_, let port)):
            return HTTPBoundListener(name: listener.name, description: "\(scheme)://\(address)", port: UInt32(port))
        case (_, .vsock(let cid, let port)):
            return HTTPBoundListener(name: listener.name, description: "vsock:\(cid):\(port)", port: port)
        case (.unix(let path, _), _):
            return HTTPBoundListener(name: listener.name, description: "unix:\(path)", port: nil)
        default:
            return HTTPBoundListener(name: listener.name, description: "descriptor \(descriptor)", port: nil)
        }
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

/// Socket addresses as values.
enum PeerAddress {
    static func read(_ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> HTTPPeer.Address {
        switch Int32(address.pointee.sa_family) {
        case AF_INET where length >= socklen_t(MemoryLayout<sockaddr_in>.size):
            address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { pointer in
                withUnsafeBytes(of: pointer.pointee.sin_addr) { internet(AF_INET, $0, pointer.pointee.sin_port) }
            }
        case AF_INET6 where length >= socklen_t(MemoryLayout<sockaddr_in6>.size):
            address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { pointer in
                withUnsafeBytes(of: pointer.pointee.sin6_addr) { internet(AF_INET6, $0, pointer.pointee.sin6_port) }
            }
        default: vsock(address, length)
        }
    }

    private static func internet(
        _ family: Int32, _ bytes: UnsafeRawBufferPointer, _ port: UInt16
    ) -> HTTPPeer.Address {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard let start = bytes.baseAddress, inet_ntop(family, start, &text, socklen_t(text.count)) != nil else {
            return .unknown
        }
        let end = text.firstIndex(of: 0) ?? text.count
        let host = String(decoding: text[..<end].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return .internet(host: host, port: UInt16(bigEndian: port))
    }

    private static func vsock(_ address: UnsafePointer<sockaddr>, _ length: socklen_t) -> HTTPPeer.Address {
        var cid: UInt32 = 0
        var port: UInt32 = 0
        guard dstack_server_vsock_address(address, length, &cid, &port) else { return .unknown }
        return .vsock(cid: cid, port: port)
    }

    /// The process at the other end of a Unix socket.
    static func unix(_ descriptor: Int32) -> HTTPPeer.Address {
        var processID: Int32 = 0
        var userID: UInt32 = 0
        var groupID: UInt32 = 0
        guard dstack_server_peer_credentials(descriptor, &processID, &userID, &groupID) else { return .unknown }
        return .unix(processID: processID, userID: userID, groupID: groupID)
    }
}
