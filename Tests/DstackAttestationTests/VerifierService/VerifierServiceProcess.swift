import Foundation
import TestKit
import Testing

/// The program `dstack-verifier` as it was built with these tests, run as a person or an operator would.
enum VerifierProgram {
    /// Beside the test bundle, or where a debug build of the package puts it.
    static let path: String? = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let runner = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
        return [runner, root.appendingPathComponent(".build/debug")]
            .map { $0.appendingPathComponent("dstack-verifier").path }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }()

    static let python = ["/usr/bin/python3", "/usr/local/bin/python3"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }
    static let curl = ["/usr/bin/curl", "/usr/local/bin/curl"].first {
        FileManager.default.isExecutableFile(atPath: $0)
    }

    static let isThere = path != nil && python != nil && curl != nil
    static let absence: Testing.Comment = "needs dstack-verifier built with the tests, python3 and curl"

    struct Output {
        let status: Int32
        let output: String
        let errors: String
    }

    /// Runs a program to its end.
    static func run(
        _ program: String?, _ arguments: [String], environment: [String: String] = [:], in directory: URL? = nil
    ) async throws -> Output {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try #require(program))
        process.arguments = arguments
        process.environment = ["PATH": "/usr/bin:/bin", "NO_COLOR": "1"].merging(environment) { $1 }
        process.currentDirectoryURL = directory
        // Files, not pipes: whatever is written, nobody waits for a reader.
        let scratch = try ScratchDirectory()
        let (output, errors) = (scratch.file("output"), scratch.file("errors"))
        for file in [output, errors] { try Data().write(to: file) }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        try await process.runToEnd()
        return Output(
            status: process.terminationStatus, output: try String(contentsOf: output, encoding: .utf8),
            errors: try String(contentsOf: errors, encoding: .utf8))
    }

    /// Runs `dstack-verifier` to its end.
    static func run(_ arguments: String..., in directory: URL? = nil) async throws -> Output {
        try await run(path, arguments, in: directory)
    }
}

extension Process {
    /// Starts and awaits the end, without holding a thread of Swift's own.
    fileprivate func runToEnd() async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            terminationHandler = { _ in continuation.resume() }
            do { try run() } catch { continuation.resume(throwing: error) }
        }
    }
}

/// `dstack-verifier serve` under way.
final class VerifierServer: Sendable {
    private let process = Process()
    /// An address of this machine that nobody else uses, so that the port is free.
    let address = "127.\(UInt8.random(in: 1...254)).\(UInt8.random(in: 0...255)).\(UInt8.random(in: 1...254)):8080"
    private let log: URL
    private let directory: ScratchDirectory

    /// Starts the service and waits until it says that it listens.
    ///
    /// - Parameters:
    ///   - settings: TOML without address and port.
    ///   - arguments: of the program; `CONFIG` stands for the file with the settings.
    init(_ settings: String, arguments: [String] = ["serve", "--config", "CONFIG"]) async throws {
        directory = try ScratchDirectory()
        log = directory.file("log")
        let config = try directory.write(
            "address = \"\(address.dropLast(":8080".count))\"\nport = 8080\n\(settings)".utf8, "verifier.toml")
        try Data().write(to: log)
        process.executableURL = URL(fileURLWithPath: try #require(VerifierProgram.path))
        process.arguments = arguments.map { $0 == "CONFIG" ? config : $0 }
        process.environment = ["PATH": "/usr/bin:/bin", "NO_COLOR": "1"]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = try FileHandle(forWritingTo: log)
        try process.run()
        try await wait(for: "listening on http://\(address)")
    }

    deinit { if process.isRunning { process.terminate() } }

    var logText: String { (try? String(contentsOf: log, encoding: .utf8)) ?? "" }

    /// Waits until the log contains a text, or fails after a time that only a broken service takes.
    func wait(for text: String) async throws {
        for _ in 0..<600 {
            if logText.contains(text) { return }
            guard process.isRunning else { break }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw Failure(description: "the service did not say `\(text)`: \(logText)")
    }

    struct Failure: Error, CustomStringConvertible { let description: String }

    func signal(_ number: Int32) { kill(process.processIdentifier, number) }

    /// Asks the service to end and returns its status.
    func terminate() async -> Int32 {
        process.terminate()
        return await withCheckedContinuation { continuation in
            // Waiting blocks; a thread of its own does it.
            Thread { [self] in
                process.waitUntilExit()
                continuation.resume(returning: process.terminationStatus)
            }.start()
        }
    }

    struct Answer {
        let status: Int
        let body: String
    }

    /// Posts a file with Python's urllib.
    func post(_ file: String, to path: String = "/verify") async throws -> Answer {
        let script = """
            import sys, urllib.request, urllib.error
            request = urllib.request.Request(sys.argv[1], open(sys.argv[2], "rb").read())
            request.add_header("Content-Type", "application/json")
            try:
                answer = urllib.request.urlopen(request)
            except urllib.error.HTTPError as error:
                answer = error
            print(answer.status)
            sys.stdout.write(answer.read().decode())
            """
        let result = try await VerifierProgram.run(
            VerifierProgram.python, ["-c", script, "http://\(address)\(path)", file])
        let parts = result.output.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, let status = Int(parts[0]) else { throw Failure(description: result.errors) }
        return Answer(status: status, body: String(parts[1]))
    }

    /// Asks with curl.
    func curl(_ path: String, _ arguments: String...) async throws -> Answer {
        let result = try await VerifierProgram.run(
            VerifierProgram.curl, ["-sS", "-w", "\n%{http_code}", "http://\(address)\(path)"] + arguments)
        guard let end = result.output.lastIndex(of: "\n"),
            let status = Int(result.output[result.output.index(after: end)...])
        else { throw Failure(description: result.errors) }
        return Answer(status: status, body: String(result.output[..<end]))
    }
}
