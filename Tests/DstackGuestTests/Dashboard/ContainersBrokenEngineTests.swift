import DstackGuest
import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import DstackNetwork
import Foundation
import Synchronization
import TestKit
import Testing

@Suite("An engine that misbehaves")
struct ContainersBrokenEngineTests {
    /// Answers as an engine, with what a test wants it to say.
    final class Engine: Sendable {
        private let server: HTTPServer
        private let path = Scratch.path("broken")
        let engine: DockerEngine

        static let list = """
            [{"Id":"\(String(repeating: "ab", count: 32))","Names":["/web"],"Image":"i","ImageID":"sha256:1",\
            "Created":1795279467,"State":"running","Status":"Up","Labels":{"com.docker.compose.service":"web"}}]
            """

        init(
            inspection: String = #"{"Config":{"Tty":false}}"#, logStatus: Int = 200, maximumStreams: Int = 64,
            log: @escaping @Sendable (HTTPBodyWriter) async throws -> Void = { _ in }
        ) async throws {
            engine = DockerEngine(.unix(path: path), scope: .engine, maximumStreams: maximumStreams)
            let state = State()
            self.state = state
            server = HTTPServer(.init(listeners: [HTTPListener("engine", .unix(path: path))])) { request in
                state.count(request.path)
                if request.path == "/containers/json" { return .json(state.list) }
                if request.path.hasSuffix("/json") { return .json(Array(inspection.utf8)) }
                return HTTPServerResponse(logStatus, body: .stream(log))
            }
            _ = try await server.start()
            Self.all.withLock { $0.append(self) }
        }

        /// Stays until the tests end: a server that went with its last use could go while its log is being read.
        private static let all = Mutex<[Engine]>([])

        private final class State: Sendable {
            private let bytes = Mutex(Array(Engine.list.utf8))
            var list: [UInt8] { bytes.withLock { $0 } }
            func set(_ list: [UInt8]) { bytes.withLock { $0 = list } }

            private let requests = Mutex<[String: Int]>([:])
            var counts: [String: Int] { requests.withLock { $0 } }
            func count(_ path: String) {
                let kind = path.split(separator: "/").last.map(String.init) ?? ""
                requests.withLock { $0[path == "/containers/json" ? "list" : kind, default: 0] += 1 }
            }
        }

        /// How often it was asked for the `list`, for a container (`json`), for `logs`.
        var requests: [String: Int] { state.counts }

        private let state: State

        func say(_ list: [UInt8]) { state.set(list) }

        func logs() async throws -> ContainerLogs {
            try await engine.logs(of: try #require(ContainerName("web")), LogQuery())
        }
    }

    private static func frame(_ channel: UInt8, _ text: String) -> [UInt8] {
        [channel, 0, 0, 0, 0, 0, 0, UInt8(text.utf8.count)] + Array(text.utf8)
    }

