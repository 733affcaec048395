import DstackSystem
import Foundation
import TestKit
import Testing

@Suite("Reading files within a limit")
struct FileReadTests {
    @Test("a file is read up to exactly its limit, and one byte more is refused")
    func limit() throws {
        let directory = try ScratchDirectory()
        let path = try directory.write(String(repeating: "x", count: 100_000), "data")
        #expect(try File.read(path, limit: 100_000).count == 100_000)
        let failure = #expect(throws: SystemError.self) { try File.read(path, limit: 99_999) }
        #expect(failure?.code == EFBIG)
        #expect(
            failure?.description
                == "cannot read \(path): it is larger than the 99999 bytes that are allowed here")
    }

    @Test("an empty file is read also with a limit of zero")
    func empty() throws {
        let directory = try ScratchDirectory()
        #expect(try File.read(directory.write("", "empty"), limit: 0) == [])
    }

    @Test("files whose size is not known before, and endless ones, are read within the limit")
    func unsized() throws {
        #expect(try File.read("/proc/self/status", limit: 100_000).isEmpty == false)
        #expect(try File.read("/dev/null", limit: 10) == [])
        #expect(throws: SystemError.self) { try File.read("/dev/zero", limit: 1_000_000) }
    }

    @Test("a pipe is read to its end, in whatever pieces it comes")
    func pipe() throws {
        let directory = try ScratchDirectory()
        let path = directory.path("fifo")
        #expect(mkfifo(path, 0o600) == 0)
        let writer = Process()
        writer.executableURL = URL(fileURLWithPath: "/bin/sh")
        writer.arguments = ["-c", "exec > \"$0\"; printf one; sleep 0.05; printf two", path]
        try writer.run()
        #expect(try File.readText(path, limit: 6) == "onetwo")
        writer.waitUntilExit()
    }

    @Test(
        "what cannot be read is named with the reason",
        arguments: [
            ("/nonexistent/file", "cannot open /nonexistent/file: No such file or directory"),
            ("/", "cannot read /: Is a directory"),
            ("", "cannot open \"\": the path is empty"),
            ("/dev/null\0/x", "cannot open /dev/null\0/x: a path cannot contain a NUL byte"),
        ])
    func reasons(path: String, message: String) {
        let failure = #expect(throws: SystemError.self) { try File.read(path, limit: 1) }
        #expect(failure?.description == message)
    }

    @Test("text that is not UTF-8 is refused rather than repaired")
    func invalidText() throws {
        let directory = try ScratchDirectory()
        try Data([0x61, 0xff]).write(to: URL(fileURLWithPath: directory.path("bad")))
        let failure = #expect(throws: SystemError.self) { try File.readText(directory.path("bad"), limit: 10) }
        #expect(failure?.code == EILSEQ)
    }

    @Test("appends from several threads stay whole and in the file's mode")
    func appends() async throws {
        let directory = try ScratchDirectory()
        let path = directory.path("log")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<4 {
                group.addTask {
                    for _ in 0..<25 {
                        try File.append(
                            Array(repeating: UInt8(ascii: "a") + UInt8(writer), count: 5_000) + [10], to: path,
                            mode: .secret)
                    }
                }
            }
            try await group.waitForAll()
        }
        let lines = try File.readText(path, limit: 1_000_000).split(separator: "\n")
        #expect(lines.count == 100)
        #expect(lines.allSatisfy { $0.count == 5_000 && Set($0).count == 1 })
        #expect(try mode(of: path) == 0o600)
    }
}

@Suite("Writing files in one step")
struct AtomicFileTests {
    @Test("a device or a pipe, and a link to one, is never replaced by a file")
    func special() throws {
        let directory = try ScratchDirectory()
        let (pipe, link) = (directory.path("pipe"), directory.path("link"))
        #expect(mkfifo(pipe, 0o600) == 0 && symlink("/dev/null", link) == 0)
        for path in [pipe, link] {
            let error = #expect(throws: SystemError.self) { try AtomicFile.write("text", to: path, mode: .readable) }
            #expect(error?.code == EINVAL)
        }
        var status = stat()
        #expect(lstat(pipe, &status) == 0 && status.st_mode & S_IFMT == S_IFIFO)
        #expect(lstat(link, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK)
        #expect(try directory.names.count == 2)
    }

