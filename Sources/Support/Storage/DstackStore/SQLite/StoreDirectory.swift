import DstackEncoding
import DstackSystem
import Glibc

/// The files of a store: `NAME.sqlite` (and `-wal`, `-shm` beside it), `NAME.lock`, `NAME.mark`.
struct StoreDirectory {
    let path: String
    let database: String
    let lock: String
    let mark: String

    /// Looks at the directory, and makes it if it is not there.
    ///
    /// - Throws: ``StoreError/Code/unsafePlace`` where another user could put something in the place of the files.
    init(_ path: String, name: String) throws(StoreError) {
        self.path = path
        database = "\(path)/\(name).sqlite"
        lock = "\(path)/\(name).lock"
        mark = "\(path)/\(name).mark"
        do throws(SystemError) {
            guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw SystemError.last("make", path) }
            let directory = try FileDescriptor(opening: path, flags: O_RDONLY | O_DIRECTORY)
            let status = try directory.status()
            guard status.st_uid == geteuid(), status.st_mode & 0o022 == 0 else {
                throw SystemError(
                    "keep state in", path, code: ELOOP, reason: "it belongs to another user, or others may write in it")
            }
        } catch {
            var failure = StoreError(error, path)
            if failure.code == .unsafePlace {
                failure = StoreError(
                    .unsafePlace, path, failure.reason, hint: "a directory of its own, with mode 0700, is right")
            }
            throw failure
        }
    }

    /// Makes the database's file, empty and for its owner alone, or looks at the one that is there.
    ///
    /// SQLite gives the files beside it the same mode.
    ///
    /// - Returns: whether it is new.
    func prepareDatabase() throws(StoreError) -> Bool {
        do throws(SystemError) {
            let made = try? FileDescriptor(
                opening: database, flags: O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
            let isNew = made != nil
            let file = try FileDescriptor(opening: database, flags: O_RDWR | O_NOFOLLOW | O_NONBLOCK)
            let status = try file.status()
            guard status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid(), status.st_nlink == 1,
                status.st_mode & 0o077 == 0
            else {
                throw SystemError(
                    "use", database, code: ELOOP,
                    reason: "it is no regular file of this user's that nobody else can open (mode 0600)")
            }
            if isNew { try synchronizeDirectory() }
            return isNew
        } catch {
            throw StoreError(error, database)
        }
    }

    /// Waits until names of new files are on the disk.
    func synchronizeDirectory() throws(SystemError) {
        try FileDescriptor(opening: path, flags: O_RDONLY | O_DIRECTORY).synchronize()
    }
}

/// How far a store has come, in a file of its own beside it.
///
/// SQLite takes the end of its log to be where the first piece fails its checksum, so that damage there looks like changes
/// that never happened; a file that was put back from an older copy looks like an older store. The mark tells: it is written
/// when a change is durable and before anybody is told, not flushed each time (that would cost as much as the change itself),
/// so that it is never ahead of the store, and behind it only after the machine lost power.
struct StoreMark: ~Copyable {
    /// Where it stood when it was opened.
    let start: UInt64
    private let file: FileDescriptor
    private let path: String
    private static let size = 40

    /// Opens the mark, or makes one that stands at 0.
    static func opened(_ directory: StoreDirectory) throws(StoreError) -> StoreMark {
        let path = directory.mark
        do throws(SystemError) {
            if access(path, F_OK) != 0, errno == ENOENT {
                try AtomicFile.write(Self.bytes(0), to: path, mode: .secret)
            }
            let file = try FileDescriptor(opening: path, flags: O_RDWR | O_NOFOLLOW | O_NONBLOCK)
            let bytes = try file.readToEnd(limit: size)
            guard bytes.count == size, case let version = bytes.prefix(8).reduce(0, { $0 << 8 | UInt64($1) }),
                bytes == Self.bytes(version)
            else { throw SystemError("read", path, code: EILSEQ) }
            return StoreMark(file: file, path: path, start: version)
        } catch {
            if error.code == EILSEQ || error.code == EFBIG {
                throw StoreError.damaged(path, "it is no mark of a store")
            }
            throw StoreError(error, path)
        }
    }

    private init(file: consuming FileDescriptor, path: String, start: UInt64) {
        self.file = file
        self.path = path
        self.start = start
    }

    /// Says how far the store has come.
    borrowing func move(to version: UInt64) throws(SystemError) {
        let bytes = Self.bytes(version)
        let count = bytes.withUnsafeBytes { bytes in
            retryingInterrupts { pwrite(file.number, bytes.baseAddress, bytes.count, 0) }
        }
        guard count == bytes.count else { throw SystemError.last("write to", path) }
    }

    borrowing func synchronize() throws(SystemError) { try file.synchronize() }

    private static func bytes(_ version: UInt64) -> [UInt8] {
        var writer = ByteWriter(capacity: size)
        writer.bigEndian(version)
        writer.fixed(RowChecksum.mark(version))
        return writer.bytes
    }
}
