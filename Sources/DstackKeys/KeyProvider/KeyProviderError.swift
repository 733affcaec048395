package import DstackSystem

/// Why a local key provider gave no key that can be used. Never contains key material.
package struct KeyProviderError: ModuleError {
    package enum Code: String, Sendable {
        /// It cannot be reached, is too slow, or hangs up: upstream's answers in no other way to what it refuses.
        case unavailable
        /// Bytes that are not of the documented form.
        case malformed
        /// Evidence that is not believed, or is about something else.
        case notAuthentic = "not_authentic"
        /// A genuine provider that is not one of those that are accepted.
        case notAccepted = "not_accepted"
    }

    package let code: Code
    /// What it is about.
    package let subject: String
    package let reason: String
    /// What can be done about it; empty if nothing.
    package let hint: String

    package init(_ code: Code, _ subject: String, _ reason: String, hint: String = "") {
        self.code = code
        self.subject = subject
        self.reason = reason
        self.hint = hint
    }

    package var exitStatus: ExitStatus { [.notAuthentic, .notAccepted].contains(code) ? .no : .worldFailed }
}
