import DstackCrypto
import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackNetwork
import Foundation
import Synchronization
import Testing

private let hasCertificates = HTTPTestCertificates.shared != nil

@Suite("HTTP over TLS", .enabled(if: hasCertificates, "the openssl program is missing"))
struct HTTPTLSTests {
    private let certificates: HTTPTestCertificates

    init() throws { certificates = try #require(HTTPTestCertificates.shared) }

    private func serverTLS(_ clients: HTTPServerTLS.ClientCertificates? = nil) -> HTTPServerTLS {
        HTTPServerTLS(
            certificateChain: certificates.server, privateKey: certificates.serverKey, clientCertificates: clients)
    }

    private func client(
        _ trust: ServerTrust, identity: Bool = false, _ change: (inout HTTPClientConfiguration) -> Void = { _ in }
    ) -> HTTPClient {
        directClient {
            $0.trust = trust
            if identity {
                $0.clientIdentity = TLSCredentials(
                    certificateChain: certificates.client, privateKey: certificates.clientKey)
            }
            change(&$0)
        }
    }

    @Test("a server is trusted by the authority given, from memory or a file, and connections are kept")
    func customAuthority() async throws {
        let fixture = try await HTTPServerFixture.echoing(tls: serverTLS())
        for authorities in [ServerTrust.Authorities.pem(certificates.authority), .file(certificates.authorityFile)] {
            let client = client(.chain(to: authorities))
            for index in 0..<3 {
                let response = try await client.send(HTTPRequest(.get, "\(fixture.tlsURL)/x"))
                #expect(response.body == Array("GET /x on tcp: ".utf8))
                #expect(response.openedConnection == (index == 0))
            }
        }
        await fixture.server.stop()
    }

    @Test("bodies in memory that is wiped pass over TLS as others do")
    func secretBodies() async throws {
        let fixture = try await HTTPServerFixture(tls: serverTLS()) { request in
            HTTPServerResponse(200, body: .secret(SharedSecret(copying: request.body.span.bytes)))
        }
        let client = client(.chain(to: .pem(certificates.authority)))
        for count in [0, 1, 300, 70_000, 900_000] {
            let body = [UInt8]((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) })
            var request = HTTPRequest(.post, fixture.tlsURL)
            request.secretBody = SharedSecret(copying: body.span.bytes)
            request.expectsSecret = true
            #expect((try await client.send(request).secretBody?.copiedToUnprotectedMemory() ?? []) == body)
        }
        await fixture.server.stop()
    }

    @Test("a server is not trusted by the system's authorities, another authority, none, or under another name")
    func mistrust() async throws {
        let fixture = try await HTTPServerFixture.echoing(tls: serverTLS())
        let request = HTTPRequest(.get, fixture.tlsURL)
        for trust in [ServerTrust.system, .chain(to: .pem(certificates.stranger)), .chain(to: .pem([]))] {
            let error = try #require(await failure(client(trust), request))
            #expect(error.code == .peerNotTrusted, "\(error)")
            #expect(error.phase == .handshaking)
            #expect(error.reason.contains("certificate"), "\(error)")
        }
        // The name in the URL is resolved by the proxy's answer, so another name needs another route: a Unix socket.
        let unix = try await HTTPServerFixture(
            configure: { configuration in
                configuration.listeners[1].tls = serverTLS()
            }, handler: HTTPServerFixture.echo)
        let named = client(.chain(to: .pem(certificates.authority))) { $0.transport = .unix(path: unix.socketPath) }
        #expect(try await named.send(HTTPRequest(.get, "https://localhost/")).status == 200)
        let error = try #require(await failure(named, HTTPRequest(.get, "https://elsewhere.example/")))
        #expect(error.code == .peerNotTrusted, "\(error)")
        await unix.server.stop()
        await fixture.server.stop()
    }

