/// Why the answer is a no, or there is none: the object `reason` in the JSON of every command and report, and the line of it in
/// every text.
package struct Reason: Sendable, Equatable {
    /// A stable name of what is wrong.
    package let code: String
    /// The check that failed; nil where nothing was checked.
    package let check: String?
    /// The reason in words, lower-case.
    package let message: String
    /// What was found; nil if there is nothing to show.
    package let found: String?
    /// What was expected; nil if there is nothing to show.
    package let expected: String?
    /// What to do about it; nil if there is nothing to be done.
    package let hint: String?

    /// A reason. Empty texts count as absent.
    package init(
        code: String, check: String? = nil, message: String, found: String = "", expected: String = "",
        hint: String? = nil
    ) {
        self.code = code
        self.check = check
        self.message = message
        self.found = found.isEmpty ? nil : found
        self.expected = expected.isEmpty ? nil : expected
        self.hint = hint
    }

    /// `message [check: code]`.
    package var line: String { "\(message) [\(check.map { "\($0): " } ?? "")\(code)]" }
}

extension JSONWriter.Object {
    /// The members that every answer begins with, `verdict` and `reason`.
    ///
    /// - Parameter reason: nil for a yes.
    package mutating func answer(_ verdict: String, _ reason: Reason?) {
        member("verdict", verdict)
        guard let reason else { return null("reason") }
        object("reason") { object in
            object.member("code", reason.code)
            object.member("check", reason.check)
            object.member("message", reason.message)
            object.member("found", reason.found)
            object.member("expected", reason.expected)
            object.member("hint", reason.hint)
        }
    }
}
