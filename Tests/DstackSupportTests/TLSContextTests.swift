import COpenSSL
import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackNetwork
import DstackSystem
import Foundation
import Testing

private let hasCertificates = HTTPTestCertificates.shared != nil

@Suite("TLS contexts of servers", .enabled(if: hasCertificates, "the openssl program is missing"))
struct TLSContextTests {
    private let certificates: HTTPTestCertificates
    private let server: TLSCredentials
    private let stranger: TLSCredentials

    init() throws {
        certificates = try #require(HTTPTestCertificates.shared)
        server = TLSCredentials(certificateChain: certificates.server, privateKey: certificates.serverKey)
        stranger = TLSCredentials(certificateChain: certificates.stranger, privateKey: certificates.strangerKey)
    }

    private func serving(_ tls: TLSServerSettings) async throws -> HTTPServerFixture {
        try await HTTPServerFixture(
            tls: tls, configure: { $0.listeners[1].tls = tls }, handler: HTTPServerFixture.echo)
    }

    /// What the program of OpenSSL says of connections to a server.
    private func openssl(_ port: UInt16, _ arguments: [String]) async -> String {
        await runProgram("/usr/bin/openssl", ["s_client", "-connect", "127.0.0.1:\(port)"] + arguments) ?? ""
    }

    @Test("the certificate is the one for the name that the client asks for, and the first for any other")
    func names() async throws {
        var tls = TLSServerSettings(http: server)
        tls.named = [
            .init(["*.apps.example", "Other.Example."], stranger), .init(["one.apps.example"], server),
        ]
        let fixture = try await serving(tls)
        let one = HTTPTestCertificates.der(certificates.server)
        let other = HTTPTestCertificates.der(certificates.stranger)
        for (name, expected) in [
            ("two.apps.example", other), ("TWO.apps.example", other), ("other.example", other),
            // An exact name goes before a star, which stands for one label.
            ("one.apps.example", one), ("a.two.apps.example", one), ("apps.example", one), ("localhost", one),
        ] {
            let client = directClient(.unix(path: fixture.socketPath)) {
                $0.trust = .only { _ in .accepted }
                $0.reportsPeerCertificates = true
            }
            let response = try await client.send(HTTPRequest(.get, "https://\(name)/"))
            #expect(response.peerCertificates == [expected], "\(name)")
        }
        await fixture.server.stop()
    }

    @Test("a protocol is agreed on by ALPN, and where it is needed, a client that offers others only is refused")
    func protocols() async throws {
        for (offered, isRequired, expected) in [
            ("h2,http/1.1", false, "ALPN protocol: h2"), ("http/1.1", false, "ALPN protocol: http/1.1"),
            ("spdy/3", false, "No ALPN negotiated"), ("h2", true, "ALPN protocol: h2"),
            ("spdy/3", true, "no application protocol"),
        ] {
            var tls = TLSServerSettings(server, applicationProtocols: ["h2", "http/1.1"])
            tls.requiresApplicationProtocol = isRequired
            let fixture = try await serving(tls)
            let said = await openssl(fixture.port, ["-alpn", offered])
            #expect(said.contains(expected), "\(offered): \(said)")
            await fixture.server.stop()
        }
        #expect(throws: TLSFailure.self) {
            try TLSServerContext(TLSServerSettings(server, applicationProtocols: [""]))
        }
    }

    @Test("sessions are resumed where that is wanted, and never where clients are asked for certificates")
    func resumption() async throws {
        func isResumed(_ change: (inout TLSServerSettings) -> Void) async throws -> Bool {
            var tls = TLSServerSettings(http: server)
            change(&tls)
            let fixture = try await serving(tls)
            let said = await openssl(
                fixture.port,
                ["-reconnect", "-tls1_2", "-cert", certificates.clientFile, "-key", certificates.clientKeyFile])
            #expect(said.contains("New, TLSv1.2"), "\(said)")
            await fixture.server.stop()
            return said.contains("Reused, TLSv1.2")
        }
        #expect(try await isResumed { _ in })
        #expect(try await !isResumed { $0.resumesSessions = false })
        #expect(try await !isResumed { $0.clientCertificates = .init(isRequired: false) })
        #expect(try await !isResumed { $0.clientCertificates = .init(isRequired: true) })
    }

    @Test("an older version than the oldest that is spoken is refused")
    func versions() async throws {
        var tls = TLSServerSettings(http: server)
        tls.minimumVersion = .tls13
        let fixture = try await serving(tls)
        #expect(await openssl(fixture.port, ["-tls1_2"]).contains("protocol version"))
        #expect(await openssl(fixture.port, ["-tls1_3"]).contains("New, TLSv1.3"))
        await fixture.server.stop()
    }

    @Test("key and certificates may be in files; what cannot be used says why")
    func files() throws {
        _ = try TLSCredentials(certificateFile: certificates.clientFile, keyFile: certificates.clientKeyFile).load()
        #expect(throws: SystemError.self) {
            try TLSCredentials(certificateFile: "/nonexistent", keyFile: certificates.clientKeyFile)
        }
        for (chain, key, reason) in [
            (certificates.server, certificates.clientKey, "another key"), (certificates.server, [], "no key"),
            ([], certificates.serverKey, "no certificate"),
            (certificates.server, Array("x".utf8), "key cannot be read"),
        ] {
            let error = #expect(throws: TLSFailure.self) {
                try TLSCredentials(certificateChain: chain, privateKey: key).load()
            }
            #expect(error?.reason.contains(reason) == true, "\(error?.reason ?? "")")
        }
    }
}

@Suite("Socket addresses")
struct SocketAddressTests {
    @Test("an address prints as configurations write it")
    func printing() {
        #expect("\(SocketAddress.tcp(host: "::1", port: 80))" == "tcp:[::1]:80")
        #expect("\(SocketAddress.tcp(host: "10.0.0.1", port: 80))" == "tcp:10.0.0.1:80")
        #expect("\(SocketAddress.unix(path: "/run/x"))" == "unix:/run/x")
        #expect("\(SocketAddress.vsock(cid: 2, port: 9))" == "vsock:2:9")
    }

    @Test("a path or an abstract name has 1 to 107 bytes and no zeros")
    func unixLimits() {
        for (text, fits) in [
            (String(repeating: "x", count: 107), true), (String(repeating: "x", count: 108), false), ("", false),
            ("a\0b", false), ("ä", true),
        ] {
            #expect((UnixAddress(path: text) != nil) == fits)
            #expect((UnixAddress(abstractName: text) != nil) == fits)
            #expect((SocketAddress.unix(path: text).problem == nil) == fits)
        }
    }

    @Test("what is no address is said before a socket is made")
    func unresolvable() {
        for address in [SocketAddress.unix(path: ""), .tcp(host: "300.1.1.1.nowhere.invalid", port: 1)] {
            #expect(throws: SystemError.self) { _ = try DeadlineConnection(address, deadline: .now + .seconds(1)) }
        }
    }
}
