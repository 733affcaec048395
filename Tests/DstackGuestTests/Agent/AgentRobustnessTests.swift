import DstackGuest
import DstackHTTPServer
import Foundation
import Glibc
import TestKit
import Testing

/// A short form by default; in full:
///
///     DSTACK_IDLE_CONNECTIONS=10000 swift test --no-parallel --filter AgentRobustness
@Suite("The agent among clients that waste its time", .serialized)
struct AgentRobustnessTests {
    private static let idleConnections =
        ProcessInfo.processInfo.environment["DSTACK_IDLE_CONNECTIONS"].flatMap { Int($0) } ?? 400
    private static let mutations = idleConnections >= 10_000 ? 3_000 : 300

    /// Connections held by another process, which has descriptors of its own.
    private final class Crowd: Sendable {
        private let channel: Int32
        private let process: pid_t

        /// - Parameter text: what each connection sends, before it waits for ever.
        init(_ count: Int, at path: String, sending text: String = "") throws {
            let (ours, theirs) = try Spawn.channel()
            defer { close(theirs) }
            channel = ours
            let program = """
                import resource, socket, sys
                path, count, text = sys.argv[1], int(sys.argv[2]), sys.argv[3].encode()
                soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
                held = []
                for _ in range(count):
                    peer = socket.socket(socket.AF_UNIX)
                    peer.connect(path)
                    peer.sendall(text)
                    held.append(peer)
                sys.stdout.write("held")
                sys.stdout.flush()
                sys.stdin.read()
                """
            process = try Spawn.start(
                "/usr/bin/python3", ["-c", program, path, "\(count)", text], descriptors: [0: theirs, 1: theirs])
        }

        deinit {
            close(channel)
            waitpid(process, nil, 0)
        }

        /// Waits until all stand.
        func isComplete() async -> Bool {
            await withCheckedContinuation { continuation in
                Thread.detachNewThread { [channel] in
                    var buffer = [UInt8](repeating: 0, count: 4)
                    let count = recv(channel, &buffer, 4, Int32(MSG_WAITALL))
                    continuation.resume(returning: count == 4)
                }
            }
        }
    }

    private func expectService(_ agent: AgentFixture, _ comment: Comment) async throws {
        let info = try await agent.get("dstack", "/Info")
        #expect(info.status == 200, comment)
        let key = try await agent.post("dstack", "/GetKey", #"{"path":"a","purpose":"b"}"#)
        #expect(key.status == 200, comment)
        #expect(try await agent.external("/prpc/Version").status == 200, comment)
        #expect(try await agent.external("/").status == 200, comment)
    }

    private func raisedDescriptorLimit() -> Int {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = limit.rlim_max
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return Int(clamping: limit.rlim_cur)
    }

    @Test("idle connections and slow senders leave it serving, and go when they go")
    func idle() async throws {
        let wanted = Self.idleConnections
        let room = raisedDescriptorLimit()
        try #require(room > wanted + 500, "a limit of \(wanted + 500) open files is needed (ulimit -n), it is \(room)")
        let agent = try await AgentFixture()
        let statistics = { agent.service.server.statistics }
        do {
            let idle = try Crowd(wanted, at: agent.path("dstack"))
            #expect(await idle.isComplete())
            let slow = try Crowd(
                50, at: agent.path("dstack"),
                sending: "POST /GetKey HTTP/1.1\r\nContent-Type: application/json\r\nConte")
            #expect(await slow.isComplete())
            let body = try Crowd(
                50, at: agent.path("dstack"), sending: "POST /GetKey HTTP/1.1\r\nContent-Length: 100\r\n\r\n{")
            #expect(await body.isComplete())
            #expect(try await eventually(within: .seconds(120)) { statistics().connections >= wanted + 100 })
            try await expectService(agent, "among \(wanted) idle connections")
        }
        #expect(try await eventually(within: .seconds(120)) { statistics().connections < 50 })
        try await expectService(agent, "after the connections have gone")
    }

    @Test("requests that are too large are refused in words, and hold nothing")
    func oversize() async throws {
        let agent = try await AgentFixture()
        let path = agent.path("dstack")
        let cases: [(String, ClosedRange<Int>)] = [
            (
                "POST /GetKey HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n{",
                413...413
            ),
            ("POST /GetKey HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n{", 400...413),
            ("GET /Info HTTP/1.1\r\nX-Long: \(String(repeating: "x", count: 100_000))\r\n\r\n", 431...431),
            ("GET /\(String(repeating: "x", count: 100_000)) HTTP/1.1\r\n\r\n", 414...431),
            ("GET /Info HTTP/1.1\r\n\(String(repeating: "A: b\r\n", count: 5_000))\r\n", 431...431),
            (
                "POST /GetKey HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\nx", 400...413
            ),
        ]
        for (request, statuses) in cases {
            let answer = try await RawConnection.exchange(path, request)
            #expect(statuses.contains(answer.status), "\(request.prefix(60)): \(answer.text.prefix(200))")
            #expect(answer.body.contains("\"error\""), "\(answer.text.prefix(300))")
        }
        try await expectService(agent, "after oversize requests")
        #expect(agent.service.server.statistics.bufferedBodyBytes == 0)
    }

    @Test("malformed requests of every kind are refused or answered, never with a failure of the agent's own")
    func malformed() async throws {
        let agent = try await AgentFixture()
        let path = agent.path("dstack")
        var random = SeededGenerator(seed: 20)
        let seeds = [
            "GET /Info HTTP/1.1\r\nHost: x\r\n\r\n",
            "POST /GetKey HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 24\r\n\r\n{\"path\":\"a\",\"purpose\":1}",
            "POST /GetQuote HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\n\u{02}ab\r\n0\r\n\r\n",
            "GET /GetKey?path=%61&purpose=b&algorithm=ed25519 HTTP/1.1\r\nConnection: close\r\n\r\n",
            "POST /Sign HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]",
            "\u{16}\u{03}\u{01}\u{02}\u{00}\u{01}", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\u{0}\u{0}\u{0}\u{0}\r\n\r\n",
        ].map { Array($0.utf8) }
        for round in 0..<Self.mutations {
            var bytes = seeds[round % seeds.count]
            if round >= seeds.count {
                for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
                    let place = Int.random(in: 0..<bytes.count, using: &random)
                    switch Int.random(in: 0..<4, using: &random) {
                    case 0: bytes[place] = UInt8.random(in: .min ... .max, using: &random)
                    case 1: bytes.removeSubrange(place...)
                    case 2: bytes.insert(contentsOf: Array("\r\n".utf8), at: place)
                    default: bytes.insert(contentsOf: bytes[..<min(place, 40)], at: place)
                    }
                }
            }
            let answer = try await RawConnection.exchange(path, bytes)
            #expect(
                // 501 and 505 say that the request asks for another protocol.
                answer.bytes.isEmpty || [501, 505].contains(answer.status) || (200...499).contains(answer.status),
                "\(String(decoding: bytes, as: UTF8.self).debugDescription): \(answer.text.prefix(200))")
        }
        try await expectService(agent, "after malformed requests")
    }
}
