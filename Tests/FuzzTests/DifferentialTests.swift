import Foundation
import FuzzSupport
import TestKit
import Testing

/// The script that compares with another verifier, where Python has that.
private enum Differential {
    static let absence: Testing.Comment =
        "needs another verifier: pip install dcap-qvl==0.7.0, into .venv (Scripts/setup test does) or for python3"

    static let root: URL = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        return url
    }()

    /// The interpreter, or nil where none has the module.
    static let python: String? = [root.appendingPathComponent(".venv/bin/python3").path, "python3"].first {
        (try? run([$0, "-c", "import dcap_qvl"]))?.status == 0
    }

    static func run(_ words: [String]) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: text, as: UTF8.self))
    }
}

/// The short form of `Scripts/differential`: some hundred cases, made here and judged by both.
@Suite("Differences from another verifier", .enabled(if: Differential.python != nil, Differential.absence))
struct DifferentialTests {
    private static func run(_ lines: [[UInt8]], _ arguments: [String] = []) throws -> (status: Int32, output: String) {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("dstack-differential-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        let cases = directory.appendingPathComponent("cases")
        try Data(lines.joined()).write(to: cases)
        let script = Differential.root.appendingPathComponent("Scripts/differential").path
        return try Differential.run(
            [Differential.python ?? "python3", script, "--cases", cases.path, "--save", directory.path] + arguments)
    }

    @Test("every difference from dcap-qvl 0.7 is explained")
    func differences() throws {
        let run = try FuzzRun(
            Corpus(vectors: Vectors.areAvailable ? Vectors.directory.path : nil), seed: 20_261_121)
        let lines = try (0..<600).compactMap { try run.comparisonLine($0) }
        let (status, output) = try Self.run(lines)
        #expect(status == 0, "\(output)")
        #expect(output.contains("600 cases"), "\(output)")
        // Both say yes and both say no often enough to have something to compare.
        #expect(output.contains("both accept") && output.contains("both reject"), "\(output)")
    }

    @Test("a difference that no rule explains fails the comparison")
    func unexplained() throws {
        let run = try FuzzRun(Corpus(vectors: nil), seed: 1)
        let rejected = "\"verdict\":\"rejected\""
        let lines = try (0..<50).compactMap { try run.comparisonLine($0, kind: .quoteBytes) }
            .map { String(decoding: $0, as: UTF8.self) }
        let line = try #require(lines.first { $0.contains(rejected) })
        // A verdict turned around is a difference that there should not be.
        let forged = line.replacing(rejected, with: "\"verdict\":\"accepted\"")
        let (status, output) = try Self.run([Array(forged.utf8)])
        #expect(status == 1, "\(output)")
        #expect(output.contains("only we accept"), "\(output)")
    }
}
