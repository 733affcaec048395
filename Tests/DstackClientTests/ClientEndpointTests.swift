import DstackAttestation
import DstackSystem
import Foundation
import Testing

/// Where an agent is looked for, what is no place for one, and how long one is waited for.
@Suite("The agent's place")
struct ClientEndpointTests {
    private func failure(
        _ client: DstackClient,
        _ body: @escaping @Sendable (DstackClient) async throws(DstackClientError) -> Void = {
            client async throws(DstackClientError) in _ = try await client.version()
        }
    ) async -> DstackClientError? {
        await clientError { () async throws(DstackClientError) in try await body(client) }
    }

    private func client(_ text: String, paths: [String] = []) -> DstackClient {
        DstackClient(
            discovery: AgentDiscovery(variable: "PLACE", paths: paths) { Environment(["PLACE": text]) },
            startupTime: .zero)
    }

    @Test(
        "a text that is neither URL nor socket is refused as what it is, and not taken for a path",
        arguments: [
            ("http+unix:///run/dstack.sock", "unix:/run/dstack.sock"), ("tcp://127.0.0.1:8090", "http://"),
            ("vsock://2:8090", "http://"), ("HTTP+UNIX:///x", "unix:/x"), ("localhost:8090", "http://localhost:8090"),
            ("agent.internal:80", "http://agent.internal:80"), ("unix:dstack.sock", "unix:/var/run/dstack.sock"),
            ("unix:", "unix:/"), ("http:/x", "https://"), (" /run/dstack.sock", "take that away"),
            ("/run/dstack.sock\n", "take that away"), ("/run/dstack.sock/", "dstack.sock"),
            ("unix:///run/", "dstack.sock"), ("\u{A0}/run/x", "take that away"), ("://x", "no such socket"),
            ("\"/run/dstack.sock\"", "take them away"), ("'/run/dstack.sock'", "take them away"),
            ("'unix:/run/dstack.sock'", "take them away"), ("~/dstack.sock", "home directory's own path"),
            ("~me/dstack.sock", "home directory's own path"), ("unix:~/dstack.sock", "home directory's own path"),
            ("/tmp/a~/'x'", "no such socket"),
        ])
    func misread(_ text: String, hint: String) async {
        let error = await failure(client(text))
        let isPath = hint == "no such socket"
        #expect(error?.code == (isPath ? .unreachable : .invalidEndpoint), "\(error?.description ?? "none")")
        #expect(error?.hint.contains(hint) == true, "\(error?.description ?? "none")")
        if !isPath { #expect(error?.subject.hasPrefix("PLACE \"") == true) }
    }

    @Test(
        "a directory or file in a socket's place does not hide the socket behind it, and is named where there is none")
    func otherThings() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let (directory, file) = ("\(agent.directory)/a.sock", "\(agent.directory)/b.sock")
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: false)
        try Data().write(to: URL(fileURLWithPath: file))
        let dangling = "\(agent.directory)/c.sock"
        try FileManager.default.createSymbolicLink(atPath: dangling, withDestinationPath: "/tmp/nowhere/x")
        let socket = "\(agent.directory)/dstack.sock"
        #expect(try await client("", paths: [directory, file, dangling, socket]).version().version == "0.5.11")
        let none = await failure(client("", paths: [directory, file, dangling]))
        #expect(none?.code == .agentNotFound)
        #expect(none?.reason.hasSuffix("is a socket: \(directory) is a directory, \(file) is a plain file") == true)
        #expect(none?.hint.contains("Docker makes a directory") == true)
        for (path, kind) in [(directory, "a directory"), (file, "a plain file"), ("/dev/null", "a device")] {
            for error in [await failure(client(path)), await failure(DstackClient(.unix(path)))] {
                #expect(error?.code == .invalidEndpoint && error?.reason.contains("there is \(kind)") == true)
            }
        }
        #expect(await failure(client(agent.directory))?.hint == "the socket in it is \(socket)")
    }

    @Test("a named socket that appears a moment later is waited for, by several calls at once")
    func late() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let late = "\(agent.directory)/late.sock"
        let client = DstackClient(.unix(late), timeout: .seconds(60), startupTime: .seconds(60))
        let calls = (0..<4).map { _ in Task { try await client.version().version } }
        try await Task.sleep(for: .milliseconds(100))
        try FileManager.default.createSymbolicLink(
            atPath: late, withDestinationPath: "\(agent.directory)/dstack.sock")
        for call in calls { #expect(try await call.value == "0.5.11") }
        #expect(agent.paths == Array(repeating: "/Version", count: 4))
    }

    @Test("an agent that never comes is waited for once, within the timeout, and not at every call")
    func never() async throws {
        let path = "/tmp/no-such-directory/dstack.sock"
        let client = DstackClient(.unix(path), timeout: .seconds(600), startupTime: .milliseconds(150))
        let clock = ContinuousClock()
        let first = await clock.measure { #expect(await failure(client)?.code == .unreachable) }
        #expect(first >= .milliseconds(150))
        for _ in 0..<20 { #expect(await failure(client)?.code == .unreachable) }
        // The timeout is the bound where it is the shorter one: this ends at all.
        let short = DstackClient(.unix(path), timeout: .milliseconds(100), startupTime: .seconds(86_400))
        #expect(await failure(short)?.code == .unreachable)
        // Asking whether it is there asks about now.
        #expect(await !DstackClient(.unix(path), startupTime: .seconds(86_400)).isReachable(within: .seconds(86_400)))
    }

    @Test("waiting ends with its task")
    func cancellation() async throws {
        let client = DstackClient(
            .unix("/tmp/no-such-directory/dstack.sock"), timeout: .seconds(86_400), startupTime: .seconds(86_400))
        let task = Task { await failure(client) }
        try await Task.sleep(for: .milliseconds(50))
        task.cancel()
        #expect(await task.value?.code == .cancelled)
    }

    @Test("a URL is not waited for: whether something may appear there, nobody knows")
    func urls() async {
        let client = DstackClient(.url("http://127.0.0.1:1"), timeout: .seconds(86_400), startupTime: .seconds(86_400))
        #expect(await failure(client)?.code == .unreachable)
    }
}
