import DstackHTTP
import DstackHTTPClient
import Foundation
import TestKit
import Testing

/// A client that goes straight to the test's own peers, whatever proxy the machine uses.
func directClient(
    _ transport: HTTPClientConfiguration.Transport = .network, limits: HTTPClientLimits = .init(),
    _ change: (inout HTTPClientConfiguration) -> Void = { _ in }
) -> HTTPClient {
    var configuration = HTTPClientConfiguration(transport: transport, limits: limits)
    configuration.proxy = .none
    change(&configuration)
    return HTTPClient(configuration)
}

/// The failure of a request that must not succeed.
func failure(_ client: HTTPClient, _ request: HTTPRequest) async -> HTTPClientError? {
    do throws(HTTPClientError) {
        let response = try await client.send(request)
        Issue.record("\(request.method) \(request.url) was answered with \(response.status)")
        return nil
    } catch {
        return error
    }
}

@Suite("HTTP client: exchanges")
struct HTTPClientExchangeTests {
    private let okay = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    @Test("method, path, headers and body arrive as given, and nothing is added to the body")
    func requestShape() async throws {
        let peer = try HTTPScriptedPeer { connection in
            let head = connection.readHead() ?? ""
            let body = head.contains("Content-Length: 5") ? connection.read(until: "hello") ?? "" : ""
            let answer = head + body
            connection.send("HTTP/1.1 201 Created\r\nContent-Length: \(answer.utf8.count)\r\n\r\n\(answer)")
        }
        defer { peer.stop() }
        let response = try await directClient().send(
            HTTPRequest(
                .post, "\(peer.url)/a/b?c=d", headers: ["X-One": "1", "X-Empty": ""], body: Array("hello".utf8)))
        let text = String(decoding: response.body, as: UTF8.self)
        #expect(response.status == 201)
        #expect(text.hasPrefix("POST /a/b?c=d HTTP/1.1\r\n"))
        #expect(text.hasSuffix("\r\n\r\nhello"))
        #expect(text.contains("\r\nX-One: 1\r\n"))
        #expect(text.contains("\r\nX-Empty:\r\n"))
        #expect(text.contains("\r\nUser-Agent: dstack\r\n"))
        #expect(!text.contains("Expect"))
        #expect(!text.contains("Content-Type"))
    }

    @Test("a method's framing headers are right without a body", arguments: [HTTPMethod.get, .post, .delete, .put])
    func bodyless(method: HTTPMethod) async throws {
        let peer = try HTTPScriptedPeer { connection in
            let head = connection.readHead() ?? ""
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(head.utf8.count)\r\n\r\n\(head)")
        }
        defer { peer.stop() }
        let response = try await directClient().send(HTTPRequest(method, peer.url))
        let text = String(decoding: response.body, as: UTF8.self)
        #expect(text.hasPrefix("\(method) / HTTP/1.1\r\n"))
        #expect(text.contains("Content-Length: 0\r\n") == (method == .post || method == .put))
        #expect(!text.contains("Transfer-Encoding"))
    }

