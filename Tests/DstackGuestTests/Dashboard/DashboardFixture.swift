import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackGuest
import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackNetwork
import DstackSystem
import Synchronization

/// A dashboard behind a real server.
final class DashboardFixture: Sendable {
    let server: HTTPServer
    let port: UInt32
    private let client = HTTPClient()

    /// A fixture stays until the tests end: a server that went with the last use of its fixture could go in the middle of
    /// a test, which may only hold an address.
    private static let all = Mutex<[DashboardFixture]>([])

    var url: String { "http://127.0.0.1:\(port)" }

    init(
        _ content: any DashboardContent = StandInContent(), engine: (any ContainerEngine)? = nil,
        settings: DashboardSettings = .everything, source: SystemSource = SystemSource(),
        clock: any WallClock = .system
    ) async throws {
        let dashboard = Dashboard(content: content, engine: engine, settings: settings, source: source, clock: clock)
        var configuration = HTTPServerConfiguration(
            listeners: [HTTPListener("external", .tcp(host: "127.0.0.1", port: 0))])
        configuration.limits.headerTimeout = .seconds(300)
        configuration.limits.writeTimeout = .seconds(300)
        server = HTTPServer(configuration) { await dashboard.answer($0) ?? .notFound }
        port = try await server.start().compactMap(\.port).first ?? 0
        Self.all.withLock { $0.append(self) }
    }

    func get(_ path: String, method: HTTPMethod = .get, headers: HTTPHeaders = [:]) async throws -> HTTPResponse {
        try await client.send(HTTPRequest(method, url + path, headers: headers))
    }

    /// As a browser asks.
    func browse(_ path: String) async throws -> HTTPResponse {
        try await get(path, headers: ["Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"])
    }

    func text(_ path: String) async throws -> String { try await get(path).text }

    func stream(_ path: String) async throws -> HTTPResponseStream {
        try await client.stream(
            HTTPRequest(.get, url + path, limits: HTTPClientLimits(totalTimeout: .seconds(300))))
    }
}

extension HTTPResponse {
    var text: String { String(decoding: body, as: UTF8.self) }
}

extension DashboardSettings {
    static let everything = DashboardSettings(
        publicLogs: true, publicSystemInformation: true, publicTCBInformation: true)
    static let nothing = DashboardSettings(publicTCBInformation: false)
}

/// An application as an agent would describe it.
struct StandInContent: DashboardContent {
    var facts: DashboardFacts

    init(name: String = "private-inference", isSimulated: Bool = true) {
        let compose =
            #"{"manifest_version":2,"name":"private-inference","runner":"docker-compose","#
            + #""docker_compose_file":"services:\n  model:\n    image: example.org/model@sha256:5ede8ff6\n  proxy:\n"#
            + #"    image: example.org/proxy:1.4\n","public_logs":true,"public_sysinfo":true,"public_tcbinfo":true}"#
        let composeHash = SHA256.hash(Array(compose.utf8)).bytes
        let log = Self.log(composeHash)
        let rtmrs = (try? log.replay().registers) ?? RTMRValues()
        let mrtd = SHA384.hash(Array("firmware".utf8))
        facts = DashboardFacts(
            appName: name, appID: Array(composeHash.prefix(20)), instanceID: Array(SHA256.hash([1]).bytes.prefix(20)),
            deviceID: SHA256.hash([]).bytes, composeHash: composeHash, osImageHash: SHA256.hash([2]).bytes,
            aggregatedMeasurement: SHA256.hash([3]).bytes, keyProviderName: "kms",
            keyProviderID: "3059301306072a8648ce3d020106082a8648ce3d030107034200" + Hex.encode(SHA384.hash([4]).bytes),
            cloudVendor: "QEMU", cloudProduct: "Standard PC (Q35 + ICH9, 2009)", isSimulated: isSimulated,
            version: "v0.6.0 (git:0123456789abcdef0123)", measurements: .init(mrtd: mrtd, rtmrs: rtmrs),
            eventLog: log, tcbInfo: "{\n  \"mrtd\": \"\(mrtd.hex)\"\n}", appCompose: compose)
    }

    var isSimulated: Bool { facts.isSimulated }

    func dashboardFacts() async throws -> DashboardFacts { facts }

    private static func log(_ composeHash: [UInt8]) -> EventLog {
        var log = EventLog()
        for index in 0..<UInt8(9) {
            log.events.append(
                LoggedEvent(
                    register: index < 5 ? .rtmr0 : index < 7 ? .rtmr1 : .rtmr2, type: .efiHandoffTables2,
                    digest: SHA384.hash([index]), payload: [index]))
        }
        let runtime: [(String, [UInt8])] = [
            ("system-preparing", []), ("app-id", Array(composeHash.prefix(20))), ("compose-hash", composeHash),
            ("instance-id", Array(SHA256.hash([1]).bytes.prefix(20))), ("boot-mr-done", []),
            ("os-image-hash", SHA256.hash([2]).bytes), ("key-provider", Array(#"{"name":"kms","id":"3059"}"#.utf8)),
            ("storage-fs", Array("zfs".utf8)), ("system-ready", []),
        ]
        log.events += runtime.map { LoggedEvent(RuntimeEvent(name: $0.0, payload: $0.1)) }
        return log
    }
}
