import DstackAttestation
import DstackHTTPServer
import Foundation
import TestKit
import Testing

/// Services whose certificates carry evidence and that do not answer a stranger's HTTP/1.1 request.
@Suite(
    "Evidence of services that speak something else",
    .enabled(
        if: Program.path("dstack") != nil && Program.path("/usr/bin/openssl") != nil, "dstack or openssl is missing"))
struct HandshakeAloneTests {
    /// A TLS server of OpenSSL's, with the certificate of a simulated service.
    private final class Peer {
        let service: SimulatedService
        private let program: StartedProgram
        private(set) var url = ""

        init(_ arguments: [String]) async throws {
            service = try await SimulatedService()
            let pem = service.files.path("service.pem")
            program = try StartedProgram(
                "/usr/bin/openssl",
                ["s_server", "-accept", "127.0.0.1:0", "-cert", pem, "-key", pem, "-CAfile", pem] + arguments)
            let words = "ACCEPT 127.0.0.1:"
            #expect(try await eventually { program.output.contains(words) || !program.isRunning })
            let line = program.output.split(separator: "\n").first { $0.hasPrefix(words) }
            url = "https://127.0.0.1:\(try #require(line, "\(program.errors)").dropFirst(words.count))"
        }

        func verify(_ arguments: String...) async throws -> Program.Output {
            let files = service.files
            return try await Program.run(
                "dstack",
                [
                    "verify", url, "--trust-root", files.path("root.pem"), "--collateral",
                    files.path("collateral.json"), "--app-compose", files.path("app-compose.json"),
                ] + arguments)
        }

        func end() async {
            // It inherits the signals that the thread which started it keeps away, SIGTERM among them.
            program.signal(SIGKILL)
            _ = await program.end()
            await service.server.stop()
        }
    }

    @Test(
        "what fails after the handshake does not hide evidence about the key",
        arguments: [
            ["-rev", "-alpn", "h2"], ["-rev", "-alpn", "h2", "-tls1_2"], ["-www", "-Verify", "1"],
            ["-rev", "-alpn", "h2", "-Verify", "1"],
        ])
    func afterHandshake(_ arguments: [String]) async throws {
        let peer = try await Peer(arguments)
        for options in [[], ["--key-bound"]] {
            let result = try await options.isEmpty ? peer.verify() : peer.verify("--key-bound")
            #expect(result.status == 0 && result.output.hasPrefix("YES "), "\(arguments): \(result)")
            #expect(result.output.contains("key-bound"), "\(result)")
        }
        // Why it is not bound to the connection is a note, and where that was demanded the reason of a no.
        let noted = try await peer.verify("--json").object()
        #expect((noted["session_absence"] as? String)?.isEmpty == false, "\(noted)")
        let demanded = try await peer.verify("--session-bound")
        #expect(demanded.status == 1 && demanded.output.contains("session_evidence"), "\(demanded)")

        let files = peer.service.files
        var policy = VerificationPolicy.standard
        policy.expected.composeHash = ComposeHash(ofFile: Array(SimulatedService.compose.utf8)).bytes
        let collateral = ReadyCollateral(
            try OfflineCollateral(path: files.path("collateral.json")),
            verifier: QuoteVerifier(trustAnchor: try TrustAnchor(path: files.path("root.pem"))))
        // Its evidence comes without a VM configuration.
        let client = AttestedHTTPClient(
            verifier: try AttestedPeerVerifier(policy: policy, collateral: collateral, acceptsAnySystem: true))
        #expect(try await client.peer(at: peer.url).binding == .keyBound)
        await peer.end()
    }

    @Test("a server that shows the certificate and has not its key is not believed, however far the handshake came")
    func stolenCertificate() async throws {
        // In TLS 1.2 certificate and proof of the key are readable: the one comes through, the other is broken on the way.
        let peer = try await Peer(["-rev", "-tls1_2"])
        let port = try #require(UInt16(peer.url.split(separator: ":").last ?? ""))
        for isBroken in [false, true] {
            let relay = try FlightRelay(to: port, isBroken: isBroken)
            let files = peer.service.files
            let result = try await Program.run(
                "dstack",
                [
                    "verify", "https://127.0.0.1:\(relay.port)", "--key-bound", "--trust-root", files.path("root.pem"),
                    "--collateral", files.path("collateral.json"), "--app-compose", files.path("app-compose.json"),
                ])
            #expect(result.status == (isBroken ? 3 : 0), "\(result)")
            #expect(result.output.isEmpty == isBroken, "\(result)")
            relay.end()
        }
        await peer.end()
    }

    @Test("an answer that is too large, or not there, is a note")
    func answers() async throws {
        for body in [[UInt8](repeating: 0x20, count: 40 << 20), Array("<html>no</html>".utf8)] {
            let service = try await SimulatedService(body: body)
            let files = service.files
            let result = try await Program.run(
                "dstack",
                [
                    "verify", service.url, "--trust-root", files.path("root.pem"), "--collateral",
                    files.path("collateral.json"), "--app-compose", files.path("app-compose.json"),
                ])
            #expect(result.status == 0 && result.output.contains("key-bound"), "\(result)")
            await service.server.stop()
        }
    }

    @Test("a demand for a client certificate before the handshake is complete, as TLS 1.2 has it, is named")
    func demandInHandshake() async throws {
        let peer = try await Peer(["-www", "-Verify", "1", "-tls1_2"])
        let result = try await peer.verify()
        #expect(result.status == 3 && result.errors.contains("client certificate"), "\(result)")
        await peer.end()
    }
}
