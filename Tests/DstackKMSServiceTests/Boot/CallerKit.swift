import DstackAttestation
import DstackAuthorization
import DstackCrypto
import DstackEncoding
import DstackKMSService
import DstackMockTEE
import Foundation
import TestKit
import Testing

/// A simulated machine, what runs on it, and how its evidence is verified.
struct CallerKit: Sendable {
    /// When everything here happens, Unix seconds.
    static let now: Int64 = 1_790_000_000
    private static let made = Result { try CallerKit() }

    static func shared() throws -> CallerKit { try made.get() }

    static let compose = Array(#"{"name":"caller"}"#.utf8)
    static let keyProvider = KeyProviderInfo(kind: .kms, id: [0x30, 0x59])
    static let reportData = ReportData(raTLSKey: Array("a key".utf8))

    let platform: MockPlatform
    let image: MockImage
    let boot: MockBoot
    let collateral: QuoteCollateral
    let verifier: QuoteVerifier

    private init() throws {
        platform = try MockPlatform(seed: FixedBytes(repeating: 0x4B))
        image = try MockImage()
        boot = try MockBoot(platform, appCompose: Self.compose, keyProvider: Self.keyProvider)
        collateral = try platform.collateral(for: .tdx, at: Self.now)
        verifier = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: platform.rootCertificate))
    }

    /// Of the usual boot; nil to leave its configuration as it is.
    func attestation(config: String? = nil, _ reportData: ReportData = reportData) throws -> Attestation {
        var attestation = try boot.attestation(reportData: reportData)
        if let config { attestation.config = config }
        return attestation
    }

    /// Of a domain with other events or another shape.
    func attestation(
        _ events: [RuntimeEvent], config: String? = nil, edit: (inout MockTrustDomain) -> Void = { _ in }
    ) throws -> Attestation {
        var domain = MockTrustDomain(on: platform)
        domain.mrTd = image.mrTd
        edit(&domain)
        var log = EventLog()
        for event in image.bootLog.events + events.map({ LoggedEvent($0) }) {
            if let digest = event.digest ?? event.runtimeEvent?.digest {
                try domain.extend(Int(event.register.rawValue), with: digest)
            }
            log.events.append(event)
        }
        return try Attestation(
            quote: domain.quote(reportData: Self.reportData.bytes.bytes), eventLog: log,
            config: config ?? image.vmConfig)
    }

    func report(
        _ attestation: Attestation, policy: VerificationPolicy = BootJudge.policy,
        _ reportData: ReportData? = reportData, collateral: QuoteCollateral? = nil
    ) -> VerificationReport {
        var policy = policy
        if let reportData { policy.expected.reportData = reportData.bytes }
        return verifier.verify(
            Evidence(attestation: attestation.encoded.bytes), collateral: collateral ?? self.collateral,
            policy: policy, at: Self.now)
    }

    /// The report of the usual boot.
    func report(config: String? = nil) throws -> VerificationReport { report(try attestation(config: config)) }

    /// What a boot logs, with other payloads or without some events.
    static func events(
        _ payloads: [String: [UInt8]] = [:], without missing: Set<String> = []
    ) -> [RuntimeEvent] {
        let usual: [(String, [UInt8])] = [
            ("system-preparing", []), ("app-id", [UInt8](repeating: 1, count: 20)),
            ("compose-hash", [UInt8](repeating: 2, count: 32)), ("instance-id", [UInt8](repeating: 3, count: 20)),
            ("boot-mr-done", []), ("key-provider", keyProvider.payload), ("system-ready", []),
        ]
        return usual.filter { !missing.contains($0.0) }.map { name, payload in
            RuntimeEvent(name: name, payload: payloads[name] ?? payload)
        }
    }

    /// The rules under which the usual boot is admitted.
    func rules(
        statuses: [String] = ["UpToDate"], image: String? = nil, composeHash: String? = nil
    ) -> String {
        let list = statuses.map { "\"\($0)\"" }.joined(separator: ",")
        return """
            {"gatewayAppId": "gate", "allowedTcbStatuses": [\(list)], "allowedAdvisoryIds": ["SIMULATED-SA-00001"],
             "osImages": ["\(image ?? self.image.osImageHash.hex)"],
             "apps": {"\(boot.appID)": {"composeHashes": ["\(composeHash ?? ComposeHash(ofFile: Self.compose).description)"],
                      "allowAnyDevice": true}}}
            """
    }
}

/// Answers as it is told to, and remembers what it was asked.
final class TestAuthorizer: BootAuthorizer {
    struct Question: Equatable {
        let info: BootInfo
        let subject: BootSubject
    }

    private let answer: Shared<Result<BootDecision, AuthorizationError>>
    private let asked = Shared<[Question]>([])

    init(_ decision: BootDecision = .allowed(gatewayAppID: "gate")) { answer = Shared(.success(decision)) }

    init(_ error: AuthorizationError) { answer = Shared(.failure(error)) }

    var questions: [Question] { asked.value }

    func set(_ decision: BootDecision) { answer.edit { $0 = .success(decision) } }

    func decide(_ info: BootInfo, as subject: BootSubject) async throws(AuthorizationError) -> BootDecision {
        asked.edit { $0.append(Question(info: info, subject: subject)) }
        return try answer.value.get()
    }

    func info() async throws(AuthorizationError) -> AuthorizerInfo { AuthorizerInfo(gatewayAppID: "gate") }
}

/// The configuration of a simulated machine, changed.
struct StatedConfiguration {
    private var members: [String: Any]

    init(_ text: String) throws {
        members = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    subscript(name: String) -> Any? {
        get { members[name] }
        set { members[name] = newValue }
    }

    /// Changes the measurement document.
    ///
    /// - Parameter isConsistent: whether its image is given the name that follows, as who builds an image does.
    mutating func editDocument(isConsistent: Bool, _ edit: (inout [UInt8]) -> Void) throws {
        var item = try #require(members["tdx_measurement"] as? [String: String])
        let encoded = try #require(item["measurement"])
        var document = [UInt8](try #require(Data(base64Encoded: encoded)))
        edit(&document)
        item["measurement"] = Data(document).base64EncodedString()
        if isConsistent {
            let checksums = "\(SHA256.hash(document).hex)  measurement.tdx.cbor\n"
            item["checksum_file"] = Data(checksums.utf8).base64EncodedString()
            members["os_image_hash"] = SHA256.hash(Array(checksums.utf8)).hex
        }
        members["tdx_measurement"] = item
    }

    var text: String {
        get throws {
            String(decoding: try JSONSerialization.data(withJSONObject: members, options: .sortedKeys), as: UTF8.self)
        }
    }
}

extension BootJudge {
    /// Both steps: examines accepted evidence and lets the caller in.
    func admit(
        _ report: VerificationReport, as subject: BootSubject, at moment: MeasurementMoment, vmConfiguration: String,
        ownConfiguration: () -> String = { "" }
    ) async throws(KMSServiceError) -> AdmittedCaller {
        try await admit(
            examine(report, at: moment, vmConfiguration: vmConfiguration, ownConfiguration: ownConfiguration),
            as: subject)
    }
}

/// What is thrown; nil if nothing is.
func refusal<Value>(_ body: () async throws(KMSServiceError) -> Value) async -> KMSServiceError? {
    do throws(KMSServiceError) {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}
