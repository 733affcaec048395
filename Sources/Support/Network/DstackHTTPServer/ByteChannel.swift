import CEvent
import DstackHTTP
import Glibc

/// The bytes of one connection, with or without TLS, non-blocking. Lives on the loop's thread.
final class ByteChannel {
    enum Outcome {
        case bytes(Int)
        /// Nothing goes on before the socket can be read, or before it can be written.
        case blocked(untilReadable: Bool)
        /// The peer will send nothing more.
        case ended
        case failed
    }

    let descriptor: Int32
    /// An `SSL`, nil without TLS.
    private let tls: OpaquePointer?

    /// Takes the descriptor over.
    init(descriptor: Int32, tls: OpaquePointer?) {
        self.descriptor = descriptor
        self.tls = tls
    }

    deinit {
        if let tls { dstack_tls_free(tls) }
        close(descriptor)
    }

    func handshake() -> Outcome {
        guard let tls else { return .bytes(1) }
        return Self.outcome(dstack_tls_handshake(tls))
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> Outcome {
        guard let start = buffer.baseAddress, buffer.count > 0 else { return .failed }
        if let tls { return Self.outcome(dstack_tls_read(tls, start, buffer.count)) }
        let count = recv(descriptor, start, buffer.count, 0)
        if count > 0 { return .bytes(count) }
        if count == 0 { return .ended }
        return Self.isTemporary(errno) ? .blocked(untilReadable: true) : .failed
    }

    func write(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        guard let start = bytes.baseAddress, bytes.count > 0 else { return .bytes(0) }
        if let tls { return Self.outcome(dstack_tls_write(tls, start, bytes.count)) }
        let count = send(descriptor, start, bytes.count, Int32(MSG_NOSIGNAL))
        if count >= 0 { return .bytes(count) }
        return Self.isTemporary(errno) ? .blocked(untilReadable: false) : .failed
    }

    /// Lets the peer see the end while it can still be read from.
    func endWriting() {
        if let tls { dstack_tls_close(tls) }
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Makes closing a reset: where only the end of the connection tells the end of a body, an orderly end would say
    /// that the body is whole.
    func resetWhenClosed() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    var clientTLS: HTTPPeer.TLS? {
        guard let tls else { return nil }
        let found = FoundCertificates()
        dstack_tls_peer_chain(tls, Unmanaged.passUnretained(found).toOpaque()) { context, chain, count in
            let found = Unmanaged<FoundCertificates>.fromOpaque(context).takeUnretainedValue()
            found.certificates = ByteChannel.copy(chain, count)
        }
        return HTTPPeer.TLS(
            certificates: found.certificates,
            serverName: dstack_tls_server_name(tls).map { String(cString: $0) },
            version: String(cString: dstack_tls_version(tls)))
    }

    /// What only the two ends of this connection know of it, and by which key this end is known; nil without TLS 1.3.
    func session(_ label: String) -> HTTPTLSSession? {
        guard let tls else { return nil }
        var exporter = [UInt8](repeating: 0, count: 32)
        guard dstack_tls_export(tls, label, &exporter, exporter.count) else { return nil }
        let found = FoundCertificates()
        dstack_tls_local_key(tls, Unmanaged.passUnretained(found).toOpaque()) { context, key, count in
            let found = Unmanaged<FoundCertificates>.fromOpaque(context).takeUnretainedValue()
            found.certificates = [[UInt8](UnsafeBufferPointer(start: key, count: count))]
        }
        return found.certificates.first.map { HTTPTLSSession(exporter: exporter, publicKey: $0) }
    }

    /// What a C callback hands out.
    private final class FoundCertificates {
        var certificates: [[UInt8]] = []
    }

    static func copy(_ chain: UnsafePointer<dstack_tls_certificate>, _ count: Int) -> [[UInt8]] {
        UnsafeBufferPointer(start: chain, count: count).map {
            [UInt8](UnsafeBufferPointer(start: $0.bytes, count: $0.count))
        }
    }

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

/// A listener's TLS context with the verifier that it calls. Lives on the loop's thread, as long as a connection uses
/// it: a new identity gets a new one.
final class ActiveTLS {
    private let context: OpaquePointer
    private let verifier: HTTPServerTLS.Verifier?
    /// Why the verifier refused, until it was asked for.
    private var refusal: String?

    init(_ settings: HTTPServerTLS, listener: String) throws(HTTPServerError) {
        var reason = [CChar](repeating: 0, count: 256)
        let made = settings.certificateChain.withUnsafeBytes { chain -> OpaquePointer? in
            var made: OpaquePointer?
            settings.withPrivateKey { key in
                guard made == nil, let chainStart = chain.baseAddress, let keyStart = key.baseAddress else { return }
                made = dstack_tls_server_new(
                    chainStart, chain.count, keyStart, key.count, TLSSuites.tls12, &reason, reason.count)
            }
            return made
        }
        guard let made else {
            let text = Self.text(reason)
            throw HTTPServerError(
                .tls, listener, "certificate and key cannot be used: \(text.isEmpty ? "they are empty" : text)")
        }
        context = made
        verifier = settings.clientCertificates?.verifier
        guard let wanted = settings.clientCertificates else { return }
        let asked = wanted.authorities.withUnsafeBytes { authorities in
            dstack_tls_server_ask_client(
                made, wanted.isRequired, authorities.baseAddress, authorities.count,
                wanted.verifier == nil
                    ? nil
                    : { context, chain, count in
                        Unmanaged<ActiveTLS>.fromOpaque(context).takeUnretainedValue().verify(chain, count)
                    }, Unmanaged.passUnretained(self).toOpaque())
        }
        guard asked else {
            throw HTTPServerError(.tls, listener, "the authorities for client certificates cannot be read")
        }
    }

    deinit { dstack_tls_server_free(context) }

    func accept(_ descriptor: Int32) -> OpaquePointer? { dstack_tls_accept(context, descriptor) }

    /// Why the handshake that just failed did.
    func takeFailure() -> String {
        defer { refusal = nil }
        var reason = [CChar](repeating: 0, count: 256)
        dstack_tls_last_error(&reason, reason.count)
        return refusal ?? Self.text(reason)
    }

    private func verify(_ chain: UnsafePointer<dstack_tls_certificate>, _ count: Int) -> Bool {
        guard let verifier else { return false }
        switch verifier(ByteChannel.copy(chain, count)) {
        case .accepted: return true
        case .refused(let reason):
            refusal = reason
            return false
        }
    }

    private static func text(_ characters: [CChar]) -> String {
        String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
