import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackHTTP
import DstackHTTPServer
import DstackMockTEE
import DstackSystem
import Foundation
import Synchronization
import TestKit
import Testing

/// A simulated platform, services that know it, and a client of them whose clock and waits are the test's.
struct CollateralScene {
    static let now: Int64 = 1_790_000_000

    let evidence: MockEvidence
    let collateral: QuoteCollateral
    let server: CollateralServer
    let clock = FixedWallClock(unixSeconds: now)
    let waits = Waits()

    final class Waits: Sendable {
        private let durations = Mutex<[Duration]>([])

        func add(_ duration: Duration) { durations.withLock { $0.append(duration) } }
        var all: [Duration] { durations.withLock { $0 } }
    }

    init(_ tee: TEEType = .tdx, _ change: (inout MockEvidence) throws -> Void = { _ in }) async throws {
        var evidence = try MockEvidence(tee)
        try change(&evidence)
        self.evidence = evidence
        collateral = try evidence.collateralValue()
        server = try await CollateralServer(collateral)
    }

    func configuration(_ others: [CollateralEndpoint] = []) throws -> CollateralService.Configuration {
        var configuration = CollateralService.Configuration()
        configuration.endpoints = others + [try CollateralEndpoint(server.url)]
        configuration.tlsAuthorities = server.authority
        configuration.retry.requestTimeout = .seconds(20)
        return configuration
    }

    func service(
        _ others: [CollateralEndpoint] = [], _ change: (inout CollateralService.Configuration) throws -> Void = { _ in }
    ) throws -> CollateralService {
        var configuration = try configuration(others)
        try change(&configuration)
        let waits = waits
        let clock = clock
        return CollateralService(configuration, clock: clock, sleep: { waits.add($0) })
    }

    func quote() throws -> Quote { try Quote(parsing: evidence.quoteBytes()) }

    func failure(_ service: CollateralService) async throws -> AttestationError? {
        let quote = try quote()
        return await #expect(throws: AttestationError.self) { try await service.fetch(for: quote) }
    }
}

