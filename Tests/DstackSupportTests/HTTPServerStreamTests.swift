import DstackHTTP
import DstackHTTPClient
import DstackNetwork
import Foundation
import Synchronization
import TestKit
import Testing

@testable import DstackHTTPServer

/// Keeps what handlers say.
private final class Said: Sendable {
    private let texts = Mutex<[String]>([])

    func add(_ text: String) { texts.withLock { $0.append(text) } }
    var all: [String] { texts.withLock { $0 } }
}

@Suite("HTTP server: bodies that are read as they come", .timeLimit(.minutes(2)))
struct HTTPServerStreamTests {
    private static func serving(
        _ said: Said = Said(), limit: Int = 64 << 20, _ change: (inout HTTPServerConfiguration) -> Void = { _ in },
        handler: @escaping @Sendable (IncomingBytes) async throws -> HTTPServerResponse
    ) async throws -> HTTPServerFixture {
        try await HTTPServerFixture(configure: { configuration in
            configuration.limits.maximumBodyBytes = 1 << 20
            configuration.route = { head, _ in
                HTTPRouteRules(maximumBodyBytes: head.path == "/s" ? limit : nil, streamsBody: head.path == "/s")
            }
            change(&configuration)
        }) { request in
            guard let incoming = request.incoming else { return .text(200, "whole \(request.body.count)") }
            do {
                return try await handler(incoming)
            } catch {
                said.add("\(error)")
                return .text(500, "\(error)")
            }
        }
    }

    private static let counting: @Sendable (IncomingBytes) async throws -> HTTPServerResponse = { incoming in
        var count = 0
        while let piece = try await incoming.next() { count += piece.count }
        return .text(200, "\(count)")
    }

