import DstackEncoding
import Glibc

/// Whole files, read within a limit.
package enum File {
    /// The bytes of a file, a pipe or a device.
    ///
    /// - Parameter limit: the most bytes that are accepted; every caller knows how large its input may sensibly be.
    /// - Throws: ``SystemError``: `EFBIG` where there are more bytes than `limit`, else what the system says.
    package static func read(_ path: String, limit: Int) throws(SystemError) -> [UInt8] {
        try FileDescriptor(opening: path, flags: O_RDONLY).readToEnd(limit: limit)
    }

    /// The bytes of a regular file that somebody else can replace: a pipe or a device, which could hold up whoever reads it,
    /// is refused, and a link is not followed.
    ///
    /// - Parameter followsLinks: for files of which a link may be meant, as directories that are mounted into containers have.
    /// - Throws: ``SystemError`` as ``read(_:limit:)``; `ELOOP` for a symbolic link, `EINVAL` for what is no regular file.
    package static func readRegular(
        _ path: String, limit: Int, followsLinks: Bool = false
    ) throws(SystemError) -> [UInt8] {
        let file = try FileDescriptor(
            opening: path, flags: O_RDONLY | O_NONBLOCK | (followsLinks ? 0 : O_NOFOLLOW))
        guard try file.status().st_mode & S_IFMT == S_IFREG else {
            throw SystemError("read", path, code: EINVAL, reason: "it is no regular file")
        }
        return try file.readToEnd(limit: limit)
    }

    /// The names of what is in a directory, sorted, without `.` and `..`.
    ///
    /// - Throws: ``SystemError`` with `ENOENT` where there is none, `ENOTDIR` for a file.
    package static func names(in directory: String) throws(SystemError) -> [String] {
        try FileDescriptor.check(path: directory)
        guard let entries = opendir(directory) else { throw .last("open", directory) }
        defer { closedir(entries) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(entries) else { break }
            // Where it lies: an entry is only as long as its name, so that a copy of the whole field would read on.
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                String(cString: UnsafeRawPointer(pointer).assumingMemoryBound(to: CChar.self))
            }
            if name != ".", name != ".." { names.append(name) }
        }
        guard errno == 0 else { throw .last("list", directory) }
        return names.sorted()
    }

    /// Cuts a regular file off behind `count` bytes. A link is not followed.
    package static func truncate(_ path: String, to count: Int) throws(SystemError) {
        let file = try FileDescriptor(opening: path, flags: O_WRONLY | O_NOFOLLOW | O_NONBLOCK, doing: "cut off")
        guard retryingInterrupts({ ftruncate(file.number, off_t(count)) }) == 0 else { throw .last("cut off", path) }
    }

    /// The text of a file.
    ///
    /// - Throws: also `EILSEQ` where the bytes are not valid UTF-8.
    package static func readText(_ path: String, limit: Int) throws(SystemError) -> String {
        let bytes = try read(path, limit: limit)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw SystemError("read", path, code: EILSEQ, reason: "it is not valid UTF-8 text")
        }
        return text
    }

    /// Adds bytes to the end of a file, whole and durably, even where other processes do the same.
    ///
    /// The file is created with `mode` if it is not there. Appenders exclude each other (`flock`); when this returns,
    /// the bytes are on the disk. If they cannot be written completely, the file keeps the length that it had. A symbolic
    /// link is not followed, and what is no regular file is not written to.
    ///
    /// - Throws: ``SystemError``, also `EINVAL` for what is no regular file, and `EWOULDBLOCK` where somebody has held the lock
    ///   for five seconds.
    package static func append(_ bytes: [UInt8], to path: String, mode: FileMode) throws(SystemError) {
        let file = try FileDescriptor(
            opening: path, flags: O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK, mode: mode.rawValue,
            doing: "append to")
        guard try file.status().st_mode & S_IFMT == S_IFREG else {
            throw SystemError("append to", path, code: EINVAL, reason: "it is no regular file")
        }
        let deadline = ContinuousClock.now + .seconds(5)
        while retryingInterrupts({ flock(file.number, LOCK_EX | LOCK_NB) }) != 0 {
            guard errno == EWOULDBLOCK else { throw .last("lock", path) }
            guard ContinuousClock.now < deadline else {
                throw SystemError("lock", path, code: EWOULDBLOCK, reason: "another process has held it for 5 s")
            }
            usleep(1_000)
        }
        let status = try file.status()
        do throws(SystemError) {
            try file.writeAll(bytes.span.bytes)
            try file.synchronize()
        } catch {
            _ = ftruncate(file.number, status.st_size)
            throw error
        }
    }
}

/// Who may read a file that is written.
package struct FileMode: RawRepresentable, Equatable, Sendable {
    package let rawValue: UInt32

    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// 0600: keys, tokens and whatever contains them.
    package static let secret = FileMode(rawValue: 0o600)
    /// 0644: what anyone on the machine may read.
    package static let readable = FileMode(rawValue: 0o644)
}
