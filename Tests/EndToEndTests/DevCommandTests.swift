import DstackHTTP
import DstackHTTPClient
import DstackHTTPServer
import Foundation
import TestKit
import Testing

/// `dstack dev` with the real agent and the real application, over real sockets and without a terminal.
@Suite("dstack dev", .enabled(if: DevSystem.isThere, DevSystem.absence))
struct DevCommandTests {
    private let system: DevSystem

    init() throws { system = try DevSystem() }

    /// The line of some output that begins with some words.
    private func line(_ words: String, in text: String) throws -> String {
        let lines = text.split(separator: "\n").map { $0.drop { $0 == " " } }
        return String(try #require(lines.first { $0.hasPrefix(words) }, "no line `\(words)` in \(text)"))
    }

    @Test("up ends with a yes that says simulated, and what it prints works as printed")
    func up() async throws {
        let up = try await system.dev("up")
        #expect(up.status == 0, "\(up)")
        #expect(up.output.hasPrefix("YES https://127.0.0.1:"), "\(up)")
        #expect(up.output.split(separator: "\n")[0].hasSuffix("[simulated]"))
        #expect(up.output.contains("this TEE is simulated"))
        #expect(up.output.contains("session-bound"))
        #expect(!up.output.contains("\u{1B}"))

        if Program.path("/usr/bin/curl") != nil {
            let curl = try line("curl -k", in: up.output)
            let answer = try await Program.run("/bin/sh", ["-c", curl])
            #expect(answer.status == 0 && answer.output.contains("simulated"), "\(answer)")
            // The pin is what makes -k safe: with another one, curl refuses.
            let wrong = curl.replacingOccurrences(of: "sha256//", with: "sha256//A")
            #expect(try await Program.run("/bin/sh", ["-c", wrong]).status == 90)
        }
        let again = try #require(up.output.range(of: "Verify it again\n"))
        let command = up.output[again.upperBound...].components(separatedBy: "\n\n")[0]
        let verified = try await Program.run("/bin/sh", ["-c", command])
        #expect(verified.status == 0 && verified.output.hasPrefix("YES "), "\(verified)")

        // The dashboard stands in the answer and in the status, and a browser finds it there.
        let dashboard = try #require(
            (try await system.dev("status", "--json").object())["dashboard"] as? String)
        #expect(up.output.contains("\n  \(dashboard)\n"), "\(up)")
        #expect(try await system.dev("status").output.contains("\ndashboard: \(dashboard)\n"))
        let page = try await HTTPClient().send(HTTPRequest(.get, dashboard))
        #expect(page.status == 200 && page.headers["Content-Type"]?.hasPrefix("text/html") == true)

        #expect(system.processes.count == 2)
        for id in system.processes { #expect(getpgid(id) == id) }
        let stop = try await Program.run(
            "/bin/sh", ["-c", line("\(try #require(Program.path("dstack"))) dev down", in: up.output)])
        #expect(stop.status == 0, "\(stop)")
        #expect(system.processes.isEmpty)
        let second = try await system.dev("down")
        #expect(second.status == 0 && second.output.hasPrefix("nothing runs"), "\(second)")
        #expect(try await system.dev("status").status == 1)
    }

    @Test("what gets a no: another compose file, Intel's root, another application behind the URL, nothing behind it")
    func refusals() async throws {
        let up = try await system.dev("up")
        #expect(up.status == 0, "\(up)")
        let url = try await system.url()
        let own = try String(contentsOfFile: system.path + "/app-compose.json", encoding: .utf8)
        try system.scratch.write(own.replacingOccurrences(of: "attested-service", with: "evil"), "other.json")
        let root = ["--trust-root", system.path + "/guest/root.pem"]

        let other = try await system.verify(url, ["--app-compose", system.scratch.path("other.json")] + root)
        #expect(other.status == 1 && other.output.contains("[compose_hash: mismatch]"), "\(other)")
        let intel = try await system.verify(url, ["--app-compose", system.path + "/app-compose.json"])
        #expect(intel.status == 1 && intel.output.hasPrefix("NO "), "\(intel)")
        let undecided = try await system.verify(url, root)
        #expect(undecided.status == 1 && undecided.output.hasPrefix("UNDECIDED "), "\(undecided)")
        let image = try #require(
            (try await system.verify(url)).output.firstMatch(of: /if       OS image ([0-9a-f]{64})/)
        ).1
        for (hash, status) in [(String(image), 0), (String(image.reversed()), 1)] as [(String, Int32)] {
            let pinned = try await system.verify(
                url, ["--app-compose", system.path + "/app-compose.json", "--os-image-hash", hash] + root)
            #expect(pinned.status == status && !pinned.output.contains("  if "), "\(pinned)")
        }
        for result in [other, intel, undecided] { #expect(result.output.lowercased().contains("simulated")) }

        // Another machine with another application takes over the address.
        #expect(try await system.dev("down").status == 0)
        let dead = try await system.verify(url)
        #expect(dead.status == 3 && dead.errors.contains("while connecting"), "\(dead)")
        let impostor = try DevSystem()
        let address = String(url.dropFirst("https://".count))
        let moved = try await impostor.dev(
            "up", "--listen", address, "--app-compose", system.scratch.path("other.json"))
        #expect(moved.status == 0, "\(moved)")
        let taken = try await system.verify(url)
        #expect(taken.status == 1 && taken.output.hasPrefix("NO "), "\(taken)")
        // Even under the impostor's own root: it runs something else.
        let believed = try await impostor.verify(
            url,
            ["--app-compose", system.path + "/app-compose.json", "--trust-root", impostor.path + "/guest/root.pem"])
        #expect(believed.status == 1 && believed.output.contains("[compose_hash: mismatch]"), "\(believed)")
        #expect(try await impostor.dev("down").status == 0)
    }

    @Test("a second up finds what runs; when the agent was killed, up brings everything back")
    func healing() async throws {
        #expect(try await system.dev("up").status == 0)
        let first = system.processes.sorted()
        let second = try await system.dev("up")
        #expect(second.status == 0 && second.errors.contains("guest-agent and app run already"), "\(second)")
        #expect(system.processes.sorted() == first)

        let status = try await system.dev("status", "--json").object()
        let running = try #require(status["running"] as? [[String: Any]])
        let agent = try #require(running.first { $0["name"] as? String == "guest-agent" }?["pid"] as? Int)
        kill(Int32(agent), SIGKILL)
        #expect(try await eventually { !system.processes.contains(Int32(agent)) })
        let broken = try await system.dev("status")
        #expect(broken.status == 1 && broken.output.contains("guest-agent: ended"), "\(broken)")
        let third = try await system.dev("up")
        #expect(third.status == 0 && third.output.hasPrefix("YES "), "\(third)")
        #expect(system.processes.count == 2 && Set(system.processes).isDisjoint(with: first))
        #expect(try await system.dev("down").status == 0)
        #expect(system.processes.isEmpty)
    }

    @Test(
        "a quote from the agent verifies offline under the simulator's root, and not under Intel's",
        .enabled(if: Program.path("dstack-verifier") != nil, "dstack-verifier is not built"))
    func offline() async throws {
        #expect(try await system.dev("up").status == 0)
        let answer = try await system.agent("GetQuote", ["report_data": "c0ffee"])
        #expect(try await system.dev("down").status == 0)
        let quote = try system.scratch.write(try #require(answer["quote"] as? String), "quote.hex")
        let log = try system.scratch.write(try #require(answer["event_log"] as? String), "log.json")
        let arguments = [
            "verify", "--quote", quote, "--event-log", log, "--app-compose", system.path + "/app-compose.json",
            "--collateral", system.path + "/guest/collateral.json",
        ]
        let accepted = try await Program.run(
            "dstack-verifier", arguments + ["--trust-root", system.path + "/guest/root.pem"])
        #expect(accepted.status == 0 && accepted.output.hasPrefix("ACCEPTED "), "\(accepted)")
        #expect(accepted.output.split(separator: "\n")[0].hasSuffix("[simulated]"))
        let rejected = try await Program.run("dstack-verifier", arguments)
        #expect(rejected.status == 1 && rejected.output.hasPrefix("REJECTED "), "\(rejected)")
        #expect(rejected.output.lowercased().contains("simulated"), "\(rejected)")
    }

    @Test("--foreground stays until Ctrl-C and leaves nothing running; it ends when a component does")
    func foreground() async throws {
        for (signal, status) in [(SIGINT, 0), (SIGTERM, 0)] as [(Int32, Int32)] {
            let running = try StartedProgram("dstack", ["dev", "up", "--foreground", "--dir", system.path])
            #expect(try await eventually { running.errors.contains("Ctrl-C ends everything") || !running.isRunning })
            #expect(running.output.hasPrefix("YES "), "\(running.errors)")
            running.signal(signal)
            await running.expectEnd(status)
            #expect(system.processes.isEmpty)
        }
        let running = try StartedProgram("dstack", ["dev", "up", "--foreground", "--dir", system.path])
        #expect(try await eventually { running.errors.contains("Ctrl-C ends everything") || !running.isRunning })
        for id in system.processes where id != running.processID { kill(id, SIGKILL) }
        await running.expectEnd(3)
        #expect(running.errors.contains("ended; nothing is left running"), "\(running.errors)")
        #expect(system.processes.isEmpty)
    }

    @Test("Ctrl-C while it starts leaves nothing running", arguments: [SIGINT, SIGTERM, SIGHUP])
    func interruption(_ signal: Int32) async throws {
        // The same programs, with an application that never comes up.
        let programs = try ScratchDirectory()
        for name in ["dstack", "dstack-simulator"] {
            try FileManager.default.copyItem(atPath: try #require(Program.path(name)), toPath: programs.path(name))
        }
        try programs.write("#!/bin/sh\necho waiting\nexec sleep 1000\n", "attested-service")
        chmod(programs.path("attested-service"), 0o755)
        let running = try StartedProgram(programs.path("dstack"), ["dev", "up", "--dir", system.path])
        #expect(
            try await eventually {
                system.scratch.text("dev/log/app.log").contains("waiting") || !running.isRunning
            })
        #expect(system.processes.count == 3)
        running.signal(signal)
        await running.expectEnd(3)
        #expect(running.errors.contains("interrupted; nothing is left running"), "\(running.errors)")
        #expect(system.processes.isEmpty)
    }

    @Test("a port that is in use, or another failure while starting, leaves nothing running and says why")
    func portInUse() async throws {
        let service = try await SimulatedService()
        let result = try await system.dev("up", "--listen", "127.0.0.1:\(service.port)")
        #expect(result.status == 3, "\(result)")
        #expect(result.errors.contains("app ended with status"), "\(result)")
        #expect(result.errors.lowercased().contains("in use"), "\(result)")
        #expect(system.processes.isEmpty)
        await service.server.stop()
    }

    @Test("requests that cannot work are refused with their reason, before anything starts")
    func wrongRequests() async throws {
        try system.scratch.write("nonsense", "compose.json")
        let long = "/tmp/" + String(repeating: "x", count: 100)
        for (arguments, status, reason) in [
            (["up", "--dir", "/proc/dstack-dev"], 3, "cannot make /proc/dstack-dev"),
            (["up", "--dir", long], 2, "name a shorter one"),
            (["down", "--dir", long], 2, "name a shorter one"),
            (["up", "--dir", system.path, "--app-compose", system.scratch.path("missing")], 2, "--app-compose"),
            (["up", "--dir", system.path, "--app-compose", system.scratch.path("compose.json")], 2, "compose"),
        ] as [([String], Int32, String)] {
            let result = try await Program.run("dstack", ["dev"] + arguments)
            #expect(result.status == status, "\(result)")
            #expect(result.errors.contains(reason), "\(result)")
        }
        let homeless = try await Program.run("dstack", ["dev", "up"], environment: ["HOME": ""])
        #expect(homeless.status == 2 && homeless.errors.contains("--dir"), "\(homeless)")
        #expect(system.processes.isEmpty)
    }

    @Test("at a terminal of 60 columns what dev up says is within them; what is to be copied stays whole")
    func narrow() async throws {
        let script = "/usr/bin/script"
        try #require(Program.path(script) != nil, "script (package bsdutils) is missing")
        let program = try #require(Program.path("dstack"))
        let up = try await Program.run(
            script, ["-qec", "stty cols 60; \(program) dev up --dir \(system.path)", "/dev/null"],
            environment: ["TERM": "xterm-256color"])
        #expect(up.status == 0, "\(up)")
        let plain = up.output.replacing(/\u{1B}\[[0-9;]*m/, with: "")
        let isCopied = /^ +(curl |http:|--trust-root |\/)/
        let prose = plain.split(whereSeparator: \.isNewline).filter { $0.firstMatch(of: isCopied) == nil }
        #expect(prose.contains { $0.hasPrefix("Ask it  (-k because") } && prose.contains { $0.hasPrefix("        ") })
        for line in prose { #expect(line.count <= 60, "\(line)") }
        #expect(plain.contains("\n  curl -k --pinnedpubkey 'sha256//") || plain.contains("\r\n  curl -k"), "\(plain)")
        #expect(try await system.dev("down").status == 0)
    }

    @Test("at a terminal of 80 columns the chain is drawn within them, in colour unless that is unwanted")
    func terminal() async throws {
        let script = "/usr/bin/script"
        try #require(Program.path(script) != nil, "script (package bsdutils) is missing")
        #expect(try await system.dev("up").status == 0)
        let url = try await system.url()
        let command = [
            "stty cols 80;", try #require(Program.path("dstack")), "verify", url, "--collateral",
            system.path + "/guest/collateral.json", "--trust-root", system.path + "/guest/root.pem", "--app-compose",
            system.path + "/app-compose.json",
        ].joined(separator: " ")
        for isColored in [true, false] {
            let result = try await Program.run(
                script, ["-qec", command, "/dev/null"],
                environment: ["TERM": "xterm-256color", "NO_COLOR": isColored ? "" : "1"])
            #expect(result.status == 0, "\(result)")
            #expect(result.output.contains("\u{1B}[") == isColored)
            let plain = result.output.replacing(/\u{1B}\[[0-9;]*m/, with: "")
            #expect(plain.contains("✓ hardware root") && plain.contains("✓ this connection"), "\(plain)")
            let longest = plain.split(whereSeparator: \.isNewline).map(\.count).max() ?? 0
            #expect(longest <= 80, "\(plain)")
        }
        #expect(try await system.dev("down").status == 0)
    }
}
