import COpenSSL
import DstackNetwork
import Glibc

/// TLS by OpenSSL alone, with as little beside it as a client can have, so that it is not what is measured. It takes any server,
/// resumes nothing, and waits in the calls of its thread.
final class LoadClient: Sendable {
    /// Set up once; OpenSSL locks what connections share.
    private nonisolated(unsafe) let context: OpaquePointer

    init() throws {
        guard let made = SSL_CTX_new(TLS_client_method()) else { throw LoadFailure("no TLS context") }
        SSL_CTX_set_verify(made, SSL_VERIFY_NONE, nil)
        context = made
    }

    deinit { SSL_CTX_free(context) }

    func connect(_ port: UInt16, as caller: Caller) throws -> LoadConnection {
        let connection = try DeadlineConnection(
            .tcp(host: "127.0.0.1", port: port), deadline: .now.advanced(by: .seconds(30)))
        let descriptor = connection.release()
        var patience = timeval(tv_sec: 30, tv_usec: 0)
        guard fcntl(descriptor, F_SETFL, 0) == 0,
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size)) == 0,
            let tls = SSL_new(context)
        else { throw LoadFailure("no connection could be set up") }
        let opened = LoadConnection(tls, descriptor)
        guard SSL_use_certificate_ASN1(tls, caller.certificate, Int32(caller.certificate.count)) == 1,
            SSL_use_PrivateKey_ASN1(EVP_PKEY_EC, tls, caller.key, caller.key.count) == 1,
            SSL_set_fd(tls, descriptor) == 1, SSL_connect(tls) == 1
        else { throw LoadFailure("the handshake failed") }
        return opened
    }
}

/// Used by one thread at a time.
final class LoadConnection {
    private let tls: OpaquePointer
    private let descriptor: Int32

    init(_ tls: OpaquePointer, _ descriptor: Int32) {
        self.tls = tls
        self.descriptor = descriptor
    }

    deinit {
        SSL_free(tls)
        Glibc.close(descriptor)
    }

    func close() { SSL_shutdown(tls) }

    /// Sends a request and reads the answer: a line, or of HTTP what its Content-Length says.
    func exchange(_ request: [UInt8], isHTTP: Bool) throws {
        guard SSL_write(tls, request, Int32(request.count)) == request.count else {
            throw LoadFailure("the request was not taken")
        }
        var answer: [UInt8] = []
        var expected: Int?
        while expected.map({ answer.count < $0 }) ?? true {
            var part = [UInt8](repeating: 0, count: 16 << 10)
            let count = SSL_read(tls, &part, Int32(part.count))
            guard count > 0 else { throw LoadFailure("the connection ended in the middle of an answer") }
            answer += part.prefix(Int(count))
            guard isHTTP else {
                if answer.last == UInt8(ascii: "\n") { return }
                continue
            }
            if expected == nil { expected = try Self.length(of: answer) }
        }
        guard answer.count == expected else { throw LoadFailure("more than one answer to a request") }
    }

    /// Of head and body; nil as long as the head is not there.
    private static func length(of answer: [UInt8]) throws -> Int? {
        let text = String(decoding: answer, as: UTF8.self)
        guard let end = answer.firstRange(of: Array("\r\n\r\n".utf8))?.upperBound else { return nil }
        guard text.hasPrefix("HTTP/1.1 200 ") else { throw LoadFailure("refused: \(text.prefix(1_000))") }
        for line in text.split(separator: "\r\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[0].lowercased() == "content-length" else { continue }
            guard let body = Int(parts[1].drop { $0 == " " }) else { break }
            return end + body
        }
        throw LoadFailure("an answer without Content-Length")
    }
}

/// Operating-system threads that all run the same closure.
enum Lanes {
    private final class Body: Sendable {
        let run: @Sendable () -> Void

        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Returns when all have ended.
    static func run(_ count: Int, _ body: @escaping @Sendable () -> Void) throws {
        var threads: [pthread_t] = []
        for _ in 0..<count {
            var thread = pthread_t()
            let context = Unmanaged.passRetained(Body(body))
            let status = pthread_create(
                &thread, nil,
                { context in
                    if let context { Unmanaged<Body>.fromOpaque(context).takeRetainedValue().run() }
                    return nil
                }, context.toOpaque())
            guard status == 0 else { throw LoadFailure("no thread could be started (\(status))") }
            threads.append(thread)
        }
        for thread in threads { pthread_join(thread, nil) }
    }
}
