internal import DstackEncoding

/// What can be wrong with evidence that is of the right form.
extension AttestationError.Code {
    /// A boot event without the digest that was extended.
    public static let missingDigest = Self(rawValue: "missing_digest")
    /// A digest or preimage that does not belong to the event beside it.
    public static let digestMismatch = Self(rawValue: "digest_mismatch")
    /// Something that is no runtime event in the register of the runtime events.
    public static let foreignEvent = Self(rawValue: "foreign_event")
    /// A runtime event in a register of the firmware or of the operating system.
    public static let misplacedRuntimeEvent = Self(rawValue: "misplaced_runtime_event")
    /// An event name that the digest does not tell apart from another name and payload.
    public static let ambiguousName = Self(rawValue: "ambiguous_name")
    /// An event that every boot records is not in the log.
    public static let missingEvent = Self(rawValue: "missing_event")
    /// The identity that an event or a document states is not of the form that it must have.
    public static let invalidIdentity = Self(rawValue: "invalid_identity")
    /// Report data of more than 64 bytes, or a hash algorithm for it that there is none of.
    public static let invalidReportData = Self(rawValue: "invalid_report_data")
    /// A value that the requested wire form has no place for.
    public static let notRepresentable = Self(rawValue: "not_representable")
}

extension AttestationError {
    /// Runs a decoder; its failure becomes an error with the given code.
    package static func decoding<Value>(
        _ code: Code, _ body: () throws(DecodingFailure) -> Value
    ) throws(AttestationError) -> Value {
        do {
            return try body()
        } catch {
            throw AttestationError(code, error)
        }
    }
}
