import DstackEncoding
import DstackNetwork
import DstackSystem
import Glibc

/// Quotes from the quote generation service of the host: the TDX module makes a report, and the service, which runs beside
/// the quoting enclave, has it signed.
///
/// The host sees reports and quotes and can withhold them. It cannot change what they say.
public struct QGSQuoteProvider: QuoteProvider {
    /// Where the service listens.
    public enum Endpoint: Sendable, Hashable, CustomStringConvertible {
        /// A port of the virtual socket family; the host has context 2.
        case vsock(context: UInt32, port: UInt32)
        /// A socket in the file system, for services that run elsewhere.
        case unix(String)

        /// `vsock 2:4050`.
        public var description: String {
            switch self {
            case .vsock(let context, let port): "vsock \(context):\(port)"
            case .unix(let path): "unix:\(path)"
            }
        }

        var address: SocketAddress {
            switch self {
            case .vsock(let context, let port): .vsock(cid: context, port: port)
            case .unix(let path): .unix(path: path)
            }
        }

        /// VMADDR_CID_HOST.
        public static func host(port: UInt32) -> Self { .vsock(context: 2, port: port) }
    }

    /// The service.
    public let endpoint: Endpoint
    private let device: any TDXDevice

    /// - Parameters:
    ///   - endpoint: the service.
    ///   - device: makes the reports.
    public init(endpoint: Endpoint, device: any TDXDevice = TDXGuestDevice()) {
        self.endpoint = endpoint
        self.device = device
    }

    /// `quote generation service`.
    public var name: String { "quote generation service" }

    /// Reads the port from Intel's configuration file: a line `port = N`.
    ///
    /// - Returns: nil if the file is not there or names no port.
    /// - Throws: ``AttestationError/Code/quoteUnavailable`` for a file that cannot be read, or a port that is none.
    public static func endpoint(configuredIn path: String) throws(AttestationError) -> Endpoint? {
        let text: String
        do {
            text = try File.readText(path, limit: 64 << 10)
        } catch {
            if error.code == ENOENT { return nil }
            throw AttestationError(.quoteUnavailable, subject: path, reason: error.description)
        }
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(separator: "#", omittingEmptySubsequences: false)[0].split(
                separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard words.count == 2, words[0].filter({ !$0.isWhitespace }) == "port" else { continue }
            let value = words[1].filter { !$0.isWhitespace }
            // 0 and all ones are no ports that somebody can listen on (VMADDR_PORT_ANY).
            guard let port = UInt32(value), port != 0, port != .max else {
                throw AttestationError(
                    .quoteUnavailable, subject: path,
                    reason:
                        "port \(SafeText.line(String(value.prefix(32)))): a number from 1 to \(UInt32.max - 1) is needed"
                )
            }
            return .host(port: port)
        }
        return nil
    }

    /// Makes a report and has it signed.
    public func quote(
        reportData: ReportData, deadline: ContinuousClock.Instant
    ) throws(AttestationError) -> [UInt8] {
        let report = try device.report(reportData: reportData)
        do {
            let connection = try DeadlineConnection(endpoint.address, named: endpoint.description, deadline: deadline)
            try connection.send(QGSMessage.request(for: report))
            let count = try QGSMessage.byteCount(prefix: connection.receive(4))
            return try QGSMessage.quote(in: connection.receive(count))
        } catch let error as DecodingFailure {
            throw failure("\(error)")
        } catch let error as SystemError {
            throw failure(error.description)
        } catch {
            throw failure("\(error)")
        }
    }

    private func failure(_ reason: String) -> AttestationError {
        AttestationError(.quoteUnavailable, subject: "\(name) at \(endpoint)", reason: reason)
    }
}
