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

    /// The error of a module, as it ends a command that knows nothing better.
    package init(_ error: some ModuleError) {
        self.init(
            error.exitStatus, "\(error.subject): \(error.reason)", hint: error.hint.isEmpty ? nil : error.hint)
    }

    package var description: String { message }
}
