import DstackCrypto
import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackNetwork
import Foundation
import Glibc
import TestKit
import Testing

@Suite("HTTP server: requests with secrets")
struct HTTPServerSecretTests {
    /// A server whose Unix socket receives secrets; it answers with what it got.
    private static func fixture(
        _ handler: @escaping @Sendable (HTTPServerRequest) async -> HTTPServerResponse
    ) async throws -> HTTPServerFixture {
        try await HTTPServerFixture { configuration in
            for index in configuration.listeners.indices {
                configuration.listeners[index].receivesSecrets = configuration.listeners[index].name == "unix"
            }
        } handler: {
            await handler($0)
        }
    }

    private static let echo: @Sendable (HTTPServerRequest) async -> HTTPServerResponse = { request in
        guard let secret = request.secretBody else {
            return HTTPServerResponse(200, headers: ["X-Kind": "plain"], body: request.body)
        }
        return HTTPServerResponse(
            200, headers: ["X-Kind": request.body.isEmpty ? "secret" : "both"], body: .secret(secret))
    }

    @Test("a body is whole, in memory that is wiped, where the listener receives secrets, and nowhere else")
    func bodies() async throws {
        let fixture = try await Self.fixture(Self.echo)
        for (client, base, kind) in [
            (directClient(), fixture.url, "plain"),
            (directClient(.unix(path: fixture.socketPath)), "http://x", "secret"),
        ] {
            for count in [1, 300, 70_000, 900_000] {
                let body = [UInt8]((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) })
                let response = try await client.send(HTTPRequest(.post, "\(base)/", body: body))
                #expect(response.body == body && response.headers["X-Kind"] == kind)
            }
            #expect(try await client.send(HTTPRequest(.post, "\(base)/", body: [])).body.isEmpty)
            #expect(try await client.send(HTTPRequest(.get, "\(base)/")).headers["X-Kind"] == "plain")
        }
        await fixture.server.stop()
    }

    @Test("requests in one piece, in chunks, and byte by byte are told apart as always")
    func framing() async throws {
        let fixture = try await Self.fixture(Self.echo)
        let head = "POST / HTTP/1.1\r\n"
        let chunks = "3\r\nsec\r\n3\r\nond\r\n0\r\n\r\n"
        let stream =
            head + "Content-Length: 5\r\n\r\nfirst" + head + "Transfer-Encoding: chunked\r\n\r\n" + chunks
            + "GET / HTTP/1.1\r\n\r\n" + head + "Content-Length: 5\r\nConnection: close\r\n\r\nthird"
        let whole = try await RawConnection.exchange(fixture.socketPath, stream).text
        #expect(Self.bodies(whole) == ["first", "second", "", "third"])
        let connection = try RawConnection(unix: fixture.socketPath)
        for byte in stream.utf8 { connection.send(String(decoding: [byte], as: UTF8.self)) }
        #expect(Self.bodies(await connection.readToEnd()) == ["first", "second", "", "third"])
        await fixture.server.stop()
    }

    private static func bodies(_ answers: String) -> [String] {
        answers.components(separatedBy: "HTTP/1.1 200 OK\r\n").dropFirst().map { answer in
            answer.components(separatedBy: "\r\n\r\n").dropFirst().joined()
        }
    }

    @Test("nothing of requests stays: whole, in pieces, in advance, after a refusal, or broken off")
    func wiped() async throws {
        // In a process of its own: where other tests map and give back memory, a search of all of it misses some.
        await #expect(processExitsWith: .success) {
            // Masked as the search wants it; only memory that is wiped has it as it is.
            let masked = (0..<24).map { _ in UInt8.random(in: 0...255) }
            func secret() -> SecretBytes {
                SecretBytes(count: masked.count) { (buffer: UnsafeMutableRawBufferPointer) in
                    for index in masked.indices { buffer[index] = masked[index] ^ 0x5A }
                }
            }
            func send(_ range: Range<Int>, on connection: RawConnection) {
                let sent = secret().withUnsafeBytes {
                    Glibc.send(
                        connection.descriptor, $0.baseAddress.map { $0 + range.lowerBound }, range.count,
                        Int32(MSG_NOSIGNAL))
                }
                #expect(sent == range.count)
            }
            func found() throws -> Int { try MemoryScan.occurrences(ofMasked: masked) }

            let fixture = try await HTTPServerSecretTests.fixture { request in
                // Long enough for what is sent in advance to be read meanwhile.
                if request.path == "/slow" { try? await Task.sleep(for: .milliseconds(300)) }
                return .text(request.secretBody?.count == 24 ? 200 : 400, "done\n")
            }
            let head = " HTTP/1.1\r\nContent-Length: 24\r\n\r\n"
            let connection = try RawConnection(unix: fixture.socketPath)
            // Whole, and in pieces.
            for ranges in [[0..<24], [0..<20, 20..<24]] {
                connection.send("POST /" + head)
                for range in ranges {
                    send(range, on: connection)
                    try await Task.sleep(for: .milliseconds(50))
                }
                #expect(await connection.read(until: "done\n")?.contains(" 200 ") == true)
            }
            // In advance.
            connection.send("POST /slow" + head)
            send(0..<24, on: connection)
            connection.send("POST /" + head)
            send(0..<24, on: connection)
            for _ in 0..<2 { #expect(await connection.read(until: "done\n")?.contains(" 200 ") == true) }
            // After a refusal.
            let refused = try RawConnection(unix: fixture.socketPath)
            refused.send("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n")
            #expect(await refused.read(until: "\r\n\r\n")?.contains(" 400 ") == true)
            send(0..<24, on: refused)
            // Broken off, but for the last byte.
            do {
                let broken = try RawConnection(unix: fixture.socketPath)
                broken.send("POST / HTTP/1.1\r\nContent-Length: 25\r\n\r\n")
                send(0..<24, on: broken)
                try await Task.sleep(for: .milliseconds(50))
            }
            #expect(try await eventually { try found() == 0 })
            // And the search finds what is there.
            let kept = secret()
            let there = try found()
            #expect(there == 1)
            withExtendedLifetime(kept) {}
            await fixture.server.stop()
        }
    }
}
