import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackHTTP
import DstackHTTPServer
import DstackKeys
import DstackMockTEE
import DstackNetwork
import DstackRPC
import DstackRPCServer
import Foundation
import Synchronization
import TestKit
import Testing

/// An agent in miniature on real sockets: honest, with upstream's published test keys and a simulated trust domain, as
/// long as a test does not put another answer in place.
final class FakeAgent: Sendable {
    /// In place of what the agent would say: the method's path and the honest answer lead to another one.
    typealias Tampering = @Sendable (String, HTTPServerResponse) async -> HTTPServerResponse

    /// Which agent it plays.
    enum Generation: Sendable {
        case current
        /// 0.5.5: no Version, no Sign, no Ed25519, no `/v1`.
        case old
    }

    let directory: String
    let attester: SimulatedAttester
    let boot: MockBoot
    private let server: HTTPServer
    private let tampering: Mutex<Tampering?>
    private let seen: Mutex<[String]>

    init(_ generation: Generation = .current) async throws {
        // Short: a socket's path has room for 107 bytes.
        directory = Scratch.path("client")
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        boot = try MockBoot(
            MockPlatform(seed: FixedBytes(repeating: 0x42)), appCompose: Array(Self.compose.utf8), appID: Self.appID,
            keyProvider: KeyProviderInfo(kind: .kms, id: [1, 2, 3]))
        attester = try SimulatedAttester(boot)
        var router = RPCRouter()
        let service = FakeService(attester: attester, boot: boot)
        router.mount(service.guest(generation), at: "/", on: ["dstack"])
        if generation == .current {
            router.mount(service.guestV1(), at: "/v1", on: ["dstack"], unknownMethodStatus: 404)
        }
        router.mount(service.tappd(generation), at: "/prpc", on: ["tappd"])
        let honest = router
        let tampering = TamperingBox()
        self.tampering = .init(nil)
        seen = .init([])
        var limits = HTTPServerLimits()
        limits.maximumBodyBytes = 10 << 20
        server = HTTPServer(
            HTTPServerConfiguration(
                listeners: [
                    HTTPListener("dstack", .unix(path: "\(directory)/dstack.sock")),
                    HTTPListener("tappd", .unix(path: "\(directory)/tappd.sock")),
                ], limits: limits)
        ) { request in
            let answer = await honest.respond(to: request)
            return await tampering.owner?.answered(request.path, answer) ?? answer
        }
        tampering.owner = self
        _ = try await server.start()
    }

    deinit { try? FileManager.default.removeItem(atPath: directory) }

    /// The server's handler needs the agent, which needs the server; set once, before the server starts.
    private final class TamperingBox: @unchecked Sendable {
        weak var owner: FakeAgent?
    }

    private func answered(_ path: String, _ answer: HTTPServerResponse) async -> HTTPServerResponse {
        seen.withLock { $0.append(path) }
        guard let tamper = tampering.withLock({ $0 }) else { return answer }
        return await tamper(path, answer)
    }

    /// The paths that were asked for, in order.
    var paths: [String] { seen.withLock { $0 } }

    func tamper(_ tampering: Tampering?) { self.tampering.withLock { $0 = tampering } }

    /// Answers every request with one and the same body.
    func answer(_ body: String, status: Int = 200) { answer(Array(body.utf8), status: status) }

    func answer(_ body: [UInt8], status: Int = 200) {
        tamper { _, _ in .json(body, status: status) }
    }

