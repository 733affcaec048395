package import DstackSystem

/// Why a KMS gave no answer that can be used. Never contains key material.
///
/// Two errors are equal if their codes are.
package struct KMSClientError: Error, Sendable {
    package struct Code: RawRepresentable<String>, Hashable, Sendable {
        package let rawValue: String

        package init(rawValue: String) { self.rawValue = rawValue }

        /// It cannot be reached, or is too slow.
        package static let unreachable = Code(rawValue: "unreachable")
        /// It is not the KMS that was expected: nothing was sent to it.
        package static let notTrusted = Code(rawValue: "not_trusted")
        /// It says no.
        package static let refused = Code(rawValue: "refused")
        /// It does not know what it was asked for.
        package static let unsupported = Code(rawValue: "unsupported")
        /// There is no evidence about this side to show.
        package static let noEvidence = Code(rawValue: "no_evidence")
        /// It has a fault of its own.
        package static let failed = Code(rawValue: "failed")
        /// What it answered does not fit together.
        package static let invalidAnswer = Code(rawValue: "invalid_answer")
        /// Settings by which nothing can be asked.
        package static let invalidConfiguration = Code(rawValue: "invalid_configuration")
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
}

extension KMSClientError: Equatable {
    package static func == (left: Self, right: Self) -> Bool { left.code == right.code }
}

extension KMSClientError: CustomStringConvertible {
    package var description: String { explanation }
}

extension KMSClientError: ModuleError {
    package var exitStatus: ExitStatus {
        switch code {
        case .notTrusted, .refused: .no
        case .invalidConfiguration: .wrongRequest
        default: .worldFailed
        }
    }
}
