import DstackGuest
import DstackHTTP
import DstackHTTPClient
import DstackRPC
import Foundation
import Testing

@Suite(
    "Containers of a real engine", .serialized,
    .enabled(RealEngine.absence) { await RealEngine.canRun() })
struct ContainersEngineTests {
    /// What `/logs/<name>` answers, whole.
    private func log(_ path: String, _ engine: any ContainerEngine) async throws -> String {
        try await DashboardFixture(engine: engine).text(path)
    }

    @Test("all containers of the project are listed, stopped ones too, and no others")
    func listing() async throws {
        let real = try await RealEngine.started()
        try await real.start("list-up", script: "sleep 1000")
        try await real.start("list-gone", script: "exit 3")
        try await real.start("list-other", project: "elsewhere", script: "true")
        try await real.start("list-none", project: nil, script: "true")
        try await real.waitForEnd(of: "list-gone", status: 3)
        let names = try await real.engine().list().map(\.displayName).filter { $0.hasPrefix("list-") }
        #expect(Set(names) == ["list-up", "list-gone"])
        let everything = try await real.engine(scope: .engine).list().map(\.displayName)
        #expect(Set(everything).isSuperset(of: ["list-up", "list-gone", "list-other", "list-none"]))

        let found = try await real.engine().container(try #require(ContainerName("list-gone")))
        #expect(found.state == .exited)
        #expect(found.status.hasPrefix("Exited (3)"))
        #expect(found.names == ["/list-gone"])
        #expect(found.image == "tests:1")
        #expect(found.imageID.hasPrefix("sha256:"))
        #expect(found.project == "dstack" && found.service == "list-gone")
        #expect(found.created > 1_600_000_000)
        #expect(found.message.names == ["/list-gone"] && found.message.state == "exited")
        let byID = try await real.engine().container(try #require(ContainerName(String(found.id.prefix(12)))))
        #expect(byID == found)
    }

    @Test("both channels are read apart, in all four forms")
    func forms() async throws {
        let real = try await RealEngine.started()
        try await real.start("forms", script: #"printf 'a\tb\033[31mred\033[0m\n'; sleep 0.3; printf 'oops\n' >&2"#)
        try await real.waitForEnd(of: "forms")
        let engine = real.engine()
        #expect(try await log("/logs/forms?text&bare", engine) == "a\tbred\noops\n")
        #expect(try await log("/logs/forms?text=on&bare=yes&ansi", engine) == "a\tb\u{1B}[31mred\u{1B}[0m\noops\n")
        #expect(try await log("/logs/forms?bare", engine) == "YQliG1szMW1yZWQbWzBtCg==\nb29wcwo=\n")
        #expect(
            try await log("/logs/forms?text", engine)
                == #"{"channel":"stdout","message":"a\tb\u001b[31mred\u001b[0m\n"}"# + "\n"
                + #"{"channel":"stderr","message":"oops\n"}"# + "\n")
        #expect(
            try await log("/logs/forms", engine)
                == #"{"channel":"stdout","message":"YQliG1szMW1yZWQbWzBtCg=="}"# + "\n"
                + #"{"channel":"stderr","message":"b29wcwo="}"# + "\n")
    }

    @Test("a terminal's output is one raw channel, the console")
    func terminal() async throws {
        let real = try await RealEngine.started()
        try await real.start("console", terminal: true, script: "echo hello; echo there >&2")
        try await real.waitForEnd(of: "console")
        let text = try await log("/logs/console?text", real.engine())
        #expect(text.contains(#"{"channel":"console","message":"hello\r\n"#))
        #expect(try await log("/logs/console?text&bare", real.engine()) == "hello\nthere\n")
    }

    @Test("tail, since, until and timestamps select as the engine does")
    func selection() async throws {
        let real = try await RealEngine.started()
        try await real.start("select", script: "seq 1 30; sleep 2; echo late")
        try await real.waitForEnd(of: "select")
        let engine = real.engine()
        try await expectSelection(engine)
    }

    @Test("following gives what is written later, line by line, and ends with the container")
    func following() async throws {
        let real = try await RealEngine.started()
        try await real.start("follow", script: "echo first; while [ ! -e /go ]; do sleep 0.1; done; echo second")
        let fixture = try await DashboardFixture(engine: real.engine())
        let stream = try await fixture.stream("/logs/follow?text&bare&follow")
        #expect(stream.status == 200)
        var text = ""
        while !text.contains("first\n"), let piece = try await stream.next() {
            text += String(decoding: piece, as: UTF8.self)
        }
        try await real.execute("follow", "touch /go")
        while let piece = try await stream.next() { text += String(decoding: piece, as: UTF8.self) }
        #expect(text == "first\nsecond\n")
    }

    @Test("who follows a silent container gets the head of the answer at once")
    func silence() async throws {
        let real = try await RealEngine.started()
        try await real.start("silent", script: "sleep 1000")
        let fixture = try await DashboardFixture(engine: real.engine())
        let stream = try await fixture.stream("/logs/silent?text&bare&follow")
        #expect(stream.status == 200)
        #expect(stream.headers["Content-Type"] == "text/plain; charset=utf-8")
    }

    @Test("after too long a silence even a followed log ends")
    func patience() async throws {
        let real = try await RealEngine.started()
        try await real.start("quiet", script: "echo once; sleep 1000")
        let engine = DockerEngine(.unix(path: real.socketPath), scope: .engine, logPatience: .seconds(1))
        let logs = try await engine.logs(of: try #require(ContainerName("quiet")), LogQuery(follows: true))
        var frames: [LogFrame] = []
        while let frame = try await logs.next() { frames.append(frame) }
        #expect(frames == [LogFrame(.stdout, Array("once\n".utf8))])
    }

    @Test("a reader that stops reading holds the engine up instead of filling memory, and then gets everything")
    func backPressure() async throws {
        let real = try await RealEngine.started()
        // 60 MB in lines of a thousand bytes.
        try await real.start(
            "flood",
            script: "head -c 1000 /dev/zero | tr '\\0' x > /l; echo >> /l; i=0; while [ $i -lt 60 ]; do "
                + "cat /l /l /l /l /l /l /l /l /l /l > /m; cat /m /m /m /m /m /m /m /m /m /m; i=$((i+1)); done")
        try await real.waitForEnd(of: "flood")
        let logs = try await real.engine().logs(
            of: try #require(ContainerName("flood")), LogQuery(tail: .all))
        let before = residentBytes()
        try await Task.sleep(for: .milliseconds(700))
        #expect(residentBytes() - before < 8 << 20)
        var count = 0
        while let frame = try await logs.next() { count += frame.bytes.count }
        #expect(count == 6_000 * 1_001)
    }
    @Test("errors come before the first byte, with their status and as JSON")
    func refusals() async throws {
        let real = try await RealEngine.started()
        try await real.start("refuse", script: "echo x")
        try await real.start("refuse-other", project: "elsewhere", script: "echo secret")
        let fixture = try await DashboardFixture(engine: real.engine())
        let cases: [(String, Int, String)] = [
            ("/logs/nobody", 404, "there is none of this name"),
            ("/logs/refuse-other", 404, "there is none of this name"),
            ("/logs/..%2Finfo", 400, "Invalid container name"), ("/logs/refuse%3Fall=1", 400, "Invalid container name"),
            ("/logs/refuse?since=5x", 400, "Invalid since"), ("/logs/refuse?until=-1", 400, "Invalid until"),
            ("/logs/refuse?tail=lots", 400, "Invalid tail"), ("/logs/refuse?follow=1", 422, "Invalid follow"),
            ("/logs/refuse?since=%zz", 400, "Invalid query"),
        ]
        for (path, status, reason) in cases {
            let response = try await fixture.get(path)
            #expect(response.status == status, "\(path)")
            #expect(response.headers["Content-Type"] == "application/json", "\(path)")
            let body = try JSONSerialization.jsonObject(with: Data(response.body)) as? [String: String]
            #expect(body?["error"]?.contains(reason) == true, "\(path): \(response.text)")
        }
        #expect(try await fixture.get("/logs/refuse?text&bare").status == 200)
        #expect(try await fixture.get("/logs/refuse", method: .head).body.isEmpty)
        #expect(try await fixture.get("/logs/refuse", method: .post).status == 405)
        #expect(try await fixture.get("/logs/").status == 404)
        #expect(try await fixture.get("/logs/a/b").status == 404)
    }

    @Test("no more logs are read at once than allowed, and places come back")
    func places() async throws {
        let real = try await RealEngine.started()
        try await real.start("places", script: "echo x; sleep 1000")
        let engine = real.engine(maximumStreams: 2)
        let name = try #require(ContainerName("places"))
        var first: ContainerLogs? = try await engine.logs(of: name, LogQuery(follows: true))
        let second = try await engine.logs(of: name, LogQuery(follows: true))
        await #expect(throws: GuestError(.engineUnavailable, subject: "", reason: "")) {
            _ = try await engine.logs(of: name, LogQuery(follows: true))
        }
        #expect(try await first?.next() == LogFrame(.stdout, Array("x\n".utf8)))
        first = nil
        let third = try await engine.logs(of: name, LogQuery())
        #expect(try await third.next() == LogFrame(.stdout, Array("x\n".utf8)))
        #expect(try await second.next() == LogFrame(.stdout, Array("x\n".utf8)))
    }

    @Test("a reader that is cancelled stops at once")
    func cancellation() async throws {
        let real = try await RealEngine.started()
        try await real.start("cancel", script: "sleep 1000")
        let logs = try await real.engine().logs(of: try #require(ContainerName("cancel")), LogQuery(follows: true))
        let task = Task { try await logs.next() }
        task.cancel()
        await #expect(throws: GuestError.self) { _ = try await task.value }
    }
}

@Suite("Without a container engine")
struct ContainersWithoutEngineTests {
    @Test("an engine that does not listen is an error that says where it was looked for")
    func absent() async throws {
        // A file where the socket was.
        let path = NSTemporaryDirectory() + "dstack-no-engine-\(UUID().uuidString)"
        try Data().write(to: URL(fileURLWithPath: path))
        defer { try? FileManager.default.removeItem(atPath: path) }
        let engine = DockerEngine(.unix(path: path), scope: .engine)
        let error = await #expect(throws: GuestError.self) { _ = try await engine.list() }
        #expect(error?.code == .engineUnavailable)
        #expect(error.map { "\($0)" }?.contains("unix://\(path): nobody listens there") == true)
        let fixture = try await DashboardFixture(engine: engine)
        #expect(try await fixture.get("/logs/x").status == 400)
        let page = try await fixture.get("/")
        #expect(page.status == 200)
        #expect(page.text.contains("does not answer"))
        #expect(try await fixture.get("/containers/x").status == 500)
    }

    @Test("where not even the socket is, the page says that there is no engine")
    func noSocket() async throws {
        let engine = DockerEngine(.unix(path: "/nonexistent/engine.sock"), scope: .engine)
        let page = try await DashboardFixture(engine: engine).get("/")
        #expect(page.status == 200)
        #expect(page.text.contains("There is no container engine here"))
    }

    @Test("where there is no engine at all, the page says so")
    func none() async throws {
        let fixture = try await DashboardFixture(engine: nil)
        #expect(try await fixture.text("/").contains("There is no container engine here"))
        #expect(try await fixture.get("/logs/x").status == 400)
        #expect(try await fixture.get("/containers/x").status == 404)
    }
}
