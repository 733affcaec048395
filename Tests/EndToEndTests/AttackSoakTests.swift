import DstackAttestation
import DstackHTTP
import DstackHTTPClient
import DstackNetwork
import Foundation
import Glibc
import Synchronization
import TestKit
import Testing

/// The long forms of attacks whose short forms stand with the tests of what they attack.
///
///     make soak
enum Soak {
    static let isWanted = ProcessInfo.processInfo.environment["DSTACK_SOAK"] == "1"
    static let absence: Testing.Comment = "only with DSTACK_SOAK=1"

    /// The port in what a program says of where it listens.
    static func port(in text: String, after prefix: String) -> UInt16? {
        guard let start = text.range(of: prefix)?.upperBound else { return nil }
        return UInt16(text[start...].prefix { $0.isNumber })
    }

    /// One request over a connection of its own, as somebody new makes it.
    ///
    /// - Parameter body: what is posted; nil to get.
    static func ask(
        _ url: String, sending body: [UInt8]? = nil, within time: Duration = .seconds(10)
    ) async -> String {
        var configuration = HTTPClientConfiguration(trust: .only { _ in .accepted })
        configuration.proxy = .none
        let limits = HTTPClientLimits(maximumBodyBytes: 1 << 20, connectTimeout: time, totalTimeout: time)
        do {
            var request = HTTPRequest(body == nil ? .get : .post, url, limits: limits)
            if let body { request.body = body }
            return "\(try await HTTPClient(configuration).send(request).status)"
        } catch {
            return "\(error)"
        }
    }

    static let halfHead = "GET / HTTP/1.1\r\nHost: x\r\nX: "
    static let halfBody = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx"
}

/// An agent in simulation, as a service manager with a watchdog starts it.
private final class WatchedAgent: Sendable {
    let scratch: ScratchDirectory
    let program: StartedProgram
    let port: UInt16
    private let manager: Int32

    init() async throws {
        let scratch = try ScratchDirectory()
        self.scratch = scratch
        manager = try UnixSocket.bound(to: scratch.path("notify"), SOCK_DGRAM)
        let program = try StartedProgram(
            "dstack-guest-agent", ["--watchdog", "--simulate", scratch.path("sim"), "--external-port", "0"],
            environment: ["NOTIFY_SOCKET": scratch.path("notify"), "WATCHDOG_USEC": "6000000"])
        self.program = program
        try #require(try await eventually { program.errors.contains("(guest-api)") }, "\(program.errors)")
        port = try #require(Soak.port(in: program.errors, after: "listening on http://127.0.0.1:"), "\(program.errors)")
    }

    deinit { close(manager) }

    /// Whether a sign of life has come since the last call.
    func hasSign() -> Bool {
        var found = false
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(manager, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            guard count > 0 else { return found }
            found = found || String(decoding: buffer[..<count], as: UTF8.self).contains("WATCHDOG=1")
        }
    }

    /// The longest time without a sign of life, while something goes on.
    func longestSilence(for seconds: Int) async throws -> Duration {
        let end = ContinuousClock.now + .seconds(seconds)
        var (last, longest) = (ContinuousClock.now, Duration.zero)
        while ContinuousClock.now < end {
            try await Task.sleep(for: .milliseconds(50))
            longest = max(longest, last.duration(to: .now))
            if hasSign() { last = .now }
        }
        return longest
    }

    func end() async {
        program.signal(SIGTERM)
        await program.expectEnd()
    }
}

@Suite("Soak: strangers do not decide about life", .enabled(if: Soak.isWanted, Soak.absence), .serialized)
struct LivenessSoakTests {
    @Test(
        "an agent whose public port strangers fill goes on giving signs of life",
        arguments: [Soak.halfHead, Soak.halfBody])
    func watchdog(text: String) async throws {
        let agent = try await WatchedAgent()
        let crowd = try Crowd(2_100, at: agent.port, for: 27, sending: text)
        #expect(try await crowd.isComplete())
        let silence = try await agent.longestSilence(for: 20)
        #expect(silence < .seconds(6))
        #expect(await crowd.end() >= 2_100)
        // A flood of refusals leaves few lines.
        #expect(agent.program.errors.split(separator: "\n").count < 300)
        await agent.end()
    }
}

@Suite("Soak: nobody takes every place", .enabled(if: Soak.isWanted, Soak.absence), .serialized)
struct PlacesSoakTests {
    private func expectService(_ url: String, among crowd: Crowd) async throws {
        #expect(try await crowd.isComplete())
        for second in 0..<20 {
            let answer = await Soak.ask(url)
            #expect(answer == "200", "in second \(second)")
            try await Task.sleep(for: .seconds(1))
        }
    }

