package import Foundation
import Synchronization
package import Testing

/// The programs as they were built with the tests, run as a person would.
package enum Program {
    /// Beside the test bundle, or where a debug build of the package puts them.
    package static let directory: URL? = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        let runner = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        return [runner, root.appendingPathComponent(".build/debug")].first {
            FileManager.default.isExecutableFile(atPath: $0.appendingPathComponent("dstack").path)
        }
    }()

    package static func path(_ name: String) -> String? {
        if name.hasPrefix("/") { return FileManager.default.isExecutableFile(atPath: name) ? name : nil }
        guard let path = directory?.appendingPathComponent(name).path else { return nil }
        return FileManager.default.isExecutableFile(atPath: path) ? path : nil
    }

    package struct Output: CustomStringConvertible, Sendable {
        package let status: Int32
        package let output: String
        package let errors: String

        package init(status: Int32, output: String, errors: String) {
            self.status = status
            self.output = output
            self.errors = errors
        }

        package var description: String { "status \(status)\n\(output)\n\(errors)" }

        /// The one JSON object on standard output.
        package func object() throws -> [String: Any] {
            try #require(JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any], "\(self)")
        }
    }

    /// Runs a program to its end.
    ///
    /// Its output goes to files, not pipes: whoever inherits them may live longer than the program, and nobody waits.
    package static func run(
        _ name: String, _ arguments: [String], environment: [String: String] = [:], in directory: URL? = nil
    ) async throws -> Output {
        let running = try StartedProgram(name, arguments, environment: environment, in: directory)
        return await running.finished()
    }

    package static func dstack(_ arguments: String..., environment: [String: String] = [:]) async throws -> Output {
        try await run("dstack", arguments, environment: environment)
    }
}

/// A program under way. It goes with the value, or with the process: what tests share outlives the last of them.
package final class StartedProgram: Sendable {
    private let process = Process()
    private static let all = Mutex<[WeakProgram]>([])
    private static let endsWithTests: Void = {
        atexit { for one in StartedProgram.all.withLock({ $0 }) { one.program?.signal(SIGKILL) } }
    }()
    private let scratch: ScratchDirectory

    package init(
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
        _ = Self.endsWithTests
        Self.all.withLock { all in
            all.removeAll { $0.program == nil }
            all.append(WeakProgram(program: self))
        }
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    package var processID: Int32 { process.processIdentifier }
    package var isRunning: Bool { process.isRunning }
    package var output: String { scratch.text("output") }
    package var errors: String { scratch.text("errors") }

    package func signal(_ number: Int32) { if process.isRunning { kill(process.processIdentifier, number) } }

    /// Waits for the end, and has all that it wrote.
    package func finished() async -> Program.Output {
        let status = await end()
        return Program.Output(status: status, output: output, errors: errors)
    }

    /// Waits for the end, which must be this one (``end()``).
    package func expectEnd(_ wanted: Int32 = 0, sourceLocation: SourceLocation = #_sourceLocation) async {
        let status = await end()
        #expect(status == wanted, "\(errors)", sourceLocation: sourceLocation)
    }

    /// Waits for the end; the status, or minus the signal that ended it.
    package func end() async -> Int32 {
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

private struct WeakProgram: Sendable {
    weak let program: StartedProgram?
}
