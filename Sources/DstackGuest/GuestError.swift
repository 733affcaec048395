/// Why this module could not do what it was asked: what failed, in what, and why. Two errors are equal if their codes are.
public struct GuestError: Error, Sendable {
    /// What kind of failure. Open: later versions may add codes, so a `switch` needs a default.
    public struct Code: RawRepresentable, Hashable, Sendable {
        /// The stable name of the code, as logs show it.
        public let rawValue: String

        /// A code by its stable name.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// A file that the guest needs is missing, unreadable, or not of its form.
        public static let invalidFile = Code(rawValue: "invalid_file")
        /// A setting makes no sense.
        public static let invalidConfiguration = Code(rawValue: "invalid_configuration")
        /// Another process has what is needed, and may let go of it.
        public static let inUse = Code(rawValue: "in_use")
        /// The caller asked for something that there is not.
        public static let invalidRequest = Code(rawValue: "invalid_request")
        /// The container engine could not be reached or gave an unusable answer.
        public static let engineUnavailable = Code(rawValue: "engine_unavailable")
        /// The operating system did not tell or give what was asked.
        public static let systemUnavailable = Code(rawValue: "system_unavailable")
    }

    /// The kind of failure.
    public let code: Code
    /// What was being read or done: a field, a file, a service.
    public let subject: String
    /// What is wrong, lower-case; where it helps, what would be right.
    public let reason: String
    /// What to do about it; empty if there is nothing to say.
    public let hint: String

    /// An error with its facts.
    public init(_ code: Code, subject: String, reason: String, hint: String = "") {
        self.code = code
        self.subject = subject
        self.reason = reason
        self.hint = hint
    }
}

extension GuestError: Equatable {
    /// Errors are equal if their codes are.
    public static func == (left: GuestError, right: GuestError) -> Bool { left.code == right.code }
}

extension GuestError: CustomStringConvertible {
    /// `subject: reason (hint)`.
    public var description: String { "\(subject): \(reason)" + (hint.isEmpty ? "" : " (\(hint))") }
}