    /// Changes the JSON object of every answer.
    func edit(_ change: @escaping @Sendable (inout [String: Any]) -> Void) {
        tamper { _, answer in
            guard let bytes = answer.wholeBody,
                var object = try? JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any]
            else { return answer }
            change(&object)
            return .json([UInt8]((try? JSONSerialization.data(withJSONObject: object)) ?? Data()))
        }
    }

    /// Ends it with the test. Called last, so that it does not go before.
    func end() { tamper(nil) }

    func stop() async { await server.stop(within: .zero) }

    func client(timeout: Duration = .seconds(20)) -> DstackClient {
        DstackClient(.unix("\(directory)/dstack.sock"), timeout: timeout)
    }

    var tappd: TappdClient { TappdClient(.unix("\(directory)/tappd.sock"), timeout: .seconds(20)) }

    // MARK: Who it is

    static let compose = """
        {"manifest_version":2,"name":"client-test","runner":"docker-compose","docker_compose_file":"services: {}\\n"}\n
        """
    /// Upstream's published test identity.
    static let appID = AppID(hex: "5bb4ff9a3837357f19dc176407a5709c62eb6c56") ?? AppID(FixedBytes())
    static let kmsKey = hex("0321529e458424ab1f710a3a57ec4dad2fb195ddca572f7469242ba6c7563085b6")
    static let appKey = "02818494263695e8839122dbd88e281d7380622999df4e60a14befa0f2d096fc7c"
    static let rootKey = hex("d6e88992cdeeee35fe70b5db61ab66cdb191fb9b6ec9313757ef162dd7214d5d")
    static let issuance = hex(
        """
        9e618603e72d01fedb82deff6daf2d62a572becf0059eec3f89c1ab40e1f2e594d2a283f843f34e8f39e4cc49a612496\
        ce67223a12ac923f8efe330346dfc6c500
        """)
    static let now: Int64 = 1_790_000_000
}

/// What the fake agent's methods do.
struct FakeService: Sendable {
    let attester: SimulatedAttester
    let boot: MockBoot

    private func root() throws -> AppRootKey {
        let bytes = FakeAgent.rootKey
        return try AppRootKey(copying: bytes.span.bytes, issuance: FakeAgent.issuance)
    }

    private func algorithm(_ label: String) throws -> KeyAlgorithm {
        guard let algorithm = KeyAlgorithm(label: label) else { throw RPCError("Unsupported algorithm") }
        return algorithm
    }

    private func padded(_ bytes: [UInt8]) throws -> ReportData {
        guard bytes.count <= 64 else { throw RPCError("Report data is too long") }
        return try ReportData(padding: bytes)
    }

    func key(_ request: AgentRPC.GetKeyArgs, _ generation: FakeAgent.Generation) throws -> AgentRPC.GetKeyResponse {
        let key = try root().derivedKey(
            path: request.path, purpose: request.purpose,
            algorithm: generation == .old ? .secp256k1 : try algorithm(request.algorithm))
        return .with {
            $0.key = RPCSecret(copying: key.withUnsafeBytes { Array($0) })
            $0.signatureChain = key.signatureChain
        }
    }

    func tlsKey(
        _ configuration: CertificateConfiguration, path: String? = nil, _ generation: FakeAgent.Generation = .current
    ) async throws -> AgentRPC.GetTlsKeyResponse {
        let attested = try await attestedKey(path: path)
        var encoding = EvidenceEncoding.standard
        if generation == .old { (encoding.includesLegacyForm, encoding.includesEnvelope) = (true, false) }
        let certificate = try attested.selfSigned(configuration, encoding: encoding, at: FakeAgent.now)
        return .with {
            $0.key = RPCSecretText(copying: attested.key.withUnsafePEM { String(decoding: $0, as: UTF8.self) })
            $0.certificateChain = [PEM.encode("CERTIFICATE", certificate)]
        }
    }

    private func attestedKey(path: String?) async throws -> AttestedKey {
        let attester = attester
        guard let path else {
            return try await AttestedKey { try await attester.attestation(reportData: $0) }
        }
        return try await AttestedKey(try root().tlsKey(path: path)) { try await attester.attestation(reportData: $0) }
    }

    func quote(_ reportData: ReportData) async throws -> Attestation {
        try await attester.attestation(reportData: reportData)
    }

