import Foundation
import TestKit
import Testing

/// The programs as they were built with these tests, run as a person would.
enum Program {
    /// Beside the test bundle, or where a debug build of the package puts them.
    static let directory: URL? = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let runner = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        return [runner, root.appendingPathComponent(".build/debug")].first {
            FileManager.default.isExecutableFile(atPath: $0.appendingPathComponent("dstack").path)
        }
    }()

    static func path(_ name: String) -> String? {
        if name.hasPrefix("/") { return FileManager.default.isExecutableFile(atPath: name) ? name : nil }
        guard let path = directory?.appendingPathComponent(name).path else { return nil }
        return FileManager.default.isExecutableFile(atPath: path) ? path : nil
    }

    struct Output: CustomStringConvertible {
        let status: Int32
        let output: String
        let errors: String

        var description: String { "status \(status)\n\(output)\n\(errors)" }

        /// The one JSON object on standard output.
        func object() throws -> [String: Any] {
            try #require(JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any], "\(self)")
        }
    }

    /// Runs a program to its end.
    ///
    /// Its output goes to files, not pipes: whoever inherits them may live longer than the program, and nobody waits.
    static func run(
        _ name: String, _ arguments: [String], environment: [String: String] = [:], in directory: URL? = nil
    ) async throws -> Output {
        let running = try RunningProgram(name, arguments, environment: environment, in: directory)
        let status = await running.end()
        return Output(status: status, output: running.output, errors: running.errors)
    }

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

    static func dstack(_ arguments: String..., environment: [String: String] = [:]) async throws -> Output {
        try await run("dstack", arguments, environment: environment)
    }
}

/// A program under way.
final class RunningProgram: Sendable {
    private let process = Process()
    private let scratch: ScratchDirectory

    init(
        _ name: String, _ arguments: [String], environment: [String: String] = [:], in directory: URL? = nil
    ) throws {
        scratch = try ScratchDirectory()
        process.executableURL = URL(fileURLWithPath: try #require(Program.path(name), "\(name) is not built"))
        process.arguments = arguments
        process.environment = [
            "PATH": "/usr/bin:/bin", "NO_COLOR": "1", "TMPDIR": NSTemporaryDirectory(),
        ].merging(environment) { $1 }
        process.currentDirectoryURL = directory
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle(forWritingAtPath: try scratch.write("", "output"))
        process.standardError = FileHandle(forWritingAtPath: try scratch.write("", "errors"))
        try process.run()
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    var processID: Int32 { process.processIdentifier }
    var isRunning: Bool { process.isRunning }
    var output: String { scratch.text("output") }
    var errors: String { scratch.text("errors") }

    func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// Waits for the end, which must be this one (``end()``).
    func expectEnd(_ wanted: Int32 = 0, sourceLocation: SourceLocation = #_sourceLocation) async {
        let status = await end()
        #expect(status == wanted, "\(errors)", sourceLocation: sourceLocation)
    }

    /// Waits for the end; the status, or minus the signal that ended it.
    func end() async -> Int32 {
        await withCheckedContinuation { continuation in
            // Waiting blocks; a thread of its own does it.
            Thread { [self] in
                process.waitUntilExit()
                let isSignal = process.terminationReason == .uncaughtSignal
                continuation.resume(returning: isSignal ? -process.terminationStatus : process.terminationStatus)
            }.start()
        }
    }
}
