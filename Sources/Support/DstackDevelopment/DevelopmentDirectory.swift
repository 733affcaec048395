import DstackEncoding
import DstackSystem
import Glibc

/// The directory in which a development system keeps its records, logs and the files of its components.
package struct DevelopmentDirectory: Sendable {
    /// Absolute, without slash at the end.
    package let path: String

    private var runs: String { path + "/run" }
    private var logs: String { path + "/log" }

    /// Sockets are made below the directory (`/guest/external.sock`), and the path of a socket has at most 107 bytes.
    private static let maximumByteCount = 107 - 20

    /// A directory by its path, which need not exist.
    package init(_ path: String) throws(DevelopmentError) {
        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw DevelopmentError(.configuration, "the directory needs a name", hint: nil)
        }
        var absolute = path
        if !path.hasPrefix("/") {
            guard let current = getcwd(nil, 0) else {
                throw DevelopmentError(.system, "\(SystemError.last("find the working directory"))")
            }
            defer { free(current) }
            absolute = String(cString: current) + "/" + (path.hasPrefix("./") ? path.dropFirst(2) : path[...])
        }
        while absolute.count > 1, absolute.hasSuffix("/") { absolute.removeLast() }
        guard absolute.utf8.count <= Self.maximumByteCount else {
            throw DevelopmentError(
                .configuration,
                "the path \(absolute) has \(absolute.utf8.count) bytes; sockets are made below it, so that it may have "
                    + "\(Self.maximumByteCount)",
                hint: "name a shorter one with --dir")
        }
        self.path = absolute
    }

    package var exists: Bool { access(path, F_OK) == 0 }

    /// Makes the directory and those in it, for their owner alone: keys are kept there.
    package func create() throws(DevelopmentError) {
        var current = ""
        for part in path.split(separator: "/") {
            current += "/" + part
            try Self.make(current)
        }
        for directory in [runs, logs] { try Self.make(directory) }
        guard access(path, W_OK | X_OK) == 0 else { throw Self.failure(SystemError.last("write to", path)) }
    }

    private static func make(_ path: String) throws(DevelopmentError) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw failure(SystemError.last("make", path)) }
    }

    static func failure(_ error: SystemError) -> DevelopmentError {
        let isAboutRights = [EACCES, EPERM, EROFS, ENOTDIR].contains(error.code)
        return DevelopmentError(
            .system, error.description, hint: isAboutRights ? "name a directory of your own with --dir" : nil)
    }

    /// The log of a component: what it printed since its last start.
    package func log(of name: String) -> String { "\(logs)/\(name).log" }

    /// Puts a component's last log aside.
    func rotateLog(of name: String) {
        // There may be none; and a log that cannot be put aside is continued.
        _ = rename(log(of: name), "\(logs)/\(name).previous.log")
    }

    /// What a component has printed; the end, where it is too much.
    func logText(of name: String) -> String {
        guard let bytes = try? File.readRegular(log(of: name), limit: 16 << 20) else { return "" }
        return String(decoding: bytes.suffix(1 << 20), as: UTF8.self)
    }

    // MARK: Records

    /// What is known of a component that was started.
    struct Record: Sendable, Hashable {
        let name: String
        let process: ProcessIdentity
        /// Tells whether it is the component that is wanted.
        let fingerprint: String
        /// What it announced once it was ready.
        var address: String?
        /// Where its pages are.
        var pages: String?
        var isReady = false
    }

    func write(_ record: Record) throws(DevelopmentError) {
        var writer = JSONWriter()
        writer.object { object in
            object.member("pid", record.process.processID)
            object.member("start_time", record.process.startTime)
            object.member("boot_id", record.process.bootID)
            object.member("fingerprint", record.fingerprint)
            object.member("ready", record.isReady)
            object.member("address", record.address)
            object.member("pages", record.pages)
        }
        do throws(SystemError) {
            try AtomicFile.write(writer.bytes, to: recordPath(record.name), mode: .secret)
        } catch {
            throw Self.failure(error)
        }
    }

    func remove(_ record: Record) { _ = unlink(recordPath(record.name)) }

    private func recordPath(_ name: String) -> String { "\(runs)/\(name).json" }

    /// All records, by name. A file that is no record is none: it cannot say what to stop.
    var records: [String: Record] {
        guard let directory = opendir(runs) else { return [:] }
        defer { closedir(directory) }
        var records: [String: Record] = [:]
        while let entry = readdir(directory) {
            let file = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                String(cString: UnsafeRawPointer(pointer).assumingMemoryBound(to: CChar.self))
            }
            guard file.hasSuffix(".json"), !file.hasPrefix(".") else { continue }
            let name = String(file.dropLast(5))
            records[name] = try? read(name)
        }
        return records
    }

    private func read(_ name: String) throws -> Record {
        let document = try JSONDocument(
            parsing: File.readRegular(recordPath(name), limit: 65_536), subject: recordPath(name))
        let root = document.root
        return Record(
            name: name,
            process: ProcessIdentity(
                processID: try root.member("pid").integer(), startTime: try root.member("start_time").integer(),
                bootID: try root.member("boot_id").string()),
            fingerprint: try root.member("fingerprint").string(),
            address: try root.optionalMember("address").map { try $0.string() },
            pages: try root.optionalMember("pages").map { try $0.string() },
            isReady: try root.member("ready").bool())
    }

    // MARK: Lock

    /// Holds off every other `up` and `down` in the directory; given back when it goes, even by a crash.
    struct Lock: ~Copyable {
        private let file: LockFile

        /// - Returns: nil where somebody else has it.
        init?(_ directory: DevelopmentDirectory) throws(DevelopmentError) {
            do throws(SystemError) {
                guard let taken = try LockFile.taken(directory.path + "/lock") else { return nil }
                file = taken
            } catch {
                throw DevelopmentDirectory.failure(error)
            }
        }
    }
}

extension DevelopmentDirectory {
    /// Removes a directory of this one with the files, sockets and links in it. Directories inside are not expected, and stay.
    package func removeAll(_ directory: String) throws(DevelopmentError) {
        guard directory.hasPrefix(path + "/"), let entries = opendir(directory) else { return }
        defer { closedir(entries) }
        while let entry = readdir(entries) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                String(cString: UnsafeRawPointer(pointer).assumingMemoryBound(to: CChar.self))
            }
            if name != ".", name != ".." { _ = unlink(directory + "/" + name) }
        }
        guard rmdir(directory) == 0 else { throw Self.failure(SystemError.last("remove", directory)) }
    }
}