    @Test("damaged lists of containers are refused or read, and never trap")
    func mutatedLists() async throws {
        let fake = try await Engine()
        #expect(try await fake.engine.list().map(\.displayName) == ["web"])
        var random = SeededGenerator(seed: 5)
        var refused = 0
        for _ in 0..<400 {
            var bytes = Array(Engine.list.utf8)
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] = UInt8.random(in: .min ... .max, using: &random)
                case 1: bytes.remove(at: place)
                default: bytes.insert(contentsOf: Array("\":[{,9".utf8), at: place)
                }
            }
            fake.say(bytes)
            do {
                _ = try await fake.engine.list()
            } catch {
                #expect(error.code == .engineUnavailable)
                refused += 1
            }
        }
        #expect(refused > 100)
    }

    @Test(
        "a list with a part missing or of another type is an error",
        arguments: [
            "", "{}", "null", #"[{"Id":"x"}]"#, #"[1]"#, Engine.list.replacing("1795279467", with: "\"now\""),
            Engine.list.replacing("[\"/web\"]", with: "\"/web\""), Engine.list.replacing("\"Up\"", with: "7"),
        ])
    func wrongLists(list: String) async throws {
        let fake = try await Engine()
        fake.say(Array(list.utf8))
        await #expect(throws: GuestError(.engineUnavailable, subject: "", reason: "")) {
            _ = try await fake.engine.list()
        }
    }

    @Test("a log that breaks off is an error after what came, for a reader and for a client of the dashboard")
    func brokenLog() async throws {
        struct Broken: Error {}
        let fake = try await Engine { writer in
            try await writer.write(Self.frame(1, "half\n"))
            try await Task.sleep(for: .milliseconds(100))
            try await writer.write([1, 0, 0])
            throw Broken()
        }
        let logs = try await fake.logs()
        #expect(try await logs.next() == LogFrame(.stdout, Array("half\n".utf8)))
        await #expect(throws: GuestError.self) { _ = try await logs.next() }

        let fixture = try await DashboardFixture(engine: fake.engine)
        let stream = try await fixture.stream("/logs/web?text&bare")
        var text = ""
        await #expect(throws: HTTPClientError.self) {
            while let piece = try await stream.next() { text += String(decoding: piece, as: UTF8.self) }
        }
        // Why, and that it is not whole.
        #expect(
            text.hasPrefix("half\n\n[dstack: the log breaks off here: container log: the container engine broke off"))
    }

    @Test(
        "a log that ends inside a frame, or is none, is an error",
        arguments: [[1, 0, 0, 0, 0, 0, 0, 9, 65], [9, 9, 9, 9, 9, 9, 9, 9]] as [[UInt8]])
    func truncatedLog(bytes: [UInt8]) async throws {
        let fake = try await Engine { try await $0.write(bytes) }
        let logs = try await fake.logs()
        await #expect(throws: GuestError(.engineUnavailable, subject: "", reason: "")) { _ = try await logs.next() }
    }

    @Test("the engine's own words about a failure in the middle are passed on, made safe")
    func failureFrame() async throws {
        let fake = try await Engine { try await $0.write(Self.frame(1, "x") + Self.frame(3, "disk\u{1B}[2J gone")) }
        let logs = try await fake.logs()
        #expect(try await logs.next() == LogFrame(.stdout, [0x78]))
        let error = await #expect(throws: GuestError.self) { _ = try await logs.next() }
        #expect(error?.reason == "disk\\u{1b}[2J gone")
    }

    private static let words = "Error grabbing logs: can not get logs: file was rotated \u{1B}[2J"

    @Test("a log that the engine cannot read is refused in the engine's words, also where it had agreed to give it")
    func unreadableLog() async throws {
        let fake = try await Engine { try await $0.write(Self.frame(3, Self.words)) }
        let fixture = try await DashboardFixture(engine: fake.engine)
        let answer = try await fixture.get("/logs/web?text&bare")
        #expect(answer.status == 400 && answer.headers["Content-Type"] == "application/json")
        #expect(answer.text.contains("can not get logs: file was rotated \\\\u{1b}[2J"), "\(answer.text)")
        let page = try await fixture.browse("/containers/web")
        #expect(page.status == 500)
        // What is known of the container is there all the same.
        for part in ["<h1>web</h1>", "cannot read this log", "can not get logs: file was rotated \\u{1b}[2J"] {
            #expect(page.text.contains(part), "\(part)")
        }
    }

    @Test(
        "a log that breaks off says why in its own form before the connection ends",
        arguments: [
            ("text", "{\"error\":\""), ("", "{\"error\":\""), ("text&bare", "\n[dstack: the log breaks off here: "),
        ])
    func quotedFailure(form: String, beginning: String) async throws {
        let fake = try await Engine {
            try await $0.write(Self.frame(1, "x\n"))
            try await Task.sleep(for: .milliseconds(50))
            try await $0.write(Self.frame(3, Self.words))
        }
        let fixture = try await DashboardFixture(engine: fake.engine)
        let stream = try await fixture.stream("/logs/web?follow&\(form)")
        var text = ""
        await #expect(throws: HTTPClientError.self) {
            while let piece = try await stream.next() { text += String(decoding: piece, as: UTF8.self) }
        }
        #expect(text.contains(beginning) && text.contains("file was rotated"), "\(text)")
    }

    @Test("page views do not ask the engine each time: not for its list, not for a log, not where it fails")
    func sharedAnswers() async throws {
        for status in [200, 500] {
            let fake = try await Engine(logStatus: status) { try await $0.write(Self.frame(1, "x\n")) }
            let fixture = try await DashboardFixture(engine: fake.engine)
            let begin = ContinuousClock.now
            for _ in 0..<4 {
                await withTaskGroup { group in
                    for path in ["/", "/containers/web"] + Array(repeating: "/containers/web", count: 8) {
                        group.addTask { #expect((try? await fixture.get(path)) != nil) }
                    }
                }
            }
            // Once a second at most, however long this took.
            let most = Int(begin.duration(to: .now) / .seconds(1)) + 1
            #expect((1...most).contains(fake.requests["list"] ?? 0), "\(fake.requests)")
            #expect((1...most).contains(fake.requests["logs"] ?? 0), "\(fake.requests)")
            #expect((fake.requests["json"] ?? 0) <= 1, "\(fake.requests)")
        }
    }

    /// An engine whose logs begin and do not end.
    private func endless(_ maximumStreams: Int) async throws -> Engine {
        try await Engine(maximumStreams: maximumStreams) { writer in
            try await writer.write(Self.frame(1, "x\n"))
            while !Task.isCancelled {
                try await Task.sleep(for: .milliseconds(100))
                try await writer.write(Self.frame(1, "y\n"))
            }
        }
    }

    @Test("one stranger cannot hold every place for logs: others get one, and only the stranger loses any")
    func fairPlaces() async throws {
        let fake = try await endless(6)
        let name = try #require(ContainerName("web"))
        func follow(_ cid: UInt32) async throws -> ContainerLogs {
            let logs = try await fake.engine.logs(of: name, LogQuery(follows: true), for: .stranger(.machine(cid)))
            #expect(try await logs.next() != nil)
            return logs
        }
        let (quietOne, greedyOne) = (UInt32(3), UInt32(4))
        let quiet = try await follow(quietOne)
        var greedy: [ContainerLogs] = []
        for _ in 0..<20 { greedy.append(try await follow(greedyOne)) }
        let others = [try await follow(5), try await follow(6), try await follow(quietOne)]
        for logs in [quiet] + others { #expect(try await logs.next() != nil) }
        // The places that are left to the greedy one are its newest; the others say why they ended.
        for (index, logs) in greedy.enumerated() {
            if index >= 18 {
                #expect(try await logs.next() != nil, "\(index)")
            } else {
                let error = await #expect(throws: GuestError.self, "\(index)") {
                    while try await logs.next() != nil {}
                }
                #expect(error?.code == .logPlaceLost)
            }
        }
    }

    @Test("strangers who hold every place take none from the pages, nor from a reader who waits in silence")
    func ownPlaces() async throws {
        let fake = try await endless(2)
        let name = try #require(ContainerName("web"))
        var held: [ContainerLogs] = []
        for cid: UInt32 in 3...4 {
            held.append(try await fake.engine.logs(of: name, LogQuery(follows: true), for: .stranger(.machine(cid))))
        }
        let own = try await fake.engine.logs(of: name, LogQuery(follows: true))
        #expect(try await own.next() != nil)
        // A wait under way ends as soon as the place is somebody else's.
        let silent = try await Engine(maximumStreams: 1) { _ in try await Task.sleep(for: .seconds(60)) }
        let waiting = try await silent.engine.logs(of: name, LogQuery(follows: true), for: .stranger(.machine(3)))
        async let outcome: LogFrame? = waiting.next()
        let next = try await silent.engine.logs(of: name, LogQuery(follows: true), for: .stranger(.machine(4)))
        do {
            _ = try await outcome
            Issue.record("the place was not given up")
        } catch {
            #expect((error as? GuestError)?.code == .logPlaceLost)
        }
        for logs in held { #expect(try await logs.next() != nil) }
        withExtendedLifetime(next) {}
    }

    @Test("an engine that refuses the log is refused in its place, before the first byte")
    func refusedLog() async throws {
        for (status, expected) in [(404, 404), (500, 400), (409, 400)] {
            let fake = try await Engine(logStatus: status) { try await $0.write(#"{"message":"no <log>"}"#) }
            let response = try await DashboardFixture(engine: fake.engine).get("/logs/web")
            #expect(response.status == expected)
            #expect(response.text.contains("no <log>"))
            #expect(response.headers["Content-Type"] == "application/json")
        }
    }

    @Test("a container whose terminal is not known is not read")
    func unknownTerminal() async throws {
        for inspection in ["{}", #"{"Config":{"Tty":"yes"}}"#, "nothing"] {
            let fake = try await Engine(inspection: inspection)
            await #expect(throws: GuestError(.engineUnavailable, subject: "", reason: "")) { _ = try await fake.logs() }
        }
    }

    @Test("hostile names from the engine stay text on the page")
    func hostileNames() async throws {
        let fake = try await Engine()
        let hostile = "<script>alert(1)</script>"
        fake.say(
            Array(
                Engine.list.replacing("/web", with: "/\(hostile)").replacing("\"i\"", with: "\"\(hostile)\"")
                    .replacing("\"Up\"", with: "\"\(hostile)\"").replacing("running", with: hostile).utf8))
        let text = try await DashboardFixture(engine: fake.engine).text("/")
        #expect(!text.contains(hostile))
        #expect(text.contains("/containers/%3Cscript%3Ealert%281%29%3C%2Fscript%3E"))
    }
}
