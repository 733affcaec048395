package import DstackSystem

/// Why a local key provider gave no key that can be used. Never contains key material.
///
/// Two errors are equal if their codes are.
package struct KeyProviderError: Error, Sendable {
    package struct Code: RawRepresentable<String>, Hashable, Sendable {
        package let rawValue: String

        package init(rawValue: String) { self.rawValue = rawValue }

        /// It cannot be reached, is too slow, or hangs up: upstream's answers in no other way to what it refuses.
        package static let unavailable = Code(rawValue: "unavailable")
        /// Bytes that are not of the documented form.
        package static let malformed = Code(rawValue: "malformed")
        /// Evidence that is not believed, or is about something else.
        package static let notAuthentic = Code(rawValue: "not_authentic")
        /// A genuine provider that is not one of those that are accepted.
        package static let notAccepted = Code(rawValue: "not_accepted")
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
}

extension KeyProviderError: Equatable {
    package static func == (left: Self, right: Self) -> Bool { left.code == right.code }
}

extension KeyProviderError: CustomStringConvertible {
    /// `subject: reason (hint)`.
    package var description: String { explanation }
}

extension KeyProviderError: ModuleError {
    package var exitStatus: ExitStatus { [.notAuthentic, .notAccepted].contains(code) ? .no : .worldFailed }
}