    @Test("headers are found in any case, keep their order, and interim responses leave no trace")
    func responseHeaders() async throws {
        let peer = try HTTPScriptedPeer { connection in
            _ = connection.readHead()
            connection.send(
                "HTTP/1.1 103 Early Hints\r\nX-A: early\r\n\r\nHTTP/1.1 404 Not Found\r\nx-a:  1 \r\nX-A: 2\r\n"
                    + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-A: trailer\r\n\r\n")
        }
        defer { peer.stop() }
        let response = try await directClient().send(HTTPRequest(.get, peer.url))
        #expect(response.status == 404)
        #expect(!response.isSuccess)
        #expect(response.headers["x-A"] == "1")
        #expect(response.headers.values("X-a") == ["1", "2"])
        #expect(response.body == Array("abc".utf8))
    }

    @Test("HEAD has no body, whatever the length says")
    func head() async throws {
        let peer = try HTTPScriptedPeer { connection in
            _ = connection.readHead()
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        }
        defer { peer.stop() }
        let response = try await directClient().send(HTTPRequest(.head, peer.url))
        #expect(response.status == 200)
        #expect(response.body.isEmpty)
    }

    @Test("a Unix socket is reached by path and by abstract name")
    func unixSockets() async throws {
        let directory = try ScratchDirectory()
        let answer = okay
        let peer = try HTTPScriptedPeer(unix: directory.path("s")) { connection in
            while connection.readHead() != nil { connection.send(answer) }
        }
        defer { peer.stop() }
        let response = try await directClient(.unix(path: directory.path("s"))).send(HTTPRequest(.get, "http://x/y"))
        #expect(response.body == Array("ok".utf8))

        let name = "dstack-\(UUID().uuidString)"
        let abstractPeer = try HTTPScriptedPeer(unix: "\0\(name)") { connection in
            while connection.readHead() != nil { connection.send(answer) }
        }
        defer { abstractPeer.stop() }
        let again = try await directClient(.abstractUnix(name: name)).send(HTTPRequest(.get, "http://x/y"))
        #expect(again.body == Array("ok".utf8))
    }

    @Test("requests that may be repeated share a connection; others get their own")
    func connectionReuse() async throws {
        let answer = okay
        let peer = try HTTPScriptedPeer { connection in
            while connection.readHead() != nil { connection.send(answer) }
        }
        defer { peer.stop() }
        let client = directClient()
        for index in 0..<5 {
            let response = try await client.send(HTTPRequest(.get, peer.url))
            #expect(response.openedConnection == (index == 0))
        }
        #expect(peer.connectionCount == 1)
        #expect(try await client.send(HTTPRequest(.post, peer.url)).openedConnection)
        #expect(peer.connectionCount == 2)
    }

    @Test("many requests run at once on one client")
    func concurrency() async throws {
        let answer = okay
        let peer = try HTTPScriptedPeer { connection in
            while connection.readHead() != nil { connection.send(answer) }
        }
        defer { peer.stop() }
        let client = directClient()
        let url = peer.url
        let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<200 { group.addTask { try await client.send(HTTPRequest(.get, url)).status } }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(statuses.count == 200)
        #expect(statuses.allSatisfy { $0 == 200 })
        #expect(peer.connectionCount <= 64)
    }

    @Test("a client that goes while its request runs still answers it")
    func clientGoesEarly() async throws {
        let answer = okay
        let peer = try HTTPScriptedPeer { connection in
            _ = connection.readHead()
            usleep(50_000)
            connection.send(answer)
        }
        defer { peer.stop() }
        let url = peer.url
        let response = try await Task { try await directClient().send(HTTPRequest(.get, url)) }.value
        #expect(response.status == 200)
    }
}

@Suite("HTTP client: refusals and failures")
struct HTTPClientFailureTests {
    struct BadRequest: Sendable, CustomTestStringConvertible {
        let name: String
        let request: HTTPRequest
        var testDescription: String { name }

        init(
            _ name: String, _ url: String = "http://127.0.0.1:1/", _ headers: HTTPHeaders = [:], _ body: [UInt8]? = nil
        ) {
            self.name = name
            request = HTTPRequest(.get, url, headers: headers, body: body)
        }
    }

