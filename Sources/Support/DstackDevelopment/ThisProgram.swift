import DstackSystem
import Glibc

/// The program that runs, as a file: to start it once more, or those beside it.
package enum ThisProgram {
    /// Its path, absolute and without links.
    package static func path() throws(DevelopmentError) -> String {
        guard let path = realpath("/proc/self/exe", nil) else {
            throw DevelopmentError(.system, "\(SystemError.last("find this program's own path"))")
        }
        defer { free(path) }
        return String(cString: path)
    }

    /// The directory in which it lies.
    package static func directory() throws(DevelopmentError) -> String {
        let path = try path()
        return String(path[..<(path.lastIndex(of: "/") ?? path.endIndex)])
    }
}
