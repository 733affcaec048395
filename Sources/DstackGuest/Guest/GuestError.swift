package import DstackSystem

/// Why this module could not do what it was asked: what failed, in what, and why. Two errors are equal if their codes are.
package struct GuestError: Error, Sendable {
    /// What kind of failure. Open: later versions may add codes, so a `switch` needs a default.
    package struct Code: RawRepresentable, Hashable, Sendable {
        /// The stable name of the code, as logs show it.
        package let rawValue: String

        /// A code by its stable name.
        package init(rawValue: String) { self.rawValue = rawValue }

        /// A file that the guest needs is missing, unreadable, or not of its form.
        package static let invalidFile = Code(rawValue: "invalid_file")
        /// A setting makes no sense.
        package static let invalidConfiguration = Code(rawValue: "invalid_configuration")
        /// Another process has what is needed, and may let go of it.
        package static let inUse = Code(rawValue: "in_use")
        /// The caller asked for something that there is not.
        package static let invalidRequest = Code(rawValue: "invalid_request")
        /// The container engine could not be reached or gave an unusable answer.
        package static let engineUnavailable = Code(rawValue: "engine_unavailable")
        /// The operating system did not tell or give what was asked.
        package static let systemUnavailable = Code(rawValue: "system_unavailable")
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
}

extension GuestError: Equatable {
    /// Errors are equal if their codes are.
    package static func == (left: GuestError, right: GuestError) -> Bool { left.code == right.code }
}

extension GuestError: CustomStringConvertible {
    /// `subject: reason (hint)`.
    package var description: String { explanation }
}

extension GuestError: ModuleError {
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
