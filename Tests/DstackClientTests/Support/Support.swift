import DstackAttestation
import DstackEncoding
import Foundation
import Testing

/// Bytes from hexadecimal text.
func hex(_ text: String) -> [UInt8] { (try? Hex.decode(text, subject: "test")) ?? [] }

/// The error that a call ends with.
func clientError<Value: ~Copyable>(
    _ body: () async throws(DstackClientError) -> Value
) async -> DstackClientError? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}

extension AgentKey {
    borrowing func hexForTest() -> String { withUnsafeBytes { Hex.encode(Array($0)) } }
}

/// Vectors of the guest agent, where they are present: the directory named by DSTACK_VECTORS, else `../shared/vectors`
/// beside the package.
enum AgentVectors {
    static let directory: URL = {
        if let path = ProcessInfo.processInfo.environment["DSTACK_VECTORS"] { return URL(fileURLWithPath: path) }
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        return root.deletingLastPathComponent().appendingPathComponent("shared/vectors")
    }()

    private static let file = directory.appendingPathComponent("guest-agent/derived-vectors.json")

    static let arePresent = FileManager.default.fileExists(atPath: file.path)

    static func load() throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
    }
}

extension Trait where Self == ConditionTrait {
    static var needsAgentVectors: Self {
        .enabled(if: AgentVectors.arePresent, "no vectors at \(AgentVectors.directory.path) (set DSTACK_VECTORS)")
    }
}

extension [String: Any] {
    func text(_ name: String) throws -> String { try #require(self[name] as? String, "\(name)") }
    func bytes(_ name: String) throws -> [UInt8] { hex(try text(name)) }
    func texts(_ name: String) throws -> [String] { try #require(self[name] as? [String], "\(name)") }
    func rows(_ name: String) throws -> [[String: Any]] { try #require(self[name] as? [[String: Any]], "\(name)") }
    func row(_ name: String) throws -> [String: Any] { try #require(self[name] as? [String: Any], "\(name)") }
}
