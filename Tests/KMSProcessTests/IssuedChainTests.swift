import DstackAttestation
import DstackEncoding
import DstackKMSClient
import DstackKeys
import DstackMockTEE
import Foundation
import TestKit
import Testing

/// Chains that a running service issued, before a verifier that shares none of our code.
@Suite("Chains of a running service", .enabled(if: SimulatedHost.isThere, SimulatedHost.absence))
struct IssuedChainTests {
    private let host: SimulatedHost

    init() throws { host = try SimulatedHost.shared() }

    private func verify(
        _ chain: [[UInt8]], root: String, _ options: [String]
    ) throws -> (status: Int32, output: String) {
        let files = try ScratchDirectory()
        try files.write(root, "root.pem")
        try files.write(CertificatePEM.encode(chain[0]), "leaf.pem")
        try files.write(chain.dropFirst().dropLast().map { CertificatePEM.encode($0) }.joined(), "between.pem")
        return try OpenSSLProgram.run(
            ["verify"] + options
                + [
                    "-no-CApath", "-no-CAstore", "-CAfile", files.path("root.pem"), "-untrusted",
                    files.path("between.pem"), files.path("leaf.pem"),
                ])
    }

    @Test(
        "OpenSSL accepts what a service issues and answers with, in strict mode where there are key identifiers",
        .needsOpenSSLProgram, arguments: ["upstream", "identified"])
    func openSSL(profile: String) async throws {
        let service = try await KMSProcess(.init(profile: profile)).start()
        let root = try #require(try await service.call("GetMeta").object()["ca_cert"] as? String)
        let client = try service.client(nil)
        let strict = profile == "identified" ? ["-x509_strict"] : []
        for (purpose, other, isServers) in [("sslserver", "sslclient", true), ("sslclient", "sslserver", false)] {
            let attested = try await AttestedKey { try self.host.app.attestation(reportData: $0) }
            let wanted = CertificateConfiguration(
                commonName: "app.example", organization: "Tests", alternativeNames: ["app.example", "10.0.0.7"],
                isForServers: isServers, isForClients: !isServers, includesEvidence: true, includesAppInfo: true)
            let chain = try await client.signCertificate(
                attested.signingRequest(wanted), vmConfiguration: host.app.vmConfig)
            #expect(chain.count == 3)
            let options = ["-purpose", purpose, "-verify_hostname", "app.example"]
            let found = try verify(chain, root: root, options + strict)
            #expect(found.status == 0 && found.output.contains("leaf.pem: OK"), "\(found)")
            #expect(try verify(chain, root: root, ["-purpose", other]).status != 0)
            #expect(try verify(chain, root: root, options + ["-x509_strict"]).status == 0 || profile == "upstream")
        }
        // The handshake itself, with every certificate that the service sends.
        try service.scratch.write(root, "meta-root.pem")
        let handshake = try OpenSSLProgram.run(
            [
                "s_client", "-connect", "127.0.0.1:\(service.port)", "-CAfile", service.scratch.path("meta-root.pem"),
                "-no-CApath", "-no-CAstore", "-verify_return_error", "-purpose", "sslserver", "-verify_hostname",
                "localhost", "-brief",
            ] + strict)
        #expect(handshake.status == 0 && handshake.output.contains("Verification: OK"), "\(handshake)")
        let wrongName = try OpenSSLProgram.run(
            [
                "s_client", "-connect", "127.0.0.1:\(service.port)", "-CAfile", service.scratch.path("meta-root.pem"),
                "-verify_return_error", "-verify_hostname", "other.example", "-brief",
            ])
        #expect(wrongName.status != 0, "\(wrongName)")
    }
}
