import DstackEncoding
import DstackKeys
import DstackNetwork
import DstackRPC
import Glibc
import Synchronization

/// What is asked for, and how: one row of the benchmark's table.
enum Row: String, CaseIterable {
    /// A handshake and one line, of a server that does nothing else.
    case bare
    case appKeyKept = "app-key-kept"
    case appKeyKnown = "app-key-known"
    case appKeyNewEvidence = "app-key-new-evidence"
    case appKeyNewPlatform = "app-key-new-platform"
    case signCertKept = "sign-cert-kept"
    case signCertKnown = "sign-cert-known"
    /// Machines in turn, more of them than any cache has room for.
    case manyMachines = "many-machines"

    var keepsConnection: Bool { self == .appKeyKept || self == .signCertKept }
}

/// The commands of one benchmark run.
final class Session {
    private let machines: Machines
    /// Whose evidence the service has seen.
    private let known: Caller
    private let client: LoadClient
    private let appKeyRequest: [UInt8]
    private var callers: [Row: [Caller]] = [:]
    private var requests: [Row: [[UInt8]]] = [:]
    private static let pool = 4096

    init(simulation: String) throws {
        let machines = try Machines(simulation: simulation)
        self.machines = machines
        known = try machines.caller()
        client = try LoadClient()
        appKeyRequest = try Self.request(
            KMSRPC.KMS.getAppKey,
            .with {
                $0.apiVersion = 1
                $0.vmConfig = machines.vmConfiguration
            })
    }

    func answer(_ words: [String]) throws -> String {
        switch (words.first, words.count) {
        case ("application", 1): return "ok \(machines.appID) \(machines.composeHash) \(machines.osImageHash)"
        case ("make", 3):
            try make(row(words[1]), number(words[2]))
            return "ok"
        case ("run", 5):
            guard let port = UInt16(words[2]) else { throw LoadFailure("\(words[2]) is no port") }
            return try "ok \(run(row(words[1]), port, number(words[3]), lanes: number(words[4])))"
        default: throw LoadFailure("unknown command")
        }
    }

    private func row(_ name: String) throws -> Row {
        guard let row = Row(rawValue: name) else { throw LoadFailure("no row \(name)") }
        return row
    }

    private func number(_ word: String) throws -> Int {
        guard let number = Int(word), number > 0 else { throw LoadFailure("\(word) is not a positive number") }
        return number
    }

    // MARK: What requests need

    private func make(_ row: Row, _ count: Int) throws {
        switch row {
        case .appKeyNewEvidence: callers[row] = try (0..<count).map { _ in try machines.caller() }
        case .appKeyNewPlatform: callers[row] = try (0..<count).map { _ in try machines.callerOnNewPlatform() }
        case .manyMachines:
            guard callers[row] == nil else { return }
            callers[row] = try (0..<Self.pool).map { _ in try machines.caller() }
        case .signCertKept, .signCertKnown:
            requests[row] = try (0..<count).map { _ in
                let signed = try machines.signingRequest()
                return try Self.request(
                    KMSRPC.KMS.signCert,
                    .with {
                        $0.apiVersion = signed.request.version.rawValue
                        $0.csr = signed.request.bytes
                        $0.signature = signed.signature
                        $0.vmConfig = machines.vmConfiguration
                    })
            }
        case .bare, .appKeyKept, .appKeyKnown: break
        }
    }

    /// As this project's clients send it.
    private static func request<Request: RPCMessage, Response: RPCMessage>(
        _ method: RPCMethod<Request, Response>, _ message: Request
    ) throws -> [UInt8] {
        let body = message.json
        let head =
            "POST /prpc/\(method.name)?json HTTP/1.1\r\nHost: kms.local\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(body.count)\r\n\r\n"
        return Array(head.utf8) + body
    }

    // MARK: Running

    /// - Returns: nanoseconds.
    private func run(_ row: Row, _ port: UInt16, _ count: Int, lanes: Int) throws -> UInt64 {
        let next = Atomic(0)
        let problem = Mutex<String?>(nil)
        let callers = callers[row] ?? [known]
        let requests = row == .bare ? [Array("a line\n".utf8)] : requests[row] ?? [appKeyRequest]
        guard row == .manyMachines || [1, count].contains(callers.count), [1, count].contains(requests.count) else {
            throw LoadFailure("\(row.rawValue) was made for another number of requests")
        }
        let began = MonotonicClock.now
        try Lanes.run(min(lanes, count)) { [client] in
            do {
                var kept: LoadConnection?
                while true {
                    let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
                    guard index < count, problem.withLock({ $0 == nil }) else { break }
                    let connection = try kept ?? client.connect(port, as: callers[index % callers.count])
                    try connection.exchange(requests[index % requests.count], isHTTP: row != .bare)
                    if row.keepsConnection { kept = connection } else { connection.close() }
                }
                kept?.close()
            } catch {
                problem.withLock { $0 = $0 ?? "\(error)" }
            }
        }
        if let problem = problem.withLock({ $0 }) { throw LoadFailure(problem) }
        return MonotonicClock.now - began
    }
}

struct LoadFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
