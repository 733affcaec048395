import Glibc

/// A file that stands for a right which one process at a time has; the right goes with the process, even in a crash.
package struct LockFile: ~Copyable, Sendable {
    private let file: FileDescriptor

    private init(_ file: consuming FileDescriptor) { self.file = file }

    /// Takes the right, after making the file if it is not there, for its owner alone.
    ///
    /// Whoever may write in the directory could have put something else there: a link would make the file that it names
    /// come into being, a pipe would keep this process waiting. Neither is followed.
    ///
    /// - Returns: nil where another process has it.
    /// - Throws: ``SystemError`` with `ELOOP` for a symbolic link, `EINVAL` for what is no regular file of one name.
    package static func taken(_ path: String) throws(SystemError) -> LockFile? {
        let file = try open(path)
        let status = try file.status()
        guard status.st_mode & S_IFMT == S_IFREG, status.st_nlink == 1 else {
            throw SystemError(
                "open the lock", path, code: EINVAL,
                reason: "it is no regular file, or has another name beside this one")
        }
        guard retryingInterrupts({ flock(file.number, LOCK_EX | LOCK_NB) }) == 0 else {
            guard errno == EWOULDBLOCK else { throw .last("lock", path) }
            return nil
        }
        return LockFile(file)
    }

    private static func open(_ path: String) throws(SystemError) -> FileDescriptor {
        do throws(SystemError) {
            return try FileDescriptor(
                opening: path, flags: O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, mode: 0o600, doing: "open the lock")
        } catch {
            guard error.code == ELOOP else { throw error }
            throw SystemError(
                "open the lock", path, code: ELOOP, reason: "it is a symbolic link, which is not followed")
        }
    }
}
