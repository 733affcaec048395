/// Why some bytes or a text could not be decoded: what was being read, where, and what is wrong with it.
///
/// Every decoder of this module throws it. The texts never contain the bytes themselves, so that a failure may be
/// logged even where the input was a secret.
@usableFromInline
package struct DecodingFailure: Error, Equatable, CustomStringConvertible {
    @usableFromInline
    package enum Code: Sendable, Equatable {
        /// The input ends before the value does.
        case truncated
        /// Input is left after the value.
        case trailing
        /// A length, count or depth is over what this format or this reader allows.
        case tooLarge
        /// The bytes do not have the form the format requires.
        case malformed
        /// The form is right but the format, or this reader, has no such value (a version, a type, a tag).
        case unsupported
    }

    package let code: Code
    /// What was being read, in the format's own words ("mr_td", "certificate serial").
    package let subject: String
    /// Where: zero-based offset in bytes from the start of the outermost input, if known.
    package let offset: Int?
    /// What is wrong and what would be right, lower-case, without a full stop.
    package let reason: String

    @usableFromInline
    package init(_ code: Code, _ subject: String, at offset: Int? = nil, _ reason: String) {
        self.code = code
        self.subject = subject
        self.offset = offset
        self.reason = reason
    }

    @usableFromInline
    package var description: String {
        guard let offset else { return "\(subject): \(reason)" }
        return "\(subject) at byte \(offset): \(reason)"
    }
}