    @Test("a file is created and replaced with exactly the mode asked for, and nothing else is left")
    func writes() throws {
        let directory = try ScratchDirectory()
        let path = directory.path("key.pem")
        try AtomicFile.write("first", to: path, mode: .readable)
        #expect(try mode(of: path) == 0o644)
        try AtomicFile.write([UInt8]("second".utf8), to: path, mode: .secret)
        #expect(try File.readText(path, limit: 100) == "second")
        #expect(try mode(of: path) == 0o600)
        #expect(try directory.names == ["key.pem"])
    }

    @Test("a name as long as the file system allows can still be written")
    func longName() throws {
        let directory = try ScratchDirectory()
        try AtomicFile.write("x", to: directory.path(String(repeating: "n", count: 255)), mode: .readable)
        #expect(try directory.names.count == 1)
    }

    @Test("a file that must be kept is kept, and the failure says that it exists")
    func keeps() throws {
        let directory = try ScratchDirectory()
        let path = directory.path("root.key")
        try AtomicFile.write("first", to: path, mode: .secret, existing: .keep)
        let failure = #expect(throws: SystemError.self) {
            try AtomicFile.write("second", to: path, mode: .secret, existing: .keep)
        }
        #expect(failure?.code == EEXIST)
        #expect(try File.readText(path, limit: 100) == "first")
        #expect(try directory.names == ["root.key"])
    }

    @Test("a symbolic link is replaced, and what it pointed to is untouched")
    func link() throws {
        let directory = try ScratchDirectory()
        let target = try directory.write("old", "target")
        #expect(symlink(target, directory.path("link")) == 0)
        try AtomicFile.write("new", to: directory.path("link"), mode: .readable)
        #expect(try File.readText(target, limit: 100) == "old")
        #expect(try File.readText(directory.path("link"), limit: 100) == "new")
    }

    @Test("a missing directory, a directory as target and a path without a name are refused with the path")
    func refusals() throws {
        let directory = try ScratchDirectory()
        let missing = directory.path("no/such/file")
        let failure = #expect(throws: SystemError.self) { try AtomicFile.write("x", to: missing, mode: .readable) }
        #expect(failure?.code == ENOENT)
        #expect(
            failure?.description
                == "cannot write \(missing): cannot open its directory \(directory.path("no/such")): No such file or directory"
        )
        #expect(mkdir(directory.path("folder"), 0o700) == 0)
        for path in [directory.path("folder"), directory.path("folder/"), directory.path("."), directory.path("..")] {
            let failure = #expect(throws: SystemError.self) { try AtomicFile.write("x", to: path, mode: .readable) }
            #expect(failure?.code == EISDIR, "\(path)")
        }
        #expect(try directory.names == ["folder"])
    }

    /// A limit on the size of files stands in for a full disk: the kernel refuses the write half way in the same place.
    @Test("where the disk takes only a part, the old file stays and the part is removed")
    func partialWrite() throws {
        let directory = try ScratchDirectory()
        let path = try directory.write("old", "state")
        signal(SIGXFSZ, SIG_IGN)
        var old = rlimit()
        #expect(getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &old) == 0)
        var small = rlimit(rlim_cur: 64 << 20, rlim_max: old.rlim_max)
        #expect(setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &small) == 0)
        defer { setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &old) }
        let failure = #expect(throws: SystemError.self) {
            try AtomicFile.write([UInt8](repeating: 1, count: 65 << 20), to: path, mode: .readable)
        }
        #expect(failure?.code == EFBIG)
        #expect(try File.readText(path, limit: 100) == "old")
        #expect(try directory.names == ["state"])
    }

    @Test("a full device is reported in the system's words")
    func fullDevice() throws {
        let full = try FileDescriptor(opening: "/dev/full", flags: O_WRONLY)
        let bytes: [UInt8] = [1, 2, 3]
        do {
            try full.writeAll(bytes.span.bytes)
            Issue.record("a full device took bytes")
        } catch {
            #expect(error.description == "cannot write to /dev/full: No space left on device")
        }
    }
}

private func mode(of path: String) throws -> UInt32 {
    var status = stat()
    try #require(stat(path, &status) == 0)
    return status.st_mode & 0o7777
}
