package import DstackSystem

/// Why a machine does not get a yes: it was denied, or nobody could be asked, or what came back is no answer.
package struct AuthorizationError: ModuleError {
    package enum Code: String, Sendable {
        /// Whoever decides said no.
        case denied
        /// Whoever decides cannot be reached, is too slow, or says that it cannot find out.
        case unavailable = "authorizer_unavailable"
        /// What came back is no answer, or contradicts another one.
        case invalidAnswer = "invalid_answer"
        /// Settings by which nothing could be decided.
        case invalidConfiguration = "invalid_configuration"
    }

    package let code: Code
    /// Who was asked, or about what.
    package let subject: String
    package let reason: String
    package let hint: String

    package init(_ code: Code, subject: String, reason: String, hint: String = "") {
        self.code = code
        self.subject = subject
        self.reason = reason
        self.hint = hint
    }

    package var exitStatus: ExitStatus {
        switch code {
        case .denied: .no
        case .invalidConfiguration: .wrongRequest
        default: .worldFailed
        }
    }

    /// What a service answers with in place of a decision. It says nothing about who was asked: addresses of nodes may have
    /// keys in them.
    package var publicReason: String {
        code == .invalidAnswer ? Self.invalidAnswerReason : Self.unavailableReason
    }

    /// Upstream's text, by which clients know that nobody decided.
    package static let unavailableReason = "authorization backend unavailable"
    package static let invalidAnswerReason = "authorization backend gave no valid answer"
}
