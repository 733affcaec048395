import COpenSSL
import Glibc

/// The server's end of one connection, with or without TLS, non-blocking. Lives on the thread of its loop.
package final class ByteChannel {
    package enum Outcome {
        case bytes(Int)
        /// Nothing goes on before the socket can be read, or before it can be written.
        case blocked(untilReadable: Bool)
        /// The peer will send nothing more.
        case ended
        case failed
    }

    package let descriptor: Int32
    /// An `SSL`, nil without TLS.
    private let tls: OpaquePointer?

    /// Takes the descriptor over.
    ///
    /// - Parameter context: nil for a connection without TLS.
    package init(descriptor: Int32, tls context: TLSServerContext? = nil) {
        self.descriptor = descriptor
        tls = context?.accept(descriptor)
        isWhole = context == nil || tls != nil
    }

    /// Whether memory sufficed for TLS.
    package let isWhole: Bool

    deinit {
        if let tls { SSL_free(tls) }
        close(descriptor)
    }

    package func handshake() -> Outcome {
        guard let tls else { return .bytes(1) }
        return Self.outcome(dstack_tls_handshake(tls))
    }

    package func read(into buffer: UnsafeMutableRawBufferPointer) -> Outcome {
        guard let start = buffer.baseAddress, buffer.count > 0 else { return .failed }
        if let tls { return Self.outcome(dstack_tls_read(tls, start, buffer.count)) }
        let count = recv(descriptor, start, buffer.count, 0)
        if count > 0 { return .bytes(count) }
        if count == 0 { return .ended }
        return Self.isTemporary(errno) ? .blocked(untilReadable: true) : .failed
    }

    package func write(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return .bytes(0) }
        if let tls { return Self.outcome(dstack_tls_write(tls, start, bytes.count)) }
        let count = send(descriptor, start, bytes.count, Int32(MSG_NOSIGNAL))
        if count >= 0 { return .bytes(count) }
        return Self.isTemporary(errno) ? .blocked(untilReadable: false) : .failed
    }

    /// Writes what lies in two places, in one call of the system; over TLS the first alone, in a record of its own.
    package func write(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) -> Outcome {
        guard tls == nil, first.count > 0 else { return write(first) }
        return withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2) { vectors in
            vectors.initializeElement(at: 0, to: Self.vector(first))
            vectors.initializeElement(at: 1, to: Self.vector(second))
            var message = msghdr()
            message.msg_iov = vectors.baseAddress
            message.msg_iovlen = 2
            let count = sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL))
            if count >= 0 { return .bytes(count) }
            return Self.isTemporary(errno) ? .blocked(untilReadable: false) : .failed
        }
    }

    /// The system has one type for what it writes to and what it only reads.
    private static func vector(_ bytes: UnsafeRawBufferPointer) -> iovec {
        iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
    }

    /// Lets the peer see the end while it can still be read from.
    package func endWriting() {
        if let tls { dstack_tls_close(tls) }
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Makes closing a reset: where only the end of the connection tells the end of a body, an orderly end would say
    /// that the body is whole.
    package func resetWhenClosed() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    /// The other end, after the handshake; nil without TLS.
    package var tlsPeer: TLSPeer? {
        guard let tls else { return nil }
        return TLSPeer(
            certificates: TLSConnection.peerCertificates(tls),
            serverName: SSL_get_servername(tls, TLSEXT_NAMETYPE_host_name).map { String(cString: $0) },
            version: TLSConnection.version(tls))
    }

    /// 32 bytes that only the two ends of this connection know (``TLSConnection/export(_:from:)``); nil without TLS 1.3.
    package func export(_ label: String) -> [UInt8]? { tls.flatMap { TLSConnection.export(label, from: $0) } }

    /// SubjectPublicKeyInfo (DER) of the certificate that this end presented; nil without TLS.
    package var localKey: [UInt8]? { tls.flatMap { TLSConnection.localKey($0) } }

    private static func isTemporary(_ error: Int32) -> Bool { error == EAGAIN || error == EINTR }

    private static func outcome(_ result: Int) -> Outcome {
        switch result {
        case Int(DSTACK_TLS_CLOSED): .ended
        case 1...: .bytes(result)
        case Int(DSTACK_TLS_WANTS_READ): .blocked(untilReadable: true)
        case Int(DSTACK_TLS_WANTS_WRITE): .blocked(untilReadable: false)
        default: .failed
        }
    }
}
