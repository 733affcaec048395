import Glibc

/// TCP sockets of this machine by their system calls, for peers that share nothing with what is tested.
package enum TCPSocket {
    /// A socket that listens.
    ///
    /// - Parameter port: 0 for any that is free.
    package static func listening(at port: UInt16 = 0) throws -> (descriptor: Int32, port: UInt16) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var reuse: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
        var address = loopback(1, port)
        guard
            withAddress(
                &address,
                { pointer, length in
                    var length = length
                    return bind(descriptor, pointer, length) == 0 && listen(descriptor, 128) == 0
                        && getsockname(descriptor, pointer, &length) == 0
                })
        else { throw failure("127.0.0.1:\(port)", closing: descriptor) }
        return (descriptor, UInt16(bigEndian: address.sin_port))
    }

    /// A socket that is connected with whoever listens at a port.
    ///
    /// - Parameter host: the last number of the address 127.0.0.x that it comes from; nil for the usual.
    package static func connected(to port: UInt16, fromHost host: UInt8? = nil) throws -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        if let host {
            var origin = loopback(host, 0)
            guard withAddress(&origin, { bind(descriptor, $0, $1) == 0 }) else {
                throw failure("127.0.0.\(host)", closing: descriptor)
            }
        }
        var address = loopback(1, port)
        guard withAddress(&address, { connect(descriptor, $0, $1) == 0 }) else {
            throw failure("127.0.0.1:\(port)", closing: descriptor)
        }
        return descriptor
    }

    private static func loopback(_ host: UInt8, _ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = (in_addr_t(0x7F00_0000) | in_addr_t(host)).bigEndian
        address.sin_port = port.bigEndian
        return address
    }

    private static func withAddress(
        _ address: inout sockaddr_in, _ call: (UnsafeMutablePointer<sockaddr>, socklen_t) -> Bool
    ) -> Bool {
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                call($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    private static func failure(_ address: String, closing descriptor: Int32) -> SocketFailure {
        let code = errno
        close(descriptor)
        return SocketFailure(address: address, code: code)
    }
}

/// What the system said about an address.
package struct SocketFailure: Error, CustomStringConvertible {
    let address: String
    package let code: Int32

    package var description: String { "\(address): \(String(cString: strerror(code)))" }
}
