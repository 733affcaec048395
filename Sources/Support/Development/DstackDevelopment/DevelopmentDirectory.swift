import DstackEncoding
import DstackSystem
import Glibc

/// The directory in which a development system keeps its records, logs and the files of its components.
package struct DevelopmentDirectory: Sendable {
    /// Absolute, without links and slash at the end: the same directory has the same path by whatever name it is called.
    package let path: String

    private var runs: String { path + "/run" }
    private var logs: String { path + "/log" }
    private var lockPath: String { path + "/lock" }

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
        absolute = Self.resolved(absolute)
        guard absolute.utf8.count <= Self.maximumByteCount else {
            throw DevelopmentError(
                .configuration,
                "the path \(absolute) has \(absolute.utf8.count) bytes; sockets are made below it, so that it may have "
                    + "\(Self.maximumByteCount)",
                hint: "name a shorter one")
        }
        self.path = absolute
    }

    /// An absolute path with its links and `..` followed as far as it exists. Behind that there are no links.
    private static func resolved(_ path: String) -> String {
        var parts = path.split(separator: "/")
        var missing: [Substring] = []
        var resolved: [Substring] = []
        while !parts.isEmpty {
            if let real = realpath("/" + parts.joined(separator: "/"), nil) {
                defer { free(real) }
                resolved = String(cString: real).split(separator: "/")
                break
            }
            missing.insert(parts.removeLast(), at: 0)
        }
        for part in missing where part != "." {
            if part == ".." { _ = resolved.popLast() } else { resolved.append(part) }
        }
        return "/" + resolved.joined(separator: "/")
    }

    // MARK: Whose it is

    /// Whether anything was ever started in it: then the lock is there, which stays.
    package var isUsed: Bool { Self.kind(of: lockPath) == S_IFREG }

    /// Throws where files of something else are in the directory: a system writes files of its own names there, and removes
    /// some.
    package func checkIsOwn() throws(DevelopmentError) {
        if isUsed, Self.kind(of: runs) == S_IFDIR { return }
        // What an `up` made that was killed at its very beginning.
        let own: [String: mode_t] = ["lock": S_IFREG, "log": S_IFDIR, "run": S_IFDIR]
        let foreign = Self.names(in: path).filter { own[$0] == nil || own[$0] != Self.kind(of: "\(path)/\($0)") }
        guard foreign.isEmpty else {
            throw DevelopmentError(
                .configuration,
                "\(path) has files of something else (\(foreign.prefix(3).joined(separator: ", "))"
                    + (foreign.count > 3 ? " and \(foreign.count - 3) more)" : ")"), hint: "name a new directory")
        }
    }

    private static func kind(of path: String) -> mode_t? {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & S_IFMT : nil
    }

    /// None for a directory that is not there.
    private static func names(in directory: String) -> [String] { (try? File.names(in: directory)) ?? [] }

    // MARK: Making and unmaking

    /// Makes the directory and those in it, for their owner alone: keys are kept there.
    ///
    /// - Returns: what was not there before, the lock included, outermost first.
    ///
    /// - Throws: with nothing made, where something else has the name of one of them. A link there is not followed: what is
    ///   written would come where it leads.
    func create() throws(DevelopmentError) -> [String] {
        try Self.checkIsFree(runs, for: "records")
        try Self.checkIsFree(logs, for: "logs")
        var made: [String] = []
        var current = ""
        for part in path.split(separator: "/") {
            current += "/" + part
            try Self.make(current, &made)
        }
        for directory in [runs, logs] { try Self.make(directory, &made) }
        guard access(path, W_OK | X_OK) == 0 else { throw Self.failure(SystemError.last("write to", path)) }
        if Self.kind(of: lockPath) == nil { made.append(lockPath) }
        return made
    }

    private static func checkIsFree(_ path: String, for use: String) throws(DevelopmentError) {
        guard let kind = kind(of: path), kind != S_IFDIR else { return }
        let what =
            switch kind {
            case S_IFREG: "a file"
            case S_IFLNK: "a symbolic link"
            case S_IFIFO: "a pipe"
            case S_IFSOCK: "a socket"
            default: "a device"
            }
        throw DevelopmentError(
            .configuration, "\(path) is \(what), where a directory for \(use) has to be made",
            hint: "move it away, or name another directory")
    }

    private static func make(_ path: String, _ made: inout [String]) throws(DevelopmentError) {
        if mkdir(path, 0o700) == 0 { return made.append(path) }
        guard errno == EEXIST else { throw failure(SystemError.last("make", path)) }
    }

    /// Takes back what ``create()`` made, with the logs in it, as far as nothing else has come into it. To be called while the
    /// lock is held, which goes with the rest: who waits for it makes everything anew.
    func remove(_ made: [String]) {
        if made.contains(logs) {
            for name in Self.names(in: logs) where name.hasSuffix(".log") { unlink("\(logs)/\(name)") }
        }
        for path in [logs, runs] where made.contains(path) { rmdir(path) }
        if made.contains(lockPath) { unlink(lockPath) }
        for directory in made.reversed() where directory == path || path.hasPrefix(directory + "/") { rmdir(directory) }
    }

    static func failure(_ error: SystemError) -> DevelopmentError {
        let isAboutRights = [EACCES, EPERM, EROFS, ENOTDIR].contains(error.code)
        return DevelopmentError(
            .system, error.description, hint: isAboutRights ? "name a directory of your own" : nil)
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
        let process: ProcessGroup
        /// Tells whether it is the component that is wanted, but for its choices.
        let fingerprint: String
        /// Tells whether it runs the same program file.
        let program: String
        /// With what it was started.
        let choices: [Choice]
        /// What it announced once it was ready.
        var address: String?
        /// Where its pages are.
        var pages: String?
        var isReady = false

        /// Whether the component itself runs; what it has started may go on without it.
        var isRunning: Bool { process.leader.isRunning }

        struct Choice: Sendable, Hashable {
            let option: String
            let value: String
            let shown: String
        }
    }

    func write(_ record: Record) throws(DevelopmentError) {
        var writer = JSONWriter()
        writer.object { object in
            record.process.write(to: &object)
            object.member("fingerprint", record.fingerprint)
            object.member("program", record.program)
            object.array("choices") { array in
                for choice in record.choices {
                    array.object { item in
                        item.member("option", choice.option)
                        item.member("value", choice.value)
                        item.member("shown", choice.shown)
                    }
                }
            }
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
        var records: [String: Record] = [:]
        for file in Self.names(in: runs) where file.hasSuffix(".json") && !file.hasPrefix(".") {
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
            process: try ProcessGroup(root),
            fingerprint: try root.member("fingerprint").string(),
            // Those of older builds have neither, and are ended like any.
            program: try root.optionalMember("program")?.string() ?? "",
            choices: try root.optionalMember("choices")?.array().map { item in
                Record.Choice(
                    option: try item.member("option").string(), value: try item.member("value").string(),
                    shown: try item.member("shown").string())
            } ?? [],
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
                guard let taken = try LockFile.taken(directory.lockPath) else { return nil }
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
        guard directory.hasPrefix(path + "/"), Self.kind(of: directory) == S_IFDIR else { return }
        for name in Self.names(in: directory) { _ = unlink(directory + "/" + name) }
        guard rmdir(directory) == 0 else { throw Self.failure(SystemError.last("remove", directory)) }
    }
}
