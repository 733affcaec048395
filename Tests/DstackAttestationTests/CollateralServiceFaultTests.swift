import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackHTTP
import DstackHTTPServer
import DstackMockTEE
import Foundation
import Synchronization
import TestKit
import Testing

@Suite("Collateral service: faults")
struct CollateralServiceFaultTests {
    @Test("a service that is overloaded for a while is asked again, ever later, and only for what it has not given")
    func retries() async throws {
        let scene = try await CollateralScene()
        scene.server.fail("/tcb", CollateralServer.status(503), CollateralServer.status(429), nil)
        let fetched = try await scene.service().fetch(for: scene.quote())
        #expect(fetched.collateral == scene.collateral)
        #expect(scene.waits.all == [.milliseconds(500), .seconds(1)])
        #expect(scene.server.targets.filter { $0.contains("/tcb?") }.count == 3)
        #expect(scene.server.requestCount == 6)
        #expect(fetched.notes.count == 1 && fetched.notes[0].contains("TCB info: status 429"))
        await scene.server.stop()
    }

    @Test("Retry-After is waited for within bounds; a service that wants more is not asked again")
    func retryAfter() async throws {
        let scene = try await CollateralScene()
        scene.server.fail("/pckcrl", CollateralServer.status(503, ["Retry-After": "7"]), nil)
        // The waits of this test take no time, so the service counts as not ready until the clock says so.
        let error = try await scene.failure(scene.service { $0.retry.maximumRounds = 2 })
        #expect(error?.code == .collateralUnavailable)
        let wait = try #require(scene.waits.all.first)
        #expect(wait > .seconds(6) && wait <= .seconds(7))
        #expect(scene.server.targets.filter { $0.contains("/pckcrl") }.count == 1)

        scene.server.fail("/pckcrl", CollateralServer.status(503, ["Retry-After": "3600"]))
        let count = scene.waits.all.count
        #expect(try await scene.failure(scene.service())?.reason.contains("503") == true)
        #expect(scene.waits.all.count == count)
        await scene.server.stop()
    }

    @Test("real waits end, and what came before is not lost")
    func realWait() async throws {
        let scene = try await CollateralScene()
        scene.server.fail("/pckcrl", CollateralServer.status(503, ["Retry-After": "1"]), nil)
        var configuration = try scene.configuration()
        configuration.retry.firstDelay = .milliseconds(10)
        let service = CollateralService(configuration, clock: scene.clock, sleep: { try await Task.sleep(for: $0) })
        #expect(try await service.fetch(for: scene.quote()).collateral == scene.collateral)
        await scene.server.stop()
    }

    @Test("with several services, the next is asked at once where one fails, whatever the failure")
    func fallback() async throws {
        let scene = try await CollateralScene()
        let failing = try await CollateralServer(scene.collateral)
        let faults: [(String, CollateralServer.Fault, String)] = [
            ("/tcb", CollateralServer.status(503), "status 503"), ("/tcb", CollateralServer.status(404), "not found"),
            ("/tcb", CollateralServer.status(401), "subscription key"),
            ("/qe/identity", CollateralServer.status(302, ["Location": "https://127.0.0.1/"]), "redirect"),
            ("/tcb", { _ in .json(Array("{}".utf8)) }, "missing"),
            (
                "/pckcrl",
                { response in
                    var response = response
                    response.body = .bytes(Array("not a CRL".utf8))
                    return response
                }, "neither DER nor PEM nor hexadecimal"
            ),
        ]
        for (ending, fault, reason) in faults {
            failing.fail(ending, fault)
            let service = try scene.service([CollateralEndpoint(failing.url)]) {
                $0.tlsAuthorities = scene.server.authority + failing.authority
            }
            let fetched = try await service.fetch(for: scene.quote())
            #expect(fetched.collateral == scene.collateral)
            #expect(fetched.origin == .network(service: scene.server.url))
            #expect(fetched.notes.count == 1)
            #expect(fetched.notes.first?.contains(reason) == true, "\(fetched.notes)")
            failing.fail(ending, nil)
        }
        await failing.stop()
        // Now nobody listens there any more.
        let service = try scene.service([CollateralEndpoint(failing.url)])
        #expect(try await service.fetch(for: scene.quote()).origin == .network(service: scene.server.url))
        #expect(scene.waits.all.isEmpty)
        await scene.server.stop()
    }

