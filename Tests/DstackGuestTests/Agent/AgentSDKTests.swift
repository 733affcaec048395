import DstackGuest
import Foundation
import Testing

/// A Python with the SDK in it, as `Scripts/setup test` makes it.
enum PythonSDK {
    private static let root: URL = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        return root
    }()

    private static let python = root.appendingPathComponent(".venv/bin/python").path
    static let isAvailable: Bool = {
        let packages =
            (try? FileManager.default.contentsOfDirectory(
                atPath: root.appendingPathComponent(".venv/lib").path)) ?? []
        return packages.contains { version in
            FileManager.default.fileExists(
                atPath: root.appendingPathComponent(".venv/lib/\(version)/site-packages/dstack_sdk").path)
        }
    }()
    static let absence: Testing.Comment = "needs dstack-sdk in .venv: run Scripts/setup test"

    struct Output {
        let status: Int32
        let text: String
    }

    /// Runs one of the scripts in Peers to its end.
    ///
    /// - Parameters:
    ///   - isPlain: whether the system's Python will do.
    ///   - isProgram: whether it is no script but a program.
    static func run(
        _ script: String, _ arguments: [String], environment: [String: String] = [:], isPlain: Bool = false,
        isProgram: Bool = false
    ) async throws -> Output {
        let process = Process()
        if isProgram {
            process.executableURL = URL(fileURLWithPath: script)
            process.arguments = arguments
        } else {
            process.executableURL = URL(fileURLWithPath: isPlain ? "/usr/bin/env" : python)
            let path = root.appendingPathComponent("Tests/DstackGuestTests/Peers/\(script)").path
            process.arguments = (isPlain ? ["python3"] : []) + [path] + arguments
        }
        process.environment = ["PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"].merging(environment) { $1 }
        let scratch = FileManager.default.temporaryDirectory.appendingPathComponent("sdk-\(UUID().uuidString)")
        try Data().write(to: scratch)
        defer { try? FileManager.default.removeItem(at: scratch) }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: scratch)
        process.standardError = process.standardOutput
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            process.terminationHandler = { _ in continuation.resume() }
            do { try process.run() } catch { continuation.resume(throwing: error) }
        }
        return Output(status: process.terminationStatus, text: try String(contentsOf: scratch, encoding: .utf8))
    }
}

@Suite("Guest agent: the real Python SDK", .enabled(if: PythonSDK.isAvailable, PythonSDK.absence))
struct AgentSDKTests {
    @Test("the synchronous clients work unchanged over the sockets")
    func synchronous() async throws {
        let agent = try await AgentFixture()
        let output = try await PythonSDK.run("sdk_sync.py", [agent.path("dstack"), agent.path("tappd")])
        #expect(output.status == 0 && output.text.hasSuffix("done\n"), "\(output.text)")
        // The chains of keys end in the simulation's KMS.
        let summary = try JSONDictionary(
            JSONSerialization.jsonObject(
                with: Data(contentsOf: URL(fileURLWithPath: "\(agent.directory)/simulation.json"))))
        let keys = output.text.split(separator: "\n").filter { $0.hasPrefix("kms ") }.map { $0.dropFirst(4) }
        let kms = try summary.text("kms_public_key")
        #expect(keys.count == 3 && keys.allSatisfy { $0 == kms })
    }

    @Test("the synchronous clients work unchanged on upstream's recorded files", .enabled(if: GuestFixture.isAvailable))
    func recorded() async throws {
        let agent = try await AgentFixture(recorded: true)
        let output = try await PythonSDK.run("sdk_sync.py", [agent.path("dstack"), agent.path("tappd"), "recorded"])
        #expect(output.status == 0 && output.text.hasSuffix("done\n"), "\(output.text)")
        #expect(output.text.contains("kms 0321529e458424ab1f710a3a57ec4dad2fb195ddca572f7469242ba6c7563085b6"))
    }

    @Test("the clients find the sockets by upstream's environment variables")
    func environment() async throws {
        let agent = try await AgentFixture()
        let output = try await PythonSDK.run(
            "sdk_async.py", ["", ""],
            environment: [
                "DSTACK_SIMULATOR_ENDPOINT": agent.path("dstack"), "TAPPD_SIMULATOR_ENDPOINT": agent.path("tappd"),
            ])
        #expect(output.status == 0 && output.text == "done\n", "\(output.text)")
    }

    @Test("the asynchronous clients work unchanged, with many calls at once")
    func asynchronous() async throws {
        let agent = try await AgentFixture()
        let output = try await PythonSDK.run("sdk_async.py", [agent.path("dstack"), agent.path("tappd")])
        #expect(output.status == 0 && output.text == "done\n", "\(output.text)")
    }
}
