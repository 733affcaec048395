import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKMSClient
import DstackKeys
import DstackMockTEE
import DstackSystem
import Synchronization

/// A simulated machine with a key management service, an application and another one on it, all of them genuine.
struct KMSTestWorld: Sendable {
    /// When everything in these tests happens, Unix seconds.
    static let now: Int64 = 1_790_000_000
    private static let made = Result { try KMSTestWorld() }

    static func shared() throws -> KMSTestWorld { try made.get() }

    private static let composes = (kms: Array("{\"name\":\"kms\"}".utf8), app: Array("{\"name\":\"app\"}".utf8))

    let platform: MockPlatform
    let kms: MockBoot
    let app: MockBoot
    let quotes: QuoteVerifier
    let clock = FixedWallClock(unixSeconds: KMSTestWorld.now)

    private init() throws {
        platform = try MockPlatform(seed: FixedBytes(repeating: 0x4B))
        kms = try MockBoot(platform, appCompose: Self.composes.kms)
        app = try MockBoot(platform, appCompose: Self.composes.app)
        quotes = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: platform.rootCertificate))
    }

    func collateral() throws -> QuoteCollateral { try platform.collateral(for: .tdx, at: Self.now) }

    func ready() throws -> ReadyCollateral {
        ReadyCollateral(try OfflineCollateral([collateral()]), verifier: quotes)
    }

    /// Accepts the service's code on the simulated system.
    func kmsVerifier(_ ready: ReadyCollateral? = nil) throws -> AttestedPeerVerifier {
        var policy = VerificationPolicy.standard
        policy.expected.composeHash = ComposeHash(ofFile: Self.composes.kms).bytes
        let image = try MockImage()
        let registers = try image.bootLog.replay().registers
        policy.expected.mrTd = image.mrTd
        policy.expected.rtMr1 = registers.rtmr1
        policy.expected.rtMr2 = registers.rtmr2
        return try AttestedPeerVerifier(
            policy: policy, collateral: ready ?? self.ready(), clock: clock, demands: .consistent)
    }

    /// Accepts everybody who is genuine, as a service does before it asks whoever decides.
    func anyVerifier() throws -> AttestedPeerVerifier {
        try AttestedPeerVerifier(
            policy: .standard, collateral: ready(), acceptsAnyApplication: true, clock: clock, demands: .consistent)
    }

    static func attestation(_ boot: MockBoot, _ reportData: ReportData) throws -> Attestation {
        try Attestation(
            quote: boot.quote(reportData: reportData.bytes.bytes), eventLog: boot.eventLog, config: boot.vmConfig)
    }

    static func attest(_ boot: MockBoot) -> KMSAttest { { try attestation(boot, $0) } }

    /// Extensions with evidence that a key is the boot's.
    static func evidence(
        _ boot: MockBoot, about publicKey: [UInt8]
    ) throws -> [CertificateTemplate.EvidenceExtension] {
        try EvidenceEncoding.standard.extensions(for: attestation(boot, ReportData(raTLSKey: publicKey)))
    }
}

/// Remembers, from any thread.
final class Noted: Sendable {
    private let entries = Mutex<[String]>([])

    func add(_ entry: String) { entries.withLock { $0.append(entry) } }
    var all: [String] { entries.withLock { $0 } }
}

func copy(_ key: borrowing P256.PrivateKey) throws -> P256.PrivateKey {
    try P256.PrivateKey(scalar: key.scalar.duplicate())
}
