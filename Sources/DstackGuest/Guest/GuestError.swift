package import DstackSystem

/// Why this module could not do what it was asked: what failed, in what, and why.
package struct GuestError: ModuleError {
    /// What kind of failure. Open: later versions may add codes, so a `switch` needs a default.
    package enum Code: String, Sendable {
        /// A file that the guest needs is missing, unreadable, or not of its form.
        case invalidFile = "invalid_file"
        /// A setting makes no sense.
        case invalidConfiguration = "invalid_configuration"
        /// Another process has what is needed, and may let go of it.
        case inUse = "in_use"
        /// The caller asked for something that there is not.
        case invalidRequest = "invalid_request"
        /// The container engine could not be reached or gave an unusable answer.
        case engineUnavailable = "engine_unavailable"
        /// There is no container of a name, or none that the caller may know of.
        case noSuchContainer = "no_such_container"
        /// So many read logs that this reader had to give up its place.
        case logPlaceLost = "log_place_lost"
        /// The operating system did not tell or give what was asked.
        case systemUnavailable = "system_unavailable"
    }

    /// The kind of failure.
    package let code: Code
    /// What was being read or done: a field, a file, a service.
    package let subject: String
    /// What is wrong, lower-case; where it helps, what would be right.
    package let reason: String
    /// What to do about it; empty if there is nothing to say.
    package let hint: String

    /// An error with its facts.
    package init(_ code: Code, subject: String, reason: String, hint: String = "") {
        self.code = code
        self.subject = subject
        self.reason = reason
        self.hint = hint
    }

    package var exitStatus: ExitStatus {
        [.invalidFile, .invalidConfiguration].contains(code) ? .wrongRequest : .worldFailed
    }
}

extension GuestError {
    /// A file that the operating system did not give. Where the disk failed or was full nothing is wrong with what was asked.
    package init(_ code: Code, _ error: SystemError, _ path: String) {
        self.init(
            error.isOfWorld ? .systemUnavailable : code, subject: error.subject ?? path, reason: error.description)
    }
}
