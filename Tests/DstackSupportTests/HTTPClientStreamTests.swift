import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import Synchronization
import TestKit
import Testing

@Suite("Responses that are read as they come")
struct HTTPClientStreamTests {
    /// A server that streams, and a client for it.
    private func serve(
        _ status: Int = 200, _ produce: @escaping @Sendable (HTTPBodyWriter) async throws -> Void
    ) async throws -> (HTTPServerFixture, HTTPClient, HTTPRequest) {
        let fixture = try await HTTPServerFixture { _ in
            HTTPServerResponse(status, headers: ["X-Kind": "stream"], body: .stream(produce))
        }
        let client = HTTPClient(HTTPClientConfiguration(transport: .unix(path: fixture.socketPath)))
        return (fixture, client, HTTPRequest(.get, "http://peer/"))
    }

    private func text(_ stream: HTTPResponseStream) async throws -> String {
        String(decoding: try await stream.collect(limit: 1 << 20), as: UTF8.self)
    }

    @Test("the head is there before the body is, and pieces come as they are sent")
    func pieces() async throws {
        let (gate, opened) = AsyncStream.makeStream(of: Void.self)
        let (fixture, client, request) = try await serve { writer in
            for await _ in gate.prefix(1) {}
            try await writer.write("first")
            for await _ in gate.prefix(1) {}
            try await writer.write("second")
        }
        let stream = try await client.stream(request)
        #expect(stream.status == 200)
        #expect(stream.headers["X-Kind"] == "stream")
        opened.yield()
        #expect(try await stream.next() == Array("first".utf8))
        opened.yield()
        #expect(try await stream.next() == Array("second".utf8))
        #expect(try await stream.next() == nil)
        #expect(try await stream.next() == nil)
        await fixture.server.stop()
    }

    @Test("any status is a response, and an empty body ends at once")
    func statuses() async throws {
        let (fixture, client, request) = try await serve(404) { _ in }
        let stream = try await client.stream(request)
        #expect(stream.status == 404)
        #expect(try await stream.next() == nil)
        await fixture.server.stop()
    }

    @Test("who reads slowly holds the sender up, and gets every byte in order")
    func backPressure() async throws {
        let sent = Mutex(0)
        let total = 4 << 20
        let (fixture, client, request) = try await serve { writer in
            for index in 0..<(total / 4096) {
                try await writer.write([UInt8](repeating: UInt8(truncatingIfNeeded: index), count: 4096))
                sent.withLock { $0 += 4096 }
            }
        }
        let stream = try await client.stream(request)
        // The sender comes to a halt long before it is through.
        var before = -1
        while true {
            let now = sent.withLock { $0 }
            if now == before, now > 0 { break }
            before = now
            try await Task.sleep(for: .milliseconds(200))
        }
        #expect(before < total / 2)
        var received = 0
        while let piece = try await stream.next() {
            for byte in piece {
                if byte != UInt8(truncatingIfNeeded: received / 4096) {
                    Issue.record("wrong byte at \(received)")
                    return
                }
                received += 1
            }
        }
        #expect(received == total)
        await fixture.server.stop()
    }

    @Test("a body that breaks off is an error after what came, not an end")
    func brokenBody() async throws {
        struct Broken: Error {}
        let (fixture, client, request) = try await serve { writer in
            try await writer.write("half")
            throw Broken()
        }
        let stream = try await client.stream(request)
        let error = await #expect(throws: HTTPClientError.self) { _ = try await text(stream) }
        #expect(error?.phase == .receiving)
        await fixture.server.stop()
    }

    @Test("a body that is longer than the reader wants is refused by the reader")
    func collecting() async throws {
        let (fixture, client, request) = try await serve { writer in try await writer.write("0123456789") }
        let stream = try await client.stream(request)
        await #expect(throws: HTTPClientError(.tooLarge, .receiving, subject: "", reason: "")) {
            _ = try await stream.collect(limit: 9)
        }
        #expect(try await text(try await client.stream(request)) == "0123456789")
        await fixture.server.stop()
    }

    @Test("dropping the response, or cancelling its reader, ends the transfer at the other side")
    func dropping() async throws {
        let gone = Mutex(0)
        let (fixture, client, request) = try await serve { writer in
            do {
                while true {
                    try await writer.write("tick ")
                    try await Task.sleep(for: .milliseconds(20))
                }
            } catch {
                gone.withLock { $0 += 1 }
                throw error
            }
        }
        var stream: HTTPResponseStream? = try await client.stream(request)
        #expect(try await stream?.next()?.isEmpty == false)
        stream = nil
        #expect(try await eventually { gone.withLock { $0 } == 1 })

        let other = try await client.stream(request)
        let reader = Task { while try await other.next() != nil {} }
        reader.cancel()
        let error = await #expect(throws: HTTPClientError.self) { try await reader.value }
        #expect(error?.code == .cancelled)
        #expect(try await eventually { gone.withLock { $0 } == 2 })
        await fixture.server.stop()
    }

    @Test("where nobody listens there is an error and no response")
    func refused() async throws {
        let client = HTTPClient(HTTPClientConfiguration(transport: .unix(path: "/nonexistent/socket")))
        let error = await #expect(throws: HTTPClientError.self) {
            _ = try await client.stream(HTTPRequest(.get, "http://peer/"))
        }
        #expect(error?.code == .connection)
    }

    @Test("silence that is too long is a timeout")
    func stall() async throws {
        let (fixture, client, given) = try await serve { writer in
            try await writer.write("x")
            try await Task.sleep(for: .seconds(600))
        }
        var request = given
        request.limits = HTTPClientLimits(totalTimeout: .seconds(2))
        let stream = try await client.stream(request)
        let error = await #expect(throws: HTTPClientError.self) { _ = try await text(stream) }
        #expect(error?.code == .timeout)
        await fixture.server.stop(within: .zero)
    }
}
