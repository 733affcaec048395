package import Foundation
package import Testing

/// Real data with expected results, where it is at hand: the directory named by DSTACK_VECTORS, else `../shared/vectors`
/// beside the package. Tests that need it are skipped without it:
///
/// ```swift
/// @Test(.enabled(if: Vectors.areAvailable, Vectors.absence))
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
    package static func contain(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: directory.appendingPathComponent(path).path)
    }

    /// The bytes of a file, as in `Vectors.read("attestation/tdx_quote")`.
    package static func read(_ path: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: directory.appendingPathComponent(path)))
    }
}
