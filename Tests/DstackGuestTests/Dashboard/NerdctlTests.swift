import DstackGuest
import DstackHTTP
import DstackHTTPClient
import DstackSystem
import Foundation
import TestKit
import Testing

@Suite("Containers of nerdctl", .serialized)
struct NerdctlTests {
    /// What `/logs/<name>` answers, whole.
    private func log(_ path: String, _ engine: NerdctlEngine) async throws -> String {
        try await DashboardFixture(engine: engine).text(path)
    }

    @Test(
        "all containers of the project are listed, stopped ones too, and no others",
        arguments: await NerdctlPeer.all.value)
    func listing(peer: NerdctlPeer) async throws {
        try await peer.start("up", script: "sleep 1000")
        try await peer.start("gone", options: ["--label", #"odd=a,b="c"{{}}"#], script: "exit 3")
        try await peer.start("elsewhere", project: "other", script: "true")
        try await peer.start("alone", project: nil, script: "true")
        try await peer.waitForEnd(of: "gone", status: 3)
        for name in ["elsewhere", "alone"] { try await peer.waitForEnd(of: name) }
        let list = try await peer.engine().list()
        #expect(list.map(\.displayName) == ["gone", "up"])
        #expect(try await peer.engine(scope: .engine).list().count == 4)
        #expect(try await peer.engine(scope: .project("none")).list().isEmpty)

        let found = try await peer.engine().container(try #require(ContainerName("gone")))
        #expect(found.state == .exited && found.status.hasPrefix("Exited (3)"))
        #expect(found.names == ["/gone"] && found.id.count == 64 && !found.image.isEmpty)
        #expect(found.project == "dstack" && found.service == "gone")
        let age = Int64(Date().timeIntervalSince1970) - found.created
        #expect(age.magnitude < 300)
        #expect(list.last?.state == .running)
        let byID = try await peer.engine().container(try #require(ContainerName(String(found.id.prefix(12)))))
        #expect(byID.id == found.id)
        try await peer.remove("up", "gone", "elsewhere", "alone")
        #expect(try await peer.engine(scope: .engine).list().isEmpty)
    }

    @Test("both channels are read apart and in order, in all four forms", arguments: await NerdctlPeer.all.value)
    func forms(peer: NerdctlPeer) async throws {
        try await peer.start(
            "forms",
            script: #"printf 'a\tb\033[31mred\033[0m\n'; sleep 0.3; printf 'oops\n' >&2; sleep 0.3; printf 'end'"#)
        try await peer.waitForEnd(of: "forms")
        let engine = peer.engine()
        #expect(try await log("/logs/forms?text&bare", engine) == "a\tbred\noops\nend")
        #expect(
            try await log("/logs/forms?text=on&bare=yes&ansi", engine) == "a\tb\u{1B}[31mred\u{1B}[0m\noops\nend")
        #expect(try await log("/logs/forms?bare", engine) == "YQliG1szMW1yZWQbWzBtCg==\nb29wcwo=\nZW5k\n")
        let objects = try await log("/logs/forms?text", engine)
        #expect(
            objects == #"""
                {"channel":"stdout","message":"a\tb\u001b[31mred\u001b[0m\n"}
                {"channel":"stderr","message":"oops\n"}
                {"channel":"stdout","message":"end"}

                """#)
        try await peer.remove("forms")
    }

    @Test(
        "a long log of both channels comes in the order in which it was written", arguments: await NerdctlPeer.all.value
    )
    func order(peer: NerdctlPeer) async throws {
        // Each channel alone is more than its pipe holds.
        try await peer.start(
            "order",
            script: """
                pad=$(head -c 100 /dev/zero | tr '\\0' x); i=0
                while [ $i -lt 3000 ]; do echo "$i $pad"; i=$((i+1)); [ $((i % 100)) = 0 ] && echo "$i $pad" >&2; done
                i=0; while [ $i -lt 2000 ]; do echo "late $i $pad" >&2; i=$((i+1)); done; echo end
                """)
        try await peer.waitForEnd(of: "order")
        let text = try await log("/logs/order?text&bare&timestamps&tail=all", peer.engine())
        let lines = text.split(separator: "\n")
        #expect(lines.count == 5_031)
        #expect(lines.allSatisfy { $0.prefix(30).hasSuffix("Z") })
        // nerdctl notes the time before it waits for its turn to write: a little disorder is its own.
        let numbers = lines.map { line in
            line.prefix(29).split { "T:".contains($0) }.dropFirst().reduce(0.0) { $0 * 60 + (Double($1) ?? 0) }
        }
        var disorder = 0.0
        for (index, number) in numbers.enumerated().dropFirst() {
            disorder = max(disorder, numbers[index - 1] - number)
        }
        #expect(disorder < 0.1)
        #expect(lines.filter { $0.contains(" late ") }.count == 2_000)
        try await peer.remove("order")
    }

    @Test("tail, since, until and timestamps select as Docker does", arguments: await NerdctlPeer.all.value)
    func selection(peer: NerdctlPeer) async throws {
        try await peer.start("select", script: "seq 1 30; sleep 2; echo late")
        try await peer.waitForEnd(of: "select")
        let engine = peer.engine()
        try await expectSelection(engine)
        try await peer.remove("select")
    }

    @Test("following gives what is written later and ends with the container", arguments: await NerdctlPeer.all.value)
    func following(peer: NerdctlPeer) async throws {
        try await peer.start("follow", script: "echo first; sleep 4; echo second; sleep 0.2; echo third >&2")
        let fixture = try await DashboardFixture(engine: peer.engine())
        let stream = try await fixture.stream("/logs/follow?text&bare&follow")
        #expect(stream.status == 200)
        var text = ""
        while !text.contains("first\n"), let piece = try await stream.next() {
            text += String(decoding: piece, as: UTF8.self)
        }
        // From here on only what is new, which zero lines ask for.
        let later = try await fixture.stream("/logs/follow?text&bare&follow&tail=0")
        while let piece = try await stream.next() { text += String(decoding: piece, as: UTF8.self) }
        #expect(text == "first\nsecond\nthird\n")
        var rest = ""
        while let piece = try await later.next() { rest += String(decoding: piece, as: UTF8.self) }
        #expect(rest == "second\nthird\n")
        // Of one that has ended there is nothing to wait for.
        #expect(try await log("/logs/follow?text&bare&follow&tail=1", peer.engine()) == "third\n")
        try await peer.remove("follow")
    }

    @Test(
        "who follows a silent container gets the head of the answer; one until a time ends then",
        arguments: await NerdctlPeer.all.value)
    func silence(peer: NerdctlPeer) async throws {
        try await peer.start("silent", script: "exec sleep 1000")
        let fixture = try await DashboardFixture(engine: peer.engine())
        let stream = try await fixture.stream("/logs/silent?text&bare&follow")
        #expect(stream.status == 200)
        #expect(stream.headers["Content-Type"] == "text/plain; charset=utf-8")
        let until = Int(Date().timeIntervalSince1970) + 2
        #expect(try await log("/logs/silent?text&bare&follow&until=\(until)", peer.engine()) == "")
        let impatient = peer.engine(logPatience: .milliseconds(1_500))
        let logs = try await impatient.logs(of: try #require(ContainerName("silent")), LogQuery(follows: true))
        #expect(try await logs.next() == nil)
        try await peer.remove("silent")
    }

    @Test(
        "a reader that stops reading holds nerdctl up instead of filling memory, and then gets everything",
        arguments: await NerdctlPeer.all.value)
    func backPressure(peer: NerdctlPeer) async throws {
        // 6 MB in lines of a thousand bytes.
        try await peer.start(
            "flood",
            script: "yes $(head -c 1000 /dev/zero | tr '\\0' x) | head -n 6000")
        try await peer.waitForEnd(of: "flood")
        let logs = try await peer.engine().logs(of: try #require(ContainerName("flood")), LogQuery(tail: .all))
        #expect(try await logs.next()?.bytes.count == 1_001)
        let before = residentBytes()
        try await Task.sleep(for: .milliseconds(700))
        let growth = residentBytes() - before
        #expect(growth < 4 << 20)
        var count = 1
        while let frame = try await logs.next() {
            #expect(frame.bytes.count == 1_001)
            count += 1
        }
        #expect(count == 6_000)
        try await peer.remove("flood")
    }
    @Test("errors come before the first byte, with their status and as JSON", arguments: await NerdctlPeer.all.value)
    func refusals(peer: NerdctlPeer) async throws {
        try await peer.start("refuse", script: "echo x")
        try await peer.start("other", project: "elsewhere", script: "echo secret")
        try await peer.start("mute", options: ["--log-driver", "none"], script: "echo x")
        let fixture = try await DashboardFixture(engine: peer.engine())
        for (path, status, reason) in [
            ("/logs/nobody", 404, "there is none of this name"), ("/logs/other", 404, "there is none of this name"),
            ("/logs/--help", 400, "Invalid container name"),
            ("/logs/mute", 400, "logs of mute: "), ("/logs/mute?follow", 400, "logs of mute: "),
        ] {
            let response = try await fixture.get(path)
            #expect(response.status == status, "\(path)")
            let body = try JSONSerialization.jsonObject(with: Data(response.body)) as? [String: String]
            #expect(body?["error"]?.contains(reason) == true, "\(path): \(response.text)")
        }
        try await peer.remove("refuse", "other", "mute")
    }

    @Test(
        "no more logs are read at once than allowed, places come back, and no process is left",
        arguments: await NerdctlPeer.all.value)
    func places(peer: NerdctlPeer) async throws {
        try await peer.start("places", script: "echo x; exec sleep 1000")
        let engine = peer.engine(maximumStreams: 2)
        let name = try #require(ContainerName("places"))
        var first: ContainerLogs? = try await engine.logs(of: name, LogQuery(follows: true))
        let second = try await engine.logs(of: name, LogQuery(follows: true))
        await #expect(throws: GuestError(.engineUnavailable, subject: "", reason: "")) {
            _ = try await engine.logs(of: name, LogQuery(follows: true))
        }
        #expect(try await first?.next() == LogFrame(.stdout, Array("x\n".utf8)))
        first = nil
        var third: ContainerLogs? = try await engine.logs(of: name, LogQuery())
        #expect(try await third?.next() == LogFrame(.stdout, Array("x\n".utf8)))
        third = nil
        #expect(try await second.next() == LogFrame(.stdout, Array("x\n".utf8)))
        let reader = Task { try await second.next() }
        reader.cancel()
        await #expect(throws: GuestError.self) { _ = try await reader.value }
        try await peer.remove("places")
    }

    @Test(
        "containers with a health check tell how they fare",
        arguments: await NerdctlPeer.all.value.filter { !$0.isReal })
    func health(peer: NerdctlPeer) async throws {
        try await peer.start("well", options: ["--health-cmd", "true"], script: "exec sleep 1000")
        try await peer.start("ill", options: ["--health-cmd", "false"], script: "exec sleep 1000")
        try await peer.start("over", options: ["--health-cmd", "true"], script: "true")
        try await peer.start("plain", script: "exec sleep 1000")
        try await peer.waitForEnd(of: "over")
        let health = try await peer.engine().health()
        let expected: Set<ContainerHealth> = [
            .init(name: "well", problem: ""), .init(name: "ill", problem: "unhealthy"),
            .init(name: "over", problem: "exited"),
        ]
        #expect(Set(health) == expected)
        // One that goes between the list and the question is asked about no more.
        let engine = peer.engine()
        _ = try await engine.list()
        try await peer.remove("ill")
        #expect(Set(try await engine.health().map(\.name)) == ["well", "over"])
        #expect(try await peer.engine(scope: .project("none")).health().isEmpty)
        try await peer.remove("well", "over", "plain")
    }

    @Test("where containerd does not answer, its absence is the error, in nerdctl's words")
    func down() async throws {
        let peer = try NerdctlPeer.standIn()
        try Data().write(to: URL(fileURLWithPath: "\(peer.directory)/state/down"))
        let error = await #expect(throws: GuestError.self) { _ = try await peer.engine().list() }
        #expect(error?.code == .engineUnavailable)
        let reason = #"cannot access containerd socket "/run/containerd/containerd.sock": no such file or directory"#
        #expect(error?.reason == reason)
        let fixture = try await DashboardFixture(engine: peer.engine())
        #expect(try await fixture.get("/logs/x").status == 400)
        #expect(try await fixture.text("/").contains("does not answer"))
        await #expect(throws: GuestError.self) { _ = try await peer.engine().health() }
    }

    @Test("where there is no nerdctl, the page says that there is no engine")
    func absent() async throws {
        let engine = NerdctlEngine("/nonexistent/nerdctl", scope: .engine)
        #expect(!engine.isPresent)
        let error = await #expect(throws: GuestError.self) { _ = try await engine.list() }
        #expect(error.map { "\($0)" }?.contains("/nonexistent/nerdctl: there is no such program") == true)
        let page = try await DashboardFixture(engine: engine).text("/")
        #expect(page.contains("There is no container engine here"))
    }
}

@Suite("A nerdctl that misbehaves")
struct NerdctlBrokenTests {
    /// A program that does what a script says.
    private func engine(_ script: String) throws -> NerdctlEngine {
        let path = Scratch.path("nerdctl", ending: ".sh")
        try "#!/bin/sh\n\(script)\n".write(toFile: path, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        return NerdctlEngine(path, scope: .engine)
    }

    private static let id = String(repeating: "ab", count: 32)
    private static let line =
        #"{"id":"\#(id)","name":"web","image":"i","created":"2026-11-21T19:59:24.4Z","status":"Up","project":"dstack","#
        + #""service":"web"}"#

    private func list(_ lines: String) throws -> NerdctlEngine {
        try engine("cat <<'END'\n\(lines)\nEND")
    }

    @Test("damaged lists are refused or read, and never trap")
    func mutatedLists() async throws {
        #expect(try await list(Self.line).list().map(\.displayName) == ["web"])
        var random = SeededGenerator(seed: 7)
        let path = NSTemporaryDirectory() + "dstack-nerdctl-list-\(UUID().uuidString.prefix(13))"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let engine = try engine("cat \(path)")
        var refused = 0
        for _ in 0..<150 {
            var bytes = Array((Self.line + "\n" + Self.line).utf8)
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] = UInt8.random(in: .min ... .max, using: &random)
                case 1: bytes.removeSubrange(place...)
                default: bytes.insert(contentsOf: Array("\":[{,9".utf8), at: place)
                }
                if bytes.isEmpty { bytes = [0x20] }
            }
            try Data(bytes).write(to: URL(fileURLWithPath: path))
            // Each asks anew: what was found a moment ago is shared.
            let fresh = NerdctlEngine(engine.program, scope: .engine)
            do {
                _ = try await fresh.list()
            } catch {
                #expect(error.code == .engineUnavailable)
                refused += 1
            }
        }
        #expect(refused > 50)
    }

    @Test("an id that would be an option is refused; a line without one is of a container that went")
    func ids() async throws {
        #expect(try await list(Self.line.replacing(Self.id, with: "") + "\n" + Self.line).list().count == 1)
        for id in ["--help", "-x", "../x", "a b"] {
            let error = await #expect(throws: GuestError.self) {
                _ = try await list(Self.line.replacing(Self.id, with: id)).list()
            }
            #expect(error?.reason.contains("this is no id of a container") == true)
        }
    }

    /// Lists one container and writes a log as a script says.
    private func logs(_ script: String, _ query: LogQuery = LogQuery()) async throws -> ContainerLogs {
        let engine = try engine("if [ \"$3\" = ps ]; then cat <<'END'\n\(Self.line)\nEND\nexit; fi\n\(script)")
        return try await engine.logs(of: try #require(ContainerName("web")), query)
    }

    private static let time = "2026-11-21T19:59:24.4Z"

    @Test("a log that breaks off is an error after what came, with what nerdctl says")
    func broken() async throws {
        for (ending, reason) in [
            (#"echo 'time="x" level=fatal msg="disk \"sda\" gone"' >&2; exit 1"#, #"disk "sda" gone"#),
            ("exit 7", "nerdctl: ended with status 7"), ("kill -9 $$", "nerdctl: was ended by signal 9"),
        ] {
            let logs = try await logs("echo '\(Self.time) half'; \(ending)")
            #expect(try await logs.next() == LogFrame(.stdout, Array("half\n".utf8)))
            let error = await #expect(throws: GuestError.self) { _ = try await logs.next() }
            #expect(error?.reason == reason)
        }
    }

    @Test("what fails before the first line refuses the log, followed or not")
    func refused() async throws {
        for follows in [false, true] {
            let error = await #expect(throws: GuestError.self) {
                _ = try await logs(
                    #"echo 'time="x" level=fatal msg="no such container ab"' >&2; exit 1"#, LogQuery(follows: follows))
            }
            #expect(error?.code == .noSuchContainer)
            let other = await #expect(throws: GuestError.self) {
                _ = try await logs("printf 'no \\033[2J' >&2; exit 1", LogQuery(follows: follows))
            }
            #expect(other?.code == .engineUnavailable && other?.reason == #"no \u{1b}[2J"#)
        }
    }

    @Test("lines without times, as of the journal, are passed on; nerdctl's own remarks are not the container's")
    func withoutTimes() async throws {
        let logs = try await logs(
            #"echo plain; echo 'time="x" level=warning msg="unsupported"' >&2; echo '\#(Self.time) err' >&2; printf end"#
        )
        var texts: [String] = []
        while let frame = try await logs.next() {
            texts.append("\(frame.channel) \(String(decoding: frame.bytes, as: UTF8.self))")
        }
        #expect(Set(texts) == ["stdout plain\n", "stderr err\n", "stdout end"])
    }

    @Test("of lines that a newer nerdctl keeps in parts, times inside are nerdctl's, and other times the container's")
    func parts() async throws {
        let later = "2026-11-21T19:59:25Z",
            parts = "\(Self.time) ab\(later) c 2026-01-01T00:00:00Z d\(later) 9999-01-01T00:00:00Z e"
        let joined = "abc 2026-01-01T00:00:00Z d9999-01-01T00:00:00Z e\n"
        for (version, hasTimes, text) in [
            ("2.3.5", false, joined), ("v2.4.0-beta.1", false, joined), ("3.0.0", false, joined),
            ("2.3.3", false, parts.dropFirst(Self.time.count + 1) + "\n"),
            ("odd", false, parts.dropFirst(Self.time.count + 1) + "\n"),
            ("2.3.5", true, parts.replacing(Self.time, with: "2026-11-21T19:59:24.400000000Z") + "\n"),
        ] {
            let logs = try await logs(
                "[ \"$1\" = --version ] && { echo nerdctl version \(version); exit; }\necho '\(parts)'",
                LogQuery(hasTimestamps: hasTimes))
            let frame = try await logs.next()
            #expect(frame.map { String(decoding: $0.bytes, as: UTF8.self) } == text, "\(version)")
        }
    }

    @Test("a line without an end comes in parts")
    func endless() async throws {
        let logs = try await logs("printf '\(Self.time) '; head -c 1000000 /dev/zero")
        var sizes: [Int] = []
        while let frame = try await logs.next() { sizes.append(frame.bytes.count) }
        #expect(sizes.reduce(0, +) == 1_000_000)
        #expect(sizes.count > 1 && sizes.allSatisfy { $0 <= 512 << 10 })
    }

    @Test("a terminal's escape sequences and control characters in errors are made visible")
    func safety() async throws {
        let error = await #expect(throws: GuestError.self) {
            _ = try await engine(#"printf 'time="x" level=fatal msg="a\\nb\033[31m"\n' >&2; exit 1"#).list()
        }
        #expect(error?.reason == #"a b\u{1b}[31m"#)
    }
}