    @Test(
        "the verifier service answers others while one address holds its places",
        arguments: [Soak.halfHead, Soak.halfBody])
    func verifier(text: String) async throws {
        let scratch = try ScratchDirectory()
        let port = UInt16.random(in: 20_000...30_000)
        try scratch.write("address = \"127.0.0.1\"\nport = \(port)\n", "verifier.toml")
        let program = try StartedProgram("dstack-verifier", ["serve", "--config", scratch.path("verifier.toml")])
        try #require(try await eventually { program.errors.contains("listening on") }, "\(program.errors)")
        let crowd = try Crowd(1_100, at: port, for: 40, sending: text)
        try await expectService("http://127.0.0.1:\(port)/health", among: crowd)
        #expect(await crowd.end() >= 1_100)
        program.signal(SIGTERM)
        await program.expectEnd()
    }

    @Test(
        "the verifier service takes others' bodies while one address fills the memory for them just above the least rate",
        arguments: [1, 2])
    func bodies(host: Int) async throws {
        let scratch = try ScratchDirectory()
        let port = UInt16.random(in: 20_000...30_000)
        try scratch.write("address = \"127.0.0.1\"\nport = \(port)\n", "verifier.toml")
        let program = try StartedProgram("dstack-verifier", ["serve", "--config", scratch.path("verifier.toml")])
        try #require(try await eventually { program.errors.contains("listening on") }, "\(program.errors)")
        // 48 bodies of nearly 2 MiB, for which 64 MiB are not enough.
        let size = 2_000_000
        let crowd = try Crowd(
            48, at: port, for: 40,
            sending: "POST /verify HTTP/1.1\r\nHost: x\r\nContent-Length: \(size)\r\n\r\n{\"a\":[",
            filler: size - 100_000,
            pace: 2_048, fromHost: host)
        #expect(try await crowd.isComplete())
        var slowest = Duration.zero
        for second in 0..<25 {
            let start = ContinuousClock.now
            let answer = await Soak.ask(
                "http://127.0.0.1:\(port)/verify",
                sending: Array(#"{"quote":"\#(String(repeating: "00", count: 100_000))"}"#.utf8))
            slowest = max(slowest, start.duration(to: .now))
            #expect(answer == "200", "in second \(second)")
            try await Task.sleep(for: .seconds(1))
        }
        print("verify, slowest of 25: \(slowest) among the bodies of 127.0.0.\(host), \(await crowd.end()) connections")
        program.signal(SIGTERM)
        await program.expectEnd()
    }

    @Test("an attested service answers others while one address holds its places", arguments: [true, false])
    func attested(afterHandshake: Bool) async throws {
        let agent = try await WatchedAgent()
        let program = try StartedProgram(
            "attested-service", ["--listen", "127.0.0.1:0"],
            environment: ["DSTACK_SIMULATOR_ENDPOINT": agent.scratch.path("sim/dstack.sock")])
        try #require(try await eventually { program.output.contains("listening on") }, "\(program.errors)")
        let port = try #require(Soak.port(in: program.output, after: "https://127.0.0.1:"))
        let crowd = try Crowd(
            4_200, at: port, for: 70, sending: afterHandshake ? Soak.halfBody : "\u{16}\u{3}\u{1}", tls: afterHandshake)
        try await expectService("https://127.0.0.1:\(port)/", among: crowd)
        _ = await crowd.end()
        program.signal(SIGTERM)
        await program.expectEnd()
        await agent.end()
    }
}

@Suite("Soak: strangers do not slow the application", .enabled(if: Soak.isWanted, Soak.absence), .serialized)
struct LoadSoakTests {
    /// The time that 99 of 100 calls stay within.
    private func slowest(of agent: WatchedAgent, for seconds: Int) async throws -> Duration {
        var configuration = HTTPClientConfiguration(transport: .unix(path: agent.scratch.path("sim/dstack.sock")))
        configuration.proxy = .none
        let client = HTTPClient(configuration)
        let body = Array(#"{"algorithm":"secp256k1","data":"00"}"#.utf8)
        let end = ContinuousClock.now + .seconds(seconds)
        var times: [Duration] = []
        while ContinuousClock.now < end {
            let start = ContinuousClock.now
            let response = try await client.send(
                HTTPRequest(.post, "http://x/Sign", headers: ["Content-Type": "application/json"], body: body))
            #expect(response.status == 200)
            times.append(start.duration(to: .now))
        }
        return times.sorted()[times.count * 99 / 100]
    }

    @Test("bodies of 10 MiB on the public port leave the application's calls below five times their time")
    func bodies() async throws {
        let agent = try await WatchedAgent()
        _ = try await slowest(of: agent, for: 2)
        let alone = try await slowest(of: agent, for: 5)
        let size = 10_000_000
        let crowd = try Crowd(
            32, at: agent.port, for: 12,
            sending: "POST /prpc/Worker.Version HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                + "Content-Length: \(size)\r\n\r\n{\"a\":[", filler: size)
        #expect(try await crowd.isComplete())
        let loaded = try await slowest(of: agent, for: 8)
        print("Sign, 99 of 100: \(alone) alone, \(loaded) among the bodies, \(await crowd.end()) connections")
        #expect(loaded < alone * 5)
        await agent.end()
    }
}
