import DstackAttestation
import DstackEncoding
import DstackHTTP
import DstackHTTPServer
import DstackNetwork
import DstackSystem
import Foundation
import Testing

@Suite("Errors of the agent's client")
struct ClientErrorTests {
    private func failure(
        _ agent: FakeAgent, _ body: (DstackClient) async throws(DstackClientError) -> Void
    ) async -> DstackClientError? {
        await clientError { () async throws(DstackClientError) in try await body(agent.client()) }
    }

    // MARK: Nobody there

    @Test("a socket that does not exist is named, with what to mount")
    func missingSocket() async throws {
        let error = await clientError { () async throws(DstackClientError) in
            try await DstackClient(.unix("/tmp/no-such-directory/dstack.sock"), startupTime: .zero).info()
        }
        #expect(error?.code == .unreachable && error?.status == nil)
        #expect(error?.description.contains("Info of DstackGuest at unix:/tmp/no-such-directory/dstack.sock") == true)
        #expect(error?.hint.contains("there is no such socket") == true)
        #expect(await !DstackClient(.unix("/tmp/no-such-directory/dstack.sock")).isReachable())
    }

    @Test("a socket that nobody listens on is told from one that is missing")
    func deadSocket() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let path = "\(agent.directory)/dead.sock"
        let server = HTTPServer(.init(listeners: [HTTPListener("dead", .unix(path: path))])) { _ in .init(200) }
        _ = try await server.start()
        try FileManager.default.moveItem(atPath: path, toPath: path + ".kept")
        await server.stop(within: .zero)
        let error = await clientError { () async throws(DstackClientError) in
            try await DstackClient(.unix(path + ".kept"), startupTime: .zero).version()
        }
        #expect(error?.code == .unreachable && error?.hint.contains("nobody listens") == true)
    }

    @Test("without an agent, the error names everything that was looked at")
    func notFound() async throws {
        let discovery = AgentDiscovery(variable: "SOME_ENDPOINT", paths: ["/tmp/nowhere/a", "/tmp/nowhere/b"]) {
            Environment([:])
        }
        let client = DstackClient(discovery: discovery)
        let error = await clientError { () async throws(DstackClientError) in try await client.info() }
        #expect(error?.code == .agentNotFound)
        #expect(
            error?.description == """
                guest agent: SOME_ENDPOINT is not set, and none of /tmp/nowhere/a, /tmp/nowhere/b exists (in a container, \
                mount the socket (volume /tmp/nowhere/a:/tmp/nowhere/a); without a TEE, run `dstack simulate DIR` and set \
                SOME_ENDPOINT to its socket)
                """)
        #expect(await !client.isReachable())
        let empty = AgentDiscovery(variable: "SOME_ENDPOINT", paths: ["/tmp/nowhere/a"]) {
            Environment(["SOME_ENDPOINT": ""])
        }
        let other = await clientError { () async throws(DstackClientError) in
            try await DstackClient(discovery: empty).info()
        }
        #expect(other?.code == .agentNotFound)
        #expect(other?.reason == "SOME_ENDPOINT is empty, and none of /tmp/nowhere/a exists")
    }

    @Test("the places to look are those of every SDK")
    func places() throws {
        let directories = ["/var/run", "/run", "/var/run/dstack", "/run/dstack"]
        #expect(AgentDiscovery.dstack.paths == directories.map { "\($0)/dstack.sock" })
        #expect(AgentDiscovery.tappd.paths == directories.map { "\($0)/tappd.sock" })
        #expect(AgentDiscovery.dstack.variable == "DSTACK_SIMULATOR_ENDPOINT")
        #expect(AgentDiscovery.tappd.variable == "TAPPD_SIMULATOR_ENDPOINT")
    }

    @Test("an agent is found by the variable, else on the first socket that exists, also one that appears later")
    func discovery() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let socket = "\(agent.directory)/dstack.sock"
        for text in [socket, "unix:\(socket)", "unix://\(socket)"] {
            let named = AgentDiscovery(variable: "A", paths: []) { Environment(["A": text]) }
            #expect(try await DstackClient(discovery: named).version().version == "0.5.11")
        }
        let late = "\(agent.directory)/late.sock"
        let searching = AgentDiscovery(variable: "A", paths: ["/tmp/nowhere/a", late]) { Environment(["A": ""]) }
        let client = DstackClient(discovery: searching)
        #expect(await !client.isReachable())
        try FileManager.default.createSymbolicLink(atPath: late, withDestinationPath: socket)
        #expect(try await client.version().version == "0.5.11")
        let url = AgentDiscovery(variable: "A", paths: [socket]) { Environment(["A": "http://127.0.0.1:1/base"]) }
        let error = await clientError { () async throws(DstackClientError) in
            try await DstackClient(discovery: url).version()
        }
        #expect(error?.code == .unreachable && error?.subject.contains("http://127.0.0.1:1/base") == true)
    }

    @Test("an agent is reached by URL too, below a path")
    func url() async throws {
        let server = HTTPServer(.init(listeners: [HTTPListener("http", .tcp(host: "127.0.0.1", port: 0))])) { request in
            .json(Array("{\"version\":\"\(request.path)\",\"rev\":\"\"}".utf8))
        }
        let port = try await server.start().compactMap(\.port).first ?? 0
        for base in ["http://127.0.0.1:\(port)/agent", "http://127.0.0.1:\(port)/agent/"] {
            #expect(try await DstackClient(.url(base)).version().version == "/agent/Version")
            #expect(try await DstackClient(.url(base)).v1.version().version == "/agent/v1/Version")
        }
        await server.stop(within: .zero)
    }

    @Test("what is no endpoint is refused", arguments: ["http://", "http://a b", "ftp://x", "http://user:secret@x"])
    func invalidEndpoint(_ url: String) async {
        let error = await clientError { () async throws(DstackClientError) in
            try await DstackClient(.url(url)).version()
        }
        #expect(error?.code == .invalidEndpoint, "\(error?.description ?? "none")")
    }

    @Test("a path that is too long for a socket is refused")
    func longPath() async {
        let path = "/tmp/" + String(repeating: "x", count: 200)
        let error = await clientError { () async throws(DstackClientError) in
            try await DstackClient(.unix(path)).version()
        }
        #expect(error?.code == .invalidEndpoint)
    }

    // MARK: No answer

    @Test("a slow agent ends in a timeout")
    func timeout() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        agent.tamper { _, answer in
            try? await Task.sleep(for: .seconds(60))
            return answer
        }
        let client = agent.client(timeout: .milliseconds(50))
        let error = await clientError { () async throws(DstackClientError) in try await client.info() }
        #expect(error?.code == .timeout)
        #expect(await !client.isReachable(within: .milliseconds(20)))
    }

    @Test("a cancelled task ends its call")
    func cancellation() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        agent.tamper { _, answer in
            try? await Task.sleep(for: .seconds(60))
            return answer
        }
        let client = agent.client(timeout: .seconds(60))
        let task = Task { await clientError { () async throws(DstackClientError) in try await client.info() } }
        while agent.paths.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
        task.cancel()
        #expect(await task.value?.code == .cancelled)
    }

    @Test("an agent that goes in the middle of an answer leaves none")
    func connectionLost() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        agent.tamper { _, _ in
            HTTPServerResponse(
                200, headers: ["Content-Type": "application/json"],
                body: .stream { writer in
                    try await writer.write("{\"version\":")
                    throw CancellationError()
                })
        }
        let error = await failure(agent) { client throws(DstackClientError) in _ = try await client.version() }
        #expect(error?.code == .connectionLost || error?.code == .invalidResponse)
    }

    @Test("many calls at once share a client, and the end of some leaves the others alone")
    func concurrency() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        agent.tamper { _, answer in
            try? await Task.sleep(for: .milliseconds(Int.random(in: 0...20)))
            return answer
        }
        let client = agent.client(timeout: .seconds(60))
        let outcomes = await withTaskGroup(of: (number: Int, code: DstackClientError.Code?).self) { group in
            for number in 0..<120 {
                group.addTask {
                    let call = Task {
                        await clientError { () async throws(DstackClientError) in
                            let key = try await client.key(path: "path \(number % 7)", purpose: "\(number)")
                            #expect(key.proof.claim == .purpose("\(number)"))
                            try key.verifyChain(appID: FakeAgent.appID, kmsKey: FakeAgent.kmsKey)
                        }
                    }
                    if number.isMultiple(of: 3) { call.cancel() }
                    return (number, await call.value?.code)
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(outcomes.count == 120)
        // One that was cancelled may have been through already.
        for (number, code) in outcomes { #expect(code == nil || (number.isMultiple(of: 3) && code == .cancelled)) }
        #expect(outcomes.contains { $0.code == .cancelled })
    }

    // MARK: A refusal

    @Test(
        "what the agent says arrives, with its status",
        arguments: [
            ("{\n  \"error\": \"Failed to sign the CSR: KMS is away\"\n}", 400, "Failed to sign the CSR: KMS is away"),
            ("{\"error\":{\"code\":500,\"reason\":\"Internal\",\"description\":\"it broke\"}}", 500, "it broke"),
            ("{\"error\":{\"code\":500,\"reason\":\"Internal\"}}", 500, "Internal"),
            ("<html>\u{1B}[31mno</html>", 502, "<html>\\u{1b}[31mno</html>"), ("", 503, "without a reason"),
            ("{\"error\":[1]}", 400, "{\"error\":[1]}"),
        ])
    func refused(_ body: String, _ status: Int, _ reason: String) async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        agent.answer(body, status: status)
        let error = await failure(agent) { client throws(DstackClientError) in _ = try await client.info() }
        #expect(error?.code == .refused && error?.status == status && error?.reason == reason)
        #expect(error?.description.contains("refused with status \(status): \(reason)") == true)
        #expect(await agent.client().isReachable(), "it answers, if only to refuse")
    }

    @Test("a method that the agent does not have is told from one that it refuses")
    func unsupported() async throws {
        let agent = try await FakeAgent(.old)
        defer { agent.end() }
        for call in 0..<4 {
            let error = await failure(agent) { client throws(DstackClientError) in
                switch call {
                case 0: _ = try await client.version()
                case 1: _ = try await client.sign([1])
                case 2: _ = try await client.attest(reportData: [])
                default: _ = try await client.v1.key(domain: "a")
                }
            }
            #expect(error?.code == .unsupported && (error?.status == 400 || error?.status == 404))
        }
        #expect(await agent.client().isReachable())
    }

    @Test("an older agent is not asked for what it would silently do differently")
    func oldAgent() async throws {
        let agent = try await FakeAgent(.old)
        defer { agent.end() }
        let client = agent.client()
        #expect(try await client.capabilities() == [.v0])
        let error = await failure(agent) { client throws(DstackClientError) in
            _ = try await client.key(path: "a", algorithm: .ed25519)
        }
        #expect(error?.code == .unsupported && !agent.paths.contains("/GetKey"))
        var request = TLSIdentityRequest(subject: "a")
        request.validity = 1_000...2_000
        let limited = request
        let second = await failure(agent) { client throws(DstackClientError) in
            _ = try await client.tlsIdentity(limited)
        }
        #expect(second?.code == .unsupported && !agent.paths.contains("/GetTlsKey"))
        #expect(try await client.key(path: "a").algorithm == .secp256k1)
        let identity = try await client.tlsIdentity(.init(subject: "a"))
        #expect(try RATLSCertificate(parsing: identity.certificateChain[0]).evidenceForm == .quoteAndEventLog)
        #expect(try await client.quote(reportData: [1]).reportData.bytes[0] == 1)
    }

    @Test("an agent that refuses to answer at all has no capabilities that could be remembered")
    func capabilitiesFail() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let client = agent.client()
        agent.answer("{\"error\":\"busy\"}", status: 503)
        let error = await clientError { () async throws(DstackClientError) in try await client.capabilities() }
        #expect(error?.code == .refused)
        agent.tamper(nil)
        #expect(try await client.capabilities().contains(.v1))
    }

    // MARK: An answer that is none

    private static let methods: [(String, @Sendable (DstackClient) async throws(DstackClientError) -> Void)] = [
        ("GetKey", { client throws(DstackClientError) in _ = try await client.key(path: "a") }),
        ("GetTlsKey", { client throws(DstackClientError) in _ = try await client.tlsIdentity(.init(subject: "a")) }),
        ("GetQuote", { client throws(DstackClientError) in _ = try await client.quote(reportData: [1]) }),
        ("Attest", { client throws(DstackClientError) in _ = try await client.attest(reportData: [1]) }),
        ("Info", { client throws(DstackClientError) in _ = try await client.info() }),
        ("Sign", { client throws(DstackClientError) in _ = try await client.sign([1]) }),
        ("v1/GetKey", { client throws(DstackClientError) in _ = try await client.v1.key(domain: "a") }),
        (
            "v1/IssueCert",
            { client throws(DstackClientError) in _ = try await client.v1.issueCert(.init(subject: "a")) }
        ),
        ("v1/Attest", { client throws(DstackClientError) in _ = try await client.v1.attest(reportData: [1]) }),
        ("v1/Info", { client throws(DstackClientError) in _ = try await client.v1.info() }),
    ]

    @Test(
        "an answer that is not the method's is refused, whatever the method",
        arguments: [
            "", "null", "{}", "[]", "{\"", "{\"key\":1}", "{\"key\":null}", "{\"key\":\"0\"}", "{\"quote\":\"zz\"}",
            "{\"app_id\":\"00\"}", "<html>", "{\"tcb_info\":\"{\"}", "{\"attestation\":\"ff\"}",
            "{\"key\":\"00\",\"key\":\"00\"}",
        ])
    func wrongAnswers(_ body: String) async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        agent.answer(body)
        for (name, call) in Self.methods {
            let error = await failure(agent, call)
            // A platform without quotes leaves the field empty.
            let isExpected =
                error?.code == .invalidResponse
                || (error?.code == .unsupported && name == "GetQuote" && error?.hint.contains("attest") == true)
                || (error?.code == .notAuthentic && name == "v1/GetKey")
            #expect(isExpected, "\(name): \(error?.description ?? "no error")")
        }
    }

    @Test("an answer that never ends is cut")
    func hugeAnswer() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        agent.tamper { _, _ in
            HTTPServerResponse(
                200, headers: ["Content-Type": "application/json"],
                body: .stream { writer in
                    try await writer.write("{\"version\":\"")
                    let part = [UInt8](repeating: UInt8(ascii: "x"), count: 1 << 16)
                    while true { try await writer.write(part) }
                })
        }
        let small = await failure(agent) { client throws(DstackClientError) in _ = try await client.version() }
        #expect(small?.code == .invalidResponse)
        let large = await failure(agent) { client throws(DstackClientError) in _ = try await client.info() }
        #expect(large?.code == .invalidResponse)
        agent.answer([UInt8](repeating: UInt8(ascii: "["), count: 100_000))
        let deep = await failure(agent) { client throws(DstackClientError) in _ = try await client.version() }
        #expect(deep?.code == .invalidResponse)
    }

    @Test("no error shows a key")
    func secrets() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let secret = String(repeating: "5ec7e7", count: 20)
        let bodies = [
            "{\"key\":\"\(secret)\",\"signature_chain\":[]}", "{\"key\":\"\(secret)", "{\"key\":\"\(secret)x\"}",
            "{\"key\":[\"\(secret)\"]}", "{\"key\":\"-----BEGIN PRIVATE KEY-----\\n\(secret)\"}",
        ]
        for body in bodies {
            agent.answer(body)
            for (name, call) in Self.methods {
                let error = try #require(await failure(agent, call), "\(name)")
                #expect(!error.description.contains("5ec7e7"), "\(name): \(error)")
            }
        }
    }
}
