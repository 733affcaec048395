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
        while true {
            let file = try open(path)
            let status = try file.status()
            // Whoever had it may just have removed it (below).
            if status.st_nlink == 0 { continue }
            guard status.st_mode & S_IFMT == S_IFREG, status.st_nlink == 1 else {
                throw SystemError(
                    "open the lock", path, code: EINVAL,
                    reason: "it is no regular file, or has another name beside this one")
            }
            guard retryingInterrupts({ flock(file.number, LOCK_EX | LOCK_NB) }) == 0 else {
                guard errno == EWOULDBLOCK else { throw .last("lock", path) }
                return nil
            }
            // A file that its last holder removed stands for nothing any more: the next one would make a new file and have
            // the right, too.
            if try file.status().st_nlink == 1 { return LockFile(file) }
        }
    }

    /// Takes the right, waiting for another process to give it back.
    ///
    /// For directories that others may write in: a file of another user is refused, since its owner could hold the lock for
    /// ever, and one of this user is made its owner's alone to open.
    ///
    /// - Parameter deadline: until when to wait, where it is tried once in any case; the calling thread sleeps meanwhile.
    /// - Returns: nil where another process has it all the time.
    /// - Throws: as ``taken(_:)``; `EPERM` for a file of another user.
    package static func taken(
        _ path: String, until deadline: ContinuousClock.Instant
    ) throws(SystemError) -> LockFile? {
        var pause: UInt32 = 1_000
        while true {
            if let lock = try taken(path) {
                let status = try lock.file.status()
                guard status.st_uid == geteuid() else {
                    throw SystemError("take the lock", path, code: EPERM, reason: "it belongs to another user")
                }
                guard status.st_mode & 0o077 == 0 || fchmod(lock.file.number, 0o600) == 0 else {
                    throw .last("protect the lock", path)
                }
                return lock
            }
            guard ContinuousClock.now < deadline else { return nil }
            usleep(pause)
            pause = min(pause * 2, 50_000)
        }
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
