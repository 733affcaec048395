import DstackGuest
import Foundation
import Testing

/// What every container engine must do alike.
///
/// Expects the container `select`, which has ended: it wrote the numbers 1 to 30, and `late` two seconds after them.
func expectSelection(_ engine: any ContainerEngine) async throws {
    let fixture = try await DashboardFixture(engine: engine)
    func log(_ query: String) async throws -> String { try await fixture.text("/logs/select?text&bare&\(query)") }
    #expect(try await log("tail=2") == "30\nlate\n")
    #expect(try await log("tail=0") == "")
    #expect(try await log("tail=all").split(separator: "\n").count == 31)
    #expect(try await log("since=4102444800") == "")
    #expect(try await log("until=1") == "")
    #expect(try await log("since=1h").split(separator: "\n").count == 31)

    let stamped = try await log("timestamps&tail=1")
    let words = stamped.split(separator: " ")
    #expect(words.last == "late\n")
    let time = try #require(words.first.map(String.init))
    #expect(time.count == 30 && time.hasSuffix("Z"))
    // The second in which the last line was written splits the log in two.
    let formatter = ISO8601DateFormatter()
    let second = Int(try #require(formatter.date(from: time.prefix(19) + "Z")).timeIntervalSince1970)
    #expect(try await log("since=\(second)") == "late\n")
    #expect(try await log("until=\(second)").hasSuffix("30\n"))
}

/// How much memory this process takes, in bytes.
func residentBytes() -> Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    return (Int(text.split(separator: " ").dropFirst().first ?? "0") ?? 0) * 4_096
}
