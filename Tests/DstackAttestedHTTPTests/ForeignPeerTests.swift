import DstackAttestation
import DstackAttestedHTTP
import DstackEncoding
import DstackKeys
import Foundation
import TestKit
import Testing

@Suite("Foreign peers")
struct ForeignPeerTests {
    private static func request(_ nonce: FixedBytes<32>) -> [UInt8] {
        let body = SessionEvidence.request(nonce: nonce)
        return Array(
            ("POST \(SessionEvidence.path) HTTP/1.1\r\nHost: app\r\nConnection: close\r\n"
                + "Content-Type: application/json\r\nContent-Length: \(body.count)\r\n\r\n").utf8) + body
    }

    @Test(
        "the exporter value that openssl computes is the one in our evidence",
        .enabled(if: Program.haveOpenSSL, "needs openssl"))
    func exporter() async throws {
        let simulation = try Simulation.shared()
        let identity = try await Simulation.identity(simulation.app)
        let nonce = FixedBytes<32>(repeating: 0x77)
        let output = try await withServer(identity, attestSession: Simulation.witness(simulation.app)) { address in
            try await Program.output(
                "/usr/bin/openssl",
                [
                    "s_client", "-connect", "127.0.0.1:\(address.port)", "-tls1_3", "-keymatexport",
                    SessionBinding.exporterLabel, "-keymatexportlen", "32", "-ign_eof",
                ], input: Self.request(nonce))
        }
        let line = try #require(output.split(separator: "\n").first { $0.contains("Keying material: ") })
        let exporter = try Hex.decode(String(line.split(separator: " ").last ?? ""), subject: "keying material")
        let json = try #require(output.split(separator: "\n").first { $0.contains("\"attestation\"") })
        let start = try #require(json.firstIndex(of: "{"))
        let end = try #require(json.firstIndex(of: "}"))
        let response = try SessionEvidence.response(in: Array(json[start...end].utf8))
        #expect(response.publicKey == identity.publicKey)
        let binding = try SessionBinding(exporter: exporter, nonce: nonce.bytes, publicKey: identity.publicKey)
        #expect(
            try Attestation(decoding: response.attestation).parsedQuote().body.reportData == binding.reportData.bytes)
    }

    @Test("curl gets evidence, and without TLS 1.3 a refusal", .enabled(if: Program.haveCurl, "needs curl"))
    func curl() async throws {
        let simulation = try Simulation.shared()
        let identity = try await Simulation.identity(simulation.app)
        let body = String(decoding: SessionEvidence.request(nonce: FixedBytes(repeating: 1)), as: UTF8.self)
        try await withServer(identity, attestSession: Simulation.witness(simulation.app)) { address in
            let arguments = ["-sk", "--noproxy", "*", "-d", body, address.url + SessionEvidence.path]
            let answer = try await Program.output("/usr/bin/curl", arguments)
            let response = try SessionEvidence.response(in: Array(answer.utf8))
            #expect(try Attestation(decoding: response.attestation).reportData.isReservedForSessions)
            let old = try await Program.output("/usr/bin/curl", ["--tls-max", "1.2"] + arguments)
            #expect(old.contains("TLS 1.3 is needed"))
            let plain = try await Program.output("/usr/bin/curl", ["-sk", "--noproxy", "*", address.url])
            #expect(plain == "hello ")
        }
    }

    /// `openssl s_server` at a free port, which answers every GET.
    private func withOpenSSLServer<Result>(
        _ identity: TLSIdentity, _ options: [String], _ body: (String) async throws -> Result
    ) async throws -> Result {
        let directory = try ScratchDirectory()
        let certificate = try directory.write(Array(identity.certificateChainPEM.utf8), "certificate.pem")
        let key = try directory.write(identity.withUnsafePrivateKeyPEM { [UInt8]($0) }, "key.pem")
        let (process, output) = try Program.start(
            "/usr/bin/openssl",
            ["s_server", "-accept", "127.0.0.1:0", "-cert", certificate, "-key", key, "-www"] + options)
        defer {
            // Children inherit the signals that a task's thread blocks, SIGTERM among them.
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        var said = ""
        var port: Substring?
        while port == nil {
            let more = try await Program.blocking { output.fileHandleForReading.availableData }
            try #require(!more.isEmpty, "openssl s_server said: \(said)")
            said += String(decoding: more, as: UTF8.self)
            // "ACCEPT 127.0.0.1:40123"
            port =
                said.split(separator: "\n").first { $0.hasPrefix("ACCEPT") && $0.contains(":") }?
                .split(separator: ":").last
        }
        return try await body("https://127.0.0.1:\(port ?? "0")/")
    }

    @Test(
        "a server of TLS 1.2 is good enough for key-bound evidence, and session-bound it is refused as such",
        .enabled(if: Program.haveOpenSSL, "needs openssl"))
    func olderTLS() async throws {
        let simulation = try Simulation.shared()
        let identity = try await Simulation.identity(simulation.app)
        try await withOpenSSLServer(identity, ["-tls1_2"]) { url in
            let error = try await failure(simulation.client(.sessionBound), url)
            #expect(error.code == .tlsVersion)
            #expect(error.reason.contains("TLSv1.2") && error.reason.contains("TLS 1.3"))
            let response = try await simulation.client(.keyBound).fetch(url)
            #expect(response.status == 200)
            #expect(response.peer.report.verdict == .accepted)
        }
    }
}
