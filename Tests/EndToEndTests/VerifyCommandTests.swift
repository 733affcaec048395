import DstackAttestation
import DstackEncoding
import DstackHTTPServer
import DstackMockTEE
import Foundation
import TestKit
import Testing

/// `dstack verify` against services of every kind, as a stranger would run it.
@Suite("dstack verify", .enabled(if: Program.path("dstack") != nil, "dstack is not built"))
struct VerifyCommandTests {
    private func verify(
        _ service: SimulatedService, _ arguments: [String]? = nil, compose: String? = nil
    ) async throws -> Program.Output {
        let files = service.files
        if let compose { try files.write(compose, "own.json") }
        let own = ["--app-compose", files.path(compose == nil ? "app-compose.json" : "own.json")]
        let output = try await Program.run(
            "dstack",
            [
                "verify", service.url, "--trust-root", files.path("root.pem"), "--collateral",
                files.path("collateral.json"),
            ]
                + (arguments ?? own))
        await service.server.stop()
        return output
    }

    @Test("a simulated service gets a yes with its chain of trust, and every line that matters says simulated")
    func yes() async throws {
        let service = try await SimulatedService()
        let result = try await verify(service)
        #expect(result.status == 0, "\(result)")
        let lines = result.output.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        #expect(lines[0] == "YES \(service.url) is the application that you expect [simulated]")
        let links = lines.filter { $0.hasPrefix("  ok   ") }.map { $0.dropFirst(7).prefix { $0 != ":" } }
        #expect(
            links == [
                "hardware root", "platform", "quote", "event log", "application", "certificate key", "this connection",
            ])
        #expect(
            result.output.contains(
                "application: compose hash: \(ComposeHash(ofFile: Array(SimulatedService.compose.utf8)))"))
        #expect(result.output.contains("hardware root: root: simulated"))
        // Nobody is at a terminal: no colour, and nothing is cut.
        #expect(!result.output.contains("\u{1B}") && !result.output.contains("…"))
    }

    @Test("--json prints one object with the same answer")
    func json() async throws {
        let service = try await SimulatedService()
        let files = service.files
        let result = try await verify(service, ["--app-compose", files.path("app-compose.json"), "--json"])
        #expect(result.status == 0, "\(result)")
        let object = try result.object()
        #expect(object["verdict"] as? String == "accepted")
        #expect(object["simulated"] as? Bool == true)
        #expect(object["url"] as? String == service.url)
        #expect(object["binding"] as? String == "key-bound")
        #expect(object["reason"] is NSNull)
        let application = try #require(object["application"] as? [String: Any])
        #expect(application["app_id"] as? String == "\(service.boot.appID)")
        let chain = try #require(object["chain"] as? [[String: Any]])
        #expect(chain.count == 7)
        #expect(chain.allSatisfy { $0["outcome"] as? String == "passed" })
        let evidence = try #require(object["evidence"] as? [String: Any])
        #expect(evidence["verdict"] as? String == "accepted")
    }

    @Test(
        "a service that does not prove what is expected gets a no with its reason",
        arguments: [
            (SimulatedService.Certificate.withoutEvidence, "certificate_evidence", "missing"),
            (.malformedEvidence, "certificate_format", "malformed"),
            (.ofAnotherKey, "expected_report_data", "mismatch"),
            (.changedQuote(offset: 200), "quote_signature", "bad_signature"),
            (.changedQuote(offset: 640), "quote_signature", "bad_signature"),
            (.shortenedLog, "envelope_runtime_events", "mismatch"),
            (.expired, "certificate_validity", "expired"),
        ])
    func refusals(_ kind: SimulatedService.Certificate, check: String, code: String) async throws {
        let service = try await SimulatedService(kind)
        let files = service.files
        let result = try await verify(service, ["--app-compose", files.path("app-compose.json"), "--json"])
        #expect(result.status == 1, "\(result)")
        let object = try result.object()
        #expect(object["verdict"] as? String == "rejected")
        let reason = try #require(object["reason"] as? [String: Any])
        #expect(reason["check"] as? String == check, "\(reason)")
        #expect(reason["code"] as? String == code, "\(reason)")
    }

    @Test("no hint names an option that the command does not have")
    func hints() async throws {
        let expired = try await verify(SimulatedService(), ["--at", "2100-01-01T00:00:00Z"])
        #expect(expired.status == 1)
        try await Program.expectOwnOptions(
            "dstack", "verify", expired, naming: "without --collateral it is fetched, --at")
        let undecided = try await verify(SimulatedService(), [])
        try await Program.expectOwnOptions("dstack", "verify", undecided, naming: "--app-compose FILE")
        let session = try await verify(SimulatedService(), ["--session-bound"])
        try await Program.expectOwnOptions("dstack", "verify", session, naming: "without --session-bound")
        let image = try await verify(SimulatedService(), ["--policy", "strict"])
        try await Program.expectOwnOptions("dstack", "verify", image, naming: nil)
    }

    @Test("another compose file than the measured one gets a no, whichever of the two sides changed it")
    func wrongCompose() async throws {
        let other = SimulatedService.compose.replacingOccurrences(of: "tests", with: "evil")
        for (served, own) in [(SimulatedService.compose, other), (other, SimulatedService.compose)] {
            let result = try await verify(SimulatedService(compose: served), compose: own)
            #expect(result.status == 1)
            #expect(result.output.hasPrefix("NO https://"), "\(result)")
            #expect(result.output.contains("[compose_hash: mismatch]"))
            #expect(result.output.contains("expected \(ComposeHash(ofFile: Array(own.utf8)))"))
            #expect(result.output.contains("[simulated]"))
            #expect(result.output.contains("  FAIL application:"))
            #expect(result.output.contains("  --   this connection:"))
        }
    }

    @Test("without evidence about the connection the report says so, and where it is asked for there is no yes")
    func bindings() async throws {
        for (flags, status) in [([], 0), (["--key-bound"], 0), (["--session-bound"], 1)] as [([String], Int32)] {
            let service = try await SimulatedService()
            let compose = service.files.path("app-compose.json")
            let result = try await verify(service, ["--app-compose", compose] + flags)
            #expect(result.status == status, "\(result)")
            #expect(
                result.output.contains("no evidence about the connection") == (flags != ["--key-bound"]), "\(result)")
            #expect(result.output.contains("CVE-2026-33697") == (status == 0))
            if status == 1 { #expect(result.output.contains("[session_evidence: missing]"), "\(result)") }
        }
        let both = try await Program.dstack("verify", "https://127.0.0.1:1", "--key-bound", "--session-bound")
        #expect(both.status == 2)
    }

    @Test("under Intel's root a simulated service gets a no")
    func intel() async throws {
        let service = try await SimulatedService()
        let files = service.files
        let result = try await Program.dstack(
            "verify", service.url, "--collateral", files.path("collateral.json"), "--app-compose",
            files.path("app-compose.json"))
        await service.server.stop()
        #expect(result.status == 1, "\(result)")
        #expect(result.output.hasPrefix("NO \(service.url) [simulated]\n"), "\(result)")
        #expect(result.output.contains("unknown_issuer") || result.output.contains("bad_signature"), "\(result)")
    }

    @Test("where nobody has collateral, what does not lead to the root is a no all the same, and the rest no answer")
    func withoutCollateral() async throws {
        for (root, status) in [([], 1), (["--trust-root", "root.pem"], 3)] as [([String], Int32)] {
            let service = try await SimulatedService()
            let files = service.files
            let result = try await Program.run(
                "dstack",
                [
                    "verify", service.url, "--pccs", "https://127.0.0.1:1", "--app-compose",
                    files.path("app-compose.json"),
                ]
                    + root.map { $0.hasPrefix("-") ? $0 : files.path($0) })
            await service.server.stop()
            #expect(result.status == status, "\(result)")
            if status == 1 {
                #expect(result.output.hasPrefix("NO \(service.url) [simulated]\n"), "\(result)")
                #expect(result.output.contains("[pck_chain: unknown_issuer]"), "\(result)")
                #expect(
                    result.output.contains("hardware root: no collateral: ") && !result.output.contains("CRL at byte"))
            } else {
                #expect(!result.output.contains("NO") && !result.output.contains("YES"), "\(result)")
                #expect(result.errors.contains("127.0.0.1:1"), "\(result)")
            }
        }
    }

    @Test("without anything to compare with there is no yes, and what was not checked is said")
    func undecided() async throws {
        for extra in [[], ["--app-id", ""]] {
            let service = try await SimulatedService()
            let id = "\(service.boot.appID)"
            let result = try await verify(service, extra.map { $0.isEmpty ? id : $0 })
            #expect(result.status == 1, "\(result)")
            #expect(result.output.hasPrefix("UNDECIDED "))
            #expect(!result.output.contains("YES"))
            #expect(result.output.contains("[code_expected: not_checked]"))
            #expect(result.output.contains("  - which code this is:"))
            #expect(result.output.contains("  ?    application:"))
            #expect(result.errors.contains("--app-compose"))
        }
    }

    @Test("an expected hash stands for the file; a wrong hash or application id is refused")
    func expectedValues() async throws {
        let hash = "\(ComposeHash(ofFile: Array(SimulatedService.compose.utf8)))"
        let wrong = String(repeating: "ab", count: 32)
        for (arguments, status, check) in [
            (["--compose-hash", hash], 0, ""),
            (["--compose-hash", wrong], 1, "expected_application"),
            (["--compose-hash", hash, "--app-id", String(wrong.prefix(40))], 1, "expected_application"),
        ] as [([String], Int32, String)] {
            let result = try await verify(SimulatedService(), arguments)
            #expect(result.status == status, "\(result)")
            #expect(result.output.contains(check.isEmpty ? "YES" : "[\(check): mismatch]"), "\(result)")
        }
    }

    @Test("at another time the answer is that time's")
    func time() async throws {
        let service = try await SimulatedService()
        let files = service.files
        let result = try await verify(
            service, ["--app-compose", files.path("app-compose.json"), "--at", "2101-01-01T00:00:00Z"])
        #expect(result.status == 1)
        #expect(result.output.contains("expired]"), "\(result)")
    }

    @Test("plain HTTP behind an https URL, and a port where nobody listens, are failures of the world")
    func unreachable() async throws {
        let service = try await SimulatedService(plain: true)
        let files = service.files
        let plain = try await verify(service)
        #expect(plain.status == 3, "\(plain)")
        #expect(plain.errors.contains("during the TLS handshake"), "\(plain)")
        #expect(plain.output.isEmpty)
        // The server has stopped, so nobody listens there any more.
        let dead = try await verify(service, ["--app-compose", files.path("app-compose.json"), "--json"])
        #expect(dead.status == 3, "\(dead)")
        #expect(dead.errors.contains("while connecting"), "\(dead)")
        let object = try dead.object()
        #expect(object["verdict"] as? String == "error")
    }

    @Test(
        "a URL that cannot be verified is a wrong request",
        arguments: [
            ("http://127.0.0.1:1", "plain HTTP"), ("127.0.0.1:8443", "no scheme"), ("ftp://a", "scheme is ftp"),
            ("https://", "no host"), ("https://user@host", "user name"), ("https://host:0", "port"),
            ("https://host:99999", "port"), ("https://host:+1", "port"), ("https://[::1", "]"),
            ("https://a b", "space"), ("https://bücher.example", "ASCII"),
        ])
    func wrongURL(_ url: String, reason: String) async throws {
        let result = try await Program.dstack("verify", url, "--json")
        #expect(result.status == 2, "\(result)")
        #expect(result.errors.contains(reason), "\(result)")
        #expect(try result.object()["verdict"] as? String == "error")
    }

    @Test("files that make no sense are wrong requests, before anything is connected to")
    func wrongFiles() async throws {
        let files = try ScratchDirectory()
        try files.write("nonsense", "file")
        for option in ["--app-compose", "--trust-root", "--collateral", "--policy"] {
            for path in [files.path("file"), files.path("missing")] {
                let result = try await Program.dstack("verify", "https://127.0.0.1:1", option, path)
                #expect(result.status == 2, "\(option): \(result)")
            }
        }
    }
}