    static let badRequests = [
        BadRequest("a line break in the URL", "http://127.0.0.1:1/\r\nX: y"),
        BadRequest("a space in the URL", "http://127.0.0.1:1/ HTTP/1.1"),
        BadRequest("a letter beyond ASCII in the URL", "http://exämple/"),
        BadRequest("another scheme", "file:///etc/passwd"),
        BadRequest("a scheme that is not HTTP", "ftp://127.0.0.1/"),
        BadRequest("no scheme", "127.0.0.1/"),
        BadRequest("a password in the URL", "http://user:secret@127.0.0.1:1/"),
        BadRequest("no host", "http:///x"),
        BadRequest("a port out of range", "http://127.0.0.1:70000/"),
        BadRequest("a line break in a header value", "http://127.0.0.1:1/", ["X": "a\r\nY: b"]),
        BadRequest("a lone line feed in a header value", "http://127.0.0.1:1/", ["X": "a\nY: b"]),
        BadRequest("a zero in a header value", "http://127.0.0.1:1/", ["X": "a\0b"]),
        BadRequest("a colon in a header name", "http://127.0.0.1:1/", ["X: a\r\nY": "b"]),
        BadRequest("an empty header name", "http://127.0.0.1:1/", ["": "b"]),
        BadRequest("a length of the caller's", "http://127.0.0.1:1/", ["content-length": "7"]),
        BadRequest("a transfer coding of the caller's", "http://127.0.0.1:1/", ["Transfer-Encoding": "chunked"]),
    ]

    @Test("a request that cannot be sent as it is meant is refused before connecting", arguments: badRequests)
    func invalidRequests(bad: BadRequest) async throws {
        let error = try #require(await failure(directClient(), bad.request))
        #expect(error.code == .invalidRequest)
        #expect(error.phase == .preparing)
        #expect(!error.description.contains("secret"))
    }

    @Test("nobody listening is told apart from a name that does not exist")
    func unreachable() async throws {
        let peer = try HTTPScriptedPeer { _ in }
        let port = peer.port
        peer.stop()
        let refused = try #require(await failure(directClient(), HTTPRequest(.get, "http://127.0.0.1:\(port)/p?q=1")))
        #expect(refused.code == .connection)
        #expect(refused.subject == "GET http://127.0.0.1:\(port)/p")

        let limits = HTTPClientLimits(totalTimeout: .seconds(20))
        let unknown = try #require(
            await failure(directClient(limits: limits), HTTPRequest(.get, "http://no-such-host.invalid/")))
        #expect(unknown.code == .nameResolution || unknown.code == .timeout)
        #expect(unknown.phase == .resolving)
    }

