import DstackEncoding
import DstackSystem
import Glibc

/// A stream socket that waits, but not beyond a deadline.
struct DeadlineConnection: ~Copyable {
    private let socket: FileDescriptor
    private let name: String
    private let deadline: ContinuousClock.Instant

    private let address: [UInt8]

    init(_ endpoint: QGSQuoteProvider.Endpoint, deadline: ContinuousClock.Instant) throws(SystemError) {
        let name = endpoint.description
        let (family, address) = try Self.address(endpoint)
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        let number = Glibc.socket(Int32(family), type, 0)
        guard number >= 0 else { throw .last("make a socket for", name) }
        socket = FileDescriptor(owning: number, name: name)
        self.name = name
        self.deadline = deadline
        self.address = address
    }

    /// Connects.
    borrowing func open() throws(SystemError) {
        let status = address.withUnsafeBytes { bytes in
            bytes.baseAddress.map {
                connect(socket.number, $0.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
            } ?? -1
        }
        if status == 0 { return }
        // EAGAIN is a Unix socket's full queue: nothing is under way, so that there is nothing to wait for.
        guard errno == EINPROGRESS || errno == EINTR else { throw .last("connect to", name) }
        try wait(for: Int16(POLLOUT), "connect to")
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(socket.number, SOL_SOCKET, SO_ERROR, &code, &size) == 0 else {
            throw .last("connect to", name)
        }
        guard code == 0 else { throw SystemError("connect to", name, code: code) }
    }

    /// The address as the system's calls take it: the family in the machine's byte order, then what the family needs.
    private static func address(
        _ endpoint: QGSQuoteProvider.Endpoint
    ) throws(SystemError) -> (family: UInt16, bytes: [UInt8]) {
        var writer = ByteWriter()
        switch endpoint {
        case .vsock(let context, let port):
            // struct sockaddr_vm: family, 2 reserved bytes, port, context, flags and 3 zeros.
            let family: UInt16 = 40
            writer.littleEndian(family)
            writer.littleEndian(UInt16(0))
            writer.littleEndian(port)
            writer.littleEndian(context)
            writer.zeros(4)
            return (family, writer.bytes)
        case .unix(let path):
            let family = UInt16(AF_UNIX)
            // 108 bytes for the path and its terminator.
            guard path.utf8.count < 108, !path.utf8.contains(0) else {
                throw SystemError("connect to", path, code: ENAMETOOLONG)
            }
            writer.littleEndian(family)
            writer.append(path.utf8)
            writer.u8(0)
            return (family, writer.bytes)
        }
    }

    private borrowing func wait(for events: Int16, _ operation: String) throws(SystemError) {
        while true {
            let left = deadline - .now
            let milliseconds =
                left.components.seconds.multipliedReportingOverflow(by: 1000).partialValue
                + left.components.attoseconds / 1_000_000_000_000_000
            guard left > .zero else { throw SystemError(operation, name, code: ETIMEDOUT) }
            var request = pollfd(fd: socket.number, events: events, revents: 0)
            let status = poll(&request, 1, Int32(clamping: milliseconds + 1))
            if status > 0 { return }
            guard status == 0 || errno == EINTR else { throw .last(operation, name) }
        }
    }

    borrowing func send(_ bytes: [UInt8]) throws(SystemError) {
        var position = 0
        while position < bytes.count {
            // Without a signal if the service is gone.
            let count = bytes.withUnsafeBytes {
                Glibc.send(
                    socket.number, $0.baseAddress.map { $0 + position }, $0.count - position,
                    Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                position += count
                continue
            }
            guard errno == EAGAIN || errno == EINTR else { throw .last("send to", name) }
            try wait(for: Int16(POLLOUT), "send to")
        }
    }

    /// Exactly so many bytes.
    borrowing func receive(_ count: Int) throws(SystemError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        var position = 0
        while position < count {
            let done = bytes.withUnsafeMutableBytes {
                recv(socket.number, $0.baseAddress.map { $0 + position }, $0.count - position, 0)
            }
            if done > 0 {
                position += done
                continue
            }
            guard done < 0 else {
                throw SystemError(
                    "receive from", name, code: ECONNRESET,
                    reason: "the service hung up after \(position) of \(count) bytes")
            }
            guard errno == EAGAIN || errno == EINTR else { throw .last("receive from", name) }
            try wait(for: Int16(POLLIN), "receive from")
        }
        return bytes
    }
}
