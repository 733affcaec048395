import DstackEncoding
import DstackSystem
import Glibc

/// What of a cache is to be cleared.
enum CacheKey: Sendable, Equatable {
    case nothing
    case all
    /// Lower-case hexadecimal digits, which are a name and never a path.
    case entry(String)

    /// No file system takes longer names than 255 bytes.
    private static let maximumDigits = 128

    /// - Throws: ``KMSServiceError/Code/invalidRequest`` for anything but hexadecimal digits, `all` and nothing.
    init(_ text: String) throws(KMSServiceError) {
        switch text {
        case "": self = .nothing
        case "all": self = .all
        default:
            let digits = text.utf8
            guard digits.count <= Self.maximumDigits, digits.allSatisfy({ Hex.value(of: $0) != nil }) else {
                throw KMSServiceError(
                    .invalidRequest, "image cache", "invalid cache key",
                    hint: "give hexadecimal digits, or all, or nothing")
            }
            self = .entry(text.lowercased())
        }
    }

    func names(_ hash: FixedBytes<32>) -> Bool {
        switch self {
        case .nothing: false
        case .all: true
        case .entry(let digits): digits == hash.hex
        }
    }
}

/// A directory with directories of files about images. It is only ever cleared.
///
/// Links are removed and never followed, each name is looked up in a directory that is held open: whoever can write here
/// cannot have anything removed elsewhere.
struct ImageCacheDirectory {
    let path: String

    /// Deeper than any image; what is deeper was made to exhaust the stack.
    private static let maximumDepth = 32

    /// Removes an entry of a directory in here, or that directory as a whole. What is not there is removed.
    func remove(_ key: CacheKey, in directory: String, suffix: String = "") throws(SystemError) {
        guard key != .nothing, let root = try Self.open(path, in: AT_FDCWD, follows: true, path) else { return }
        let inner = "\(path)/\(directory)"
        guard case .entry(let digits) = key else {
            return try Self.remove(directory, in: root.number, inner, depth: 0)
        }
        guard let parent = try Self.open(directory, in: root.number, follows: false, inner) else { return }
        try Self.remove(digits + suffix, in: parent.number, "\(inner)/\(digits)\(suffix)", depth: 0)
    }

    /// - Returns: nil if there is none.
    private static func open(
        _ name: String, in directory: Int32, follows: Bool, _ path: String
    ) throws(SystemError) -> FileDescriptor? {
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | (follows ? 0 : O_NOFOLLOW)
        let number = retryingInterrupts { openat(directory, name, flags) }
        guard number >= 0 else {
            guard errno == ENOENT else { throw .last("open", path) }
            return nil
        }
        return FileDescriptor(owning: number, name: path)
    }

    private static func remove(
        _ name: String, in directory: Int32, _ path: String, depth: Int
    ) throws(SystemError) {
        if unlinkat(directory, name, 0) == 0 || errno == ENOENT { return }
        guard errno == EISDIR else { throw .last("remove", path) }
        guard depth < maximumDepth else {
            throw SystemError("remove", path, code: ELOOP, reason: "it is nested too deeply")
        }
        guard let inner = try open(name, in: directory, follows: false, path) else { return }
        for entry in try names(in: inner, path) {
            try remove(entry, in: inner.number, "\(path)/\(entry)", depth: depth + 1)
        }
        guard unlinkat(directory, name, AT_REMOVEDIR) == 0 || errno == ENOENT else { throw .last("remove", path) }
    }

    private static func names(
        in directory: borrowing FileDescriptor, _ path: String
    ) throws(SystemError) -> [String] {
        // By the open directory, whatever its path leads to by now.
        try File.names(in: "/proc/self/fd/\(directory.number)")
    }
}
