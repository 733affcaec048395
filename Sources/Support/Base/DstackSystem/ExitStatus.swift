/// How every shell of this project ends.
package enum ExitStatus: Int32, Sendable, Equatable {
    /// Yes, or done.
    case done = 0
    /// No: a verdict, whose reason was printed.
    case no = 1
    /// The request or the configuration was wrong; the same command will fail again.
    case wrongRequest = 2
    /// The world failed (network, disk, peer); the same command may succeed later.
    case worldFailed = 3

    /// The same as ``done``, where the command answers a question.
    package static let yes = ExitStatus.done
}

/// An error that knows how the shell should end and what the person can do about it.
///
/// Any other error ends a shell with ``ExitStatus/worldFailed`` and no hint.
package protocol ExplainedFailure: Error {
    var exitStatus: ExitStatus { get }
    /// What to do next, as one sentence; nil where nothing can be done.
    var hint: String? { get }
}
