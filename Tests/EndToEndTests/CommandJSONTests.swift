import DstackEncoding
import Foundation
import TestKit
import Testing

/// The JSON of every command, held against docs/commands.md.
@Suite("The JSON that the page of commands lists", .enabled(if: DevSystem.isThere, DevSystem.absence))
struct CommandJSONTests {
    /// A row of the page: members in their order, and those that need not be there.
    private struct Row {
        let members: [String]
        let optional: Set<String>
    }

    private static func rows() throws -> [String: Row] {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        let page = try String(contentsOf: root.appendingPathComponent("docs/commands.md"), encoding: .utf8)
        let section = try #require(page.components(separatedBy: "## The JSON of each command").last)
        var rows: [String: Row] = [:]
        for line in try #require(section.components(separatedBy: "\n## ").first).split(separator: "\n") {
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count == 2, cells[1].hasPrefix("`") else { continue }
            let words = cells[1].components(separatedBy: ", ")
            let row = Row(
                members: words.map { $0.trimmingCharacters(in: CharacterSet(charactersIn: "()`")) },
                optional: Set(
                    words.filter { $0.hasPrefix("(") }.map {
                        $0.trimmingCharacters(in: CharacterSet(charactersIn: "()`"))
                    }))
            rows[cells[0]] = row
        }
        return rows
    }

    private let files: ScratchDirectory
    private let rows: [String: Row]

    init() async throws {
        files = try ScratchDirectory()
        rows = try Self.rows()
        #expect(try await Program.dstack("mock-tee", files.path("e")).status == 0)
    }

    /// The members of an object that was printed are those of the row, in its order; nothing is left out.
    private func expect(
        _ row: String, of result: Program.Output, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let row = try #require(rows[row], "no row of docs/commands.md is \(row)", sourceLocation: sourceLocation)
        let found = try JSONDocument(parsing: result.output, subject: "output").root.members.map(\.name)
        let wanted = row.members.filter { found.contains($0) || !row.optional.contains($0) }
        #expect(found == wanted, "\(result.errors)", sourceLocation: sourceLocation)
    }

    private func verifier(_ arguments: String...) async throws -> Program.Output {
        try await Program.run("dstack-verifier", arguments)
    }

    @Test("commands on files print the members that the page lists")
    func onFiles() async throws {
        let e = files.path("e")
        try expect("`dstack mock-tee`", of: try await Program.dstack("mock-tee", e, "--json"))
        let judged = ["--collateral", "\(e)/collateral.json", "--trust-root", "\(e)/root.pem", "--json"]
        for evidence in [
            ["--attestation", "\(e)/attestation.bin"], ["--quote", "\(e)/quote.bin"], ["--quote", "\(e)/root.pem"],
            ["--quote", "\(e)/quote.bin", "--event-log", "\(e)/event-log.json", "--policy", "authentic"],
        ] {
            let result = try await Program.run("dstack-verifier", ["verify"] + evidence + judged)
            try expect("`dstack-verifier verify`", of: result)
        }
        try expect("`dstack-verifier parse`", of: try await verifier("parse", "\(e)/quote.bin", "--json"))
        for quote in [[], ["--quote", "\(e)/quote.bin"]] {
            let result = try await Program.run(
                "dstack-verifier", ["replay", "\(e)/event-log.json", "--json"] + quote)
            try expect("`dstack-verifier replay`", of: result)
        }
        for measured in [[], ["--measured", String(repeating: "0", count: 64)]] {
            let result = try await Program.run(
                "dstack-verifier", ["compose-hash", "\(e)/app-compose.json", "--json"] + measured)
            try expect("`dstack-verifier compose-hash`", of: result)
        }
        let zeros = { String(repeating: "0", count: $0) }
        let (hash, id) = (zeros(64), zeros(40))
        let policy = try files.write(
            "[[rule]]\nname = \"x\"\nfor = \"kms\"\nmr_aggregated = [\"\(hash)\"]\nos_images = [\"\(hash)\"]\nany_device = true\n",
            "policy.toml")
        let info = try files.write(
            """
            {"mrAggregated":"\(hash)","osImageHash":"\(hash)","appId":"\(id)","composeHash":"\(hash)","instanceId":"",
             "deviceId":"\(hash)"}
            """, "boot-info.json")
        for more in [["--kms"], []] {
            let result = try await Program.run(
                "dstack-auth",
                ["explain", "--config", policy, "--boot-info", info, "--json"] + more)
            try expect("`dstack-auth explain`", of: result)
        }
        try expect("`dstack-verifier report-data`", of: try await verifier("report-data", "00", "--json"))
        for program in [
            "dstack", "dstack-verifier", "dstack-auth", "dstack-kms", "dstack-guest-agent", "dstack-simulator",
        ] {
            try expect("any program's `version`", of: try await Program.run(program, ["version", "--json"]))
        }
        let collateral = Program.Output(status: 0, output: files.text("e/collateral.json"), errors: "")
        try expect("`dstack-verifier fetch-collateral`", of: collateral)
    }

    @Test("a request's answer has the members that the page lists")
    func requests() async throws {
        let attestation = try Data(contentsOf: URL(fileURLWithPath: files.path("e/attestation.bin")))
        let hex = attestation.map { String(format: "%02x", $0) }.joined()
        let id = String(repeating: "0", count: 40)
        for (name, more) in [
            ("plain", ""), ("more", #","policy":"authentic","report":true,"expected_app_id":"\#(id)""#),
        ] {
            try files.write(#"{"attestation":"\#(hex)"\#(more)}"#, name)
            let config = try files.write(
                """
                [attestation]
                insecure_allow_external_trust_anchors = true
                root_ca.tdx = "\(files.path("e/root.pem"))"
                [collateral]
                offline = "\(files.path("e/collateral.json"))"
                """, "verifier.toml")
            let result = try await verifier("--config", config, "--verify", files.path(name))
            try expect("`dstack-verifier --verify`", of: result)
        }
    }

    @Test("what runs is reported with the members that the page lists")
    func systems() async throws {
        let system = try DevSystem()
        try expect("`dstack dev up`, `dstack dev status`", of: try await system.dev("up", "--json"))
        try expect("`dstack dev up`, `dstack dev status`", of: try await system.dev("status", "--json"))
        let url = try await system.url()
        for compose in [[], ["--app-compose", system.path + "/app-compose.json"]] {
            let options = ["--trust-root", system.path + "/guest/root.pem", "--json"]
            try expect("`dstack verify URL`", of: try await system.verify(url, options + compose))
        }
        try expect("`dstack dev down`", of: try await system.dev("down", "--json"))
    }
}
