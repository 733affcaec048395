package import DstackSystem

/// Ends a command with a message.
package struct CommandFailure: ExplainedFailure, Equatable, CustomStringConvertible {
    package let exitStatus: ExitStatus
    /// What was wrong, lower-case, without a full stop.
    package let message: String
    package let hint: String?
    /// A stable name of what kind of failure it is; nil where the exit status says enough.
    package let code: String?

    package init(_ exitStatus: ExitStatus, _ message: String, hint: String? = nil, code: String? = nil) {
        self.exitStatus = exitStatus
        self.message = message
        self.hint = hint
        self.code = code
    }

    package var description: String { message }
}
