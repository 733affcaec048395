import TestKit
import Testing

extension Program {
    /// Every option in a hint must be one that the command's help declares.
    ///
    /// - Parameter way: what the hint must name; nil where there need be no hint.
    static func expectOwnOptions(
        _ program: String, _ command: String, _ result: Output, naming way: String?
    ) async throws {
        let option = /--[a-z][a-z-]*/
        let help = try await run(program, [command, "--help"]).output
        let list = help.split(separator: "\n").filter { $0.hasPrefix("  -") }
        let declared = Set(list.flatMap { $0.matches(of: option).prefix(1).map { String($0.output) } })
        #expect(declared.contains("--trust-root"), "\(help)")
        let hint = result.errors.split(separator: "\n").last { $0.hasPrefix("hint: ") }.map(String.init) ?? ""
        let named = Set(hint.matches(of: option).map { String($0.output) })
        #expect(named.isSubset(of: declared), "\(named.subtracting(declared)) of \(hint)")
        if let way { #expect(hint.contains(way), "\(result)") }
    }
}
