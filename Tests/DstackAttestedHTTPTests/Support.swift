import DstackAttestation
import DstackAttestedHTTP
import DstackCrypto
import DstackEncoding
import DstackKeys
import DstackMockTEE
import DstackSystem
import Foundation
import Synchronization
import Testing

/// A simulated machine with two applications on it: ours, and another one that is just as genuine.
struct Simulation: Sendable {
    /// When everything in these tests happens, Unix seconds.
    static let now: Int64 = 1_790_000_000
    private static let made = Result { try Simulation() }

    static func shared() throws -> Simulation { try made.get() }

    let platform: MockPlatform
    let app: MockBoot
    let otherApp: MockBoot
    /// Our application's name and log on a system that somebody made for the purpose.
    let impostor: Impostor
    let collateral: QuoteCollateral
    let verifier: QuoteVerifier

    private init() throws {
        platform = try MockPlatform(seed: FixedBytes(repeating: 0x42))
        app = try MockBoot(platform, appCompose: Array("{\"name\":\"ours\"}".utf8))
        otherApp = try MockBoot(platform, appCompose: Array("{\"name\":\"other\"}".utf8))
        impostor = try Impostor(of: app, on: platform)
        collateral = try platform.collateral(for: .tdx, at: Self.now)
        verifier = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: platform.rootCertificate))
    }

    static let policy: VerificationPolicy = {
        var policy = VerificationPolicy.standard
        policy.expected.composeHash = ComposeHash(ofFile: Array("{\"name\":\"ours\"}".utf8)).bytes
        let image = try? MockImage()
        let registers = try? image?.bootLog.replay().registers
        policy.expected.mrTd = image?.mrTd
        policy.expected.rtMr1 = registers?.rtmr1
        policy.expected.rtMr2 = registers?.rtmr2
        return policy
    }()

    func ready() throws -> ReadyCollateral { ReadyCollateral(try OfflineCollateral([collateral]), verifier: verifier) }

    func peerVerifier(
        _ policy: VerificationPolicy = Simulation.policy, clock: any WallClock = TestClock()
    ) throws -> AttestedPeerVerifier {
        try AttestedPeerVerifier(policy: policy, collateral: ready(), clock: clock)
    }

    func client(
        _ binding: EvidenceBinding, clock: any WallClock = TestClock(),
        _ configuration: AttestedHTTPClient.Configuration = .init()
    ) throws -> AttestedHTTPClient {
        AttestedHTTPClient(verifier: try peerVerifier(clock: clock), binding: binding, configuration: configuration)
    }

    /// A genuine trust domain of an attacker's own image. What the application's instances log is public, and an image can
    /// extend RTMR3 with the very same events.
    struct Impostor: Sendable {
        private let domain: MockTrustDomain
        private let eventLog: EventLog

        init(of app: MockBoot, on platform: MockPlatform) throws {
            var domain = MockTrustDomain(on: platform)
            domain.mrConfigId = app.domain.mrConfigId
            let events = app.eventLog.events.filter { $0.register == .rtmr3 }
            for event in events { try domain.extend(3, with: #require(event.digest ?? event.runtimeEvent?.digest)) }
            domain.mrTd = FixedBytes(repeating: 0xEE)
            self.domain = domain
            eventLog = EventLog(events)
        }

        func attestation(_ reportData: ReportData) throws -> Attestation {
            try Attestation(quote: domain.quote(reportData: reportData.bytes.bytes), eventLog: eventLog)
        }
    }

    static func attestation(_ boot: MockBoot, _ reportData: ReportData) throws -> Attestation {
        try Attestation(quote: boot.quote(reportData: reportData.bytes.bytes), eventLog: boot.eventLog)
    }

    static let configuration = CertificateConfiguration(
        commonName: "app.test", alternativeNames: ["app.test"], isForServers: true, isForClients: true,
        includesEvidence: true)

    /// Key and self-signed certificate with evidence about the key.
    static func identity(
        _ boot: MockBoot, encoding: EvidenceEncoding = .standard,
        _ configuration: CertificateConfiguration = Simulation.configuration
    ) async throws -> TLSIdentity {
        let attested = try await AttestedKey { try attestation(boot, $0) }
        let certificate = try attested.selfSigned(configuration, encoding: encoding, at: now)
        return try attested.key.identity([certificate])
    }

    /// Gives evidence about connections, as the guest agent's method does.
    static func witness(_ boot: MockBoot) -> @Sendable (SessionBinding) async throws -> [UInt8] {
        { binding in try attestation(boot, binding.reportData).encoded.bytes }
    }
}

extension TLSKey {
    borrowing func identity(_ chain: [[UInt8]]) throws -> TLSIdentity {
        try withUnsafePEM { (pem: UnsafeRawBufferPointer) throws(AttestationError) in
            try TLSIdentity(privateKeyPEM: pem.bytes, certificateChain: chain)
        }
    }
}

/// A clock that stands where it is put.
final class TestClock: WallClock {
    private let seconds: Mutex<Int64>

    init(_ seconds: Int64 = Simulation.now) { self.seconds = Mutex(seconds) }

    var unixMilliseconds: Int64 { seconds.withLock { $0 } * 1000 }

    func move(to seconds: Int64) { self.seconds.withLock { $0 = seconds } }
}

/// Counts and remembers, from any thread.
final class Record: Sendable {
    private let entries = Mutex<[String]>([])

    func add(_ entry: String) { entries.withLock { $0.append(entry) } }
    var all: [String] { entries.withLock { $0 } }
    var count: Int { all.count }
}

/// A server of an application, as long as `body` runs.
func withServer<Result: Sendable>(
    _ identity: TLSIdentity, _ configuration: AttestedHTTPServer.Configuration = .init(),
    attestSession: (@Sendable (SessionBinding) async throws -> [UInt8])? = nil, seen: Record = Record(),
    observer: (@Sendable (AttestedHTTPServer.Event) -> Void)? = nil,
    body: (AttestedHTTPServer.Address) async throws -> Result
) async throws -> Result {
    let server = AttestedHTTPServer(
        configuration, identity: identity, attestSession: attestSession, observer: observer
    ) { request in
        seen.add("\(request.method) \(request.path)")
        return .text(200, "hello \(String(decoding: request.body, as: UTF8.self))")
    }
    let address = try await server.start()
    do {
        let result = try await body(address)
        await server.stop(within: .seconds(1))
        return result
    } catch {
        await server.stop(within: .zero)
        throw error
    }
}

/// The failure of a request that must fail.
func failure(
    _ client: AttestedHTTPClient, _ request: AttestedHTTPRequest,
    _ location: SourceLocation = #_sourceLocation
) async throws -> AttestedTLSError {
    do throws(AttestedTLSError) {
        let response = try await client.send(request)
        Issue.record("answered with \(response.status)", sourceLocation: location)
        throw AttestedTLSError(.transport, check: "test", reason: "no failure")
    } catch {
        return error
    }
}

func failure(
    _ client: AttestedHTTPClient, _ url: String, _ location: SourceLocation = #_sourceLocation
) async throws -> AttestedTLSError {
    try await failure(client, AttestedHTTPRequest("GET", url), location)
}

/// Programs that share none of our code.
enum Program {
    static let haveOpenSSL = FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl")
    static let haveCurl = FileManager.default.isExecutableFile(atPath: "/usr/bin/curl")

    /// Starts a program with something on its standard input.
    static func start(_ path: String, _ arguments: [String], input: [UInt8] = []) throws -> (Process, Pipe) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        let (given, output) = (Pipe(), Pipe())
        process.standardInput = given
        process.standardOutput = output
        process.standardError = output
        try process.run()
        try given.fileHandleForWriting.write(contentsOf: Data(input))
        if !input.isEmpty { try given.fileHandleForWriting.close() }
        return (process, output)
    }

    /// What a program says, until it ends. Waits on a thread of its own: the servers under test need those of the tasks.
    static func output(_ path: String, _ arguments: [String], input: [UInt8] = []) async throws -> String {
        try await blocking {
            let (process, output) = try start(path, arguments, input: input)
            let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            process.waitUntilExit()
            return text
        }
    }

    static func blocking<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            Thread.detachNewThread { continuation.resume(with: Result { try body() }) }
        }
    }
}

extension AttestedHTTPClient {
    /// As `get`, with an error of any type: what tests expect within closures.
    func fetch(_ url: String) async throws -> AttestedHTTPResponse { try await get(url) }
}
