import DstackAttestation
import DstackAuthorization
import DstackEncoding
import DstackKMS
import DstackKMSService
import DstackKeys
import DstackMockTEE

/// A requester whose evidence was accepted, and the service that it asks.
struct CertificateSamples: ~Copyable {
    static let now: Int64 = 1_790_000_000
    static let domain = "kms.example.com"

    let boot: MockBoot
    let caller: AdmittedCaller
    let roots = KMSRootKeys()

    init() throws {
        try self.init(
            boot: MockBoot(
                MockPlatform(seed: FixedBytes(repeating: 0x11)), appCompose: Array("{\"name\":\"test\"}".utf8)))
    }

    init(boot: MockBoot) {
        self.boot = boot
        caller = Self.caller(boot.appID)
    }

    /// Nothing here is looked at but the identifiers.
    static func caller(_ app: AppID) -> AdmittedCaller {
        let hash = FixedBytes<32>(repeating: 5)
        return AdmittedCaller(
            boot: BootInfo(
                mrAggregated: hash, osImageHash: hash, mrSystem: hash, appID: app.bytes, composeHash: hash,
                instanceID: nil, deviceID: hash, tcbStatus: "UpToDate"),
            appID: app, instanceID: nil,
            appInfo: AppInfo(
                appID: app, composeHash: ComposeHash(hash), instanceID: nil, deviceID: DeviceID(hash), mrSystem: hash,
                mrAggregated: hash, osImageHash: nil, keyProviderInfo: []),
            gatewayAppID: "", auditSubject: AuditSubject(.app, appID: app.bytes.bytes))
    }

    /// A request whose evidence is about its key.
    borrowing func request(
        _ configuration: CertificateConfiguration, version: SigningRequest.Version = .v2
    ) async throws -> VerifiedSigningRequest {
        let attested = try await AttestedKey { report in
            try Attestation(quote: boot.quote(reportData: report.bytes.bytes), eventLog: boot.eventLog)
        }
        let signed: SignedSigningRequest
        switch version {
        case .v2: signed = try attested.signingRequest(configuration)
        case .v1:
            let quote = try boot.quote(reportData: attested.attestation.reportData.bytes.bytes)
            signed = try SigningRequest(
                publicKey: attested.key.publicKey, configuration: configuration,
                evidence: .quote(quote, eventLog: Array(boot.eventLog.json.utf8))
            ).signed(by: attested.key)
        }
        return try SigningRequest(decoding: signed.request.bytes, version: version).verified(
            signature: signed.signature)
    }

    borrowing func root(_ profile: CertificateProfile) throws(KMSServiceError) -> CertificateAuthority {
        do throws(KeysError) {
            return try roots.certificateAuthority(profile, at: Self.now)
        } catch {
            throw KMSServiceError(error)
        }
    }

    borrowing func issue(
        _ policy: IssuancePolicy, _ request: VerifiedSigningRequest, epoch: KeyEpoch = .first,
        at now: Int64 = Self.now
    ) throws -> IssuedCertificate {
        let root = try root(.upstream)
        return try policy.issue(
            request, for: caller, from: roots, epoch: epoch, under: root, kmsDomain: Self.domain, at: now)
    }
}

func patterns(_ texts: String...) throws -> [CertificateNamePattern] {
    try texts.map { (text) throws(KMSServiceError) in try CertificateNamePattern(text) }
}
