import DstackHTTPServer
import DstackNetwork
import DstackSystem
import Glibc
import Synchronization

/// Finds out whether an agent lives: its sockets are where clients look for them, and its servers answer.
///
/// Nothing here takes a place, a descriptor or a thread that strangers could have filled.
final class GuestProbes: Sendable {
    private struct Subject {
        let inner: HTTPServer
        let outer: HTTPServer
        /// Of the Unix sockets that the agent made.
        let files: [(name: String, path: String)]
    }

    private let subject = Mutex<Subject?>(nil)
    /// Whether the public port still owes an answer.
    private let isPublicPortAsked = Mutex(false)

    private static let log = Log("guest.probe")

    func prepare(_ inner: HTTPServer, _ outer: HTTPServer, _ listeners: [HTTPListener]) {
        let files = listeners.compactMap { listener -> (String, String)? in
            guard case .unix(let path, _) = listener.endpoint, listener.name != GuestListeners.Name.external else {
                return nil
            }
            return (listener.name, path)
        }
        subject.withLock { $0 = Subject(inner: inner, outer: outer, files: files) }
    }

    func run(_ answer: @escaping @Sendable (GuestError?) -> Void) {
        guard let subject = subject.withLock({ $0 }) else {
            return answer(Self.failure("agent", "it does not listen yet"))
        }
        lookAtPublicPort(subject.outer)
        for (name, path) in subject.files {
            var status = stat()
            guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else {
                return answer(Self.failure(name, "there is no socket at \(path) any more"))
            }
        }
        subject.inner.probe("/Version", on: GuestListeners.Name.main) { response in
            guard let response else { return answer(Self.failure(GuestListeners.Name.main, "it has stopped")) }
            guard (200..<300).contains(response.status) else {
                return answer(
                    Self.failure(GuestListeners.Name.main, "it answers with status \(response.status)"))
            }
            answer(nil)
        }
    }

    /// For the log alone: strangers must not be able to have the agent ended.
    private func lookAtPublicPort(_ server: HTTPServer) {
        let isOwed = isPublicPortAsked.withLock { asked in
            defer { asked = true }
            return asked
        }
        guard !isOwed else { return Self.log.warn("the public port has not answered since the agent asked it last") }
        server.probe("/prpc/Worker.Version", on: GuestListeners.Name.external) { [weak self] _ in
            self?.isPublicPortAsked.withLock { $0 = false }
        }
    }

    private static func failure(_ subject: String, _ reason: String) -> GuestError {
        GuestError(.systemUnavailable, subject: subject, reason: reason)
    }
}
