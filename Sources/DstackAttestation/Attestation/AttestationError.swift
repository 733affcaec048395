package import DstackEncoding
package import DstackSystem

/// Why this module could not do what it was asked: what failed, in what, and why.
///
/// A *verdict* is never an error: verification returns a ``VerificationReport``. Errors are for input that cannot be read
/// at all, for configurations that make no sense, and for a world that does not answer. Two errors are equal if their
/// codes are.
public struct AttestationError: Error, Sendable {
    /// What kind of failure. Open: later versions may add codes, so a `switch` needs a default.
    public struct Code: RawRepresentable, Hashable, Sendable {
        /// The stable name of the code, as reports and logs show it.
        public let rawValue: String

        /// A code by its stable name.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The bytes are not a quote of a version and type this library knows.
        public static let invalidQuote = Code(rawValue: "invalid_quote")
        /// The collateral is incomplete or not of the documented form.
        public static let invalidCollateral = Code(rawValue: "invalid_collateral")
        /// A trust root is not a self-signed P-256 CA certificate.
        public static let invalidTrustRoot = Code(rawValue: "invalid_trust_root")
        /// A policy has unknown members or values that make no sense.
        public static let invalidPolicy = Code(rawValue: "invalid_policy")
        /// An event log is not of a known form or does not replay.
        public static let invalidEventLog = Code(rawValue: "invalid_event_log")
        /// An attestation envelope is not of a known form.
        public static let invalidEnvelope = Code(rawValue: "invalid_envelope")
        /// An app-compose file is not what dstack expects.
        public static let invalidCompose = Code(rawValue: "invalid_compose")
        /// A measurement document or VM configuration is not what dstack expects.
        public static let invalidMeasurement = Code(rawValue: "invalid_measurement")
        /// The collateral service could not be reached or gave an unusable answer.
        public static let collateralUnavailable = Code(rawValue: "collateral_unavailable")
        /// So many wait for collateral already that nobody more is let in; a moment later there may be room.
        public static let collateralBusy = Code(rawValue: "collateral_busy")
        /// The platform is a simulated TEE's, which no service knows: its collateral lies beside its evidence.
        public static let simulatedPlatform = Code(rawValue: "simulated_platform")
        /// What was kept about earlier collateral is damaged or missing, so that nothing can be told to be newer.
        public static let damagedFloors = Code(rawValue: "damaged_floors")
        /// A quote's signatures do not lead to the trust anchor, so that nothing is fetched for it.
        public static let untrustedQuote = Code(rawValue: "untrusted_quote")
    }

    /// The kind of failure.
    public let code: Code
    /// What was being read or done: a field, a file, a service.
    public let subject: String
    /// What is wrong, lower-case; where it helps, what would be right.
    public let reason: String
    /// What to do about it; empty if there is nothing to say.
    public let hint: String
    /// What of the hint is for whoever asked to do.
    package var actions: [Remedy.Action] = []

    /// An error with its facts.
    public init(_ code: Code, subject: String, reason: String, hint: String = "") {
        self.code = code
        self.subject = subject
        self.reason = reason
        self.hint = hint
    }

    /// An error about what could not be read; where it ends too early and nothing better is known, with that as its hint.
    package init(_ code: Code, _ failure: DecodingFailure, hint: String = "") {
        let place = failure.offset.map { " at byte \($0)" } ?? ""
        let isCut = hint.isEmpty && failure.code == .truncated
        self.init(
            code, subject: failure.subject + place, reason: failure.reason, hint: isCut ? Self.cutHint : hint)
    }

    private static let cutHint = "it was cut: get it again, whole"
}

extension AttestationError: Equatable {
    /// Errors are equal if their codes are.
    public static func == (left: AttestationError, right: AttestationError) -> Bool { left.code == right.code }
}

extension AttestationError: ModuleError {
    /// What was given is wrong, and stays so; anything else may go better another time.
    package var exitStatus: ExitStatus {
        let aboutWhatWasGiven: [Code] = [
            .invalidQuote, .invalidCollateral, .invalidTrustRoot, .invalidPolicy, .invalidEventLog, .invalidEnvelope,
            .invalidCompose, .invalidMeasurement, .invalidReportData, .invalidIdentity, .invalidEndpoint,
            .invalidCertificate, .invalidTLSIdentity, .invalidSessionEvidence, .untrustedQuote, .simulatedPlatform,
            .missingDigest, .digestMismatch, .foreignEvent, .misplacedRuntimeEvent, .ambiguousName, .missingEvent,
            .notRepresentable, .measurementUnsupported, .measurementTooLarge,
        ]
        return aboutWhatWasGiven.contains(code) ? .wrongRequest : .worldFailed
    }
}

extension AttestationError: CustomStringConvertible {
    /// `subject: reason (hint)`.
    public var description: String { explanation }

    /// `subject: reason`, where the hint is shown by itself.
    package var message: String { "\(subject): \(reason)" }

    /// The same about a file with a name of its own, which stands in place of that of its kind: `policy.expected_mr_td at byte 7`
    /// becomes `my.json: expected_mr_td at byte 7`.
    package func message(about file: String) -> String { "\(subject(about: file)): \(reason)" }

    /// The same error about a file with a name of its own, as ``message(about:)`` says it.
    func about(_ file: String) -> AttestationError { with(subject: subject(about: file)) }

    /// The same error about something that lies in a file.
    func within(_ file: String) -> AttestationError { with(subject: "\(file): \(subject)") }

    private func with(subject: String) -> AttestationError {
        var error = AttestationError(code, subject: subject, reason: reason, hint: hint)
        error.actions = actions
        return error
    }

    /// What ``message(about:)`` begins with.
    package func subject(about file: String) -> String {
        let names = [
            "app-compose.json", "policy", "collateral", "trust root", "quote", "attestation envelope", "event_log",
            "VM configuration",
        ]
        guard let name = names.first(where: { subject.hasPrefix($0) }) else { return "\(file): \(subject)" }
        let place = subject.dropFirst(name.count)
        switch place.first {
        case nil, " ": return "\(file)\(place)"
        case ".": return "\(file): \(place.dropFirst())"
        default: return "\(file): \(subject)"
        }
    }
}
