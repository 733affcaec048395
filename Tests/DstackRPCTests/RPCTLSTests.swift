import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackNetwork
import DstackRPC
import DstackRPCServer
import Foundation
import Testing

private let hasOpenSSL = FileManager.default.isExecutableFile(atPath: "/usr/bin/openssl")

@Suite("Calls over TLS", .enabled(if: hasOpenSSL, "needs /usr/bin/openssl"))
struct RPCTLSTests {
    /// A key with a certificate signed by itself, for localhost.
    private func identity(_ directory: String, _ name: String) throws -> (certificate: [UInt8], key: [UInt8]) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/openssl")
        process.arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
            "/CN=\(name)", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout",
            "\(directory)/\(name).key", "-out", "\(directory)/\(name).pem",
        ]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        func read(_ file: String) throws -> [UInt8] {
            [UInt8](try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(file)")))
        }
        return (try read("\(name).pem"), try read("\(name).key"))
    }

    @Test("a handler sees the certificate that the caller proved to hold", arguments: [RPCEncoding.json, .protobuf])
    func mutual(_ encoding: RPCEncoding) async throws {
        let sockets = try await RPCFixture { _ in }
        let (server, caller) = (
            try identity(sockets.directory, "server"), try identity(sockets.directory, "caller")
        )
        var service = RPCService(KMSRPC.KMS.name)
        service.on(KMSRPC.KMS.signCert) { request, call in
            guard let certificate = call.peer.tls?.certificates.first else {
                throw RPCError("no certificate was presented")
            }
            return .with { $0.certificateChain = ["\(certificate.count)", "\(request.apiVersion)"] }
        }
        var router = RPCRouter()
        router.mount(service, at: "/prpc")
        let tls = HTTPServerTLS(
            certificateChain: server.certificate, privateKey: server.key,
            clientCertificates: .init(isRequired: false, verifier: { _ in .accepted }))
        let http = HTTPServer(
            .init(listeners: [HTTPListener("kms", .tcp(host: "127.0.0.1", port: 0), tls: tls)]),
            immediate: router.immediate, handler: router.respond)
        let port = try await http.start().compactMap(\.port).first ?? 0

        var configuration = HTTPClientConfiguration(trust: .chain(to: .pem(server.certificate)))
        configuration.proxy = .none
        func client() -> RPCClient {
            var client = RPCClient(HTTPClient(configuration), at: "https://127.0.0.1:\(port)/prpc")
            client.encoding = encoding
            return client
        }
        do {
            _ = try await client().call(KMSRPC.KMS.signCert, .init())
            Issue.record("a call without a certificate was answered")
        } catch {
            #expect(error.code == .refused && error.reason == "no certificate was presented")
        }
        configuration.clientIdentity = .init(certificateChain: caller.certificate, privateKey: caller.key)
        let response = try await client().call(KMSRPC.KMS.signCert, .with { $0.apiVersion = 2 })
        let length = try #require(Int(response.certificateChain[0]))
        #expect((200...1_000).contains(length) && response.certificateChain[1] == "2")

        configuration.trust = .system
        do {
            _ = try await client().call(KMSRPC.KMS.signCert, .init())
            Issue.record("a server that nobody vouches for was trusted")
        } catch {
            #expect(error.code == .transport && error.transport?.code == .peerNotTrusted)
        }
        await http.stop(within: .zero)
    }
}
