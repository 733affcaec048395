import DstackEncoding

/// Why there is no attested connection, or no answer over one: which check failed, why, and the report if there is one.
public struct AttestedTLSError: Error, Sendable {
    /// What kind of failure. Open: later versions may add codes, so a `switch` needs a default.
    public struct Code: RawRepresentable, Hashable, Sendable {
        /// The stable name of the code.
        public let rawValue: String

        /// A code by its stable name.
        public init(rawValue: String) { self.rawValue = rawValue }

        /// The peer has no certificate, or one that cannot be read.
        public static let invalidCertificate = Code(rawValue: "invalid_certificate")
        /// The certificate breaks a rule that has nothing to do with evidence: validity, usage, names.
        public static let certificateRules = Code(rawValue: "certificate_rules")
        /// The certificate carries no evidence.
        public static let noEvidence = Code(rawValue: "no_evidence")
        /// The evidence was verified and does not prove what was asked for.
        public static let evidenceRejected = Code(rawValue: "evidence_rejected")
        /// There is no collateral to verify the evidence with.
        public static let collateralUnavailable = Code(rawValue: "collateral_unavailable")
        /// The connection is of an older TLS than session-bound evidence needs.
        public static let tlsVersion = Code(rawValue: "tls_version")
        /// The server gives no evidence about the connection.
        public static let noSessionEvidence = Code(rawValue: "no_session_evidence")
        /// The evidence is genuine and for another certificate key than this connection's.
        public static let otherKey = Code(rawValue: "other_key")
        /// The evidence is genuine and for another connection, or another nonce.
        public static let otherSession = Code(rawValue: "other_session")
        /// The request or the configuration.
        public static let invalidRequest = Code(rawValue: "invalid_request")
        /// The peer could not be reached, the connection broke, or what came over it is not HTTP.
        public static let transport = Code(rawValue: "transport")
        /// It took too long.
        public static let timeout = Code(rawValue: "timeout")
        /// The answer is over its limit.
        public static let tooLarge = Code(rawValue: "too_large")
        /// The task was cancelled.
        public static let cancelled = Code(rawValue: "cancelled")
    }

    /// The kind of failure.
    public let code: Code
    /// The check that failed, by its stable name: a check of the report, a rule of the certificate, or a step.
    public let check: String
    /// What is wrong, lower-case.
    public let reason: String
    /// How the evidence was judged; nil where it did not come to that.
    public var report: VerificationReport? { judgement?.report }
    /// Whose collateral is missing, or may be outdated.
    var quote: Quote? { judgement?.quote }
    /// Whether other collateral than there is could make another verdict: there is none, or it has run out.
    var mayFindOtherCollateral: Bool {
        if code == .collateralUnavailable { return true }
        return switch report?.failure?.check {
        case .tcbInfoNextUpdate?, .qeIdentityNextUpdate?, .rootCRLValidity?, .pckCRLValidity?, .tcbInfoSignerValidity?,
            .qeIdentitySignerValidity?, .policyCollateralAge?, .collateralFloor?:
            true
        default: false
        }
    }
    private let judgement: Judgement?

    /// Reports and quotes are thousands of bytes of fields. Behind a reference a typed error stays small: by value they are
    /// copied field by field at every `try`, and an optimizing build takes a quarter of an hour.
    private final class Judgement: Sendable {
        let report: VerificationReport?
        let quote: Quote?

        init(_ report: VerificationReport?, _ quote: Quote?) {
            self.report = report
            self.quote = quote
        }
    }

    /// An error with its facts.
    public init(_ code: Code, check: String, reason: String, report: VerificationReport? = nil) {
        self.init(code, check: check, reason: reason, report: report, quote: nil)
    }

    init(_ code: Code, check: String, reason: String, report: VerificationReport? = nil, quote: Quote?) {
        self.code = code
        self.check = check
        self.reason = reason
        judgement = report == nil && quote == nil ? nil : Judgement(report, quote)
    }
}

extension AttestedTLSError: Equatable {
    /// Errors are equal if their codes are.
    public static func == (left: Self, right: Self) -> Bool { left.code == right.code }
}

extension AttestedTLSError: CustomStringConvertible {
    /// `check: reason`.
    public var description: String { "\(check): \(reason)" }
}
