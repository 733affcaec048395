import Dispatch
import DstackCrypto
import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackNetwork
import Foundation
import Glibc
import Synchronization
import TestKit
import Testing

@Suite("HTTP server: exchanges")
struct HTTPServerExchangeTests {
    @Test("the client's requests come through whole, over TCP and a Unix socket")
    func roundTrip() async throws {
        let fixture = try await HTTPServerFixture.echoing()
        for (client, base, name) in [
            (directClient(), fixture.url, "tcp"), (directClient(.unix(path: fixture.socketPath)), "http://x", "unix"),
        ] {
            let body = [UInt8]((0..<100_000).map { UInt8(truncatingIfNeeded: $0) })
            let response = try await client.send(
                HTTPRequest(.put, "\(base)/a%20b?c=d+e", headers: ["X-Ask": "me"], body: body))
            #expect(response.status == 200)
            #expect(response.headers["x-seen"] == "me")
            #expect(response.headers["Date"]?.hasSuffix(" GMT") == true)
            let expected = Array("PUT /a%20b?c=d+e on \(name): ".utf8) + body
            #expect(response.body == expected)
        }
        await fixture.server.stop()
    }

    @Test("bodies in memory that is wiped are sent and received whole, whatever their size")
    func secretBodies() async throws {
        let fixture = try await HTTPServerFixture { request in
            HTTPServerResponse(200, body: .secret(SharedSecret(copying: request.body.span.bytes)))
        }
        for (client, base) in [
            (directClient(), fixture.url), (directClient(.unix(path: fixture.socketPath)), "http://x"),
        ] {
            for count in [0, 1, 300, 2_049, 70_000, 900_000] {
                let body = [UInt8]((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) })
                var request = HTTPRequest(.post, "\(base)/")
                request.secretBody = SharedSecret(copying: body.span.bytes)
                #expect(try await client.send(request).body == body)
                request.expectsSecret = true
                let response = try await client.send(request)
                #expect(response.body.isEmpty)
                #expect((response.secretBody?.copiedToUnprotectedMemory() ?? []) == body)
            }
            let head = try await client.send(HTTPRequest(.head, "\(base)/"))
            #expect(head.status == 200 && head.body.isEmpty)
            // What comes after it on the same connection is not disturbed.
            #expect(try await client.send(HTTPRequest(.post, "\(base)/", body: [1, 2])).body == [1, 2])
        }
        await fixture.server.stop()
    }

    @Test("connections are kept, and a request's answer never goes to another's")
    func keepAlive() async throws {
        let fixture = try await HTTPServerFixture.echoing()
        let client = directClient(.unix(path: fixture.socketPath))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<300 {
                group.addTask {
                    let response = try await client.send(HTTPRequest(.get, "http://x/\(index)"))
                    #expect(response.body == Array("GET /\(index) on unix: ".utf8))
                }
            }
            try await group.waitForAll()
        }
        #expect(fixture.server.statistics.acceptedConnections <= 64)
        #expect(fixture.server.statistics.answeredRequests == 300)
        await fixture.server.stop()
        #expect(fixture.server.statistics.connections == 0)
    }

    @Test("HEAD says the length and sends no body; 204 and 304 have neither")
    func bodiless() async throws {
        let fixture = try await HTTPServerFixture { request in
            switch request.path {
            case "/204": HTTPServerResponse(204, body: Array("never".utf8))
            case "/304": HTTPServerResponse(304, body: Array("never".utf8))
            default: .text(200, "hello")
            }
        }
        let text = try await fixture.raw(
            "HEAD / HTTP/1.1\r\nHost: x\r\n\r\nGET /204 HTTP/1.1\r\nHost: x\r\n\r\nGET /304 HTTP/1.1\r\nHost: x\r\n"
                + "Connection: close\r\n\r\n")
        #expect(text.components(separatedBy: "HTTP/1.1 ").count == 4)
        #expect(text.components(separatedBy: "Content-Length").count == 2)
        #expect(text.contains("Content-Length: 5\r\n"))
        #expect(!text.contains("hello") && !text.contains("never"))
        await fixture.server.stop()
    }

    @Test("pipelined requests are answered in order, by tasks and at once alike", arguments: [true, false])
    func pipelining(immediate: Bool) async throws {
        let answer: @Sendable (HTTPServerRequest) -> HTTPServerResponse = { .text(200, "<\($0.path)>") }
        let fixture = try await HTTPServerFixture(
            immediate: { request in immediate ? answer(request) : nil }, handler: { request in answer(request) })
        let count = 200
        let requests = (0..<count).map {
            "GET /\($0) HTTP/1.1\r\nHost: x\r\n" + ($0 == count - 1 ? "Connection: close\r\n\r\n" : "\r\n")
        }
        let text = try await fixture.raw(requests.joined())
        let paths = text.matches(of: /<\/(\d+)>/).compactMap { Int($0.output.1) }
        #expect(paths == Array(0..<count))
        await fixture.server.stop()
    }

    @Test("connections with requests in store keep no new one waiting until these are answered")
    func pipelinesOfOthers() async throws {
        let (connections, requests) = (20, 480)
        // The loop stands still, first until all have their requests in the server's sockets, then, while it answers them,
        // until the new connection is in its queue.
        let (stored, waiting) = (Gate(), Gate())
        let answered = Mutex(0)
        let answeredBefore = Mutex<Int?>(nil)
        let fixture = try await HTTPServerFixture(
            immediate: { request in
                switch request.path {
                case "/gate": stored.stop()
                case "/new": answeredBefore.withLock { $0 = answered.withLock { $0 } }
                default:
                    let count = answered.withLock { answered in
                        answered += 1
                        return answered
                    }
                    if count == connections { waiting.stop() }
                }
                return .text(200, "")
            }, handler: { _ in .text(200, "") })
        let first = try RawConnection(port: fixture.port)
        first.send("GET /gate HTTP/1.1\r\nHost: x\r\n\r\n")
        await stored.isReached()
        let others = try (0..<connections).map { _ in
            let other = try RawConnection(port: fixture.port)
            other.send(String(repeating: "GET /x HTTP/1.1\r\nHost: x\r\n\r\n", count: requests))
            return other
        }
        stored.open()
        await waiting.isReached()
        let new = try RawConnection(port: fixture.port)
        new.send("GET /new HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        waiting.open()
        #expect(await new.readToEnd().hasPrefix("HTTP/1.1 200"))
        let before = try #require(answeredBefore.withLock { $0 })
        #expect(before < connections * requests / 4)
        withExtendedLifetime((first, others)) {}
        await fixture.server.stop(within: .zero)
    }

    @Test("a body of many short chunks is whole, and keeps no other connection waiting until it is")
    func shortChunks() async throws {
        let stored = Gate()
        let answered = Mutex<[String]>([])
        let fixture = try await HTTPServerFixture(
            immediate: { request in
                if request.path == "/gate" { stored.stop() }
                answered.withLock { $0.append(request.path) }
                return .text(200, "\(request.body.count)")
            }, handler: { _ in .text(200, "") })
        let first = try RawConnection(port: fixture.port)
        first.send("GET /gate HTTP/1.1\r\nHost: x\r\n\r\n")
        await stored.isReached()
        // In one piece, so that one read has all of it.
        let count = 4_000
        let slow = try RawConnection(port: fixture.port)
        slow.send(
            "POST /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                + String(repeating: "1\r\nx\r\n", count: count) + "0\r\n\r\n")
        let new = try RawConnection(port: fixture.port)
        new.send("GET /new HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        stored.open()
        #expect(await new.readToEnd().hasPrefix("HTTP/1.1 200"))
        #expect(await slow.readToEnd().hasSuffix("\r\n\r\n\(count)"))
        #expect(answered.withLock { $0 } == ["/gate", "/new", "/slow"])
        withExtendedLifetime(first) {}
        await fixture.server.stop(within: .zero)
    }

    /// Where the server's thread waits for the test.
    private final class Gate: Sendable {
        private let reached = DispatchSemaphore(value: 0)
        private let opened = DispatchSemaphore(value: 0)

        func stop() {
            reached.signal()
            opened.wait()
        }

        func open() { opened.signal() }
        func isReached() async { await offPool { self.reached.wait() } }
    }

    @Test("a client that half-closes still gets all its answers, and then the end without a reset")
    func halfClose() async throws {
        let fixture = try await HTTPServerFixture { request in
            try? await Task.sleep(for: .milliseconds(30))
            return .text(200, "<\(request.path)>")
        }
        let text = try await fixture.raw(
            "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTT", halfClose: true)
        #expect(text.contains("</1>") && text.contains("</2>"))
        #expect(!text.contains("<RESET>") && !text.contains("<TIMEOUT>"))
        await fixture.server.stop()
    }

    @Test("an old client gets its answer, and the end of the connection unless it asks to keep it")
    func http10() async throws {
        let fixture = try await HTTPServerFixture.echoing()
        let closed = try await fixture.raw("GET /a HTTP/1.0\r\n\r\n")
        #expect(closed.contains("Connection: close\r\n") && closed.hasSuffix("GET /a on tcp: "))
        let kept = try await fixture.raw(
            "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /b HTTP/1.0\r\n\r\n")
        #expect(kept.contains("Connection: keep-alive\r\n") && kept.hasSuffix("GET /b on tcp: "))
        await fixture.server.stop()
    }

    @Test("a client that waits for 100 Continue is told to go on, but not for a body that is refused")
    func expectContinue() async throws {
        let fixture = try await HTTPServerFixture.echoing()
        let connection = try RawConnection(port: fixture.port)
        connection.send("POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        #expect(await connection.read(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
        connection.send("hi")
        #expect(await connection.read(until: "hi")?.hasPrefix("HTTP/1.1 200 OK\r\n") == true)

        let refused = try await fixture.raw(
            "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 200000000\r\n\r\n")
        #expect(refused.hasPrefix("HTTP/1.1 413 "))
        await fixture.server.stop()
    }

    @Test("the peer of a Unix socket is known by its process")
    func unixPeer() async throws {
        let fixture = try await HTTPServerFixture { .text(200, "\($0.peer.address)") }
        let response = try await directClient(.unix(path: fixture.socketPath)).send(HTTPRequest(.get, "http://x/"))
        #expect(String(decoding: response.body, as: UTF8.self) == "unix:pid=\(getpid()),uid=\(getuid())\n".dropLast())
        let network = try await directClient().send(HTTPRequest(.get, fixture.url))
        #expect(String(decoding: network.body, as: UTF8.self).hasPrefix("127.0.0.1:"))
        await fixture.server.stop()
    }

    @Test("a response that would inject a header becomes a 500, and is reported")
    func badResponses() async throws {
        let fixture = try await HTTPServerFixture { request in
            switch request.path {
            case "/value": HTTPServerResponse(200, headers: ["X": "a\r\nSet-Cookie: b"])
            case "/name": HTTPServerResponse(200, headers: ["X\r\nY": "a"])
            case "/status": HTTPServerResponse(99)
            default:
                HTTPServerResponse(200, headers: ["Content-Length": "7", "Transfer-Encoding": "chunked", "Ok": "1"])
            }
        }
        let client = directClient()
        for path in ["value", "name", "status"] {
            let response = try await client.send(HTTPRequest(.get, "\(fixture.url)/\(path)"))
            #expect(response.status == 500)
            #expect(response.headers["Set-Cookie"] == nil)
        }
        let response = try await client.send(HTTPRequest(.get, "\(fixture.url)/own"))
        #expect(response.status == 200)
        #expect(response.headers["Ok"] == "1")
        #expect(response.headers.values("Content-Length") == ["0"])
        #expect(!response.headers.contains("Transfer-Encoding"))
        let reports = fixture.events.all.filter { if case .invalidResponse = $0 { true } else { false } }
        #expect(reports.count == 3)
        await fixture.server.stop()
    }

    @Test("routes answer HEAD by GET, 405 with what is allowed, and 404")
    func routes() async throws {
        var routes = HTTPRoutes()
        routes.on(.get, "/a") { _ in .text(200, "a") }
        routes.on(.post, "/a") { _ in .text(200, "posted") }
        routes.on(.get, "/logs/*") { .text(200, String($0.path.dropFirst(6))) }
        routes.on(.get, "/logs/special/*") { _ in .text(200, "special") }
        let table = routes
        let fixture = try await HTTPServerFixture { await table.respond(to: $0) }
        let client = directClient()
        func ask(_ method: HTTPMethod, _ path: String) async throws -> (Int, String, String?) {
            let response = try await client.send(HTTPRequest(method, fixture.url + path))
            return (response.status, String(decoding: response.body, as: UTF8.self), response.headers["Allow"])
        }
        #expect(try await ask(.get, "/a") == (200, "a", nil))
        #expect(try await ask(.head, "/a") == (200, "", nil))
        #expect(try await ask(.post, "/a") == (200, "posted", nil))
        #expect(try await ask(.delete, "/a").0 == 405)
        #expect(try await ask(.delete, "/a").2 == "GET, HEAD, POST")
        #expect(try await ask(.get, "/logs/x%2Fy") == (200, "x%2Fy", nil))
        #expect(try await ask(.get, "/logs/special/z").1 == "special")
        #expect(try await ask(.get, "/b").0 == 404)
        await fixture.server.stop()
    }

    @Test("query items are decoded, or not given at all")
    func queryItems() {
        func items(_ target: String) -> [String]? {
            var parser = HTTPRequestParser(limits: .init())
            let bytes = Array("GET \(target) HTTP/1.1\r\nHost: x\r\n\r\n".utf8)
            guard case (_, .head(let head)) = parser.advance(bytes.span) else { return nil }
            let request = HTTPServerRequest(head: head, body: [], listener: "", peer: HTTPPeer(address: .unknown))
            return request.queryItems?.map { "\($0.name)=\($0.value)" }
        }
        #expect(items("/") == [])
        #expect(items("/?a=1&b=%41+c&d&=e&&a=2=3") == ["a=1", "b=A c", "d=", "=e", "a=2=3"])
        #expect(items("/?a=%4") == nil)
        #expect(items("/?a=%zz") == nil)
        #expect(items("/?a=%ff") == nil)
    }
}

@Suite("HTTP server: hostile and slow clients")
struct HTTPServerBoundsTests {
    private static func brief(_ configuration: inout HTTPServerConfiguration) {
        configuration.limits.headerTimeout = .milliseconds(1500)
        configuration.limits.bodyTimeout = .milliseconds(1500)
        configuration.limits.idleTimeout = .milliseconds(1500)
        configuration.limits.writeTimeout = .milliseconds(1500)
    }

    static let refusals: [(String, Int)] = [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\nHost: x\n\n", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n" + String(repeating: "x", count: 300_000), 413),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n", 408),
        ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        ("GET /" + String(repeating: "a", count: 70_000), 414),
        ("GET / HTTP/1.1\r\nX: " + String(repeating: "a", count: 70_000), 431),
        ("GET / HTTP/1.1\r\nHost: x\r\nExpect: x\r\n\r\n", 417),
        ("GET / HTTP/2.0\r\n\r\n", 505),
        ("GET / HTTP/1.1\r\nHost: x\r\n", 408),
        ("\u{16}\u{3}\u{1}\u{2}", 400),
    ]

    @Test("a bad request is answered with its status, then the connection ends without a reset", arguments: refusals)
    func refused(text: String, status: Int) async throws {
        let fixture = try await HTTPServerFixture.echoing { if status == 408 { Self.brief(&$0) } }
        let answer = try await fixture.raw(text)
        #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer.prefix(200))")
        #expect(answer.contains("Connection: close\r\n"))
        #expect(!answer.contains("<RESET>") && !answer.contains("<TIMEOUT>"))
        #expect(fixture.server.statistics.refusedRequests == 1)
        await fixture.server.stop()
    }

    @Test("nothing after a refused request is looked at: no second request is smuggled in")
    func nothingAfterRefusal() async throws {
        let fixture = try await HTTPServerFixture.echoing()
        let answer = try await fixture.raw(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
                + "GET /admin HTTP/1.1\r\nHost: x\r\n\r\n", halfClose: true)
        #expect(answer.hasPrefix("HTTP/1.1 400 "))
        #expect(!answer.contains("admin"))
        #expect(fixture.server.statistics.answeredRequests == 1)
        await fixture.server.stop()
    }

    @Test("a header, a body and an idle connection that take too long end, whatever drips in")
    func slowClients() async throws {
        let fixture = try await HTTPServerFixture.echoing(Self.brief)
        for start in ["GET / HTTP/1.1\r\nX: ", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"] {
            let connection = try RawConnection(port: fixture.port)
            connection.send(start)
            for _ in 0..<40 {
                connection.send("a")
                try await Task.sleep(for: .milliseconds(50))
            }
            #expect(await connection.readToEnd().hasPrefix("HTTP/1.1 408 "))
        }
        let silent = try RawConnection(port: fixture.port)
        #expect(await silent.readToEnd() == "")
        let idle = try RawConnection(port: fixture.port)
        idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(await idle.readToEnd().hasPrefix("HTTP/1.1 200 "))
        await fixture.server.stop()
    }

    @Test("a client that does not read its response is given up")
    func slowReader() async throws {
        let large = [UInt8](repeating: 0x61, count: 32 << 20)
        let fixture = try await HTTPServerFixture(configure: Self.brief) { _ in HTTPServerResponse(200, body: large) }
        let connection = try RawConnection(port: fixture.port)
        connection.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(try await eventually { fixture.server.statistics.answeredRequests == 1 })
        #expect(try await eventually { fixture.server.statistics.connections == 0 })
        await fixture.server.stop()
    }

    @Test("a large response arrives whole at a client that reads in its own time")
    func largeResponse() async throws {
        let large = (0..<(8 << 20)).map { UInt8(truncatingIfNeeded: $0 / 7) }
        let fixture = try await HTTPServerFixture { _ in HTTPServerResponse(200, body: large) }
        let response = try await directClient().send(HTTPRequest(.get, fixture.url))
        #expect(response.body == large)
        await fixture.server.stop()
    }

    @Test("bodies that together are over the bound are refused with 503, of the address that would hold most")
    func bufferedBodies() async throws {
        let fixture = try await HTTPServerFixture.echoing { $0.limits.maximumBufferedBodyBytes = 150_000 }
        let first = try RawConnection(port: fixture.port, fromHost: 2)
        first.send(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60001\r\n\r\n" + String(repeating: "a", count: 60_000))
        #expect(try await eventually { fixture.server.statistics.bufferedBodyBytes == 60_000 })
        let refused = try await fixture.raw(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + String(repeating: "b", count: 100_000))
        #expect(refused.hasPrefix("HTTP/1.1 503 "))
        first.send("a")
        #expect(await first.read(until: "a")?.hasPrefix("HTTP/1.1 200 ") == true)
        #expect(
            try await fixture.raw(
                "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 100000\r\n\r\n"
                    + String(repeating: "b", count: 100_000)
            ).hasPrefix("HTTP/1.1 200 "))
        await fixture.server.stop()
    }

    @Test("more requests at once than allowed are answered with 503, and the connection stays")
    func requestsInFlight() async throws {
        let gate = Mutex<[CheckedContinuation<Void, Never>]>([])
        let fixture = try await HTTPServerFixture(configure: { $0.limits.maximumRequestsInFlight = 2 }) { request in
            if request.path == "/wait" {
                await withCheckedContinuation { continuation in gate.withLock { $0.append(continuation) } }
            }
            return .text(200, "done")
        }
        let client = directClient()
        let waiting = (0..<2).map { _ in Task { try await client.send(HTTPRequest(.get, "\(fixture.url)/wait")).status }
        }
        #expect(try await eventually { gate.withLock { $0.count } == 2 })
        let refused = try await client.send(HTTPRequest(.get, fixture.url))
        #expect(refused.status == 503)
        #expect(refused.headers["Retry-After"] == "1")
        for continuation in gate.withLock({ $0 }) { continuation.resume() }
        for task in waiting { #expect(try await task.value == 200) }
        let after = try await client.send(HTTPRequest(.get, fixture.url))
        #expect(after.status == 200)
        #expect(!after.openedConnection)
        await fixture.server.stop()
    }

    @Test("with all connections taken, a new one gets the place of the longest idle")
    func connectionLimit() async throws {
        let fixture = try await HTTPServerFixture.echoing { $0.limits.maximumConnections = 3 }
        let connections = try (0..<3).map { _ in try RawConnection(port: fixture.port) }
        for connection in connections {
            connection.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            #expect(await connection.read(until: "on tcp: ")?.hasPrefix("HTTP/1.1 200 ") == true)
            try await Task.sleep(for: .milliseconds(100))
        }
        try await Task.sleep(for: .milliseconds(400))
        #expect(try await fixture.raw("GET / HTTP/1.0\r\n\r\n").hasPrefix("HTTP/1.1 200 "))
        #expect(await connections[0].readToEnd() == "")
        for connection in connections.dropFirst() {
            connection.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            #expect(await connection.readToEnd().hasPrefix("HTTP/1.1 200 "))
        }
        await fixture.server.stop()
    }

    @Test("a thousand idle connections leave the server answering")
    func manyIdle() async throws {
        let fixture = try await HTTPServerFixture.echoing()
        var idle: [RawConnection] = []
        for index in 0..<1000 {
            idle.append(
                index.isMultiple(of: 2)
                    ? try RawConnection(port: fixture.port) : try RawConnection(unix: fixture.socketPath))
        }
        #expect(try await eventually { fixture.server.statistics.connections == 1000 })
        let client = directClient()
        for _ in 0..<50 { #expect(try await client.send(HTTPRequest(.get, fixture.url)).status == 200) }
        for connection in idle.prefix(20) {
            connection.send("GET / HTTP/1.0\r\n\r\n")
            #expect(await connection.readToEnd().hasPrefix("HTTP/1.1 200 "))
        }
        idle = []
        #expect(try await eventually { fixture.server.statistics.connections <= 1 })
        await fixture.server.stop()
    }

    @Test("a handler that takes too long is cancelled and answered for with 504")
    func handlerTimeout() async throws {
        let wasCancelled = Atomic<Bool>(false)
        let fixture = try await HTTPServerFixture(configure: { $0.limits.handlerTimeout = .milliseconds(200) }) { _ in
            do { try await Task.sleep(for: .seconds(60)) } catch {
                wasCancelled.store(true, ordering: .sequentiallyConsistent)
            }
            return .text(200, "late")
        }
        let response = try await directClient().send(HTTPRequest(.get, fixture.url))
        #expect(response.status == 504)
        #expect(try await eventually { wasCancelled.load(ordering: .sequentiallyConsistent) })
        #expect(try await eventually { fixture.server.statistics.requestsInFlight == 0 })
        await fixture.server.stop()
    }

    @Test("random bytes never stop the server")
    func noise() async throws {
        let fixture = try await HTTPServerFixture.echoing(Self.brief)
        var random = SeededGenerator(seed: 77)
        for _ in 0..<150 {
            let connection = try RawConnection(port: fixture.port)
            var bytes = Array(
                "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".utf8)
            for _ in 0..<(1 + random.next() % 5) {
                bytes[Int(random.next() % UInt64(bytes.count))] = UInt8(random.next() % 256)
            }
            HTTPScriptedPeer.Connection(descriptor: connection.descriptor).send(bytes)
            connection.endWriting()
            _ = await connection.readToEnd()
        }
        #expect(try await directClient().send(HTTPRequest(.get, fixture.url)).status == 200)
        await fixture.server.stop()
    }
}
