import DstackEncoding
import Glibc

/// Files that are either the old or the new whole, at every instant and after a crash.
package enum AtomicFile {
    /// What happens to a file that is already there.
    package enum Existing: Sendable {
        case replace
        /// The file is left as it is and the write fails with `EEXIST`: for a key that must be made only once.
        case keep
    }

    /// Writes a file in one step.
    ///
    /// The bytes go to a temporary file in the same directory (`.dstack-*.tmp`), which nobody but the owner can read;
    /// it gets its mode, reaches the disk and takes the name, and then the directory reaches the disk: when this
    /// returns, the new content survives a crash. After a failure the old file is untouched and the temporary one
    /// removed. A symbolic link at `path` is replaced, not followed; a device, a pipe or a socket there, and a link to one, is
    /// left as it is and the write fails with `EINVAL`: a file in the place of /dev/null breaks a machine.
    ///
    /// - Parameter mode: exactly the mode of the file; the process's umask does not matter.
    package static func write(
        _ bytes: RawSpan, to path: String, mode: FileMode, existing: Existing = .replace
    ) throws(SystemError) {
        try FileDescriptor.check(path: path)
        let (directoryPath, name) = split(path)
        guard !name.isEmpty, name != ".", name != ".." else { throw SystemError("write", path, code: EISDIR) }
        // The directory is opened once, so that all steps happen in the same one even if its path changes meanwhile.
        let directory = try FileDescriptor(
            opening: directoryPath, flags: O_RDONLY | O_DIRECTORY, doing: "write \(path): cannot open its directory")

        let temporaryName = ".dstack-\(Hex.encode(randomBytes(12))).tmp"
        let number = retryingInterrupts {
            openat(directory.number, temporaryName, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        }
        guard number >= 0 else { throw .last("write", path) }
        let file = FileDescriptor(owning: number, name: path)
        do throws(SystemError) {
            try file.writeAll(bytes)
            guard fchmod(file.number, mode.rawValue) == 0 else { throw SystemError.last("set the mode of", path) }
            try file.synchronize()
            try file.closeReporting()
            try publish(temporaryName, as: name, in: directory.number, path: path, existing: existing)
        } catch {
            _ = unlinkat(directory.number, temporaryName, 0)
            throw error
        }
        // Some file systems cannot flush a directory and say so with EINVAL; they have nothing to flush.
        guard retryingInterrupts({ fsync(directory.number) }) == 0 || errno == EINVAL else {
            throw .last("flush", directoryPath)
        }
    }

    /// The same for an array.
    package static func write(
        _ bytes: [UInt8], to path: String, mode: FileMode, existing: Existing = .replace
    ) throws(SystemError) {
        try write(bytes.span.bytes, to: path, mode: mode, existing: existing)
    }

    /// The same for a text, as UTF-8.
    package static func write(
        _ text: String, to path: String, mode: FileMode, existing: Existing = .replace
    ) throws(SystemError) {
        try write(Array(text.utf8), to: path, mode: mode, existing: existing)
    }

    private static func publish(
        _ temporaryName: String, as name: String, in directory: Int32, path: String, existing: Existing
    ) throws(SystemError) {
        switch existing {
        case .replace:
            var status = stat()
            if fstatat(directory, name, &status, 0) == 0, ![S_IFREG, S_IFDIR].contains(status.st_mode & S_IFMT) {
                throw SystemError("put a file in the place of a device, a pipe or a socket,", path, code: EINVAL)
            }
            guard renameat(directory, temporaryName, directory, name) == 0 else { throw .last("write", path) }
        case .keep:
            // A hard link fails where the name is taken, in one step; rename would replace.
            guard linkat(directory, temporaryName, directory, name, 0) == 0 else { throw .last("write", path) }
            _ = unlinkat(directory, temporaryName, 0)
        }
    }

    private static func split(_ path: String) -> (directory: String, name: String) {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return (".", path) }
        let directory = path[..<slash]
        return (directory.isEmpty ? "/" : String(directory), String(path[path.utf8.index(after: slash)...]))
    }

    private static func randomBytes(_ count: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }
}
