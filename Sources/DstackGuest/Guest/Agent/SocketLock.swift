import DstackSystem
import Glibc

/// Says which process has a socket path, for as long as it lives: two agents that start at once would otherwise each
/// find the other's socket stale.
final class SocketLock: Sendable {
    private let file: LockFile

    private init(_ file: consuming LockFile) { self.file = file }

    /// Takes `PATH.lock`.
    ///
    /// - Throws: ``GuestError/Code/inUse`` where another process has it.
    static func take(for path: String) throws(GuestError) -> SocketLock {
        let lock = path + ".lock"
        do {
            if let file = try LockFile.taken(lock) { return SocketLock(file) }
        } catch {
            throw GuestError(
                .systemUnavailable, subject: lock, reason: "\(error)", hint: "the directory must be there and writable")
        }
        throw GuestError(
            .inUse, subject: path, reason: "another process serves it",
            hint: "end that agent, or give this one another address")
    }
}
