import Foundation
package import Glibc

/// Starts programs that live beside the tests.
package enum Spawn {
    package struct Problem: Error, CustomStringConvertible {
        package let description: String
    }

    /// Starts a program without terminal, with an empty set of blocked signals: the threads of a test block almost all,
    /// which a program inherits, and then neither ends when told to nor notices the end of its own children.
    ///
    /// - Parameter descriptors: what it has as its descriptor of each number, beside 0 to 2, which are `/dev/null` unless
    ///   given. They must be above all the numbers.
    package static func start(
        _ path: String, _ arguments: [String], descriptors: [Int32: Int32] = [:]
    ) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for number in Int32(0)...2 where descriptors[number] == nil {
            posix_spawn_file_actions_addopen(&actions, number, "/dev/null", number == 0 ? O_RDONLY : O_WRONLY, 0)
        }
        for (number, descriptor) in descriptors { posix_spawn_file_actions_adddup2(&actions, descriptor, number) }

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))

        var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        defer { for word in words { free(word) } }
        var process: pid_t = 0
        let status = posix_spawn(&process, path, &actions, &attributes, &words, environ)
        guard status == 0 else { throw Problem(description: "\(path): \(String(cString: strerror(status)))") }
        return process
    }

    /// A connected pair, not inherited, the second out of the way of low numbers.
    package static func channel() throws -> (ours: Int32, theirs: Int32) {
        var ends: [Int32] = [-1, -1]
        guard socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
            throw Problem(description: "no socket pair: \(String(cString: strerror(errno)))")
        }
        let theirs = fcntl(ends[1], F_DUPFD_CLOEXEC, 100)
        close(ends[1])
        return (ends[0], theirs)
    }
}