    @Test("a Unix socket that is not there names its path")
    func missingSocket() async throws {
        let error = try #require(
            await failure(directClient(.unix(path: "/nonexistent/s")), HTTPRequest(.get, "http://x/")))
        #expect(error.code == .connection)
        #expect(error.description.contains("/nonexistent/s"))
        let long = try #require(
            await failure(
                directClient(.unix(path: String(repeating: "x", count: 108))), HTTPRequest(.get, "http://x/")))
        #expect(long.code == .invalidConfiguration)
    }

    @Test("a vsock peer that is not there is a connection failure")
    func missingVsockPeer() async throws {
        let error = try #require(
            await failure(directClient(.vsock(cid: 4_000_000_000, port: 9)), HTTPRequest(.get, "http://vm/")))
        #expect(error.code == .connection)
    }

    @Test("silence ends at the total timeout, and the error says what was waited for")
    func silence() async throws {
        let peer = try HTTPScriptedPeer { $0.waitForEnd() }
        defer { peer.stop() }
        let limits = HTTPClientLimits(totalTimeout: .seconds(2))
        let error = try #require(await failure(directClient(limits: limits), HTTPRequest(.get, peer.url)))
        #expect(error.code == .timeout)
        #expect(error.phase == .waiting)
    }

    @Test("a body that drips ends at the total timeout")
    func slowBody() async throws {
        let peer = try HTTPScriptedPeer { connection in
            _ = connection.readHead()
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while connection.send("x") { usleep(20_000) }
        }
        defer { peer.stop() }
        let limits = HTTPClientLimits(totalTimeout: .seconds(2))
        let error = try #require(await failure(directClient(limits: limits), HTTPRequest(.get, peer.url)))
        #expect(error.code == .timeout)
        #expect(error.phase == .receiving)
    }

    struct BadResponse: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: String
        let code: HTTPClientError.Code
    }

    static let badResponses = [
        BadResponse(testDescription: "no HTTP at all", bytes: "SSH-2.0-x\r\n\r\n", code: .invalidResponse),
        BadResponse(testDescription: "nothing", bytes: "", code: .connectionLost),
        BadResponse(
            testDescription: "a body that ends early", bytes: "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
            code: .invalidResponse),
        BadResponse(
            testDescription: "chunks that end early",
            bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\nabc", code: .invalidResponse),
        BadResponse(
            testDescription: "a chunk size that is no number",
            bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", code: .invalidResponse),
        BadResponse(
            testDescription: "a header line without a colon", bytes: "HTTP/1.1 200 OK\r\nwhat\r\n\r\n",
            code: .invalidResponse),
        BadResponse(
            testDescription: "a folded header", bytes: "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
            code: .invalidResponse),
        BadResponse(
            testDescription: "a declared length over the limit",
            bytes: "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", code: .tooLarge),
        BadResponse(
            testDescription: "an undeclared length over the limit",
            bytes: "HTTP/1.1 200 OK\r\n\r\n" + String(repeating: "x", count: 1001), code: .tooLarge),
        BadResponse(
            testDescription: "chunks over the limit",
            bytes: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                + String(repeating: "64\r\n\(String(repeating: "x", count: 100))\r\n", count: 11) + "0\r\n\r\n",
            code: .tooLarge),
        BadResponse(
            testDescription: "a header over the limit",
            bytes: "HTTP/1.1 200 OK\r\n" + String(repeating: "X: \(String(repeating: "y", count: 100))\r\n", count: 10)
                + "\r\n", code: .tooLarge),
        BadResponse(
            testDescription: "a header line that never ends",
            bytes: "HTTP/1.1 200 OK\r\nX: " + String(repeating: "y", count: 200_000), code: .tooLarge),
    ]

    @Test("a response that is wrong or too large is an error with its code", arguments: badResponses)
    func invalidResponses(bad: BadResponse) async throws {
        let peer = try HTTPScriptedPeer { connection in
            _ = connection.readHead()
            connection.send(bad.bytes)
        }
        defer { peer.stop() }
        let limits = HTTPClientLimits(maximumBodyBytes: 1000, maximumHeaderBytes: 1000)
        let error = try #require(await failure(directClient(limits: limits), HTTPRequest(.get, peer.url)))
        #expect(error.code == bad.code, "\(error)")
    }

    @Test("exactly the limit is within the limit")
    func exactLimit() async throws {
        let peer = try HTTPScriptedPeer { connection in
            _ = connection.readHead()
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + String(repeating: "x", count: 1000))
        }
        defer { peer.stop() }
        let response = try await directClient(limits: .init(maximumBodyBytes: 1000)).send(HTTPRequest(.get, peer.url))
        #expect(response.body.count == 1000)
    }

    @Test("a cancelled task ends its transfer and leaves the client usable")
    func cancellation() async throws {
        let peer = try HTTPScriptedPeer { connection in
            while let head = connection.readHead() {
                if head.hasPrefix("GET /fast") { connection.send("HTTP/1.1 204 No Content\r\n\r\n") }
            }
        }
        defer { peer.stop() }
        let client = directClient()
        let url = peer.url
        let task = Task { await failure(client, HTTPRequest(.get, "\(url)/slow")) }
        while peer.connectionCount == 0 { try await Task.sleep(for: .milliseconds(5)) }
        task.cancel()
        #expect(await task.value?.code == .cancelled)
        #expect(try await client.send(HTTPRequest(.get, "\(url)/fast")).status == 204)

        let late = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await failure(client, HTTPRequest(.get, "\(url)/slow"))
        }
        #expect(await late.value?.code == .cancelled)
    }

    @Test("a redirect is a response, unless asked for, and then only so many and to the same scheme")
    func redirects() async throws {
        let peer = try HTTPScriptedPeer { connection in
            while let head = connection.readHead() {
                if head.hasPrefix("GET /end") || head.hasPrefix("POST /end") {
                    connection.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                } else if head.contains(" /file") {
                    connection.send("HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n")
                } else if head.contains(" /tls") {
                    connection.send("HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n")
                } else if head.contains(" /loop") {
                    connection.send("HTTP/1.1 302 Found\r\nLocation: /loop\r\nContent-Length: 0\r\n\r\n")
                } else {
                    connection.send("HTTP/1.1 302 Found\r\nLocation: /end\r\nContent-Length: 0\r\n\r\n")
                }
            }
        }
        defer { peer.stop() }
        #expect(try await directClient().send(HTTPRequest(.get, "\(peer.url)/start")).status == 302)
        let follower = directClient { $0.redirects = .followed(atMost: 3) }
        #expect(try await follower.send(HTTPRequest(.get, "\(peer.url)/start")).status == 200)
        #expect(try await follower.send(HTTPRequest(.post, "\(peer.url)/start", body: [1])).status == 302)
        for path in ["file", "tls", "loop"] {
            let error = try #require(await failure(follower, HTTPRequest(.get, "\(peer.url)/\(path)")))
            #expect(error.code == .redirect, "\(error)")
        }
    }
}

