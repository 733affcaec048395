package import DstackEncoding

/// Why a piece of evidence (an event log, an attestation, an identity) could not be read or does not hold together.
///
/// Two errors are told apart by their ``code``; the texts are for people and may change.
public struct EvidenceError: Error, Sendable, CustomStringConvertible {
    /// What kind of thing is wrong. The list may grow, so that a `switch` over codes needs a `default`.
    public struct Code: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
        /// The code as reports print it: lower-case words with hyphens.
        public let rawValue: String

        /// A code by its text.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The same as ``rawValue``.
        public var description: String { rawValue }

        /// The input ends before the value does.
        public static let truncated = Code(rawValue: "truncated")
        /// Input is left after the value.
        public static let trailing = Code(rawValue: "trailing")
        /// A length, count or depth is over the limit.
        public static let tooLarge = Code(rawValue: "too-large")
        /// The input does not have the form that its format requires.
        public static let malformed = Code(rawValue: "malformed")
        /// The form is right, but the format has no such version, type or value.
        public static let unsupported = Code(rawValue: "unsupported")
        /// An event for a register that a trust domain does not have.
        public static let unknownRegister = Code(rawValue: "unknown-register")
        /// A boot event without the digest that was extended.
        public static let missingDigest = Code(rawValue: "missing-digest")
        /// A digest or preimage that does not belong to the event beside it.
        public static let digestMismatch = Code(rawValue: "digest-mismatch")
        /// Something that is no runtime event in the register of the runtime events.
        public static let foreignEvent = Code(rawValue: "foreign-event")
        /// A runtime event in a register of the firmware or of the operating system.
        public static let misplacedRuntimeEvent = Code(rawValue: "misplaced-runtime-event")
        /// An event name that the digest does not tell apart from another name and payload.
        public static let ambiguousName = Code(rawValue: "ambiguous-name")
        /// An event that every boot records is not in the log.
        public static let missingEvent = Code(rawValue: "missing-event")
        /// A value of another length than its kind has.
        public static let wrongLength = Code(rawValue: "wrong-length")
        /// A value that the requested wire form has no place for.
        public static let notRepresentable = Code(rawValue: "not-representable")
    }

    /// The kind of the error.
    public let code: Code
    /// What was being read or checked: "event 3 of the log", "report_data".
    public let subject: String
    /// What is wrong and what would be right; lower-case, without a full stop.
    public let reason: String
    /// Offset in bytes from the start of the input, where known.
    public let offset: Int?

    package init(_ code: Code, _ subject: String, at offset: Int? = nil, _ reason: String) {
        self.code = code
        self.subject = subject
        self.reason = reason
        self.offset = offset
    }

    package init(_ failure: DecodingFailure) {
        let code: Code =
            switch failure.code {
            case .truncated: .truncated
            case .trailing: .trailing
            case .tooLarge: .tooLarge
            case .malformed: .malformed
            case .unsupported: .unsupported
            }
        self.init(code, failure.subject, at: failure.offset, failure.reason)
    }

    /// Subject, offset and reason in one line.
    public var description: String {
        guard let offset else { return "\(subject): \(reason)" }
        return "\(subject) at byte \(offset): \(reason)"
    }

    /// Runs a decoder; its failure becomes an error of this type.
    package static func decoding<Value>(
        _ body: () throws(DecodingFailure) -> Value
    ) throws(EvidenceError) -> Value {
        do {
            return try body()
        } catch {
            throw EvidenceError(error)
        }
    }
}

extension EvidenceError: Equatable {
    /// Whether both errors are of the same kind, whatever they concern.
    public static func == (left: Self, right: Self) -> Bool { left.code == right.code }
}
