package import Glibc

/// Unix sockets by their system calls, for peers that share nothing with what is tested.
package enum UnixSocket {
    /// A system call that takes the address of a path; of a name in the abstract space, where it begins with a zero.
    package static func withAddress<Result>(
        _ path: String, _ call: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        precondition(bytes.count < MemoryLayout.size(ofValue: address.sun_path), "the path \(path) is too long")
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        // The zero behind a path belongs to it; in a name of the abstract space it would be a character.
        let length = MemoryLayout<sa_family_t>.size + bytes.count + (bytes.first == 0 ? 0 : 1)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { call($0, socklen_t(length)) }
        }
    }

    /// A socket that has a path.
    ///
    /// - Parameter kind: `SOCK_STREAM` or `SOCK_DGRAM`, with `SOCK_NONBLOCK`.
    package static func bound(to path: String, _ kind: __socket_type = SOCK_STREAM) throws -> Int32 {
        try made(kind, path) { bind($0, $1, $2) }
    }

    /// A socket that is connected with whoever listens at a path.
    package static func connected(to path: String) throws -> Int32 {
        try made(SOCK_STREAM, path) { connect($0, $1, $2) }
    }

    private static func made(
        _ kind: __socket_type, _ path: String, _ call: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32
    ) throws -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(kind.rawValue), 0)
        guard withAddress(path, { call(descriptor, $0, $1) }) == 0 else {
            let code = errno
            close(descriptor)
            throw SocketFailure(address: path, code: code)
        }
        return descriptor
    }
}
