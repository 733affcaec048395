import Foundation
import Testing

/// Real data with expected results, where it is at hand: the directory named by DSTACK_VECTORS, else `../shared/vectors`
/// beside the package. Tests that need it are skipped without it:
///
/// ```swift
/// @Test(.enabled(if: Vectors.areAvailable, Vectors.absence))
/// ```
enum Vectors {
    static let directory: URL = {
        if let path = ProcessInfo.processInfo.environment["DSTACK_VECTORS"] { return URL(fileURLWithPath: path) }
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        return root.deletingLastPathComponent().appendingPathComponent("shared/vectors")
    }()

    static let areAvailable = FileManager.default.fileExists(
        atPath: directory.appendingPathComponent("attestation/README.md").path)

    static let absence: Testing.Comment = "needs real vectors: set DSTACK_VECTORS to their directory"

    /// The bytes of a file, as in `Vectors.read("attestation/tdx_quote")`.
    static func read(_ path: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: directory.appendingPathComponent(path)))
    }
}
