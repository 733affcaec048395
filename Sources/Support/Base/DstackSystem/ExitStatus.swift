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

/// What the errors of all modules look like: a code, and in words what failed, why, and what to do about it.
///
/// Two are equal if their codes are. Codes are enumerations; where applications see them, which would have to name all, they
/// are open structures.
///
/// How a shell ends by one stands with the codes, and nowhere else; a shell that knows better, because it knows what was asked
/// for, catches it.
package protocol ModuleError: Error, Equatable, CustomStringConvertible {
    associatedtype Code: RawRepresentable<String> & Equatable

    var code: Code { get }
    var subject: String { get }
    var reason: String { get }
    /// Empty where there is nothing to say.
    var hint: String { get }
    var exitStatus: ExitStatus { get }
}

extension ModuleError {
    /// `subject: reason (hint)`, which is how these errors describe themselves.
    package var explanation: String { "\(subject): \(reason)" + (hint.isEmpty ? "" : " (\(hint))") }

    package var description: String { explanation }

    package static func == (left: Self, right: Self) -> Bool { left.code == right.code }
}

/// An error that knows how the shell should end and what the person can do about it.
///
/// Any error that is neither this nor a ``ModuleError`` ends a shell with ``ExitStatus/worldFailed`` and no hint.
package protocol ExplainedFailure: Error {
    var exitStatus: ExitStatus { get }
    /// What to do next, as one sentence; nil where nothing can be done.
    var hint: String? { get }
}
