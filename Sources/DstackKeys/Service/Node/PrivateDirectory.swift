import DstackSystem
import Glibc

/// A directory of this service's user alone.
enum PrivateDirectory {
    /// Makes it, and those above it that are missing.
    static func make(_ path: String) throws(SystemError) {
        if mkdir(path, 0o700) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.dropFirst().lastIndex(of: "/") else {
            throw SystemError.last("make", path)
        }
        try make(String(path[..<slash]))
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw SystemError.last("make", path) }
    }
}
