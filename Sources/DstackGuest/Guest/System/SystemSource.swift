import DstackEncoding
import DstackSystem

/// Where facts about the machine are read: `/proc`, `/sys` and `/etc` below a root, which tests put elsewhere.
package struct SystemSource: Sendable {
    /// "/" on a real machine.
    package let root: String

    package init(root: String = "/") { self.root = root.hasSuffix("/") ? root : root + "/" }

    /// - Parameter path: begins with `/`.
    func path(_ path: String) -> String { root + path.dropFirst() }

    /// The text of a file of the kernel or the system.
    func text(_ path: String, limit: Int = 1 << 20) throws(GuestError) -> String {
        do {
            return try File.readText(self.path(path), limit: limit)
        } catch {
            throw GuestError(.systemUnavailable, subject: path, reason: error.reason)
        }
    }

    /// The text of a file that not every machine has.
    func optionalText(_ path: String, limit: Int = 1 << 20) throws(GuestError) -> String? {
        do {
            return try File.readText(self.path(path), limit: limit)
        } catch {
            if error.code == Self.notFound { return nil }
            throw GuestError(.systemUnavailable, subject: path, reason: error.reason)
        }
    }

    /// `ENOENT`.
    private static let notFound: Int32 = 2
}

extension GuestError {
    /// A file that is there and does not say what it should.
    static func unexpected(_ path: String, _ reason: String) -> GuestError {
        GuestError(.systemUnavailable, subject: path, reason: reason)
    }
}
