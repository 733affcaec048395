import DstackAttestation
import DstackEncoding
import DstackMockTEE
import Foundation
import TestKit
import Testing

/// What an app author starts from, run as written: the agent, the snippets of docs/app-author.md, the example service.
@Suite("An application and its agent")
struct ApplicationTests {
    private static let package: URL = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        return root
    }()

    /// The agent as a person starts it, once it answers.
    private final class Agent {
        let scratch: ScratchDirectory
        let program: StartedProgram
        var directory: String { scratch.path("sim") }
        var environment: [String: String] { ["DSTACK_SIMULATOR_ENDPOINT": "\(directory)/dstack.sock"] }

        init() async throws {
            scratch = try ScratchDirectory()
            program = try StartedProgram("dstack-guest-agent", ["--simulate", scratch.path("sim")])
            let client = DstackClient(.unix("\(directory)/dstack.sock"))
            try await ApplicationTests.until(program) { await client.isReachable(within: .seconds(5)) }
        }

        func end() async {
            program.signal(SIGTERM)
            await program.expectEnd()
        }
    }

    /// Waits until something is so, as long as the program lives and a loaded machine may need.
    private static func until(_ program: StartedProgram, _ condition: () async throws -> Bool) async throws {
        let end = ContinuousClock.now + .seconds(60)
        while try await !condition() {
            try #require(program.isRunning && ContinuousClock.now < end, "\(program.errors)")
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    @Test("the snippets of the guide for app authors are the program that runs")
    func guideIsCode() throws {
        func text(_ path: String) throws -> String {
            try String(contentsOf: Self.package.appendingPathComponent(path), encoding: .utf8)
        }
        let program = try text("Examples/FiveMinutes/main.swift")
        // The programs have the same lines within functions, hence indented.
        func plain(_ text: String) -> String {
            text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }.joined(separator: "\n")
        }
        let programs = try plain(program + text("Examples/AttestedClient/main.swift"))
        let blocks = try Markdown(text("docs/app-author.md")).blocks.filter { $0.language == "swift" && $0.mark == nil }
        #expect(blocks.count == 8)
        for block in blocks { #expect(programs.contains(plain(block.text)), "not in the program:\n\(block.text)") }
    }

    @Test(
        "an agent in the background has answered when its command returns, is found by the next, and ends with all it left"
    )
    func background() async throws {
        let scratch = try ScratchDirectory()
        let arguments = ["--simulate", scratch.path("sim"), "--background"]
        let first = try await Program.run("dstack-guest-agent", arguments)
        #expect(first.status == 0 && first.errors.contains("the agent runs and answers"), "\(first)")
        let client = DstackClient(.unix(scratch.path("sim/dstack.sock")), startupTime: .zero)
        #expect(try await client.info().appName == "example")
        let second = try await Program.run("dstack-guest-agent", arguments)
        #expect(second.status == 0 && second.errors.contains("the agent runs already"), "\(second)")
        let dashboard = try #require(
            first.errors.split(separator: "\n").first { $0.hasPrefix("dashboard at http://127.0.0.1:") })
        #expect(second.errors.contains(dashboard))
        let down = try await Program.dstack("dev", "down", "--dir", scratch.path("sim"))
        #expect(down.status == 0 && down.output.hasPrefix("ended guest-agent"), "\(down)")
        #expect(await !client.isReachable())

        // Another agent has the directory: nothing is left running, and the reason is said.
        let agent = try StartedProgram("dstack-guest-agent", ["--simulate", scratch.path("sim")])
        try await Self.until(agent) { await client.isReachable(within: .seconds(5)) }
        let taken = try await Program.run("dstack-guest-agent", arguments)
        #expect(taken.status == 3 && taken.errors.contains("guest-agent ended with status"), "\(taken)")
        agent.signal(SIGTERM)
        await agent.expectEnd()
        for wrong in [["--background"], arguments + ["--watchdog"]] {
            let result = try await Program.run("dstack-guest-agent", wrong)
            #expect(result.status == 2, "\(result)")
        }
    }

    @Test("no example ends in a crash report: an agent that is not there is one line and a status")
    func noCrash() async throws {
        for place in ["/tmp/no-such-agent.sock", "http+unix:///x", "/tmp"] {
            for program in ["five-minutes", "attested-service"] {
                let result = try await Program.run(
                    program, program == "five-minutes" ? [] : ["--listen", "127.0.0.1:0"],
                    environment: ["DSTACK_SIMULATOR_ENDPOINT": place])
                #expect(result.status == 3 && result.errors.hasPrefix("\(program): "), "\(result)")
                #expect(result.errors.split(separator: "\n").count == 1, "\(result)")
            }
        }
        let client = try await Program.run("attested-client", ["https://127.0.0.1:1/", "/tmp/nowhere"])
        #expect(client.status == 3 && client.errors.split(separator: "\n").count == 1, "\(client)")
    }

    @Test("a client in Swift believes the simulated root in one argument, and nobody without it")
    func clientInSwift() async throws {
        let agent = try await Agent()
        let service = try StartedProgram(
            "attested-service", ["--listen", "127.0.0.1:0"], environment: agent.environment)
        try await Self.until(service) { service.output.hasSuffix("\n") }
        let url = service.output.trimmingCharacters(in: .newlines).replacing("listening on ", with: "")
        let yes = try await Program.run("attested-client", [url, agent.directory])
        #expect(yes.status == 0 && yes.output.contains("This TEE is simulated"), "\(yes)")

        let compose = [UInt8](try Data(contentsOf: URL(fileURLWithPath: agent.directory + "/app-compose.json")))
        var policy = VerificationPolicy.standard
        policy.expected.composeHash = ComposeHash(ofFile: compose).bytes
        policy.expected.osImageHash = try MockImage().osImageHash
        let collateral = try OfflineCollateral(path: agent.directory + "/collateral.json")
        for binding in [EvidenceBinding.keyBound, .sessionBound] {
            let intel = try AttestedHTTPClient(
                policy: policy, trusting: .intel, collateral: collateral, binding: binding)
            await #expect(throws: AttestedTLSError(.evidenceRejected, check: "", reason: "")) {
                try await intel.get(url)
            }
            let own = try AttestedHTTPClient(
                policy: policy, trusting: TrustAnchor(path: agent.directory + "/root.pem"), collateral: collateral,
                binding: binding)
            #expect(try await own.get(url).status == 200)
            #expect(try await own.peer(at: url).binding == .keyBound)
            await #expect(throws: AttestedTLSError.self) { try await intel.peer(at: url) }
        }
        #expect(throws: AttestationError.self) { try TrustAnchor(path: "/tmp/nowhere/root.pem") }
        service.signal(SIGTERM)
        await service.expectEnd()
        await agent.end()
    }

    @Test("the program of the guide runs against an agent in simulation")
    func guide() async throws {
        let agent = try await Agent()
        let summary = try Data(contentsOf: agent.scratch.url.appendingPathComponent("sim/simulation.json"))
        let kms = (try JSONSerialization.jsonObject(with: summary) as? [String: Any])?["kms_public_key"] as? String
        let result = try await Program.run("five-minutes", [try #require(kms)], environment: agent.environment)
        #expect(result.status == 0, "\(result)")
        for line in [
            "I am example", "my address is 0x", "which the KMS vouches for", "this TEE is simulated",
            "signed with ed25519 true", "TLS identity of \"localhost\"",
        ] { #expect(result.output.contains(line), "\(result)") }
        await agent.end()
    }

    @Test("the example service proves itself to strangers, answers challenges, and ends when it is told to")
    func service() async throws {
        let agent = try await Agent()
        let service = try StartedProgram(
            "attested-service", ["--listen", "127.0.0.1:0"], environment: agent.environment)
        try await Self.until(service) { service.output.hasSuffix("\n") }
        let url = service.output.trimmingCharacters(in: .newlines).replacing("listening on ", with: "")
        #expect(url.hasPrefix("https://127.0.0.1:"))

        func file(_ name: String) throws -> [UInt8] {
            [UInt8](try Data(contentsOf: agent.scratch.url.appendingPathComponent("sim/\(name)")))
        }
        let anchor = try TrustAnchor(certificate: file("root.pem"))
        let collateral = try QuoteCollateral(parsingJSON: file("collateral.json"))
        let compose = try file("app-compose.json")
        func client(_ binding: EvidenceBinding, compose: [UInt8]) throws -> AttestedHTTPClient {
            var policy = VerificationPolicy.standard
            policy.expected.composeHash = ComposeHash(ofFile: compose).bytes
            policy.expected.osImageHash = try MockImage().osImageHash
            let verifier = try AttestedPeerVerifier(
                policy: policy,
                collateral: ReadyCollateral(
                    OfflineCollateral([collateral]), verifier: QuoteVerifier(trustAnchor: anchor)))
            return AttestedHTTPClient(verifier: verifier, binding: binding)
        }
        for binding in [EvidenceBinding.keyBound, .sessionBound] {
            let response = try await client(binding, compose: compose).get(url + "/")
            #expect(response.status == 200 && response.peer.binding == binding)
            #expect(response.text?.contains("This TEE is simulated") == true)
            await #expect(throws: AttestedTLSError.self) {
                try await client(binding, compose: compose + [0x20]).get(url + "/")
            }
        }

        let stranger = try client(.keyBound, compose: compose)
        let nonce = String(repeating: "5a", count: 32)
        let answer = try await stranger.get("\(url)/quote?nonce=\(nonce)")
        let json = try #require(try JSONSerialization.jsonObject(with: Data(answer.body)) as? [String: Any])
        #expect(json["simulated"] as? Bool == true)
        let quote = try Hex.decode(try #require(json["quote"] as? String), subject: "quote")
        let log = try JSONSerialization.data(withJSONObject: try #require(json["event_log"]))
        var policy = VerificationPolicy.standard
        policy.expected.reportData =
            ReportData(
                tag: .init("attested-service-challenge"), content: [UInt8](repeating: 0x5A, count: 32)
            ).bytes
        let report = QuoteVerifier(trustAnchor: anchor).verify(
            Evidence(quote: quote, eventLog: [UInt8](log), appCompose: compose), collateral: collateral,
            policy: policy, at: Int64(Date().timeIntervalSince1970))
        #expect(report.verdict == .accepted, "\(report.failure?.description ?? "")")
        for refused in ["/quote", "/quote?nonce=", "/quote?nonce=0x00112233445566", "/quote?nonce=00"] {
            #expect(try await stranger.get(url + refused).status == 400)
        }
        #expect(try await stranger.get(url + "/elsewhere").status == 404)

        service.signal(SIGTERM)
        await service.expectEnd()
        await agent.end()
    }

    @Test("without an agent the service says where it looked, and what to do")
    func noAgent() async throws {
        let result = try await Program.run(
            "attested-service", ["--listen", "127.0.0.1:0"],
            environment: ["DSTACK_SIMULATOR_ENDPOINT": "/tmp/no-such-agent.sock"])
        #expect(result.status == 3 && result.errors.contains("unix:/tmp/no-such-agent.sock"), "\(result)")
        #expect(result.errors.contains("there is no such socket"))
        #expect(try await Program.run("attested-service", ["--port", "1"]).status == 2)
    }
}
