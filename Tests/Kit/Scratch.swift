import Foundation
import Synchronization

/// Names for what a test writes into the temporary directory. What is there under them when the tests end goes then, also what
/// belongs to a value that lives as long as the process, or that was written again after its owner had removed it.
package enum Scratch {
    private static let paths = Mutex<[String]>([])
    private static let isRegistered: Void = {
        atexit {
            for path in Scratch.paths.withLock({ $0 }) { try? FileManager.default.removeItem(atPath: path) }
        }
    }()

    /// A path where nothing is yet.
    ///
    /// It is short, because a Unix socket's path has room for 107 bytes.
    ///
    /// - Parameters:
    ///   - name: what it is for: the beginning of the file's name.
    ///   - ending: such as `.sh`.
    package static func path(_ name: String, ending: String = "") -> String {
        _ = isRegistered
        let path = NSTemporaryDirectory() + "\(name)-\(UUID().uuidString.prefix(13))\(ending)"
        paths.withLock { $0.append(path) }
        return path
    }
}