    @Test("a body goes through in pieces, larger than the listener takes whole, and the connection serves on")
    func large() async throws {
        let fixture = try await Self.serving(handler: Self.counting)
        let client = directClient()
        for (path, count, status, text) in [
            ("/s", 8 << 20, 200, "\(8 << 20)"), ("/s", 0, 200, "0"), ("/w", 1000, 200, "whole 1000"),
            ("/s", 10, 200, "10"), ("/w", 2 << 20, 413, "the body is over 1048576 bytes\n"),
        ] {
            let response = try await client.send(
                HTTPRequest(.post, fixture.url + path, body: [UInt8](repeating: 7, count: count)))
            #expect(response.status == status && response.body == Array(text.utf8), "\(path) \(count)")
        }
        let chunked = try await fixture.raw(
            "POST /s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
                + "GET /w HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        #expect(chunked.contains("\r\n\r\n5HTTP/1.1 200 OK") && chunked.hasSuffix("whole 0"), "\(chunked)")
        await fixture.server.stop()
    }

    @Test("a handler that does not read holds its client up, and loses nothing")
    func backPressure() async throws {
        let go = AsyncStream<Void>.makeStream()
        let fixture = try await Self.serving { incoming in
            for await _ in go.stream { break }
            return try await Self.counting(incoming)
        }
        let connection = try RawConnection(port: fixture.port)
        let total = 32 << 20
        connection.send("POST /s HTTP/1.1\r\nHost: x\r\nContent-Length: \(total)\r\n\r\n")
        let piece = [UInt8](repeating: 1, count: 64 << 10)
        func push(_ most: Int) -> Int {
            var sent = 0
            while sent < most {
                let count = send(
                    connection.descriptor, piece, min(piece.count, most - sent), Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
                if count <= 0 { break }
                sent += count
            }
            return sent
        }
        var sent = 0
        // Until nothing more has gone for a while: what the sockets and 128 KiB of the server hold.
        var still = 0
        while still < 20 {
            let count = push(total - sent)
            sent += count
            still = count == 0 ? still + 1 : 0
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(sent < total - (1 << 20), "\(sent)")
        #expect(fixture.server.statistics.bufferedBodyBytes == 0)
        go.continuation.yield()
        while sent < total {
            sent += push(total - sent)
            try await Task.sleep(for: .milliseconds(1))
        }
        #expect(await connection.read(until: "\r\n\r\n\(total)") != nil)
        await fixture.server.stop()
    }

    @Test("a body over its route's limit, one that breaks off and one of wrong form fail for their reader")
    func broken() async throws {
        for (request, halfClose, status, expected) in [
            ("Content-Length: 101\r\n\r\n", false, "413", nil),
            (
                "Transfer-Encoding: chunked\r\n\r\n70\r\n" + String(repeating: "x", count: 0x70), false, "413",
                "over its limit"
            ),
            ("Content-Length: 50\r\n\r\nabc", true, "", "has closed"),
            ("Transfer-Encoding: chunked\r\n\r\n3\r\nabcd", false, "400", "has closed"),
        ] as [(String, Bool, String, String?)] {
            let said = Said()
            let fixture = try await Self.serving(said, limit: 100, handler: Self.counting)
            let answer = try await fixture.raw("POST /s HTTP/1.1\r\nHost: x\r\n\(request)", halfClose: halfClose)
            #expect(status.isEmpty ? answer.isEmpty : answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer)")
            if let expected {
                // The handler is told to stop as well, which it may hear of first.
                let isSaid = try await eventually {
                    said.all.contains { $0.contains(expected) || expected == "has closed" && $0.contains("cancelled") }
                }
                #expect(isSaid, "\(expected): \(said.all)")
            }
            await fixture.server.stop()
        }
    }

    @Test("a body that stands still is refused, and not while its reader holds it up")
    func slow() async throws {
        let said = Said()
        let fixture = try await Self.serving(said, { $0.limits.minimumBytesPerSecond = 100 }, handler: Self.counting)
        let answer = try await fixture.raw("POST /s HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nabc")
        #expect(answer.hasPrefix("HTTP/1.1 408 "), "\(answer)")
        let isSaid = try await eventually { said.all == ["the body took too long"] }
        #expect(isSaid, "\(said.all)")
        await fixture.server.stop()
    }

    @Test("who answers before the end of the body ends the connection with the answer")
    func early() async throws {
        let fixture = try await Self.serving { incoming in
            _ = try await incoming.next()
            return .text(403, "enough")
        }
        let answer = try await fixture.raw("POST /s HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nabc")
        #expect(answer.hasPrefix("HTTP/1.1 403 ") && answer.contains("Connection: close") || answer.hasSuffix("enough"))
        await fixture.server.stop()
    }

    @Test("a route may give its handler another time than the listener, and a listener other limits than the server")
    func routeLimits() async throws {
        let fixture = try await HTTPServerFixture(configure: { configuration in
            configuration.limits.handlerTimeout = .seconds(100)
            configuration.route = { head, _ in
                HTTPRouteRules(handlerTimeout: head.path == "/short" ? .milliseconds(200) : nil)
            }
            var small = configuration.limits
            small.maximumBodyBytes = 10
            configuration.listeners[1].limits = small
        }) { request in
            if request.path == "/short" { try? await Task.sleep(for: .seconds(60)) }
            return .text(200, "\(request.body.count)")
        }
        #expect(try await directClient().send(HTTPRequest(.get, fixture.url + "/short")).status == 504)
        let body = [UInt8](repeating: 1, count: 20)
        #expect(try await directClient().send(HTTPRequest(.post, fixture.url + "/", body: body)).status == 200)
        let unix = directClient(.unix(path: fixture.socketPath))
        #expect(try await unix.send(HTTPRequest(.post, "http://x/", body: body)).status == 413)
        await fixture.server.stop()
    }
}

@Suite("HTTP server: other protocols on its connections", .timeLimit(.minutes(2)))
struct HTTPUpgradeTests {
    /// Sends back what comes, and says at the end that it did.
    private static func echoing(
        _ ended: Said = Said(), _ change: (inout HTTPServerConfiguration) -> Void = { _ in }
    ) async throws -> HTTPServerFixture {
        try await HTTPServerFixture(configure: change) { request in
            .webSocket(request) { connection in
                defer { ended.add("ended") }
                while let bytes = try await connection.incoming.next() { try await connection.write(bytes) }
                try await connection.write(Array("bye".utf8))
            }
        }
    }

    private static func handshake(
        _ fields: [String: String?] = [:], method: String = "GET", version: String = "1.1"
    ) -> String {
        var all: [String: String?] = [
            "Host": "x", "Upgrade": "websocket", "Connection": "keep-alive, Upgrade",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13",
        ]
        all.merge(fields) { $1 }
        let lines = all.compactMap { name, value in value.map { "\(name): \($0)\r\n" } }
        return "\(method) /chat HTTP/\(version)\r\n" + lines.joined() + "\r\n"
    }

    @Test("a WebSocket's handshake is answered as RFC 6455 has it, and bytes go both ways until both have ended")
    func webSocket() async throws {
        let ended = Said()
        let fixture = try await Self.echoing(ended)
        let connection = try RawConnection(port: fixture.port)
        // What comes right behind the handshake is the other protocol's already.
        connection.send(Self.handshake() + "first")
        let head = try #require(await connection.read(until: "first"))
        #expect(head.hasPrefix("HTTP/1.1 101 Switching Protocols\r\n"), "\(head)")
        #expect(head.contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"))
        #expect(head.contains("\r\nUpgrade: websocket\r\n") && head.contains("\r\nConnection: Upgrade\r\n"))
        #expect(!head.contains("Connection: close") && !head.contains("Content-Length"))
        connection.send("GET / HTTP/1.1\r\n\r\n")
        #expect(await connection.read(until: "GET / HTTP/1.1\r\n\r\n") != nil)
        connection.endWriting()
        #expect(await connection.readToEnd() == "bye")
        #expect(try await eventually { ended.all == ["ended"] })
        await fixture.server.stop()
    }

    @Test("a handshake that is none is answered with what would be one")
    func refusals() async throws {
        let fixture = try await Self.echoing()
        for (request, status, field) in [
            (Self.handshake(["Upgrade": nil]), 426, "Upgrade: websocket"),
            (Self.handshake(["Upgrade": "h2c"]), 426, "Upgrade: websocket"),
            (Self.handshake(["Connection": "keep-alive"]), 426, "Upgrade: websocket"),
            (Self.handshake(version: "1.0"), 426, "Upgrade: websocket"),
            (Self.handshake(["Content-Length": "3"]) + "abc", 426, "Upgrade: websocket"),
            (Self.handshake(["Sec-WebSocket-Version": "8"]), 426, "Sec-WebSocket-Version: 13"),
            (Self.handshake(["Sec-WebSocket-Version": nil]), 426, "Sec-WebSocket-Version: 13"),
            (Self.handshake(["Sec-WebSocket-Key": nil]), 400, ""),
            (Self.handshake(["Sec-WebSocket-Key": "c2hvcnQ="]), 400, ""),
            (Self.handshake(method: "PUT"), 405, "Allow: GET"),
        ] {
            let answer = try await fixture.raw(request, halfClose: true)
            let hasField = field.isEmpty || answer.contains(field)
            #expect(answer.hasPrefix("HTTP/1.1 \(status) ") && hasField, "\(request)\(answer)")
        }
        await fixture.server.stop()
    }

    @Test("a handler that switches where nobody asked is wrong, and its client hears of an error")
    func unasked() async throws {
        let fixture = try await HTTPServerFixture { _ in
            var response = HTTPServerResponse(101, body: .upgrade { _ in })
            response.headers["Upgrade"] = "other"
            return response
        }
        #expect(try await directClient().send(HTTPRequest(.get, fixture.url)).status == 500)
        await fixture.server.stop()
    }

    @Test("a client that sends without end is held up while nobody reads")
    func backPressure() async throws {
        let fixture = try await HTTPServerFixture { request in
            .upgrade(request, to: "raw") { connection in
                try? await Task.sleep(for: .seconds(600))
                _ = try await connection.incoming.next()
            }
        }
        let connection = try RawConnection(port: fixture.port)
        connection.send("GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\n")
        #expect(await connection.read(until: "\r\n\r\n") != nil)
        let piece = [UInt8](repeating: 1, count: 64 << 10)
        var (sent, still) = (0, 0)
        while still < 20, sent < 64 << 20 {
            let count = send(connection.descriptor, piece, piece.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            sent += max(0, count)
            still = count > 0 ? 0 : still + 1
            if count <= 0 { try await Task.sleep(for: .milliseconds(20)) }
        }
        #expect(sent < 32 << 20, "\(sent)")
        await fixture.server.stop(within: .zero)
    }

    @Test("a server that stops tells the handlers of such connections, and waits for their end")
    func stopping() async throws {
        let ended = Said()
        let fixture = try await Self.echoing(ended)
        let connection = try RawConnection(port: fixture.port)
        connection.send(Self.handshake())
        #expect(await connection.read(until: "\r\n\r\n") != nil)
        await fixture.server.stop(within: .seconds(60))
        #expect(ended.all == ["ended"])
        #expect(await connection.readToEnd() == "bye")
    }
}

@Suite("HTTP server: new configuration while it runs", .timeLimit(.minutes(2)))
struct HTTPServerReloadTests {
    private func configuration(_ listeners: [HTTPListener], bodyBytes: Int) -> HTTPServerConfiguration {
        var configuration = HTTPServerConfiguration(listeners: listeners)
        configuration.limits.maximumBodyBytes = bodyBytes
        return configuration
    }

    @Test("listeners come and go, limits change, and connections that stand are served by the new ones")
    func reload() async throws {
        let directory = try ScratchDirectory()
        let kept = HTTPListener("tcp", .tcp(host: "127.0.0.1", port: 0))
        let old = HTTPListener("old", .unix(path: directory.path("old")))
        let new = HTTPListener("new", .unix(path: directory.path("new")))
        let server = HTTPServer(configuration([kept, old], bodyBytes: 10)) { .text(200, "\($0.listener)") }
        let first = try await server.start()
        let (tcp, unix) = (directClient(), directClient(.unix(path: directory.path("old"))))
        let url = "http://127.0.0.1:\(first[0].port ?? 0)/"
        let body = [UInt8](repeating: 1, count: 20)
        #expect(try await tcp.send(HTTPRequest(.get, url)).status == 200)
        #expect(try await unix.send(HTTPRequest(.get, "http://x/")).body == Array("old".utf8))
        let second = try await server.reload(configuration([kept, new], bodyBytes: 100))
        #expect(second.map(\.name) == ["tcp", "new"] && second[0] == first[0])
        // Both connections stand, the one of the listener that is gone, too.
        for (client, url) in [(tcp, url), (unix, "http://x/")] {
            let response = try await client.send(HTTPRequest(.get, url))
            #expect(response.status == 200 && !response.openedConnection)
        }
        #expect(try await directClient().send(HTTPRequest(.post, url, body: body)).status == 200)
        let fresh = directClient(.unix(path: directory.path("new")))
        #expect(try await fresh.send(HTTPRequest(.get, "http://x/")).body == Array("new".utf8))
        let gone = directClient(.unix(path: directory.path("old")))
        #expect(await failure(gone, HTTPRequest(.get, "http://x/"))?.code == .connection)
        await server.stop()
    }

    @Test("a configuration that cannot be had changes nothing")
    func impossible() async throws {
        let directory = try ScratchDirectory()
        let kept = HTTPListener("unix", .unix(path: directory.path("a")))
        let server = HTTPServer(configuration([kept], bodyBytes: 10)) { .text(200, "\($0.body.count)") }
        _ = try await server.start()
        let other = HTTPListener("other", .unix(path: directory.path("b")))
        let bad = HTTPListener("bad", .unix(path: "/nonexistent/x"))
        await #expect(throws: HTTPServerError.self) {
            try await server.reload(configuration([other, bad], bodyBytes: 100))
        }
        let client = directClient(.unix(path: directory.path("a")))
        let body = [UInt8](repeating: 1, count: 20)
        #expect(try await client.send(HTTPRequest(.post, "http://x/", body: body)).status == 413)
        #expect(access(directory.path("b"), F_OK) != 0)
        await server.stop()
        await #expect(throws: HTTPServerError.self) { try await server.reload(configuration([kept], bodyBytes: 1)) }
    }
}
