import DstackAuthorization
import DstackEncoding
import DstackSystem
import Foundation
import TestKit
import Testing

/// Vectors of authorization, where they are at hand.
enum AuthorizationVectors {
    static func load(_ name: String) throws -> [String: Any] {
        try #require(
            try JSONSerialization.jsonObject(with: Data(Vectors.read("keys/\(name)"))) as? [String: Any])
    }

    static func rows(_ name: String, _ member: String) throws -> [[String: Any]] {
        try #require(try load(name)[member] as? [[String: Any]])
    }
}

extension Trait where Self == ConditionTrait {
    static func needs(_ file: String) -> Self { .enabled(if: Vectors.contain("keys/\(file)"), Vectors.absence) }
}

extension [String: Any] {
    func text(_ name: String) throws -> String { try #require(self[name] as? String, "\(name)") }
    func row(_ name: String) throws -> [String: Any] { try #require(self[name] as? [String: Any], "\(name)") }
    func json() throws -> [UInt8] { [UInt8](try JSONSerialization.data(withJSONObject: self)) }
}

extension BootInfo {
    /// A machine like any other: every identifier has a digit of its own.
    static func sample(app: UInt8 = 0xA1, device: UInt8 = 0xD1, status: String = "UpToDate") -> BootInfo {
        BootInfo(
            teeVariant: "dstack-tdx", mrAggregated: .init(repeating: 0x3A), osImageHash: .init(repeating: 0x05),
            mrSystem: .init(repeating: 0x35), appID: .init(repeating: app), composeHash: .init(repeating: 0xC0),
            instanceID: .init(repeating: 0x11), deviceID: .init(repeating: device),
            keyProviderInfo: Array(#"{"name":"kms","id":"3059"}"#.utf8), tcbStatus: status)
    }

    func with(_ change: (inout BootInfo) -> Void) -> BootInfo {
        var copy = self
        change(&copy)
        return copy
    }
}

/// The hexadecimal text of one byte, so many times.
func digits(_ byte: UInt8, _ count: Int) -> String { Hex.encode([UInt8](repeating: byte, count: count)) }

/// A log that tests read.
struct TestLog {
    let sink = MemorySink()
    var log: Log { Log("auth", to: LogOutput(sink: sink)) }
    var lines: [String] { sink.text.split(separator: "\n").map(String.init) }
}

/// What an authorizer throws.
func failure<Value>(_ body: () async throws(AuthorizationError) -> Value) async -> AuthorizationError? {
    do throws(AuthorizationError) {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}
