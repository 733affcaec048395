import DstackAttestation
import DstackEncoding
import DstackSystem
import Foundation
import Glibc
import Synchronization
import TestKit

/// The quote generation service of a host, on a Unix socket. It signs what the report says, as the real one does.
final class FakeQuoteService: Sendable {
    enum Behaviour: Sendable {
        /// Answers with a quote.
        case honest
        /// Answers with these bytes, whatever was asked.
        case answer([UInt8])
        /// Answers with so many bytes of a good response, then hangs up.
        case cut(Int)
        /// Says nothing until the client gives up.
        case silent
        /// Sends one byte at a time.
        case dribbling
    }

    let path: String
    private let domain: FakeTrustDomain
    private let behaviour: Behaviour
    private let listener: Int32
    private let requests = Mutex<[[UInt8]]>([])

    init(in folder: ScratchDirectory, _ domain: FakeTrustDomain, _ behaviour: Behaviour = .honest) throws {
        path = folder.path("qgs-\(UUID().uuidString.prefix(8)).sock")
        self.domain = domain
        self.behaviour = behaviour
        listener = try UnixSocket.bound(to: path)
        guard listen(listener, 16) == 0 else { throw SystemError.last("listen on", path) }
        let accepting = listener
        let thread = Thread { [weak self] in
            // The thread closes what it accepts from: nobody else may, as long as it could use the number again.
            defer { close(accepting) }
            while true {
                let connection = accept(accepting, nil, nil)
                guard connection >= 0 else { return }
                guard let self else {
                    close(connection)
                    return
                }
                self.serve(connection, domain)
            }
        }
        thread.start()
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
    }

    var endpoint: QGSQuoteProvider.Endpoint { .unix(path) }
    var requestCount: Int { requests.withLock { $0.count } }

    private func serve(_ connection: Int32, _ domain: FakeTrustDomain) {
        defer { close(connection) }
        func receive(_ count: Int) -> [UInt8]? {
            var bytes = [UInt8](repeating: 0, count: count)
            let done = recv(connection, &bytes, count, Int32(MSG_WAITALL))
            return done == count ? bytes : nil
        }
        guard let prefix = receive(4) else { return }
        let count = prefix.reduce(0) { $0 << 8 | Int($1) }
        guard count < 1 << 16, let message = receive(count) else { return }
        requests.withLock { $0.append(message) }
        func send(_ bytes: [UInt8]) { _ = Glibc.send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL)) }
        let good = Self.response(quote(message, domain) ?? [])
        switch behaviour {
        case .honest: send(good)
        case .answer(let bytes): send(bytes)
        case .cut(let count): send(Array(good.prefix(count)))
        case .silent: _ = receive(1)
        case .dribbling: for byte in good { send([byte]) }
        }
    }

    /// The quote over a request's report.
    private func quote(_ message: [UInt8], _ domain: FakeTrustDomain) -> [UInt8]? {
        // Header as written down: version 1.0, type 0, size, no error; then size of the report, no identifiers.
        guard message.count == 16 + 8 + 1024, Array(message[0..<8]) == [1, 0, 0, 0, 0, 0, 0, 0],
            Array(message[8..<16]) == [0x18, 4, 0, 0, 0, 0, 0, 0], Array(message[16..<24]) == [0, 4, 0, 0, 0, 0, 0, 0]
        else { return nil }
        let report = Array(message[24...])
        let now = domain.registers.flatMap { $0.bytes }
        guard Array(report[720..<912]) == now else { return nil }
        return try? domain.quote(Array(report[128..<192]))
    }

    /// A good response around a quote, with its length before it.
    static func response(_ quote: [UInt8], identifier: [UInt8] = [7, 7]) -> [UInt8] {
        let count = 16 + 8 + identifier.count + quote.count
        var writer = ByteWriter()
        writer.bigEndian(UInt32(count))
        writer.append([1, 0, 0, 0, 1, 0, 0, 0])
        writer.littleEndian(UInt32(count))
        writer.append([0, 0, 0, 0])
        writer.littleEndian(UInt32(identifier.count))
        writer.littleEndian(UInt32(quote.count))
        writer.append(identifier)
        writer.append(quote)
        return writer.bytes
    }
}
