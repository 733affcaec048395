import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackNetwork
import DstackRPC
import DstackRPCServer
import Testing

@Suite("Calls by the client")
struct RPCClientTests {
    private func refusal<Request: RPCMessage, Response: RPCMessage>(
        _ client: RPCClient, _ method: RPCMethod<Request, Response>, _ request: Request
    ) async throws -> RPCClientError {
        do {
            let response = try await client.call(method, request)
            throw Unexpected(text: "\(response)")
        } catch let error as RPCClientError { return error }
    }

    private struct Unexpected: Error { let text: String }

    @Test("both forms arrive, over a Unix socket and over TCP", arguments: [RPCEncoding.json, .protobuf])
    func forms(_ encoding: RPCEncoding) async throws {
        let agent = try await RPCFixture(EchoAgent.mount)
        var client = agent.client("dstack")
        client.encoding = encoding
        let key = try await client.call(
            AgentRPC.DstackGuest.getKey, .with { ($0.path, $0.purpose, $0.algorithm) = ("é", "b", "c") })
        #expect(
            key
                == .with {
                    ($0.key, $0.signatureChain) = (RPCSecret(copying: Array("é|b|c".utf8)), [Array("dstack".utf8), []])
                })
        let cached = try await client.call(AgentRPC.DstackGuest.getKey, .with { $0.path = "cached" })
        #expect(cached.key == RPCSecret(copying: [1, 2, 3]))
        #expect(try await client.call(AgentRPC.DstackGuest.info).appName == "prepared")
        #expect(try await client.call(AgentRPC.DstackGuest.emitEvent, .init()) == RPCEmpty())
        var worker = agent.tcpClient
        worker.encoding = encoding
        worker.naming = .qualified
        #expect(try await worker.call(AgentRPC.Worker.version).version == "1.2.3")
        var tappd = agent.client("tappd", at: "/prpc")
        tappd.encoding = encoding
        tappd.naming = .qualified
        #expect(
            try await tappd.call(AgentRPC.Tappd.deriveKey, .with { $0.path = "p" }).key == RPCSecretText(copying: "p"))
    }

    @Test("a large message goes through", arguments: [RPCEncoding.json, .protobuf])
    func large(_ encoding: RPCEncoding) async throws {
        let agent = try await RPCFixture(EchoAgent.mount)
        var client = agent.client("dstack")
        client.encoding = encoding
        let names = (0..<20_000).map { "name-\($0).example.com" }
        let response = try await client.call(AgentRPC.DstackGuest.getTLSKey, .with { $0.altNames = names })
        #expect(response.certificateChain == names + ["none"])
    }

    @Test("what the server says arrives, and no more than is fit for a log", arguments: [RPCEncoding.json, .protobuf])
    func refusals(_ encoding: RPCEncoding) async throws {
        let agent = try await RPCFixture(EchoAgent.mount)
        var client = agent.client("dstack")
        client.encoding = encoding
        let tooLong = try await refusal(
            client, AgentRPC.DstackGuest.getQuote, .with { $0.reportData = Array(repeating: 0, count: 65) })
        #expect(tooLong.code == .refused && tooLong.status == 400 && tooLong.reason == "Report data is too long")
        #expect(tooLong.description == "GetQuote of DstackGuest: refused with status 400: Report data is too long")
        let multi = try await refusal(client, AgentRPC.DstackGuest.emitEvent, .with { $0.event = "multi" })
        #expect(multi.reason == #"Failed to sign the CSR: "KMS" said:\nnein – 水"#)
        let missing = try await refusal(client, AgentRPC.DstackGuest.sign, .init())
        #expect(missing.code == .unknownMethod && missing.reason == "Service not found: Sign")
        let big = try await refusal(
            client, AgentRPC.DstackGuest.getQuote, .with { $0.reportData = Array(repeating: 0, count: 2_000) })
        #expect(big.status == 413 && big.reason == "failed to read data: payload too large")
    }

    @Test("answers of other servers are understood, and what is no answer is refused")
    func foreignAnswers() async throws {
        func call(_ response: HTTPServerResponse) async throws -> RPCClientError {
            let directory = try await RPCFixture { _ in }
            let path = "\(directory.directory)/other.sock"
            let server = HTTPServer(.init(listeners: [HTTPListener("other", .unix(path: path))])) { _ in response }
            _ = try await server.start()
            let error = try await refusal(directory.client("other"), AgentRPC.DstackGuest.getKey, .init())
            await server.stop(within: .zero)
            return error
        }
        let framework = #"{"error":{"code":404,"reason":"Not Found","description":"no such resource"}}"#
        #expect(try await call(.json(Array(framework.utf8), status: 404)).reason == "no such resource")
        #expect(try await call(.text(404, "<html>\u{1B}[31m")).reason == #"<html>\u{1b}[31m"#)
        #expect(try await call(.init(502)).reason == "without a reason")
        let long = try await call(.text(500, String(repeating: "x", count: 100_000)))
        #expect(long.code == .refused && long.reason.utf8.count < 1_100)
        #expect(try await call(.json([])).code == .invalidResponse)
        #expect(try await call(.json(Array("null".utf8))).code == .invalidResponse)
        #expect(try await call(.json(Array(#"{"key":"0"}"#.utf8))).code == .invalidResponse)
        #expect(try await call(.text(200, "<html>")).code == .invalidResponse)
        #expect(try await call(.text(302, "")).code == .refused)
    }

    @Test("without a server, or without an answer in time, the transport's failure is the reason")
    func transport() async throws {
        let agent = try await RPCFixture(EchoAgent.mount)
        let absent = try await refusal(agent.client("absent"), AgentRPC.DstackGuest.getKey, .init())
        #expect(absent.code == .transport && absent.transport?.code == .connection && absent.status == nil)
        do {
            _ = try await agent.client("dstack").call(
                AgentRPC.DstackGuest.attest, .init(), timeout: .milliseconds(1))
            Issue.record("a call ended before its time was over")
        } catch {
            #expect(error.code == .transport && error.transport?.code == .timeout)
        }
        var client = agent.client("dstack")
        client.httpLimits.maximumBodyBytes = 10
        let large = try await refusal(client, AgentRPC.DstackGuest.getKey, .init())
        #expect(large.transport?.code == .tooLarge)
    }

    @Test("a kept connection is used again only for calls that may be made twice")
    func repetition() async throws {
        let agent = try await RPCFixture(EchoAgent.mount)
        let client = agent.client("dstack")
        for _ in 0..<3 { _ = try await client.call(AgentRPC.DstackGuest.info) }
        let before = agent.server.statistics
        for _ in 0..<3 { _ = try await client.call(AgentRPC.DstackGuest.emitEvent, .init()) }
        let after = agent.server.statistics
        #expect(before.acceptedConnections == 1)
        #expect(after.acceptedConnections == 4)
    }
}
