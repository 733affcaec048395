package import DstackSystem
import Glibc

/// A stream socket that blocks its thread, but not beyond a deadline.
package struct DeadlineConnection: ~Copyable {
    private let socket: FileDescriptor
    private let name: String
    private let deadline: ContinuousClock.Instant

    /// Connects.
    ///
    /// - Parameter name: of the peer, for messages; nil for its address.
    package init(
        _ address: SocketAddress, named name: String? = nil, deadline: ContinuousClock.Instant
    ) throws(SystemError) {
        let name = name ?? address.description
        let number = try Self.connected(address.resolved(), name, deadline)
        socket = FileDescriptor(owning: number, name: name)
        self.name = name
        self.deadline = deadline
    }

    private static func connected(
        _ address: ResolvedAddress, _ name: String, _ deadline: ContinuousClock.Instant
    ) throws(SystemError) -> Int32 {
        let number = address.makeSocket()
        guard number >= 0 else { throw .last("make a socket for", name) }
        do throws(SystemError) {
            try connect(number, address, name, deadline)
        } catch {
            close(number)
            throw error
        }
        return number
    }

    private static func connect(
        _ number: Int32, _ address: ResolvedAddress, _ name: String, _ deadline: ContinuousClock.Instant
    ) throws(SystemError) {
        if address.withSockaddr({ Glibc.connect(number, $0, $1) }) == 0 { return }
        // EAGAIN is a Unix socket's full queue: nothing is under way, so that there is nothing to wait for.
        guard errno == EINPROGRESS || errno == EINTR else { throw .last("connect to", name) }
        try wait(number, for: Int16(POLLOUT), until: deadline, "connect to", name)
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        guard getsockopt(number, SOL_SOCKET, SO_ERROR, &code, &size) == 0 else { throw .last("connect to", name) }
        guard code == 0 else { throw SystemError("connect to", name, code: code) }
    }

    /// The socket, which does not block; it is the caller's from now on.
    package consuming func release() -> Int32 { socket.release() }

    private borrowing func wait(for events: Int16, _ operation: String) throws(SystemError) {
        try Self.wait(socket.number, for: events, until: deadline, operation, name)
    }

    private static func wait(
        _ number: Int32, for events: Int16, until deadline: ContinuousClock.Instant, _ operation: String,
        _ name: String
    ) throws(SystemError) {
        while true {
            let left = deadline - .now
            let milliseconds =
                left.components.seconds.multipliedReportingOverflow(by: 1000).partialValue
                + left.components.attoseconds / 1_000_000_000_000_000
            guard left > .zero else { throw SystemError(operation, name, code: ETIMEDOUT) }
            var request = pollfd(fd: number, events: events, revents: 0)
            let status = poll(&request, 1, Int32(clamping: milliseconds + 1))
            if status > 0 { return }
            guard status == 0 || errno == EINTR else { throw .last(operation, name) }
        }
    }

    package borrowing func send(_ bytes: [UInt8]) throws(SystemError) {
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
    package borrowing func receive(_ count: Int) throws(SystemError) -> [UInt8] {
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
