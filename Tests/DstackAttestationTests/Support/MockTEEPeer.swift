import DstackAttestation
import Foundation
import Testing

/// Another implementation of quote verification, `dcap-qvl` for Python, where it is installed.
enum PeerVerifier {
    static let absence: Testing.Comment =
        "needs another verifier: pip install dcap-qvl==0.7.0, into .venv (Scripts/setup test does) or for python3"

    /// The project's own Python where it is set up, else the system's.
    private static let python: String = {
        let root = URL(fileURLWithPath: #filePath).pathComponents.dropLast(4).joined(separator: "/").dropFirst()
        let own = "\(root)/.venv/bin/python3"
        return FileManager.default.isExecutableFile(atPath: own) ? own : "python3"
    }()

    static let isAvailable: Bool = (try? run("import dcap_qvl", [])) != nil

    /// What is verified under which root and when.
    struct Question {
        let quote: [UInt8]
        let collateral: QuoteCollateral
        let root: [UInt8]
        let now: Int64

        init(_ quote: [UInt8], _ collateral: QuoteCollateral, root: [UInt8], now: Int64) {
            (self.quote, self.collateral, self.root, self.now) = (quote, collateral, root, now)
        }

        init(_ evidence: MockEvidence) throws {
            self.init(
                try evidence.quoteBytes(), try evidence.collateralValue(), root: evidence.anchor, now: evidence.now)
        }
    }

    private static let script = """
        import sys, dcap_qvl
        directory = sys.argv[1]
        for index, now in enumerate(sys.argv[2:]):
            read = lambda name: open(f"{directory}/{index}.{name}", "rb").read()
            try:
                collateral = dcap_qvl.QuoteCollateralV3.from_json(read("collateral").decode())
                print(dcap_qvl.verify_with_root_ca(read("quote"), collateral, read("root"), int(now)).status)
            except ValueError as error:
                print("refused:", " ".join(str(error).split()))
        """

    private struct Failure: Error {}

    private static func run(_ script: String, _ arguments: [String]) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [python, "-c", script] + arguments
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw Failure() }
        return String(decoding: text, as: UTF8.self)
    }

    /// For each question the status, or "refused: …".
    static func verdicts(_ questions: [Question]) throws -> [String] {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("dstack-peer-\(UUID())")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        for (index, question) in questions.enumerated() {
            for (name, bytes) in [
                ("quote", question.quote), ("collateral", question.collateral.json), ("root", question.root),
            ] {
                try Data(bytes).write(to: directory.appendingPathComponent("\(index).\(name)"))
            }
        }
        let output = try run(script, [directory.path] + questions.map { String($0.now) })
        let lines = output.split(separator: "\n").map(String.init)
        guard lines.count == questions.count else { throw Failure() }
        return lines
    }

    static func verdict(_ quote: [UInt8], _ collateral: QuoteCollateral, root: [UInt8], now: Int64) throws -> String {
        try verdicts([Question(quote, collateral, root: root, now: now)])[0]
    }
}
