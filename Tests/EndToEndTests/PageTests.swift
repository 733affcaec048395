import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import DstackNetwork
import Foundation
import TestKit
import Testing

/// What pages tell people to type, taken from the pages and typed.
@Suite("Commands on pages", .enabled(if: DevSystem.isThere, DevSystem.absence))
struct PageTests {
    private static func browse(_ url: String) async throws -> HTTPResponse {
        var configuration = HTTPClientConfiguration()
        configuration.trust = .only { _ in .accepted }
        return try await HTTPClient(configuration).send(
            HTTPRequest(.get, url, headers: ["Accept": "text/html,*/*;q=0.8"]))
    }

    /// The commands that a page has buttons to copy, in its order.
    private static func commands(_ page: HTTPResponse) throws -> [String] {
        try #require(page.status == 200 && page.headers["Content-Type"] == "text/html; charset=utf-8", "\(page.status)")
        let text = String(decoding: page.body, as: UTF8.self)
        return text.matches(of: /<div class="command">.*?data-copy="([^"]*)"/).map { match in
            [("&quot;", "\""), ("&#39;", "'"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")].reduce(String(match.1)) {
                $0.replacing($1.0, with: $1.1)
            }
        }
    }

    /// Runs each command in a directory of its own, as a person without any settings would.
    private static func run(_ commands: [String]) async throws -> [Program.Output] {
        let scratch = try ScratchDirectory()
        var results: [Program.Output] = []
        for command in commands {
            results.append(try await Program.run("/bin/sh", ["-c", command], in: scratch.url))
        }
        return results
    }

    private static func text(_ response: HTTPResponse) -> String { String(decoding: response.body, as: UTF8.self) }

    @Test("what the pages of a whole system tell a reader to type works as it stands")
    func wholeSystem() async throws {
        let system = try DevSystem()
        let up = try await system.dev("up")
        #expect(up.status == 0, "\(up)")
        let application = try await system.url()
        let log = try String(contentsOfFile: system.path + "/log/guest-agent.log", encoding: .utf8)
        let dashboard = try #require(log.firstMatch(of: /http:\/\/127\.0\.0\.1:\d+/)).0

        for url in [application, String(dashboard)] {
            let page = try await Self.browse(url + "/")
            // Nothing is said of hardware that there is not.
            #expect(!Self.text(page).contains("the hardware"), "\(url)")
            for part in ["<h1>Is this the code you think it is?</h1>", ">simulated</span>", "id=\"compare\""] {
                #expect(Self.text(page).contains(part), "\(url): \(part)")
            }
            let commands = try Self.commands(page)
            try #require(commands.count == 2, "\(commands)")
            #expect(commands[1].contains(" verify \(application) "))
            let results = try await Self.run(commands)
            let hash = results[0].output.prefix(64)
            #expect(results[0].status == 0 && Self.text(page).contains("data-hash=\"\(hash)\""), "\(results[0])")
            #expect(results[1].status == 0 && results[1].output.hasPrefix("YES "), "\(results[1])")
            // A page is there for paths that are not, too.
            let missing = try await Self.browse(url + "/nowhere")
            #expect(missing.status == 404 && Self.text(missing).contains(">simulated</span>"))
        }
        #expect(try await system.dev("down").status == 0)
    }

    @Test("an application's page shows the compose file that was measured, unless that keeps it to itself")
    func composeFile() async throws {
        for isPublic in [true, false] {
            let system = try DevSystem()
            let compose = #"{"manifest_version":2,"name":"a","runner":"docker-compose","public_tcbinfo":\#(isPublic)}"#
            let file = try system.scratch.write(compose, "own.json")
            #expect(try await system.dev("up", "--app-compose", file).status == 0)
            let page = Self.text(try await Self.browse(try await system.url() + "/"))
            #expect(page.contains("id=\"compose\"") == isPublic && page.contains("docker-compose&quot;") == isPublic)
            #expect(try await system.dev("down").status == 0)
        }
    }

    @Test("programs get text and JSON where browsers get pages")
    func negotiation() async throws {
        let system = try DevSystem()
        #expect(try await system.dev("up").status == 0)
        let url = try await system.url()
        var configuration = HTTPClientConfiguration()
        configuration.trust = .only { _ in .accepted }
        for accept in ["*/*", "application/json", ""] {
            let headers: HTTPHeaders = accept.isEmpty ? [:] : ["Accept": accept]
            let client = HTTPClient(configuration)
            let greeting = try await client.send(HTTPRequest(.get, url + "/", headers: headers))
            #expect(greeting.headers["Content-Type"] == "text/plain; charset=utf-8", "\(accept)")
            #expect(Self.text(greeting).hasPrefix("Hello from attested-service"), "\(accept)")
            let missing = try await client.send(HTTPRequest(.get, url + "/nowhere", headers: headers))
            #expect(missing.status == 404 && missing.headers["Content-Type"] == "text/plain; charset=utf-8")
        }
        #expect(try await system.dev("down").status == 0)
    }

    @Test("an agent that does not know its application's address has a command that takes its own evidence, and works")
    func lonelyAgent() async throws {
        // A name that a shell would take apart.
        let scratch = try ScratchDirectory()
        let directory = scratch.path("it's a simulation")
        let agent = try StartedProgram("dstack-guest-agent", ["--simulate", directory])
        let end = ContinuousClock.now + .seconds(60)
        while agent.errors.firstMatch(of: /http:\/\/127\.0\.0\.1:\d+/) == nil {
            try #require(agent.isRunning && ContinuousClock.now < end, "\(agent.errors)")
            try await Task.sleep(for: .milliseconds(20))
        }
        let url = try #require(agent.errors.firstMatch(of: /http:\/\/127\.0\.0\.1:\d+/)).0
        let commands = try Self.commands(try await Self.browse(url + "/"))
        try #require(commands.count == 2, "\(commands)")
        let results = try await Self.run(commands)
        #expect(results[0].status == 0, "\(results[0])")
        #expect(results[1].status == 0 && results[1].output.hasPrefix("ACCEPTED"), "\(commands[1])\n\(results[1])")
        agent.signal(SIGTERM)
        await agent.expectEnd()
    }
}