    @Test("a service with another's certificate is not talked to")
    func mistrust() async throws {
        let scene = try await CollateralScene()
        let service = try scene.service { $0.tlsAuthorities = nil }
        #expect(try await scene.failure(service)?.reason.contains("certificate") == true)
        #expect(scene.server.requestCount == 0)
        await scene.server.stop()
    }

    @Test("a service with a certificate of its own is told from one that cannot be reached, and the hint fits")
    func remedies() async throws {
        let scene = try await CollateralScene()
        let untrusted = try await scene.failure(scene.service { $0.tlsAuthorities = nil })
        #expect(untrusted?.hint.contains("authority trusted") == true && untrusted?.actions == [.trustService])
        scene.server.fail("/tcb", CollateralServer.status(404))
        #expect(try await scene.failure(scene.service())?.hint.contains("another service") == true)
        scene.server.fail("/tcb", CollateralServer.status(503))
        #expect(try await scene.failure(scene.service { $0.retry.maximumRounds = 1 })?.hint.isEmpty == true)
        await scene.server.stop()
        #expect(try await scene.failure(scene.service())?.hint.contains("where there is a network") == true)
    }

    @Test("an answer that brings nothing, though its status is a success, is named for what it is")
    func successfulNothing() async throws {
        let scene = try await CollateralScene()
        let faults: [(Int, HTTPHeaders, [UInt8], String)] = [
            (204, [:], [], "status 204, which brings no data: 200 is expected"),
            (206, [:], Array("{".utf8), "status 206, which brings no data: 200 is expected"),
            (200, [:], [], "an empty answer (status 200)"),
            (200, [:], Array(#"{"error":"no cache data"}"#.utf8), #"it says "{\"error\":\"no cache data\"}""#),
            (
                200, [:], Array("No cache data for this platform.\n".utf8),
                #"it says "No cache data for this platform.""#
            ),
            (200, [:], [0x1F, 0x8B, 8, 0, 0, 0, 0, 0], "a gzip-compressed answer, which was not asked for"),
            (200, ["Content-Encoding": "br"], [1, 2, 3], "the content encoding \"br\", which was not asked for"),
        ]
        for ending in ["/tcb", "/qe/identity", "/pckcrl"] {
            for (status, headers, body, reason) in faults {
                scene.server.fail(ending, { _ in HTTPServerResponse(status, headers: headers, body: body) })
                let failure = try await scene.failure(scene.service { $0.retry.maximumRounds = 1 })
                #expect(failure?.reason.contains(reason) == true, "\(ending): \(failure?.reason ?? "")")
                #expect(failure?.reason.contains("asked") == reason.contains("asked"))
            }
            scene.server.fail(ending, nil)
        }
        // A byte-order mark is outside of what is signed.
        for ending in ["/tcb", "/qe/identity"] {
            scene.server.fail(
                ending,
                { response in
                    guard case .bytes(let body) = response.body else { return response }
                    var response = response
                    response.body = .bytes([0xEF, 0xBB, 0xBF] + body)
                    return response
                })
        }
        #expect(try await scene.service().fetch(for: scene.quote()).collateral == scene.collateral)
        await scene.server.stop()
    }

    @Test("services that hang are waited for a bounded time, which is said, as is what is waited for")
    func hanging() async throws {
        let scene = try await CollateralScene()
        let other = try await CollateralServer(scene.collateral)
        for server in [scene.server, other] {
            server.fail(
                CollateralServer.all,
                { response in
                    try? await Task.sleep(for: .seconds(60))
                    return response
                })
        }
        let said = Mutex<[String]>([])
        var configuration = try scene.configuration()
        configuration.endpoints.append(try CollateralEndpoint(other.url))
        configuration.tlsAuthorities = scene.server.authority + other.authority
        configuration.retry.requestTimeout = .seconds(4)
        configuration.retry.totalTimeout = .seconds(6)
        configuration.onDelay = { text in said.withLock { $0.append(text) } }
        let begin = ContinuousClock.now
        let error = try await scene.failure(CollateralService(configuration))
        #expect(ContinuousClock.now - begin < .seconds(20))
        let reason = try #require(error?.reason)
        #expect(reason.contains("(asked once, 4 s in all)"), "\(reason)")
        #expect(reason.contains("no more than 6 s are spent on it"))
        #expect(reason.contains(scene.server.url) && reason.contains(other.url))
        let lines = said.withLock { $0 }
        #expect(lines.first?.hasPrefix("waiting for collateral from \(scene.server.url)") == true)
        #expect(lines.count <= 2 && lines.allSatisfy { !$0.contains("\n") })
        await scene.server.stop()
        await other.stop()
    }

    @Test("what a service says itself is shown, escaped and bounded, and what it means where that is known")
    func ownWords() async throws {
        let scene = try await CollateralScene()
        func reason(
            _ status: Int, _ body: String, _ headers: HTTPHeaders = [:], _ selector: TCBDataSelector = .standard
        ) async throws -> String {
            scene.server.fail("/tcb", { _ in HTTPServerResponse(status, headers: headers, body: Array(body.utf8)) })
            return try await scene.failure(scene.service { $0.selector = selector })?.reason ?? ""
        }
        let unknown = try await reason(461, "The platform was not found in the cache.\n")
        #expect(
            unknown.hasSuffix(
                "status 461, the service does not know this platform; it says \"The platform was not found in the "
                    + "cache.\""))
        #expect(try await reason(462, "").hasSuffix("status 462, the service has no certificates for this platform"))
        #expect(try await reason(410, "").hasSuffix("status 410, gone: this is no longer served"))
        #expect(
            try await reason(410, "", [:], .evaluationDataNumber(5)).hasSuffix(
                "gone: evaluation data number 5 is no longer served"))
        #expect(try await reason(400, "", ["Error-Message": "Invalid FMSPC"]).hasSuffix("it says \"Invalid FMSPC\""))
        let hostile = try await reason(404, "\u{1B}[2Jgone\r\nnext" + String(repeating: "x", count: 5000))
        #expect(hostile.contains("\\u{1b}[2Jgone\\r\\nnext") && hostile.count < 500)
        let page = try await reason(404, "<!DOCTYPE html><html><title>Sign in</title>")
        #expect(page.hasSuffix("it answers with an HTML page (\"Sign in\")"))
        let good = try await reason(200, " \n<html><head><title>Welcome</title></head></html>")
        #expect(good.hasSuffix("TCB info: an HTML page (\"Welcome\") in place of JSON"))
        await scene.server.stop()
    }