    func info() async throws -> AgentRPC.AppInfo {
        let evidence = try await quote(ReportData(FixedBytes()))
        let report = try #require(try evidence.parsedQuote().body.tdReport)
        let log = try JSONSerialization.jsonObject(with: Data((evidence.eventLog ?? EventLog()).json.utf8))
        let tcb: [String: Any] = [
            "mrtd": report.mrTd.hex, "rtmr0": report.rtMr0.hex, "rtmr1": report.rtMr1.hex, "rtmr2": report.rtMr2.hex,
            "rtmr3": report.rtMr3.hex, "event_log": log, "app_compose": FakeAgent.compose, "unknown": [1, 2],
        ]
        let composeHash = ComposeHash(ofFile: Array(FakeAgent.compose.utf8))
        let text = String(decoding: try JSONSerialization.data(withJSONObject: tcb), as: UTF8.self)
        let measurements = try ApplicationMeasurements(report, try #require(evidence.eventLog).replay())
        return .with {
            $0.appID = boot.appID.bytes.bytes
            $0.instanceID = boot.instanceID?.bytes.bytes ?? []
            $0.tcbInfo = text
            $0.appName = "client-test"
            $0.deviceID = DeviceID(ppid: []).bytes.bytes
            $0.mrAggregated = measurements.mrAggregated.bytes
            $0.keyProviderInfo = #"{"name":"kms","id":"010203"}"#
            $0.composeHash = composeHash.bytes.bytes
            $0.vmConfig = boot.vmConfig
            $0.cloudVendor = "QEMU"
        }
    }

    func guest(_ generation: FakeAgent.Generation) -> RPCService {
        var service = RPCService(AgentRPC.DstackGuest.name)
        service.on(AgentRPC.DstackGuest.getKey) { request, _ in try key(request, generation) }
        service.on(AgentRPC.DstackGuest.getTLSKey) { request, _ in
            try await tlsKey(
                CertificateConfiguration(
                    commonName: request.subject, alternativeNames: request.altNames,
                    isForServers: request.usageServerAuth, isForClients: request.usageClientAuth,
                    includesEvidence: request.usageRATLS, notBefore: request.notBefore, notAfter: request.notAfter),
                generation)
        }
        service.on(AgentRPC.DstackGuest.getQuote) { request, _ in
            let reportData = try padded(request.reportData)
            let evidence = try await quote(reportData)
            return .with {
                $0.quote = evidence.quote ?? []
                $0.eventLog = (evidence.eventLog ?? EventLog()).json
                $0.reportData = reportData.bytes.bytes
                $0.vmConfig = boot.vmConfig
            }
        }
        service.on(AgentRPC.DstackGuest.info) { _, _ in try await info() }
        service.on(AgentRPC.DstackGuest.emitEvent) { request, _ in
            try await attester.emit(RuntimeEvent(emitting: request.event, payload: request.payload))
            return RPCEmpty()
        }
        guard generation == .current else { return service }
        service.on(AgentRPC.DstackGuest.attest) { request, _ in
            let evidence = try await quote(try padded(request.reportData))
            return .with { $0.attestation = evidence.encoded.bytes }
        }
        service.on(AgentRPC.DstackGuest.attestSession) { request, _ in
            let binding = try SessionBinding(
                exporter: request.exporter, nonce: request.nonce, publicKey: request.publicKey)
            let evidence = try await quote(binding.reportData)
            return .with { $0.attestation = evidence.encoded.bytes }
        }
        service.on(AgentRPC.DstackGuest.gpuInfo) { _, _ in .with { $0.attestation = #"{"gpu":1}"# } }
        service.on(AgentRPC.DstackGuest.sign) { request, _ in
            guard let algorithm = MessageSignatureAlgorithm(label: request.algorithm) else {
                throw RPCError("Unsupported algorithm")
            }
            let signed = try root().messageSigner().sign(request.data, algorithm: algorithm)
            return .with {
                ($0.signature, $0.publicKey) = (signed.signature, signed.publicKey)
                $0.signatureChain = signed.signatureChain
            }
        }
        service.on(AgentRPC.DstackGuest.verify) { request, _ in
            guard let algorithm = MessageSignatureAlgorithm(label: request.algorithm) else {
                throw RPCError("Unsupported algorithm")
            }
            let isValid = try MessageSigner.isValidSignature(
                request.signature, over: request.data, publicKey: request.publicKey, algorithm: algorithm)
            return .with { $0.isValid = isValid }
        }
        service.on(AgentRPC.DstackGuest.version) { _, _ in
            .with { ($0.version, $0.revision) = ("0.5.11", "git:0123456789abcdef0123") }
        }
        return service
    }

    func guestV1() -> RPCService {
        var service = RPCService(AgentRPCv1.DstackGuest.name)
        service.on(AgentRPCv1.DstackGuest.getKey) { request, _ in
            let key = try root().derivedKey(domain: request.domain, algorithm: try algorithm(request.algorithm))
            return .with {
                $0.key = RPCSecret(copying: key.withUnsafeBytes { Array($0) })
                ($0.publicKey, $0.signatureChain) = (key.publicKey, key.signatureChain)
            }
        }
        service.on(AgentRPCv1.DstackGuest.issueCert) { request, _ in
            try await tlsKey(
                CertificateConfiguration(
                    commonName: request.subject, alternativeNames: request.altNames,
                    isForServers: request.usageServerAuth, isForClients: request.usageClientAuth,
                    includesEvidence: request.usageRATLS, notBefore: request.notBefore, notAfter: request.notAfter))
        }
        service.on(AgentRPCv1.DstackGuest.attest) { request, _ in
            let evidence = try await quote(try padded(request.reportData))
            return .with {
                $0.attestation = evidence.encoded.bytes
                if request.includesBootTimeGPUEvidence {
                    $0.bootTimeGPUEvidence = [
                        .with { ($0.vendor, $0.format, $0.evidence) = ("nvidia", "boot", [7]) }
                    ]
                }
            }
        }
        service.on(AgentRPCv1.DstackGuest.attestGPU) { request, _ in
            .with {
                $0.bundles = [
                    .with { ($0.vendor, $0.format, $0.evidence) = ("nvidia", "fresh", request.nonce) }
                ]
            }
        }
        service.on(AgentRPCv1.DstackGuest.info) { _, _ in
            let info = try await info()
            return .with {
                ($0.appID, $0.appName, $0.composeHash) = (info.appID, info.appName, info.composeHash)
                $0.appCompose = FakeAgent.compose
                ($0.deviceID, $0.mrAggregated, $0.vmConfig) = (info.deviceID, info.mrAggregated, info.vmConfig)
            }
        }
        service.on(AgentRPCv1.DstackGuest.version) { _, _ in .with { $0.version = "1.0" } }
        return service
    }

    func tappd(_ generation: FakeAgent.Generation) -> RPCService {
        var service = RPCService(AgentRPC.Tappd.name)
        service.on(AgentRPC.Tappd.deriveKey) { request, _ in
            try await tlsKey(
                CertificateConfiguration(
                    commonName: request.subject, alternativeNames: request.altNames,
                    isForServers: request.usageServerAuth, isForClients: request.usageClientAuth,
                    includesEvidence: request.usageRATLS), path: request.randomSeed ? nil : request.path)
        }
        service.on(AgentRPC.Tappd.deriveK256Key) { request, _ in
            let key = try key(request, generation)
            return .with { ($0.k256Key, $0.k256SignatureChain) = (key.key, key.signatureChain) }
        }
        service.on(AgentRPC.Tappd.tdxQuote) { request, _ in
            let tag = ReportData.Tag(request.prefix.isEmpty ? "app-data" : request.prefix)
            let evidence = try await quote(
                ReportData(tag: tag, content: request.reportData, algorithm: request.hashAlgorithm))
            return .with {
                ($0.quote, $0.eventLog) = (evidence.quote ?? [], (evidence.eventLog ?? EventLog()).json)
            }
        }
        service.on(AgentRPC.Tappd.rawQuote) { request, _ in
            let evidence = try await quote(
                ReportData(tag: .appData, content: request.reportData, algorithm: "raw"))
            return .with {
                ($0.quote, $0.eventLog) = (evidence.quote ?? [], (evidence.eventLog ?? EventLog()).json)
            }
        }
        service.on(AgentRPC.Tappd.info) { _, _ in try await info() }
        if generation == .current {
            service.on(AgentRPC.Tappd.version) { _, _ in .with { $0.version = "0.5.11" } }
        }
        return service
    }
}

extension HTTPServerResponse {
    /// A body that is there whole, secret or not.
    var wholeBody: [UInt8]? {
        switch body {
        case .bytes(let bytes): bytes
        case .secret(let secret): secret.copiedToUnprotectedMemory()
        case .stream, .upgrade: nil
        }
    }
}