    @Test("a file or text without certificates is a matter of configuration or of trust, never of success")
    func badAuthorities() async throws {
        let fixture = try await HTTPServerFixture.echoing(tls: serverTLS())
        let request = HTTPRequest(.get, fixture.tlsURL)
        let missing = try #require(await failure(client(.chain(to: .file("/nonexistent.pem"))), request))
        #expect(missing.code == .invalidConfiguration || missing.code == .peerNotTrusted, "\(missing)")
        let garbage = try #require(await failure(client(.chain(to: .pem(Array("garbage".utf8)))), request))
        #expect(garbage.code == .invalidConfiguration || garbage.code == .peerNotTrusted, "\(garbage)")
        await fixture.server.stop()
    }

    @Test("a verifier after the chain sees the verified chain, and can refuse with its reason")
    func chainAndVerifier() async throws {
        let fixture = try await HTTPServerFixture.echoing(tls: serverTLS())
        let seen = Mutex<[ServerTrust.Peer]>([])
        let accepting = client(
            .chain(to: .pem(certificates.authority)) { peer in
                seen.withLock { $0.append(peer) }
                return .accepted
            })
        #expect(try await accepting.send(HTTPRequest(.get, fixture.tlsURL)).status == 200)
        #expect(try await accepting.send(HTTPRequest(.get, fixture.tlsURL)).status == 200)
        let peers = seen.withLock { $0 }
        #expect(peers.count == 1)
        #expect(
            peers.first?.certificates == [certificates.server, certificates.authority].map(HTTPTestCertificates.der))
        #expect(peers.first?.host == "127.0.0.1")

        let refusing = client(.chain(to: .pem(certificates.authority)) { _ in .refused("the quote is too old") })
        let error = try #require(await failure(refusing, HTTPRequest(.get, "\(fixture.tlsURL)/secret")))
        #expect(error.code == .peerNotTrusted)
        #expect(error.reason == "the quote is too old")
        // No byte of the request went out.
        #expect(fixture.server.statistics.answeredRequests == 2)

