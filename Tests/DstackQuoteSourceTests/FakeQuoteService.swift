import DstackAttestation
import DstackEncoding
import DstackSystem
import Foundation
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
    private let listener: RawListener
    private let requests = Mutex<[[UInt8]]>([])

    init(in folder: ScratchDirectory, _ domain: FakeTrustDomain, _ behaviour: Behaviour = .honest) throws {
        path = folder.path("qgs-\(UUID().uuidString.prefix(8)).sock")
        self.domain = domain
        self.behaviour = behaviour
        listener = try RawListener(unix: path)
        listener.serve { [weak self] connection in self?.serve(connection, domain) }
    }

    deinit { listener.end() }

    var endpoint: QGSQuoteProvider.Endpoint { .unix(path) }
    var requestCount: Int { requests.withLock { $0.count } }

    private func serve(_ connection: RawSocket, _ domain: FakeTrustDomain) {
        guard let prefix = connection.read(4) else { return }
        let count = prefix.reduce(0) { $0 << 8 | Int($1) }
        guard count < 1 << 16, let message = connection.read(count) else { return }
        requests.withLock { $0.append(message) }
        let good = Self.response(quote(message, domain) ?? [])
        switch behaviour {
        case .honest: connection.send(good)
        case .answer(let bytes): connection.send(bytes)
        case .cut(let count): connection.send(Array(good.prefix(count)))
        case .silent: connection.waitForEnd()
        case .dribbling: for byte in good { connection.send([byte]) }
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