    struct BadAnswer: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let ending: String
        let reason: String
        let fault: CollateralServer.Fault

        init(_ name: String, _ ending: String, _ reason: String, _ fault: @escaping CollateralServer.Fault) {
            testDescription = name
            self.ending = ending
            self.reason = reason
            self.fault = fault
        }
    }

    private static func editing(_ change: @escaping @Sendable (inout String) -> Void) -> CollateralServer.Fault {
        { response in
            guard case .bytes(let bytes) = response.body else { return response }
            var text = String(decoding: bytes, as: UTF8.self)
            change(&text)
            var response = response
            response.body = .bytes(Array(text.utf8))
            return response
        }
    }

    private static func header(_ name: String, _ value: String?) -> CollateralServer.Fault {
        { response in
            var response = response
            response.headers[name] = value
            return response
        }
    }

    static let badAnswers = [
        BadAnswer(
            "TCB info of another platform", "/tcb", "another platform",
            editing {
                $0 = $0.replacingOccurrences(of: #""fmspc":"5"#, with: #""fmspc":"6"#)
            }),
        BadAnswer(
            "TCB info for SGX", "/tcb", "asked for TDX",
            editing {
                $0 = $0.replacingOccurrences(of: #""id":"TDX","#, with: #""id":"SGX","#)
            }),
        BadAnswer(
            "the identity of the SGX enclave", "/qe/identity", "asked for TD_QE",
            editing {
                $0 = $0.replacingOccurrences(of: "TD_QE", with: "QE")
            }),
        BadAnswer(
            "no signature", "/tcb", "signature",
            editing {
                $0 = $0.replacingOccurrences(of: "\"signature\"", with: "\"autograph\"")
            }),
        BadAnswer(
            "a short signature", "/tcb", "128 hexadecimal digits",
            editing { $0 = String($0.dropLast(4)) + "\"}" }),
        BadAnswer(
            "a document that is text", "/tcb", "object expected",
            { _ in
                HTTPServerResponse(200, body: Array(#"{"tcbInfo":"x","signature":"00"}"#.utf8))
            }),
        BadAnswer("half a document", "/tcb", "TCB info", editing { $0 = String($0.prefix($0.count / 2)) }),
        BadAnswer("two documents", "/tcb", "TCB info", editing { $0 += $0 }),
        BadAnswer(
            "an error page", "/tcb", "an HTML page in place of JSON",
            { _ in
                HTTPServerResponse(200, headers: ["Content-Type": "text/html"], body: Array("<html>".utf8))
            }),
        BadAnswer("no issuer chain", "/tcb", "is missing", header("TCB-Info-Issuer-Chain", nil)),
        BadAnswer("an issuer chain that is cut in an escape", "/tcb", "percent", header("TCB-Info-Issuer-Chain", "%2")),
        BadAnswer(
            "an issuer chain without a certificate", "/qe/identity", "no certificate",
            header("SGX-Enclave-Identity-Issuer-Chain", "hello")),
        BadAnswer(
            "an issuer chain of something else", "/pckcrl", "SGX-PCK-CRL-Issuer-Chain",
            header(
                "SGX-PCK-CRL-Issuer-Chain",
                HTTPSyntax.percentEncoded("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))),
        BadAnswer(
            "an issuer chain over the limit", "/tcb", "limit",
            header("TCB-Info-Issuer-Chain", String(repeating: "a", count: 80_000))),
        BadAnswer(
            "an error page in place of a revocation list", "/pckcrl", "an HTML page where DER",
            { response in HTTPServerResponse(200, headers: response.headers, body: Array("<html>".utf8)) }),
        BadAnswer(
            "two revocation lists", "/pckcrl", "a PEM text, with 2 revocation lists",
            { response in
                guard case .bytes(let bytes) = response.body else { return response }
                let list = PEM.encode("X509 CRL", bytes)
                return HTTPServerResponse(200, headers: response.headers, body: Array((list + list).utf8))
            }),
        BadAnswer(
            "half a revocation list", "/pckcrl", "CRL",
            { response in
                guard case .bytes(let bytes) = response.body else { return response }
                return HTTPServerResponse(200, headers: response.headers, body: Array(bytes.prefix(50)))
            }),
        BadAnswer(
            "a huge body", "/tcb", "exceeded",
            { response in
                HTTPServerResponse(
                    200, headers: response.headers,
                    body: [UInt8](repeating: 0x20, count: QuoteCollateral.maximumByteCount + 1))
            }),
        BadAnswer(
            "a huge body of unknown length", "/tcb", "limit",
            { response in
                HTTPServerResponse(
                    200, headers: response.headers,
                    body: .stream { writer in
                        let piece = [UInt8](repeating: 0x20, count: 1 << 20)
                        while true { try await writer.write(piece) }
                    })
            }),
    ]

    @Test("an answer that is wrong is not asked for again, and the error says what is wrong", arguments: badAnswers)
    func wrongAnswers(bad: BadAnswer) async throws {
        let scene = try await CollateralScene()
        scene.server.fail(bad.ending, bad.fault)
        let error = try #require(try await scene.failure(scene.service()))
        #expect(error.code == .collateralUnavailable)
        #expect(error.reason.contains(scene.server.url))
        #expect(error.reason.contains(bad.reason), "\(error.reason)")
        #expect(scene.waits.all.isEmpty, "\(error.reason)")
        await scene.server.stop()
    }

    @Test("a body that drips in, and one that breaks off, are failures that may pass")
    func slowAndBroken() async throws {
        struct Broken: Error {}
        let scene = try await CollateralScene()
        scene.server.fail(
            "/tcb",
            { response in
                HTTPServerResponse(
                    200, headers: response.headers,
                    body: .stream { writer in
                        while true {
                            try await writer.write(" ")
                            try await Task.sleep(for: .milliseconds(20))
                        }
                    })
            },
            { response in
                HTTPServerResponse(
                    200, headers: response.headers,
                    body: .stream { writer in
                        try await writer.write("{\"tcbInfo\":")
                        throw Broken()
                    })
            }, nil)
        let service = try scene.service { $0.retry.requestTimeout = .seconds(5) }
        let fetched = try await service.fetch(for: scene.quote())
        #expect(fetched.collateral == scene.collateral)
        #expect(scene.waits.all.count >= 2)
        await scene.server.stop()
    }

    @Test("everything together has a time limit")
    func totalTimeout() async throws {
        let scene = try await CollateralScene()
        scene.server.fail(
            CollateralServer.all,
            { response in
                try? await Task.sleep(for: .seconds(30))
                return response
            })
        let error = try await scene.failure(scene.service { $0.retry.totalTimeout = .milliseconds(400) })
        #expect(error?.code == .collateralUnavailable)
        await scene.server.stop()
    }

    @Test("altered answers never pass for another platform's, and never trap")
    func mutations() async throws {
        let scene = try await CollateralScene()
        var random = SeededGenerator(seed: 0x7063_7300)
        for round in 0..<60 {
            let position = Double(random.next() % 1000) / 1000
            let bit = UInt8(random.next() % 8)
            let cut = random.next() % 3 == 0
            let ending = ["/tcb", "/qe/identity", "/pckcrl", "/rootcacrl"][round % 4]
            scene.server.fail(
                ending,
                { response in
                    guard case .bytes(var bytes) = response.body else { return response }
                    let index = min(Int(position * Double(bytes.count)), bytes.count - 1)
                    if cut { bytes.removeLast(bytes.count - index) } else { bytes[index] ^= 1 << bit }
                    var response = response
                    response.body = .bytes(bytes)
                    return response
                })
            let quote = try scene.quote()
            let service = try scene.service { $0.retry.maximumRounds = 1 }
            if let fetched = try? await service.fetch(for: quote) {
                // What is taken is for the right platform, and then its signatures decide.
                let info = try JSONDocument(parsing: fetched.collateral.tcbInfo, subject: "").root
                #expect(
                    try info.member("fmspc").string().lowercased() == scene.evidence.platform.configuration.fmspc.hex)
                let verifier = QuoteVerifier(trustAnchor: try TrustAnchor(certificate: scene.evidence.anchor))
                if fetched.collateral != scene.collateral {
                    let report = verifier.verify(
                        try scene.evidence.quoteBytes(), collateral: fetched.collateral, at: scene.evidence.now)
                    #expect(report.verdict == .rejected, "seeded round \(round)")
                }
            }
            scene.server.fail(ending, nil)
        }
        await scene.server.stop()
    }
}
