package import DstackSystem

/// Why a KMS gave no answer that can be used. Never contains key material.
package struct KMSClientError: ModuleError {
    package enum Code: String, Sendable {
        /// It cannot be reached, or is too slow.
        case unreachable
        /// It is not the KMS that was expected: nothing was sent to it.
        case notTrusted = "not_trusted"
        /// It says no.
        case refused
        /// It does not know what it was asked for.
        case unsupported
        /// There is no evidence about this side to show.
        case noEvidence = "no_evidence"
        /// It has a fault of its own.
        case failed
        /// What it answered does not fit together.
        case invalidAnswer = "invalid_answer"
        /// Settings by which nothing can be asked.
        case invalidConfiguration = "invalid_configuration"
    }

    package let code: Code
    /// The address of the KMS, or what of its answer.
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

    package var exitStatus: ExitStatus {
        switch code {
        case .notTrusted, .refused: .no
        case .invalidConfiguration: .wrongRequest
        default: .worldFailed
        }
    }
}
