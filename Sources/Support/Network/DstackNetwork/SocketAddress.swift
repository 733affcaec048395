import CNetwork
package import DstackSystem
import Glibc

/// Where somebody listens, or is to be connected to.
package enum SocketAddress: Sendable, Hashable {
    /// An address or host name, and a port. Names are looked up when the address is used.
    case tcp(host: String, port: UInt16)
    case unix(path: String)
    /// A context identifier (2 is the host, 3 and above are virtual machines, `UInt32.max` is every one of this machine) and
    /// a port.
    case vsock(cid: UInt32, port: UInt32)

    /// An address as configurations write it: `unix:PATH`, `tcp:IP:PORT`, `vsock:CID` or a bare IP address, the last two
    /// with a port of their own setting. Numeric addresses only: a name would make the start depend on a resolver.
    ///
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
            guard let host = Self.numeric(String(rest[..<colon])) else { return nil }
            self = .tcp(host: host, port: own)
        } else {
            guard let host = Self.numeric(text.dropping("tcp:") ?? text), let port, let small = UInt16(exactly: port)
            else { return nil }
            self = .tcp(host: host, port: small)
        }
    }

    private static func numeric(_ text: String) -> String? {
        let bare = withoutBrackets(text)
        return InternetAddress(bare) != nil ? bare : nil
    }

    private static func withoutBrackets(_ host: String) -> String {
        host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
    }

    /// Why this cannot be an address, if so; the system is not asked.
    package var problem: String? {
        switch self {
        case .unix(let path) where UnixAddress(path: path) == nil: "a Unix socket path has 1 to 107 bytes"
        default: nil
        }
    }

    /// The address as the system's calls take it. Of a name with several addresses it is the first.
    ///
    /// - Parameter toListen: whether it is an address of this machine, which an empty host is all of.
    /// - Throws: for what is no address, or has none.
    package func resolved(toListen: Bool = false) throws(SystemError) -> ResolvedAddress {
        let operation = toListen ? "listen at" : "connect to"
        if let problem { throw SystemError(operation, description, code: EINVAL, reason: problem) }
        switch self {
        case .tcp(let host, let port):
            var hints = addrinfo()
            hints.ai_family = AF_UNSPEC
            hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
            hints.ai_flags = AI_NUMERICSERV | (toListen ? AI_PASSIVE : 0)
            let bare = Self.withoutBrackets(host)
            var found: UnsafeMutablePointer<addrinfo>?
            let status = getaddrinfo(bare.isEmpty ? nil : bare, String(port), &hints, &found)
            guard status == 0, let first = found?.pointee, let address = first.ai_addr else {
                throw SystemError(
                    operation, description, code: EADDRNOTAVAIL,
                    reason: "\(host) is no address: \(String(cString: gai_strerror(status)))")
            }
            defer { freeaddrinfo(found) }
            return ResolvedAddress(address, first.ai_addrlen)
        case .unix(let path):
            // Without a problem it fits.
            guard let unix = UnixAddress(path: path) else { throw SystemError(operation, path, code: EINVAL) }
            return unix.withSockaddr { ResolvedAddress($0, $1) }
        case .vsock(let cid, let port):
            var storage = sockaddr_storage()
            let length = dstack_vsock_address(cid, port, &storage)
            return ResolvedAddress(storage, length)
        }
    }
}

extension SocketAddress: CustomStringConvertible {
    /// `unix:PATH`, `tcp:HOST:PORT`, `vsock:CID:PORT`.
    package var description: String {
        switch self {
        case .tcp(let host, let port): "tcp:\(Self.authority(host, port))"
        case .unix(let path): "unix:\(path)"
        case .vsock(let cid, let port): "vsock:\(cid):\(port)"
        }
    }

    /// Host and port as they stand in URLs.
    package static func authority(_ host: String, _ port: UInt16) -> String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

/// An address as the system's calls take it.
package struct ResolvedAddress: Sendable {
    private let storage: sockaddr_storage
    private let length: socklen_t

    init(_ storage: sockaddr_storage, _ length: socklen_t) {
        self.storage = storage
        self.length = length
    }

    init(_ address: UnsafePointer<sockaddr>, _ length: socklen_t) {
        var storage = sockaddr_storage()
        let count = min(Int(length), MemoryLayout<sockaddr_storage>.size)
        withUnsafeMutableBytes(of: &storage) {
            $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: count))
        }
        self.init(storage, socklen_t(count))
    }

    /// Where a socket is bound.
    init?(localOf descriptor: Int32) {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let status = withUnsafeMutablePointer(to: &storage) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard status == 0 else { return nil }
        self.init(storage, length)
    }

    /// `AF_INET`, `AF_UNIX`, …
    package var family: Int32 { Int32(storage.ss_family) }

    /// A stream socket for such addresses: non-blocking, close-on-exec. -1 with `errno` set.
    func makeSocket() -> Int32 {
        socket(family, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
    }

    /// Calls `body` with the address in place.
    func withSockaddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, length) }
        }
    }

    /// Who is at such an address of a network, or of another machine on this one; nil for another family.
    package var remote: RemoteAddress? { withSockaddr { RemoteAddress($0, Int($1)) } }
}

/// A numeric address and port of somebody else, as the system reports it.
package enum RemoteAddress: Sendable, Hashable {
    case internet(host: String, port: UInt16)
    case vsock(cid: UInt32, port: UInt32)

    /// - Parameters:
    ///   - address: where a `sockaddr` stands. Without its type, which the compiler takes for one of either C module that has it.
    ///   - count: its bytes.
    /// - Returns: nil for another family than IPv4, IPv6 and vsock.
    package init?(_ address: UnsafeRawPointer, _ count: Int) {
        let length = socklen_t(clamping: count)
        guard length >= socklen_t(MemoryLayout<sa_family_t>.size) else { return nil }
        let address = address.assumingMemoryBound(to: sockaddr.self)
        var found: RemoteAddress?
        switch Int32(address.pointee.sa_family) {
        case AF_INET where length >= socklen_t(MemoryLayout<sockaddr_in>.size):
            found = address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { pointer in
                withUnsafeBytes(of: pointer.pointee.sin_addr) { Self.internet(AF_INET, $0, pointer.pointee.sin_port) }
            }
        case AF_INET6 where length >= socklen_t(MemoryLayout<sockaddr_in6>.size):
            found = address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { pointer in
                withUnsafeBytes(of: pointer.pointee.sin6_addr) {
                    Self.internet(AF_INET6, $0, pointer.pointee.sin6_port)
                }
            }
        default:
            var (cid, port): (UInt32, UInt32) = (0, 0)
            if dstack_vsock_parts(address, length, &cid, &port) { found = .vsock(cid: cid, port: port) }
        }
        guard let found else { return nil }
        self = found
    }

    private static func internet(
        _ family: Int32, _ bytes: UnsafeRawBufferPointer, _ port: UInt16
    ) -> RemoteAddress? {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        guard let start = bytes.baseAddress, inet_ntop(family, start, &text, socklen_t(text.count)) != nil else {
            return nil
        }
        let end = text.firstIndex(of: 0) ?? text.count
        let host = String(decoding: text[..<end].map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return .internet(host: host, port: UInt16(bigEndian: port))
    }
}

extension String {
    /// What follows a prefix; nil without it.
    fileprivate func dropping(_ prefix: String) -> String? {
        hasPrefix(prefix) ? String(dropFirst(prefix.count)) : nil
    }
}
