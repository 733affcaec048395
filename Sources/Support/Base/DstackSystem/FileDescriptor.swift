package import Glibc

/// An open file, pipe or socket, closed when it goes.
package struct FileDescriptor: ~Copyable, Sendable {
    package private(set) var number: Int32
    /// The path, for error messages.
    private let name: String

    /// Takes over an open descriptor.
    package init(owning number: Int32, name: String) {
        self.number = number
        self.name = name
    }

    /// Opens a path. The descriptor is not inherited by programs that this process starts.
    package init(
        opening path: String, flags: Int32, mode: mode_t = 0, doing operation: String = "open"
    ) throws(SystemError) {
        try Self.check(path: path)
        let number = retryingInterrupts { open(path, flags | O_CLOEXEC, mode) }
        guard number >= 0 else { throw .last(operation, path) }
        self.init(owning: number, name: path)
    }

    /// Opens another descriptor of what an open one is of; neither is inherited.
    package init(duplicating number: Int32, name: String) throws(SystemError) {
        let copy = fcntl(number, F_DUPFD_CLOEXEC, 0)
        guard copy >= 0 else { throw .last("pass on", name) }
        self.init(owning: copy, name: name)
    }

    deinit {
        // After close, even an interrupted one, Linux has given the number up: it must not be closed again.
        if number >= 0 { _ = close(number) }
    }

    /// Gives the descriptor up without closing it: it is the caller's from now on.
    package consuming func release() -> Int32 {
        let taken = number
        number = -1
        return taken
    }

    /// Closes and reports what the kernel only finds out now (a full quota on a network file system).
    package consuming func closeReporting() throws(SystemError) {
        let taken = number
        number = -1
        guard close(taken) == 0 || errno == EINTR else { throw .last("close", name) }
    }

    /// Writes everything, however many calls that takes.
    package borrowing func writeAll(_ bytes: RawSpan) throws(SystemError) {
        var position = 0
        while position < bytes.byteCount {
            let count = bytes.extracting(droppingFirst: position).withUnsafeBytes { rest in
                retryingInterrupts { write(number, rest.baseAddress, rest.count) }
            }
            guard count >= 0 else { throw .last("write to", name) }
            guard count > 0 else { throw SystemError("write to", name, code: ENOSPC) }
            position += count
        }
    }

    /// Reads to the end, but no more than `limit` bytes.
    ///
    /// What the file system says about the size is only a hint, so that pipes, devices, `/proc` and files that grow
    /// meanwhile are read correctly, and none of them can make this allocate past the limit.
    ///
    /// - Throws: ``SystemError`` with `EFBIG` where there is more.
    package borrowing func readToEnd(limit: Int) throws(SystemError) -> [UInt8] {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw .last("read", name) }
        let isDirectory = status.st_mode & S_IFMT == S_IFDIR
        guard !isDirectory else { throw SystemError("read", name, code: EISDIR) }
        var bytes = [UInt8]()
        bytes.reserveCapacity(min(limit, Int(clamping: status.st_size)))
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            // One more than is allowed, to tell "exactly the limit" from "over it".
            let wanted = min(chunk.count, limit - bytes.count + 1)
            let count = chunk.withUnsafeMutableBytes { buffer in
                retryingInterrupts { read(number, buffer.baseAddress, wanted) }
            }
            guard count >= 0 else { throw .last("read", name) }
            if count == 0 { return bytes }
            guard count <= limit - bytes.count else {
                throw SystemError(
                    "read", name, code: EFBIG, reason: "it is larger than the \(limit) bytes that are allowed here")
            }
            bytes.append(contentsOf: chunk[..<count])
        }
    }

    /// What the system says about it.
    package borrowing func status() throws(SystemError) -> stat {
        var status = stat()
        guard fstat(number, &status) == 0 else { throw .last("look at", name) }
        return status
    }

    /// Waits until what was written is on the disk.
    package borrowing func synchronize() throws(SystemError) {
        guard retryingInterrupts({ fsync(number) }) == 0 else { throw .last("flush", name) }
    }

    /// A path goes to the system as a C string: a NUL byte inside would silently name another file.
    static func check(path: String) throws(SystemError) {
        guard !path.utf8.contains(0) else {
            throw SystemError("open", path, code: EINVAL, reason: "a path cannot contain a NUL byte")
        }
        guard !path.isEmpty else { throw SystemError("open", "\"\"", code: ENOENT, reason: "the path is empty") }
    }
}