        let neverAsked = client(.chain(to: .pem(certificates.stranger)) { _ in .accepted })
        #expect(await failure(neverAsked, HTTPRequest(.get, fixture.tlsURL))?.code == .peerNotTrusted)
        await fixture.server.stop()
    }

    @Test("a verifier alone decides on a certificate that proves itself")
    func verifierAlone() async throws {
        let tls = HTTPServerTLS(certificateChain: certificates.stranger, privateKey: certificates.strangerKey)
        let fixture = try await HTTPServerFixture.echoing(tls: tls)
        let expected = HTTPTestCertificates.der(certificates.stranger)
        let knowing = client(.only { $0.certificates == [expected] ? .accepted : .refused("somebody else") })
        #expect(try await knowing.send(HTTPRequest(.get, fixture.tlsURL)).status == 200)
        let refusing = client(.only { _ in .refused("not this one") })
        #expect(await failure(refusing, HTTPRequest(.get, fixture.tlsURL))?.reason == "not this one")
        #expect(await failure(client(.system), HTTPRequest(.get, fixture.tlsURL))?.code == .peerNotTrusted)

        // Every new connection is asked about: TLS sessions are not resumed.
        let count = Atomic<Int>(0)
        let counting = client(
            .only { _ in
                count.add(1, ordering: .sequentiallyConsistent)
                return .accepted
            })
        for _ in 0..<3 { _ = try await counting.send(HTTPRequest(.post, fixture.tlsURL)) }
        let asked = count.load(ordering: .sequentiallyConsistent)
        #expect(asked == 3)
        await fixture.server.stop()
    }

    @Test("the caller's own settings reach OpenSSL, and can stop the request")
    func configureHook() async throws {
        let fixture = try await HTTPServerFixture.echoing(tls: serverTLS())
        let calls = Atomic<Int>(0)
        var trust = ServerTrust.chain(to: .pem(certificates.authority))
        trust.configureTLS = { _ in calls.add(1, ordering: .sequentiallyConsistent).newValue < 2 }
        let client = client(trust)
        #expect(try await client.send(HTTPRequest(.post, fixture.tlsURL)).status == 200)
        let error = try #require(await failure(client, HTTPRequest(.post, fixture.tlsURL)))
        #expect(error.code == .invalidConfiguration, "\(error)")
        await fixture.server.stop()
    }

    @Test("responses carry the server's certificates where asked, on a kept connection too")
    func reportedCertificates() async throws {
        let fixture = try await HTTPServerFixture.echoing(tls: serverTLS())
        let reporting = client(.chain(to: .pem(certificates.authority))) { $0.reportsPeerCertificates = true }
        for _ in 0..<2 {
            let response = try await reporting.send(HTTPRequest(.get, fixture.tlsURL))
            #expect(response.peerCertificates == [HTTPTestCertificates.der(certificates.server)])
        }
        let silent = client(.chain(to: .pem(certificates.authority)))
        #expect(try await silent.send(HTTPRequest(.get, fixture.tlsURL)).peerCertificates.isEmpty)
        await fixture.server.stop()
    }

    @Test("a client certificate is asked for, required, checked and handed on as the listener says")
    func clientCertificates() async throws {
        let leaf = HTTPTestCertificates.der(certificates.client)
        func run(
            _ clients: HTTPServerTLS.ClientCertificates, identity: Bool
        ) async throws -> (Result<[[UInt8]], HTTPClientError>, [String]) {
            let seen = Mutex<[[UInt8]]>([])
            let fixture = try await HTTPServerFixture(tls: serverTLS(clients)) { request in
                seen.withLock { $0 = request.peer.tls?.certificates ?? [[0]] }
                return .text(200, "")
            }
            var result: Result<[[UInt8]], HTTPClientError>
            do throws(HTTPClientError) {
                _ = try await client(.chain(to: .pem(certificates.authority)), identity: identity).send(
                    HTTPRequest(.get, fixture.tlsURL))
                result = .success(seen.withLock { $0 })
            } catch {
                result = .failure(error)
            }
            await fixture.server.stop()
            return (result, fixture.events.handshakeFailures)
        }
        let (voluntary, _) = try await run(.init(isRequired: false), identity: true)
        #expect(try voluntary.get() == [leaf])
        let (absent, _) = try await run(.init(isRequired: false), identity: false)
        #expect(try absent.get() == [])
        let (missing, missingReasons) = try await run(.init(isRequired: true), identity: false)
        #expect(throws: HTTPClientError.self) { try missing.get() }
        #expect(missingReasons == ["peer did not return a certificate"])
        let (known, _) = try await run(
            .init(isRequired: true, authorities: certificates.authority), identity: true)
        #expect(try known.get() == [leaf])
        let (unknown, _) = try await run(.init(isRequired: true, authorities: certificates.stranger), identity: true)
        #expect(throws: HTTPClientError.self) { try unknown.get() }
        let (accepted, _) = try await run(
            .init(isRequired: true) { $0 == [leaf] ? .accepted : .refused("no") }, identity: true)
        #expect(try accepted.get() == [leaf])
        let (refused, reasons) = try await run(.init(isRequired: true) { _ in .refused("unattested") }, identity: true)
        #expect(throws: HTTPClientError.self) { try refused.get() }
        #expect(reasons == ["unattested"])
    }

    @Test("a handler learns the TLS version and the name that was asked for")
    func sessionFacts() async throws {
        let fixture = try await HTTPServerFixture(configure: { configuration in
            configuration.listeners[1].tls = serverTLS()
        }) { .text(200, "\($0.peer.tls?.version ?? "-") \($0.peer.tls?.serverName ?? "-")") }
        let client = client(.chain(to: .pem(certificates.authority))) {
            $0.transport = .unix(path: fixture.socketPath)
        }
        let response = try await client.send(HTTPRequest(.get, "https://localhost/"))
        #expect(response.body == Array("TLSv1.3 localhost".utf8))
        let plain = try await directClient().send(HTTPRequest(.get, fixture.url))
        #expect(plain.body == Array("- -".utf8))
        await fixture.server.stop()
    }

    @Test("a certificate can be replaced while the server runs; a bad one changes nothing")
    func replacement() async throws {
        let fixture = try await HTTPServerFixture.echoing(tls: serverTLS())
        let knowing = client(.chain(to: .pem(certificates.authority)))
        #expect(try await knowing.send(HTTPRequest(.get, fixture.tlsURL)).openedConnection)
        await #expect(throws: HTTPServerError.self) {
            try await fixture.server.replaceTLS(
                HTTPServerTLS(certificateChain: certificates.server, privateKey: certificates.clientKey), of: "tcp")
        }
        #expect(try await knowing.send(HTTPRequest(.post, fixture.tlsURL)).status == 200)
        try await fixture.server.replaceTLS(
            HTTPServerTLS(certificateChain: certificates.stranger, privateKey: certificates.strangerKey), of: "tcp")
        // The kept connection goes on under the old one.
        #expect(try await knowing.send(HTTPRequest(.get, fixture.tlsURL)).openedConnection == false)
        #expect(await failure(knowing, HTTPRequest(.post, fixture.tlsURL))?.code == .peerNotTrusted)
        await #expect(throws: HTTPServerError.self) { try await fixture.server.replaceTLS(serverTLS(), of: "unix") }
        await fixture.server.stop()
    }

    @Test("a certificate and key that do not belong together, or cannot be read, keep the server from starting")
    func badIdentity() async throws {
        for (chain, key) in [
            (certificates.server, certificates.clientKey), (certificates.server, []), ([], certificates.serverKey),
            (Array("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".utf8), certificates.serverKey),
        ] {
            let error = await #expect(throws: HTTPServerError.self) {
                try await HTTPServerFixture.echoing(tls: HTTPServerTLS(certificateChain: chain, privateKey: key))
            }
            #expect(error?.code == .tls)
            #expect(error?.subject == "tcp")
        }
    }

    @Test("plain HTTP on a TLS port, TLS on a plain port, and half a handshake end without harm")
    func confusion() async throws {
        let fixture = try await HTTPServerFixture.echoing(tls: serverTLS()) {
            $0.limits.handshakeTimeout = .seconds(4)
        }
        _ = try await fixture.raw("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        _ = try await fixture.raw("\u{16}\u{3}\u{1}")
        #expect(fixture.server.statistics.answeredRequests == 0)
        #expect(!fixture.events.handshakeFailures.isEmpty)
        let plain = try await HTTPServerFixture.echoing()
        let error = try #require(await failure(client(.system), HTTPRequest(.get, plain.tlsURL)))
        #expect(error.code == .tls, "\(error)")
        #expect(
            try await client(.chain(to: .pem(certificates.authority))).send(HTTPRequest(.get, fixture.tlsURL)).status
                == 200)
        await plain.server.stop()
        await fixture.server.stop()
    }

    @Test("large bodies go both ways whole")
    func largeBodies() async throws {
        let fixture = try await HTTPServerFixture(
            tls: serverTLS(), configure: { $0.limits.maximumBodyBytes = 8 << 20 }
        ) { HTTPServerResponse(200, body: $0.body) }
        let body = (0..<(3 << 20)).map { UInt8(truncatingIfNeeded: $0 / 3) }
        let response = try await client(.chain(to: .pem(certificates.authority))).send(
            HTTPRequest(.post, fixture.tlsURL, body: body))
        #expect(response.body == body)
        await fixture.server.stop()
    }

    @Test("a proxy reached by TLS is not combined with a verifier")
    func tlsProxy() async throws {
        let error = await failure(
            client(.only { _ in .accepted }) { $0.proxy = HTTPProxy(https: "https://127.0.0.1:1") },
            HTTPRequest(.get, "https://far.example/"))
        #expect(error?.code == .invalidConfiguration)
    }
}
