import Glibc

/// A call to the operating system that failed: what was tried, on what, and why it could not be done.
package struct SystemError: Error, Equatable, CustomStringConvertible {
    /// What was tried, as it follows "cannot": `open`, `write to`.
    package let operation: String
    /// The file, socket or other thing it was tried on, if it has a name.
    package let subject: String?
    /// The error number (`ENOENT`, …). Programs decide by it; people read ``reason``.
    package let code: Int32
    /// Why, in the system's words or, where those would mislead, in better ones.
    package let reason: String

    package init(_ operation: String, _ subject: String? = nil, code: Int32, reason: String? = nil) {
        self.operation = operation
        self.subject = subject
        self.code = code
        // glibc's strerror is safe in several threads since 2.32 (Debian 12 has 2.36).
        self.reason = reason ?? strerror(code).map { String(cString: $0) } ?? "error \(code)"
    }

    /// The failure that `errno` tells of. To be made right after the call, before anything else can change it.
    package static func last(_ operation: String, _ subject: String? = nil) -> SystemError {
        SystemError(operation, subject, code: errno)
    }

    /// Whether the disk or the system as a whole had no more to give, so that the same may succeed later as it is.
    package var isOfWorld: Bool { [ENOSPC, EDQUOT, EIO, ENOMEM, EMFILE, ENFILE].contains(code) }

    package var description: String {
        guard let subject else { return "cannot \(operation): \(reason)" }
        return "cannot \(operation) \(subject): \(reason)"
    }
}

/// Calls until the call is not interrupted by a signal. `call` reports failure with -1, as the system does.
package func retryingInterrupts<Result: FixedWidthInteger & SignedInteger>(_ call: () -> Result) -> Result {
    while true {
        let result = call()
        if result != -1 || errno != EINTR { return result }
    }
}
