import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackHTTPServer
import DstackKeys
import DstackMockTEE
import DstackNetwork
import Foundation
import TestKit

/// An HTTPS service in a simulated trust domain, with the files that a stranger needs to verify it.
final class SimulatedService: Sendable {
    static let compose = """
        {"manifest_version":2,"name":"tests","runner":"docker-compose","docker_compose_file":"services: {}"}
        """

    /// What is served in place of a good certificate.
    enum Certificate: Sendable {
        case good
        case withoutEvidence
        case expired
        /// One byte of the quote is another.
        case changedQuote(offset: Int)
        /// Good evidence, about the key of somebody else.
        case ofAnotherKey
        /// The event log lacks its last event.
        case shortenedLog
        /// What stands in the evidence's place is none.
        case malformedEvidence
    }

    let files: ScratchDirectory
    let platform: MockPlatform
    let server: HTTPServer
    let port: UInt32
    let boot: MockBoot
    var url: String { "https://127.0.0.1:\(port)" }

    /// - Parameter body: what it answers with, status 200, to everything.
    init(
        _ kind: Certificate = .good, compose: String = compose, plain: Bool = false, body: [UInt8] = []
    ) async throws {
        files = try ScratchDirectory()
        platform = try MockPlatform(seed: FixedBytes(repeating: 0x42))
        boot = try MockBoot(platform, appCompose: Array(compose.utf8))
        let now = Int64(Date().timeIntervalSince1970)
        try files.write(compose, "app-compose.json")
        try files.write(platform.rootCertificate, "root.pem")
        try files.write(platform.collateral(for: .tdx, at: now).json, "collateral.json")
        let tls = plain ? nil : try await Self.identity(kind, boot, at: now, files)
        server = HTTPServer(
            HTTPServerConfiguration(listeners: [HTTPListener("tcp", .tcp(host: "127.0.0.1", port: 0), tls: tls)])
        ) { _ in HTTPServerResponse(200, body: body) }
        port = try await server.start().compactMap(\.port).first ?? 0
    }

    private static func identity(
        _ kind: Certificate, _ boot: MockBoot, at now: Int64, _ files: ScratchDirectory
    ) async throws -> HTTPServerTLS {
        let key = P256.PrivateKey()
        let other = P256.PrivateKey()
        let isForOther = if case .ofAnotherKey = kind { true } else { false }
        let reportData = ReportData(raTLSKey: isForOther ? other.publicKey.spki : key.publicKey.spki)
        var quote = try boot.quote(reportData: reportData.bytes.bytes)
        var log = boot.eventLog
        if case .changedQuote(let offset) = kind { quote[offset] ^= 1 }
        if case .shortenedLog = kind { log.events.removeLast() }
        var template = CertificateTemplate(.upstream, commonName: "service.test", now: now)
        template.notAfter = now + 86_400
        template.alternativeNames = ["127.0.0.1"]
        template.isForServers = true
        switch kind {
        case .withoutEvidence: break
        case .malformedEvidence: template.evidence = [.init(.attestation, [0x91, 0x00])]
        default:
            template.evidence = try EvidenceEncoding.standard.extensions(
                for: Attestation(quote: quote, eventLog: log))
        }
        if case .expired = kind { (template.notBefore, template.notAfter) = (1_000_000_000, 1_500_000_000) }
        let certificate = try template.selfSigned(by: key)
        // For servers of other kinds, who take both from one file.
        try files.write(
            Array(PEM.encode("CERTIFICATE", certificate).utf8) + key.pkcs8PEM.withUnsafeBytes { Array($0) },
            "service.pem")
        return HTTPServerTLS(
            certificateChain: Array(PEM.encode("CERTIFICATE", certificate).utf8),
            privateKey: key.pkcs8PEM.withUnsafeBytes { Array($0) })
    }
}