@Suite("HTTP client: proxies")
struct HTTPClientProxyTests {
    @Test("the environment is read as curl reads it")
    func environment() {
        let values = [
            "HTTP_PROXY": "http://bad", "HTTPS_PROXY": "http://s", "ALL_PROXY": "http://all", "NO_PROXY": "a,b",
            "no_proxy": "c",
        ]
        let proxy = HTTPProxy.fromEnvironment { values[$0] }
        #expect(proxy == HTTPProxy(http: "http://all", https: "http://s", exceptions: "c"))
        #expect(HTTPProxy.fromEnvironment { $0 == "http_proxy" ? "http://p" : nil } == HTTPProxy(http: "http://p"))
        #expect(HTTPProxy.fromEnvironment { _ in nil } == .none)
    }

    @Test("a plain request goes to the proxy in absolute form, an excepted host directly")
    func plainProxy() async throws {
        let proxy = try HTTPScriptedPeer { connection in
            while let head = connection.readHead() {
                connection.send("HTTP/1.1 200 OK\r\nContent-Length: \(head.utf8.count)\r\n\r\n\(head)")
            }
        }
        defer { proxy.stop() }
        let peer = try HTTPScriptedPeer { connection in
            while connection.readHead() != nil { connection.send("HTTP/1.1 204 No Content\r\n\r\n") }
        }
        defer { peer.stop() }
        let url = proxy.url
        let client = directClient { $0.proxy = HTTPProxy(http: url, exceptions: "127.0.0.1") }
        let response = try await client.send(HTTPRequest(.get, "http://far.example/x"))
        #expect(String(decoding: response.body, as: UTF8.self).hasPrefix("GET http://far.example/x HTTP/1.1\r\n"))
        #expect(try await client.send(HTTPRequest(.get, peer.url)).status == 204)
    }

    @Test("a proxy that refuses the tunnel is named as the one who failed")
    func refusedTunnel() async throws {
        let proxy = try HTTPScriptedPeer { connection in
            while connection.readHead() != nil {
                connection.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            }
        }
        defer { proxy.stop() }
        let url = proxy.url
        let error = try #require(
            await failure(
                directClient { $0.proxy = HTTPProxy(https: url) }, HTTPRequest(.get, "https://far.example/")))
        #expect(error.code == .proxy)
    }

    @Test("a Unix socket is never reached through a proxy")
    func unixIgnoresProxy() async throws {
        let directory = try ScratchDirectory()
        let peer = try HTTPScriptedPeer(unix: directory.path("s")) { connection in
            _ = connection.readHead()
            connection.send("HTTP/1.1 204 No Content\r\n\r\n")
        }
        defer { peer.stop() }
        let client = directClient(.unix(path: directory.path("s"))) { $0.proxy = HTTPProxy(http: "http://127.0.0.1:1") }
        #expect(try await client.send(HTTPRequest(.get, "http://dstack/")).status == 204)
    }
}
