package import DstackSystem

/// Ends a command with a message.
package struct CommandFailure: ExplainedFailure, Equatable, CustomStringConvertible {
    package let exitStatus: ExitStatus
    /// What was wrong, lower-case, without a full stop.
    package let message: String
    package let hint: String?

    package init(_ exitStatus: ExitStatus, _ message: String, hint: String? = nil) {
        self.exitStatus = exitStatus
        self.message = message
        self.hint = hint
    }

    package var description: String { message }
}
