import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKeys
import DstackMockTEE
import DstackSystem

/// Who connects: a certificate and its key, DER.
struct Caller: Sendable {
    let certificate: [UInt8]
    let key: [UInt8]
}

/// Makes evidence of one application on simulated machines.
struct Machines {
    private let platform: MockPlatform
    private let boot: MockBoot
    private let now = SystemWallClock().unixSeconds

    let appID: AppID
    let composeHash: String
    let osImageHash: String
    var vmConfiguration: String { boot.vmConfig }

    /// - Parameter simulation: the directory of a simulator, which has made its platform there.
    init(simulation: String) throws {
        let compose = Array(#"{"manifest_version":2,"name":"benchmark","runner":"docker-compose"}"#.utf8)
        platform = try MockPlatform.load(from: simulation)
        boot = try MockBoot(platform, appCompose: compose)
        appID = boot.appID
        composeHash = ComposeHash(ofFile: compose).bytes.hex
        osImageHash = try MockImage().osImageHash.hex
    }

    /// With a new key, and evidence about it from the simulation's own platform.
    func caller() throws -> Caller {
        let key = P256.PrivateKey()
        let data = ReportData(raTLSKey: key.publicKey.spki)
        return try caller(key, boot.quote(reportData: data.bytes.bytes))
    }

    /// The same from a platform that nobody has seen: a PCK certificate of its own under the same authority.
    func callerOnNewPlatform() throws -> Caller {
        let key = P256.PrivateKey()
        let data = ReportData(raTLSKey: key.publicKey.spki)
        let (pck, attestation) = (MockKey(), MockKey())
        let other = try platform.reissued { certificates in
            certificates.pck.builder.publicKey = pck.spki
            certificates.pck.builder.serialNumber = DER.integer(
                magnitude: [0x40] + SHA256.hash(pck.spki).bytes.prefix(19))
        }
        let quote = try other.quote(boot.domain.report(reportData: data.bytes)) { quote in
            quote.attestationKey = attestation
            quote.qeReportSigner = pck
        }
        return try caller(key, quote)
    }

    /// As this project's clients introduce themselves.
    private func caller(_ key: borrowing P256.PrivateKey, _ quote: [UInt8]) throws -> Caller {
        let attestation = try Attestation(quote: quote, eventLog: boot.eventLog, config: boot.vmConfig)
        var template = CertificateTemplate.temporaryClient(
            evidence: try EvidenceEncoding.standard.extensions(for: attestation), now: now)
        template.alternativeNames = ["ra-tls-client.invalid"]
        template.isForClients = true
        template.notAfter = CertificateTemplate.end(now, lifetime: 86_400)
        return Caller(
            certificate: try template.selfSigned(by: key), key: key.pkcs8.withUnsafeBytes { Array($0) })
    }

    /// A request for a certificate with evidence, about a new key.
    func signingRequest() throws -> SignedSigningRequest {
        let key = TLSKey()
        let quote = try boot.quote(reportData: key.reportData.bytes.bytes)
        let attested = try AttestedKey(
            key, attestation: Attestation(quote: quote, eventLog: boot.eventLog, config: boot.vmConfig))
        return try attested.signingRequest(
            CertificateConfiguration(
                commonName: "benchmark", alternativeNames: ["app.example.org"], isForServers: true, isForClients: true,
                includesEvidence: true))
    }
}