@Suite("Collateral service: what is asked and answered")
struct CollateralServiceTests {
    @Test("a quote's collateral is fetched as it is, and the quote verifies with it", arguments: TEEType.allCases)
    func wholeFetch(tee: TEEType) async throws {
        let scene = try await CollateralScene(tee)
        let fetched = try await scene.service().fetch(for: scene.quote())
        #expect(fetched.collateral == scene.collateral)
        #expect(fetched.origin == .network(service: scene.server.url))
        #expect(fetched.notes.isEmpty)
        let verifier = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: scene.evidence.anchor))
        let report = verifier.verify(
            try scene.evidence.quoteBytes(), collateral: fetched.collateral, at: scene.evidence.now)
        report.expectAccepted(.upToDate)
        await scene.server.stop()
    }

    @Test("the requests are those that the interface documents")
    func targets() async throws {
        let scene = try await CollateralScene { evidence in
            var configuration = MockPlatform.Configuration()
            configuration.authority = .processor
            configuration.fmspc = FixedBytes(hex: "00a06d0ab0cf") ?? FixedBytes()
            evidence = try MockEvidence(.tdx, configuration)
        }
        _ = try await scene.service().fetch(for: scene.quote())
        #expect(
            Set(scene.server.targets) == [
                "/tdx/certification/v4/tcb?fmspc=00A06D0AB0CF&update=standard",
                "/tdx/certification/v4/qe/identity?update=standard",
                "/sgx/certification/v4/pckcrl?ca=processor&encoding=der", "/sgx/certification/v4/rootcacrl",
            ])
        #expect(scene.server.requestCount == 4)
        #expect(scene.server.subscriptionKeys.allSatisfy { $0 == nil })
        await scene.server.stop()
    }

    @Test("the generation of TCB data can be selected, and an answer of another one is none")
    func selectors() async throws {
        let scene = try await CollateralScene()
        _ = try await scene.service { $0.selector = .early }.fetch(for: scene.quote())
        #expect(scene.server.targets.filter { $0.hasSuffix("update=early") }.count == 2)
        let number = try JSONDocument(parsing: scene.collateral.tcbInfo, subject: "").root
            .member("tcbEvaluationDataNumber").integer(UInt32.self)
        _ = try await scene.service { $0.selector = .evaluationDataNumber(number) }.fetch(for: scene.quote())
        #expect(scene.server.targets.filter { $0.hasSuffix("tcbEvaluationDataNumber=\(number)") }.count == 2)
        let error = try await scene.failure(scene.service { $0.selector = .evaluationDataNumber(number + 1) })
        #expect(error?.code == .collateralUnavailable)
        #expect(error?.reason.contains("evaluation data number \(number), asked for \(number + 1)") == true)
        await scene.server.stop()
    }

    @Test("issuer chain headers are found under either name and in any case")
    func headerNames() async throws {
        let scene = try await CollateralScene()
        for spelling in [CollateralServer.Spelling.pcs, .sgx, .lowerCase] {
            scene.server.set(spelling: spelling)
            let fetched = try await scene.service().fetch(for: scene.quote())
            #expect(fetched.collateral == scene.collateral)
        }
        await scene.server.stop()
    }

    @Test("the signed text is cut out of the answer byte for byte, however it is written")
    func rawSlices() async throws {
        let scene = try await CollateralScene { evidence in
            evidence.collateral { collateral in
                // The same values in spellings that a parser and writer would not give back.
                collateral.tcbInfoSigning.editText = { text in
                    text = text.replacingOccurrences(of: "\"id\":\"TDX\"", with: "\"i\\u0064\":\"\\u0054DX\"")
                    text = text.replacingOccurrences(of: ",\"version\"", with: " ,\n\"version\"")
                }
            }
        }
        #expect(scene.collateral.tcbInfo.contains("\\u0054DX"))
        let fetched = try await scene.service().fetch(for: scene.quote())
        #expect(fetched.collateral.tcbInfo == scene.collateral.tcbInfo)
        let verifier = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: scene.evidence.anchor))
        verifier.verify(try scene.evidence.quoteBytes(), collateral: fetched.collateral, at: scene.evidence.now)
            .expectAccepted()
        await scene.server.stop()
    }

    @Test("revocation lists are taken as DER, as PEM, and as hexadecimal text or base64 of either")
    func revocationListForms() async throws {
        let scene = try await CollateralScene()
        let pem: @Sendable (QuoteCollateral) -> String = { PEM.encode("X509 CRL", $0.rootCACRL) }
        let forms: [@Sendable (QuoteCollateral) -> [UInt8]] = [
            { Array(pem($0).utf8) }, { Array("\n\(pem($0))\r\n".utf8) },
            { Array(Hex.encode(Array(pem($0).utf8)).utf8) },
            { Array(("0x" + Hex.encode($0.rootCACRL)).utf8) }, { Array(Base64.encode($0.rootCACRL).utf8) },
            { Array(Base64.encode(Array(pem($0).utf8)).utf8) },
            { Array(Hex.encode($0.rootCACRL).utf8) }, { Array((Hex.encodeUppercase($0.rootCACRL) + "\r\n").utf8) },
            { $0.rootCACRL },
        ]
        for form in forms {
            scene.server.serveRootCRL(form)
            #expect(try await scene.service().fetch(for: scene.quote()).collateral == scene.collateral)
        }
        await scene.server.stop()
    }

    @Test(
        "without a root CRL at the service it comes from the distribution point, but only from a host that is allowed")
    func distributionPoint() async throws {
        // The address must be in the root before the server exists, so a first server lends its port to the second.
        let listener = try await CollateralScene()
        let other = listener.server
        let address = other.url + "/root.der"
        let scene = try await CollateralScene { evidence in
            try evidence.certificates { certificates in
                certificates.root.set(.crlDistributionPoints([address]))
            }
        }
        other.set(scene.collateral)
        scene.server.serveRootCRL(nil)
        let host = String(other.url.dropFirst("https://".count))
        // Both servers are trusted for this test.
        let authorities = scene.server.authority + other.authority
        let allowed = try scene.service { configuration in
            configuration.crlHosts = [host]
            configuration.tlsAuthorities = authorities
        }
        #expect(try await allowed.fetch(for: scene.quote()).collateral == scene.collateral)
        #expect(other.targets == ["/root.der"])

        let error = try await scene.failure(scene.service { $0.tlsAuthorities = authorities })
        #expect(error?.reason.contains("status 404") == true)
        #expect(error?.reason.contains("certificates.trustedservices.intel.com") == true)
        #expect(other.requestCount == 1)
        await scene.server.stop()
        await other.stop()
    }

    @Test(
        "a quote with an encrypted identifier gets its PCK certificate too",
        arguments: [MockCertification.encryptedPPIDRSA2048, .encryptedPPIDRSA3072])
    func encryptedIdentifier(certification: MockCertification) async throws {
        let scene = try await CollateralScene { $0.certification = certification }
        let platform = scene.evidence.platform
        let configuration = platform.configuration
        let tcbm = Hex.encodeUppercase(
            configuration.cpuSvn.bytes + [UInt8(configuration.pceSvn & 255), UInt8(configuration.pceSvn >> 8)])
        let leaf = MockPlatform.pem([platform.pckChain[0]])
        let issuers = MockPlatform.pem(Array(platform.pckChain.dropFirst()))
        scene.server.servePCK(leaf: leaf, issuers: issuers, tcbm: tcbm)
        let service = try scene.service { configuration in
            configuration.endpoints = [try CollateralEndpoint(scene.server.url, subscriptionKey: "key-1")]
        }
        let fetched = try await service.fetch(for: scene.quote())
        #expect(fetched.collateral.pckCertificateChain == leaf + "\n" + issuers)
        let verifier = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: scene.evidence.anchor))
        verifier.verify(try scene.evidence.quoteBytes(), collateral: fetched.collateral, at: scene.evidence.now)
            .expectAccepted()

        let target = try #require(scene.server.targets.first)
        let quote = try scene.quote()
        let data = quote.signature.certificationData.data
        let hex = { (bytes: [UInt8]) in Hex.encodeUppercase(bytes) }
        #expect(
            target == "/sgx/certification/v4/pckcert?qeid=\(hex(Array(quote.header.userData.bytes.prefix(16))))"
                + "&encrypted_ppid=\(hex(Array(data.dropLast(20))))&cpusvn=\(tcbm.prefix(32))"
                + "&pcesvn=\(tcbm.suffix(4))&pceid=\(hex(configuration.pceId.bytes))")
        // Only this request needs the key, so no other shows it.
        #expect(scene.server.subscriptionKeys.compactMap { $0 } == ["key-1"])
        #expect(scene.server.subscriptionKeys.first == "key-1")

        // The certificate is kept, too.
        let count = scene.server.requestCount
        #expect(try await service.fetch(for: scene.quote()).collateral == fetched.collateral)
        #expect(scene.server.requestCount == count)

        scene.server.servePCK(leaf: leaf, issuers: issuers, tcbm: String(repeating: "0", count: 36))
        let error = try await scene.failure(scene.service())
        #expect(error?.reason.contains("registered again") == true)
        await scene.server.stop()
    }

    @Test("a quote that does not lead to a PCK certificate is refused before anybody is asked", arguments: [1, 4, 7])
    func otherCertification(type: UInt16) async throws {
        let scene = try await CollateralScene { evidence in
            evidence.quote { $0.certificationData = CertificationData(type: type, data: [1, 2, 3]) }
        }
        #expect(try await scene.failure(scene.service())?.code == .invalidQuote)
        #expect(scene.server.requestCount == 0)
        await scene.server.stop()
    }

    @Test("addresses are understood as configurations write them")
    func endpoints() throws {
        for (text, base) in [
            ("https://a.example", "https://a.example"), ("https://a.example///", "https://a.example"),
            ("https://a.example:8081/sgx/certification/v4/", "https://a.example:8081"),
            ("https://a.example/tdx/certification/v4", "https://a.example"),
            ("HTTP://a.example/pccs/", "http://a.example/pccs"),
            ("https://a.example/sgx/certification/v3/", "https://a.example"),
            ("https://a.example/p/sgx/certification/v3", "https://a.example/p"),
            ("https://a.example/sgx/certification", "https://a.example"),
        ] {
            #expect(try CollateralEndpoint(text).baseURL == base)
        }
        for text in [
            "", "a.example", "ftp://a.example", "https://", "https:///", "https://u:p@a.example", "https://a.example?x",
            "https://a.example#x", "https://a b", "https://a.example\r\nX: y",
        ] {
            #expect(throws: AttestationError.self, "\(text)") { try CollateralEndpoint(text) }
        }
        #expect(throws: AttestationError.self) { try CollateralEndpoint("https://a", subscriptionKey: "a\nb") }
        for text in [
            "https://a.example,https://b.example/", " https://a.example\n https://b.example , https://a.example",
        ] {
            #expect(try CollateralEndpoint.list(text).map(\.baseURL) == ["https://a.example", "https://b.example"])
        }
        #expect(try CollateralEndpoint.list("https://b", "https://a").map(\.baseURL) == ["https://b", "https://a"])
        for text in ["", " , ", "https://a.example;https://b.example x", "https://a.example,b.example"] {
            #expect(throws: AttestationError.self, "\(text)") { try CollateralEndpoint.list(text) }
        }
        let secret = try CollateralEndpoint("https://a", subscriptionKey: "secret")
        #expect(!"\(secret)".contains("secret"))
    }
}
