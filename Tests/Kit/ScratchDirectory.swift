package import Foundation

/// A directory that goes with the value, or with the process: a thread that a test leaves behind may outlive the last test.
///
/// Its path is short, so that sockets can be made in it.
package final class ScratchDirectory: Sendable {
    package let url: URL

    package init() throws {
        url = URL(fileURLWithPath: Scratch.path("dt"))
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    package var path: String { url.path }

    /// The path of a name inside.
    package func path(_ name: String) -> String { file(name).path }

    /// The same as a URL.
    package func file(_ name: String) -> URL { url.appendingPathComponent(name) }

    /// The names inside, sorted.
    package var names: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
    }

    /// A file as a text; empty where there is none, as in a log that nobody has begun.
    package func text(_ name: String) -> String { (try? String(contentsOf: file(name), encoding: .utf8)) ?? "" }

    package func read(_ name: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: file(name))) }

    /// Writes a file.
    ///
    /// - Returns: its path.
    @discardableResult
    package func write(_ bytes: some Sequence<UInt8>, _ name: String) throws -> String {
        try Data(bytes).write(to: file(name))
        return path(name)
    }

    /// The same with a text.
    @discardableResult
    package func write(_ text: String, _ name: String) throws -> String { try write(text.utf8, name) }

    package func remove(_ name: String) throws { try FileManager.default.removeItem(at: file(name)) }
}
