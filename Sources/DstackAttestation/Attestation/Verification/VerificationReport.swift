import DstackCrypto
public import DstackEncoding

/// The answer to "is this quote genuine, and what does it prove?", with everything that led to it.
///
/// The verdict is computed from ``checks`` alone: accepted means that every check passed or did not apply. Whoever needs
/// the proof rather than the paperwork takes ``verifiedQuote``, which exists only then.
public struct VerificationReport: Sendable {
    /// The answer.
    public enum Verdict: String, Hashable, Sendable {
        /// Every check passed.
        case accepted
        /// At least one check failed or could not be made.
        case rejected
    }

    /// Why evidence was rejected: the first check that failed.
    public struct Failure: Hashable, Sendable, CustomStringConvertible {
        /// Which check.
        public let check: CheckID
        /// Why it failed.
        public let code: FailureCode
        /// The reason in words.
        public let message: String
        /// What was found; empty if there is nothing to show.
        public let found: String
        /// What was expected; empty if there is nothing to show.
        public let expected: String

        /// `check: message`.
        public var description: String { "\(check.name): \(message)" }
    }

    let list: CheckList
    /// What was accepted.
    public let policy: VerificationPolicy
    /// The root that everything leads back to.
    public let trustAnchor: TrustAnchor
    /// The time of the verification, Unix seconds.
    public let time: Int64
    let facts: VerificationFacts
    /// What the evidence beside the quote says; nil if there was none.
    public let evidence: EvidenceFacts?
    /// What the report data was required to tie the evidence to; nil where nothing of the kind was asked.
    public internal(set) var binding: EvidenceBinding?
    /// What to know beside the answer, which it does not change: that what was verified could not be kept for later
    /// verifications (``CollateralFloors``).
    public internal(set) var notes: [String] = []
    /// The documents of the collateral in whose place newer ones were used, which had been verified before
    /// (``CollateralFloors``). Everything else in the report is about those that were used.
    public internal(set) var replacedDocuments: [ReplacedDocument] = []

    init(
        checks: CheckList, facts: VerificationFacts, policy: VerificationPolicy, trustAnchor: TrustAnchor, time: Int64,
        evidence: EvidenceFacts? = nil
    ) {
        list = checks
        self.facts = facts
        self.policy = policy
        self.trustAnchor = trustAnchor
        self.time = time
        self.evidence = evidence
    }

    /// All checks, in order.
    public var checks: [VerificationCheck] { list.checks }

    /// The answer: accepted if every check passed or does not apply.
    public var verdict: Verdict { list.holds() ? .accepted : .rejected }

    /// The first check that failed, or that was never made; nil if the verdict is accepted. That there is no evidence that
    /// could be read comes before everything: what is wrong with collateral does not matter then.
    public var failure: Failure? {
        var unchecked: VerificationCheck?
        let checks = checks
        for check in checks.filter({ $0.id == .envelopeFormat || $0.id == .quoteFormat }) + checks {
            switch check.outcome {
            case .passed, .notApplicable: continue
            case .failed: return Failure(check)
            case .notReached: unchecked = unchecked ?? check
            }
        }
        return unchecked.flatMap(Failure.init)
    }

    /// The same for programs and people, with what to do about it.
    var reason: Reason? {
        failure.map { failure in
            Reason(
                code: failure.code.rawValue, check: failure.check.name, message: failure.message,
                found: failure.found, expected: failure.expected, hint: hint)
        }
    }

    /// The quote as it was given, unless it could not be read. Not verified by itself; see ``verifiedQuote``.
    public var quote: Quote? { facts.quote }

    /// The quote as proof; nil unless the verdict is accepted.
    public var verifiedQuote: VerifiedQuote? {
        guard verdict == .accepted, let quote = facts.quote, let status, let pck = facts.platform?.pck else {
            return nil
        }
        return VerifiedQuote(
            body: quote.body, status: status, advisoryIDs: advisoryIDs, platform: pck,
            isSimulated: isSimulated)
    }

    /// Whether the verification came as far as the TCB status: everything before it is genuine.
    private var reachedStatus: Bool { list.holds(before: .tcbNotRevoked) }

    /// Platform, TDX module and quoting enclave together; nil if an earlier failure left it unknown.
    public var status: TCBStatus? { reachedStatus ? facts.tcb?.status : nil }

    /// Intel's advisories that apply at this status; empty if it was not reached.
    public var advisoryIDs: [String] { reachedStatus ? facts.tcb?.advisoryIDs ?? [] : [] }

    /// Status of the quoting enclave; nil if the TCB status was not reached.
    public var qeStatus: TCBStatus? { reachedStatus ? facts.qeLevel?.status : nil }

    /// Status of platform and TDX module without the quoting enclave; nil if the TCB status was not reached.
    public var platformStatus: TCBStatus? { reachedStatus ? facts.tcb?.platformStatus : nil }

    /// What the PCK certificate says of the platform; nil if its chain is not genuine.
    public var platform: PCKExtension? { facts.platform?.pck }

    /// The last second at which this answer holds, Unix seconds, as far as validity goes; nil unless accepted.
    ///
    /// A revocation or a new TCB recovery can end it earlier; only fresh collateral shows them.
    public var validUntil: Int64? {
        guard verdict == .accepted, var last = facts.lastValidSecond else { return nil }
        func limit(_ date: Int64?, _ period: Int64?) {
            guard let date, let period else { return }
            let (end, overflow) = date.addingReportingOverflow(period)
            if !overflow { last = min(last, end) }
        }
        if facts.tcb?.platformStatus?.isOutOfDate == true, status?.isOutOfDate == true {
            limit(facts.tcb?.platformDate, policy.platformGracePeriod.seconds)
        }
        if facts.qeLevel?.status.isOutOfDate == true { limit(facts.qeLevel?.date, policy.qeGracePeriod.seconds) }
        if policy.maximumCollateralAge != nil { limit(facts.policyFacts?.oldestIssueDate, policy.maximumCollateralAge) }
        return last
    }
}

/// What an accepted quote proves. Only a verification can make one.
public struct VerifiedQuote: Sendable {
    /// What is attested.
    public let body: QuoteBody
    /// How current the platform is.
    public let status: TCBStatus
    /// Intel's advisories that apply.
    public let advisoryIDs: [String]
    /// The platform.
    public let platform: PCKExtension
    /// Whether it is of a simulated TEE (``VerificationReport/isSimulated``): then nothing about hardware is proven.
    public let isSimulated: Bool

    fileprivate init(
        body: QuoteBody, status: TCBStatus, advisoryIDs: [String], platform: PCKExtension, isSimulated: Bool
    ) {
        self.body = body
        self.status = status
        self.advisoryIDs = advisoryIDs
        self.platform = platform
        self.isSimulated = isSimulated
    }

    /// The 64 bytes that the attested code had signed.
    public var reportData: FixedBytes<64> { body.reportData }
}
