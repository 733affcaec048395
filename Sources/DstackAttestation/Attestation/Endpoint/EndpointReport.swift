import DstackCrypto
import DstackEncoding

/// The answer to "is the service behind this URL the application that I think it is?", with everything that led to it.
public struct EndpointReport: Sendable {
    /// The answer.
    public enum Verdict: String, Hashable, Sendable {
        /// Every check passed, down to the code that the caller expects.
        case accepted
        /// At least one check failed, or could not be made.
        case rejected
        /// What is there is genuine, but the caller did not say which code it should be. No yes.
        case undecided
    }

    /// Checks of an endpoint beyond those of its quote (``CheckID``).
    public enum Check: String, Hashable, Sendable, CaseIterable {
        /// The certificate can be read.
        case certificateFormat = "certificate_format"
        /// The certificate has evidence.
        case certificateEvidence = "certificate_evidence"
        /// The service gives evidence about the connection.
        case sessionEvidence = "session_evidence"
        /// The time is within the certificate's validity.
        case certificateValidity = "certificate_validity"
        /// The caller said which code is expected.
        case codeExpected = "code_expected"
    }

    /// Why there is no yes: the first check that failed.
    public struct Failure: Error, Hashable, CustomStringConvertible {
        /// The name of the check: one of ``Check`` or of ``CheckID``.
        public let check: String
        /// Why it failed.
        public let code: FailureCode
        /// The reason in words.
        public let message: String
        /// What was found; empty if there is nothing to show.
        public let found: String
        /// What was expected; empty if there is nothing to show.
        public let expected: String
        /// What to do about it, where whoever found it knew; else empty.
        let hint: String

        /// `check: message`.
        public var description: String { "\(check): \(message)" }

        init(
            check: Check, code: FailureCode, message: String, found: String = "", expected: String = "",
            hint: String = ""
        ) {
            self.check = check.rawValue
            self.code = code
            self.message = message
            self.found = found
            self.expected = expected
            self.hint = hint
        }

        init(_ failure: VerificationReport.Failure) {
            check = failure.check.name
            code = failure.code
            message = failure.message
            found = failure.found
            expected = failure.expected
            hint = ""
        }
    }

    /// Where the service is.
    public let address: EndpointAddress
    /// The certificate that it presented; nil if it could not be read.
    public internal(set) var certificate: RATLSCertificate?
    /// The verification of its evidence; nil if it did not come to that.
    public internal(set) var evidence: VerificationReport?
    /// The time of the verification, Unix seconds.
    public let time: Int64
    /// What the evidence is tied to; nil if it did not come to that.
    public internal(set) var binding: EvidenceBinding?
    /// Why the evidence is not tied to the connection, where that was asked for; nil otherwise.
    public let sessionAbsence: String?
    /// The root under which evidence is believed.
    public let trustAnchor: TrustAnchor
    /// Whether the caller gave a compose file of his own.
    let comparesCompose: Bool
    private let identifiesCode: Bool
    /// What kept the evidence from being verified at all.
    var problem: Failure?
    /// Why there is no collateral, where that did not matter; its checks then fail for want of it alone.
    var collateralAbsence: String?

    init(
        address: EndpointAddress, time: Int64, verifier: EndpointVerifier,
        presentation: EndpointConnection.Presentation
    ) {
        self.address = address
        self.time = time
        sessionAbsence = presentation.sessionAbsence
        trustAnchor = verifier.quoteVerifier.trustAnchor
        comparesCompose = verifier.appCompose != nil
        identifiesCode = verifier.identifiesCode
    }

    /// The answer.
    public var verdict: Verdict {
        guard rejection == nil, evidence?.verdict == .accepted else { return .rejected }
        return identifiesCode ? .accepted : .undecided
    }

    /// Why there is no yes; nil if there is one.
    public var failure: Failure? {
        if let rejection { return rejection }
        guard !identifiesCode else { return nil }
        return Failure(
            check: .codeExpected, code: .notChecked,
            message: "genuine, but nothing was given that says which code this should be",
            found: evidence?.evidence?.identity.map { "compose hash \($0.composeHash)" } ?? "",
            expected: "your own copy of app-compose.json, or its hash")
    }

    /// The same for programs and people, with what to do about it.
    var reason: Reason? {
        failure.map { failure in
            Reason(
                code: failure.code.rawValue, check: failure.check, message: failure.message, found: failure.found,
                expected: failure.expected, hint: hint)
        }
    }

    /// What makes the answer a no, as opposed to no answer.
    private var rejection: Failure? {
        if let problem { return problem }
        guard let evidence else {
            return Failure(check: .certificateEvidence, code: .notChecked, message: "the evidence was not checked")
        }
        if let failure = evidence.failure { return Failure(failure) }
        if let finding = validity?.failure {
            return Failure(check: .certificateValidity, code: validityCode, message: finding)
        }
        return nil
    }

    private var validityCode: FailureCode {
        guard validity?.rule == .validity, let certificate else { return .unsupported }
        return time < certificate.notBefore ? .notYetValid : .expired
    }

    /// The certificate's dates and critical extensions; its names and its issuer prove nothing here.
    var validity: RATLSProfile.Finding? {
        let findings = certificate?.profile(at: time).findings.filter {
            $0.rule == .validity || $0.rule == .criticalExtensions
        }
        return findings?.first { $0.failure != nil } ?? findings?.last
    }

    /// Whether the evidence is of a simulated TEE (``VerificationReport/isSimulated``); a service without evidence is of none.
    public var isSimulated: Bool { evidence?.isSimulated == true }

    /// What no verification of this kind can show, or what this one was not asked to show.
    public var notChecked: [String] {
        var items: [String] = []
        guard let evidence else { return ["everything else: there is no evidence that could be verified"] }
        if !identifiesCode {
            items.append("which code this is: no compose file, compose hash or register was given to compare with")
        } else if !comparesCompose {
            items.append("the compose file itself: only values of the policy were compared")
        }
        // These are said here in the words of somebody who asks about a service.
        items += evidence.notChecked.filter { !$0.hasPrefix("compose file:") && !$0.hasPrefix("OS image: no VM") }
        items.append("the host name, and the certificate's names, issuer and purpose: evidence names an application")
        return items
    }

    /// What must also be so for a yes to hold, because nothing was given to check it with.
    public var conditions: [String] {
        guard let evidence, verdict != .rejected, !evidence.policy.expected.namesSystem else { return [] }
        // The compose hash is an event that the operating system records. An image made for the purpose can record any.
        let image = evidence.evidence?.osImageHash.map { "OS image \($0)" } ?? "the operating system in the quote"
        return ["\(image) is one that you trust: an image can claim any application, and --os-image-hash names yours"]
    }
}
