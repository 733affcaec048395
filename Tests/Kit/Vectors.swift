package import DstackEncoding
package import Foundation
package import Testing

/// Real data with expected results, where it is at hand: the directory named by DSTACK_VECTORS, else `../shared/vectors`
/// beside the package. Tests that need it are skipped without it:
///
/// ```swift
/// @Test(.enabled(if: Vectors.areAvailable, Vectors.absence))
/// @Suite("Keys", .needsVectors("keys/kdf.json"))
/// ```
package enum Vectors {
    package static let directory: URL = {
        if let path = ProcessInfo.processInfo.environment["DSTACK_VECTORS"] { return URL(fileURLWithPath: path) }
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        return root.deletingLastPathComponent().appendingPathComponent("shared/vectors")
    }()

    package static let areAvailable = contain("attestation/README.md")

    package static let absence: Testing.Comment = "needs real vectors: set DSTACK_VECTORS to their directory"

    /// Whether a file is there, as in `Vectors.contain("keys/kdf.json")`.
    package static func contain(_ path: String) -> Bool { FileManager.default.fileExists(atPath: self.path(path)) }

    package static func path(_ path: String) -> String { directory.appendingPathComponent(path).path }

    /// The bytes of a file, as in `Vectors.read("attestation/tdx_quote")`.
    package static func read(_ path: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: directory.appendingPathComponent(path)))
    }

    /// A file as JSON, as in `Vectors.json("measurement/tdhob.json")`.
    package static func json(_ path: String) throws -> JSONNode {
        try JSONDocument(parsing: read(path), subject: path).root
    }

    /// The same as Foundation reads it, which shares nothing with what is tested.
    package static func object(_ path: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(read(path))) as? [String: Any])
    }
}

extension Trait where Self == ConditionTrait {
    /// Runs only where a file of the vectors is there.
    package static func needsVectors(_ path: String) -> Self { .enabled(if: Vectors.contain(path), Vectors.absence) }
}

/// A row of vectors that lacks what is expected of it.
package struct WrongLength: Error {
    let name: String
    let expected: Int
}

extension [String: Any] {
    package func text(_ name: String) throws -> String { try #require(self[name] as? String, "\(name)") }
    package func optionalText(_ name: String) -> String? { self[name] as? String }
    package func bytes(_ name: String) throws -> [UInt8] { hex(try text(name)) }
    package func row(_ name: String) throws -> [String: Any] {
        try #require(self[name] as? [String: Any], "\(name)")
    }
    package func rows(_ name: String) throws -> [[String: Any]] {
        try #require(self[name] as? [[String: Any]], "\(name)")
    }
    package func texts(_ name: String) throws -> [String] { try #require(self[name] as? [String], "\(name)") }
    package func number(_ name: String) throws -> UInt64 {
        try #require((self[name] as? NSNumber)?.uint64Value, "\(name)")
    }
    package func optionalNumber(_ name: String) -> UInt64? { (self[name] as? NSNumber)?.uint64Value }
    package func flag(_ name: String) throws -> Bool { try #require(self[name] as? Bool, "\(name)") }
    package func fixed<let count: Int>(_ name: String) throws -> FixedBytes<count> {
        // Not #require, which crashes the compiler (Swift 6.3) with a value generic.
        guard let value = FixedBytes<count>(try bytes(name)) else { throw WrongLength(name: name, expected: count) }
        return value
    }
}
