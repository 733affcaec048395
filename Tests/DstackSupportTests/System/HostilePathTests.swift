import DstackSystem
import Foundation
import Glibc
import Synchronization
import TestKit
import Testing

@Suite("Files in directories that others write to")
struct HostilePathTests {
    @Test("a lock is one process's at a time, and is a file for its owner alone")
    func lock() throws {
        let directory = try ScratchDirectory()
        do {
            let first = try LockFile.taken(directory.path("lock"))
            // Another opening of the file is another holder, as in another process.
            #expect(try !isFree(directory.path("lock")))
            _ = consume first
        }
        #expect(try isFree(directory.path("lock")))
        var status = stat()
        #expect(lstat(directory.path("lock"), &status) == 0 && status.st_mode & 0o777 == 0o600)
    }

    private final class Holders: Sendable {
        let counts = Mutex((now: 0, most: 0, turns: 0))
    }

    @Test("a lock whose holder removes the file goes to one of those who want it, never to two")
    func removedLock() throws {
        let directory = try ScratchDirectory()
        let path = directory.path("lock")
        let holders = Holders()
        DispatchQueue.concurrentPerform(iterations: 4) { _ in
            for _ in 0..<500 {
                guard let lock = try? LockFile.taken(path) else { continue }
                holders.counts.withLock {
                    $0.now += 1
                    $0.most = max($0.most, $0.now)
                    $0.turns += 1
                }
                holders.counts.withLock { $0.now -= 1 }
                // From here on others may make a new one.
                _ = unlink(path)
                _ = consume lock
            }
        }
        #expect(holders.counts.withLock { $0.most } == 1)
        #expect(holders.counts.withLock { $0.turns } > 100)
    }

    @Test("a link in the place of a lock does not make or open the file that it names")
    func links() throws {
        let directory = try ScratchDirectory()
        #expect(symlink(directory.path("victim"), directory.path("lock")) == 0)
        let error = #expect(throws: SystemError.self) { try isFree(directory.path("lock")) }
        #expect(error?.code == ELOOP && error?.description.contains("symbolic link") == true)
        #expect(!FileManager.default.fileExists(atPath: directory.path("victim")))
        // Nor a second name of a file that is there.
        try directory.write("content", "other")
        #expect(Glibc.link(directory.path("other"), directory.path("hard")) == 0)
        #expect(throws: SystemError.self) { try isFree(directory.path("hard")) }
    }

    @Test("a pipe or a directory in the place of a lock is refused at once")
    func pipes() throws {
        let directory = try ScratchDirectory()
        #expect(mkfifo(directory.path("pipe"), 0o600) == 0)
        #expect(throws: SystemError.self) { try isFree(directory.path("pipe")) }
        #expect(throws: SystemError.self) { try isFree(directory.path) }
    }

    private func isFree(_ path: String) throws(SystemError) -> Bool {
        let lock = try LockFile.taken(path)
        return lock != nil
    }

    @Test("what is appended, cut off or read in place does not go through a link")
    func records() throws {
        let directory = try ScratchDirectory()
        let victim = try directory.write("content", "victim")
        #expect(symlink(victim, directory.path("log")) == 0)
        #expect(throws: SystemError.self) { try File.append([1, 2], to: directory.path("log"), mode: .secret) }
        #expect(throws: SystemError.self) { try File.truncate(directory.path("log"), to: 0) }
        #expect(throws: SystemError.self) { _ = try File.readRegular(directory.path("log"), limit: 100) }
        #expect(try File.readText(victim, limit: 100) == "content")
        try File.truncate(victim, to: 4)
        #expect(try File.readRegular(victim, limit: 100) == Array("cont".utf8))
        #expect(mkfifo(directory.path("pipe"), 0o600) == 0)
        #expect(throws: SystemError.self) { _ = try File.readRegular(directory.path("pipe"), limit: 100) }
        #expect(throws: SystemError.self) { try File.truncate(directory.path("pipe"), to: 0) }
        // Also where somebody reads from it.
        let reader = try FileDescriptor(opening: directory.path("pipe"), flags: O_RDONLY | O_NONBLOCK)
        #expect(throws: SystemError.self) { try File.append([1, 2], to: directory.path("pipe"), mode: .secret) }
        _ = consume reader
        #expect(throws: SystemError.self) { try File.append([1, 2], to: directory.path("pipe"), mode: .secret) }
        // A link may be meant where a directory is mounted, and is no way to a device.
        #expect(try File.readRegular(directory.path("log"), limit: 100, followsLinks: true) == Array("cont".utf8))
        #expect(symlink("/dev/zero", directory.path("zero")) == 0)
        #expect(throws: SystemError.self) {
            _ = try File.readRegular(directory.path("zero"), limit: 100, followsLinks: true)
        }
    }

    @Test("a lock that somebody keeps is waited for a bounded time, and nobody else can open it afterwards")
    func deadlines() throws {
        let directory = try ScratchDirectory()
        let path = try directory.write("", "lock")
        #expect(chmod(path, 0o666) == 0)
        let holder = try FileDescriptor(opening: path, flags: O_RDONLY)
        #expect(flock(holder.number, LOCK_EX) == 0)
        let begin = ContinuousClock.now
        #expect(try !isFree(path, within: .milliseconds(200)))
        #expect(ContinuousClock.now - begin >= .milliseconds(200))
        _ = consume holder
        #expect(try isFree(path, within: .seconds(5)))
        var status = stat()
        #expect(lstat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
        // What is appended to is locked as well.
        let log = try directory.write("", "record")
        let reader = try FileDescriptor(opening: log, flags: O_RDONLY)
        #expect(flock(reader.number, LOCK_SH) == 0)
        let error = #expect(throws: SystemError.self) { try File.append([1, 2], to: log, mode: .secret) }
        #expect(error?.code == EWOULDBLOCK)
        _ = consume reader
        try File.append([1, 2], to: log, mode: .secret)
    }

    private func isFree(_ path: String, within limit: Duration) throws(SystemError) -> Bool {
        let lock = try LockFile.taken(path, until: .now + limit)
        return lock != nil
    }
}
