import DstackAttestation
import DstackEncoding
import DstackMockTEE
import Foundation
import TestKit
import Testing

/// The log of a running service, taken away and checked elsewhere.
@Suite("The audit log as an operator keeps it", .enabled(if: SimulatedHost.isThere, SimulatedHost.absence))
struct AuditCommandTests {
    @Test("an export is intact as it was written, and not with an entry less, another, an older end, or another root")
    func check() async throws {
        let service = try await KMSProcess().start()
        for _ in 0..<3 { _ = try await service.appKeys() }
        let early = try await service.command("audit", "export").output
        _ = try await service.appKeys()
        let entries = try await service.audit()
        #expect(entries.facts("keys_released").count == 4)
        let whole = try await service.command("audit", "export").output
        let lines = whole.split(separator: "\n").map(String.init)

        func check(_ text: String, _ options: [String] = [], root: String? = nil) async throws -> Program.Output {
            try service.scratch.write(text, "checked.jsonl")
            return try await service.command(
                ["audit", "check", service.scratch.path("checked.jsonl"), "--root", root ?? service.rootFile] + options,
                token: nil)
        }
        func joined(_ lines: some Sequence<String>) -> String { lines.map { $0 + "\n" }.joined() }

        let json = try await check(whole, ["--json"]).object()
        #expect(json["intact"] as? Bool == true && json["count"] as? Int == lines.count - 1, "\(json)")
        try service.scratch.write(early, "early.jsonl")
        #expect(try await check(whole, ["--known-head", service.scratch.path("early.jsonl")]).status == 0)

        let place = try #require(lines.firstIndex { $0.contains("keys_released") })
        var (missing, changed) = (lines, lines)
        missing.remove(at: place)
        changed[place] = changed[place].replacingOccurrences(of: "\"epoch\":0", with: "\"epoch\":1")
        #expect(changed != lines)
        let wrong = [
            ("an entry is missing", joined(missing)), ("an entry is another", joined(changed)),
            ("the end is cut off", joined(lines.dropLast(2) + lines.suffix(1))),
            ("there is no head", joined(lines.dropLast())), ("half a line", String(whole.dropLast(10))),
            (
                "two are exchanged",
                joined(lines.prefix(place) + [lines[place + 1], lines[place]] + lines.dropFirst(place + 2))
            ),
        ]
        for (name, text) in wrong {
            let result = try await check(text)
            #expect(result.status == 1 && result.output.hasPrefix("NOT INTACT"), "\(name): \(result)")
        }
        // A log that ends where it did earlier is whole by itself; who kept a later head knows better.
        #expect(try await check(early).status == 0)
        try service.scratch.write(whole, "later.jsonl")
        let shortened = try await check(early, ["--known-head", service.scratch.path("later.jsonl")])
        #expect(shortened.status == 1 && shortened.output.contains("cut_off"), "\(shortened)")
        let other = try await KMSProcess().start()
        #expect(try await check(whole, root: other.rootFile).status == 1)
        let nothing = try await check(whole, root: service.scratch.path("kms.toml"))
        #expect(nothing.status == 2 && nothing.errors.contains("--root"), "\(nothing)")
    }
}
