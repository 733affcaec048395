import DstackSystem
import Glibc

/// Says which process has a socket path, for as long as it lives: two agents that start at once would otherwise each
/// find the other's socket stale.
final class SocketLock: Sendable {
    private let file: FileDescriptor

    private init(_ file: consuming FileDescriptor) { self.file = file }

    /// Takes `PATH.lock`.
    ///
    /// - Throws: ``GuestError/Code/invalidConfiguration`` where another process has it.
    static func take(for path: String) throws(GuestError) -> SocketLock {
        let lock = path + ".lock"
        let file: FileDescriptor
        do {
            file = try FileDescriptor(opening: lock, flags: O_RDWR | O_CREAT, mode: 0o600)
        } catch {
            throw GuestError(
                .systemUnavailable, subject: lock, reason: "\(error)", hint: "the directory must be there and writable")
        }
        guard flock(file.number, LOCK_EX | LOCK_NB) == 0 else {
            throw GuestError(
                .invalidConfiguration, subject: path, reason: "another process serves it",
                hint: "end that agent, or give this one another address")
        }
        return SocketLock(file)
    }
}
