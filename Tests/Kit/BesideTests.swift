import Foundation

/// Programs that are built with the tests.
package enum BesideTests {
    /// The path of a program beside the test bundle.
    package static func program(_ name: String) throws -> String {
        let runner = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        return URL(fileURLWithPath: runner).deletingLastPathComponent().appendingPathComponent(name).path
    }
}
