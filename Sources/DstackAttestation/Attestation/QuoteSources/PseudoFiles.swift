package import DstackSystem
import Glibc

/// Calls on files that a kernel makes up as they are read and written (configfs, sysfs). Each call is one call to the
/// system: nothing is repeated behind the caller's back, because a second write would be a second measurement.
///
/// A protocol, so that tests can play a kernel which is busy, slow or wrong.
package protocol PseudoFiles: Sendable {
    func exists(_ path: String) -> Bool
    func makeDirectory(_ path: String) throws(SystemError)
    func open(_ path: String, flags: Int32) throws(SystemError) -> FileDescriptor
    /// Takes the exclusive lock if it is free.
    func tryLock(_ file: borrowing FileDescriptor, _ path: String) throws(SystemError) -> Bool
    /// Writes once.
    ///
    /// - Returns: how many bytes were taken.
    func write(_ bytes: [UInt8], to file: borrowing FileDescriptor, _ path: String) throws(SystemError) -> Int
    /// Reads once.
    ///
    /// - Returns: no bytes at the end.
    func read(_ count: Int, from file: borrowing FileDescriptor, _ path: String) throws(SystemError) -> [UInt8]
}

/// The real ones.
package struct SystemPseudoFiles: PseudoFiles {
    package init() {}
}

extension PseudoFiles {
    package func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    package func makeDirectory(_ path: String) throws(SystemError) {
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw .last("make", path) }
    }

    package func open(_ path: String, flags: Int32) throws(SystemError) -> FileDescriptor {
        try FileDescriptor(opening: path, flags: flags)
    }

    package func tryLock(_ file: borrowing FileDescriptor, _ path: String) throws(SystemError) -> Bool {
        if flock(file.number, LOCK_EX | LOCK_NB) == 0 { return true }
        guard errno == EWOULDBLOCK || errno == EINTR else { throw .last("lock", path) }
        return false
    }

    package func write(
        _ bytes: [UInt8], to file: borrowing FileDescriptor, _ path: String
    ) throws(SystemError) -> Int {
        let count = bytes.withUnsafeBytes { Glibc.write(file.number, $0.baseAddress, $0.count) }
        guard count >= 0 else { throw .last("write to", path) }
        return count
    }

    package func read(
        _ count: Int, from file: borrowing FileDescriptor, _ path: String
    ) throws(SystemError) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: count)
        let done = buffer.withUnsafeMutableBytes { Glibc.read(file.number, $0.baseAddress, $0.count) }
        guard done >= 0 else { throw .last("read", path) }
        return Array(buffer.prefix(done))
    }

    /// Reads a file to its end.
    ///
    /// - Throws: ``SystemError`` with `EFBIG` for more than `limit` bytes, else what the system says of any of the reads.
    func readAll(_ path: String, limit: Int) throws(SystemError) -> [UInt8] {
        let file = try open(path, flags: O_RDONLY)
        var bytes: [UInt8] = []
        while true {
            let part = try read(4096, from: file, path)
            if part.isEmpty { return bytes }
            bytes += part
            guard bytes.count <= limit else {
                throw SystemError(
                    "read", path, code: EFBIG, reason: "it is larger than the \(limit) bytes that are allowed here")
            }
        }
    }
}

/// Waits for something that only looking again can tell.
enum Polling {
    /// Between two looks.
    static let interval = Duration.milliseconds(10)

    /// Sleeps for one interval, on this thread.
    ///
    /// - Returns: false, at once, if the deadline is over before.
    static func pause(until deadline: ContinuousClock.Instant) -> Bool {
        guard ContinuousClock.now + interval <= deadline else { return false }
        var time = timespec(tv_sec: 0, tv_nsec: 10_000_000)
        _ = nanosleep(&time, nil)
        return true
    }
}
