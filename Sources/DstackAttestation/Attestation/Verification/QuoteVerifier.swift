package import DstackCrypto
import DstackEncoding
import Synchronization

/// Decides, offline, whether a quote is genuine and what it proves.
///
/// ```swift
/// let verifier = QuoteVerifier()
/// let report = verifier.verify(quoteBytes, collateral: collateral, at: now)
/// guard let proof = report.verifiedQuote else { print(report.failure); return }
/// ```
///
/// There is no network, no clock and no state in it: the same inputs always give the same report; only ``CollateralFloors``,
/// where they are given, remember from one verification to the next. A failure of any kind ends in a report with verdict
/// ``VerificationReport/Verdict/rejected``, never in an error that a caller could overlook.
public struct QuoteVerifier: Sendable {
    /// The root that evidence must lead back to.
    public let trustAnchor: TrustAnchor
    let tables: P256KeyTables

    /// A verifier under a root, Intel's unless said otherwise.
    public init(trustAnchor: TrustAnchor = .intel) {
        self.init(trustAnchor: trustAnchor, tables: .shared)
    }

    package init(trustAnchor: TrustAnchor, tables: P256KeyTables) {
        self.trustAnchor = trustAnchor
        self.tables = tables
    }

    /// Verifies a quote with everything that comes with it, from bytes.
    ///
    /// - Parameters:
    ///   - quote: the quote, with or without the zeros that kernels append.
    ///   - collateral: Intel's statements and revocation lists for its platform.
    ///   - policy: what is accepted beyond authenticity.
    ///   - time: the time to verify at, Unix seconds.
    /// - Returns: the report; ``VerificationReport/verdict`` is the answer.
    public func verify(
        _ quote: [UInt8], collateral: QuoteCollateral, policy: VerificationPolicy = .standard, at time: Int64
    ) -> VerificationReport {
        verify(Evidence(quote: quote), collateral: collateral, policy: policy, at: time)
    }

    /// Verifies evidence: a quote and what explains it.
    ///
    /// - Parameters:
    ///   - evidence: quote, event log, compose file, configuration; or an attestation envelope.
    ///   - collateral: Intel's statements and revocation lists for the quote's platform.
    ///   - policy: what is accepted beyond authenticity.
    ///   - time: the time to verify at, Unix seconds.
    ///   - floors: what was verified before, where older collateral and an earlier time shall not be accepted. Newer revocation
    ///     lists and QE identities are used in place of older ones (``VerificationReport/replacedDocuments``). What this
    ///     verification finds genuine raises them before it is answered, which may wait for a disk; a note in the report says
    ///     if that failed. Nil, the default, to judge as of any time by what is given alone.
    /// - Returns: the report; ``VerificationReport/verdict`` is the answer.
    public func verify(
        _ evidence: Evidence, collateral: QuoteCollateral, policy: VerificationPolicy = .standard, at time: Int64,
        floors: CollateralFloors? = nil
    ) -> VerificationReport {
        var decoded = DecodedCollateral(collateral)
        let renewal = floors?.renewal(of: collateral, CollateralMarks(decoded), under: trustAnchor)
        if let renewal, !renewal.replaced.isEmpty { decoded = DecodedCollateral(renewal.collateral) }
        let verification = QuoteVerification(evidence, policy: policy, time: time)
        let chain = verification.pckChain(decoded.source)
        // The inverses of all signatures, found with one division instead of ten.
        let batch = SignatureBatch(
            decoded.signatures + PlatformEvaluation.signatures(chain) + verification.signatures)
        let evaluation = CollateralEvaluation(decoded, anchor: trustAnchor, tables: tables, batch)
        let platform = PlatformEvaluation(chain, evaluation, tables: tables, batch)
        var report = verification.report(
            evaluation, platform, floors, renewal, cache: nil, keys: evaluation.keys + platform.keys, tables: tables,
            batch)
        floors?.raise(by: &report)
        return report
    }

    /// Decodes and checks collateral once, for many quotes.
    public func prepare(_ collateral: QuoteCollateral) -> PreparedCollateral {
        PreparedCollateral(collateral, trustAnchor: trustAnchor, tables: tables)
    }
}

/// Collateral that has been decoded and whose signatures have been checked, for verifying many quotes.
///
/// Nothing that depends on the time is remembered: each verification checks every validity at its own time. When new
/// collateral is published, prepare it and let this go; quotes are then judged by the new revocation lists. With
/// ``CollateralFloors`` each verification asks whether anything newer was verified meanwhile, and is judged by that.
public final class PreparedCollateral: Sendable {
    private let evaluation: CollateralEvaluation
    private let tables: P256KeyTables

    /// The most platforms remembered; a fleet of that size, not a guess at the number of clients.
    static let capacity = 4096

    private let platforms = Mutex<[FixedBytes<32>: PlatformCache]>([:])
    private let proven = ProvenSignatures()

    /// This collateral with newer documents in place of older ones, as of a revision of floors.
    private struct Renewed {
        let floors: CollateralFloors
        let renewal: CollateralFloors.Renewal
        /// Nil where nothing is replaced.
        let prepared: PreparedCollateral?
    }

    private let renewed = Mutex<Renewed?>(nil)

    init(_ collateral: QuoteCollateral, trustAnchor: TrustAnchor, tables: P256KeyTables) {
        let decoded = DecodedCollateral(collateral)
        let batch = SignatureBatch(decoded.signatures)
        evaluation = CollateralEvaluation(decoded, anchor: trustAnchor, tables: tables, batch)
        self.tables = tables
    }

    /// The collateral as it was given.
    public var collateral: QuoteCollateral { evaluation.decoded.source }

    /// Verifies a quote; the same answer as ``QuoteVerifier/verify(_:collateral:policy:at:)`` with the same collateral.
    public func verify(
        _ quote: [UInt8], policy: VerificationPolicy = .standard, at time: Int64
    ) -> VerificationReport {
        verify(Evidence(quote: quote), policy: policy, at: time)
    }

    /// Verifies evidence; the same answer as ``QuoteVerifier/verify(_:collateral:policy:at:floors:)`` with the same
    /// collateral, and it raises the floors as that one does.
    public func verify(
        _ evidence: Evidence, policy: VerificationPolicy = .standard, at time: Int64, floors: CollateralFloors? = nil
    ) -> VerificationReport {
        var report = judge(evidence, policy: policy, at: time, floors: floors)
        floors?.raise(by: &report)
        return report
    }

    /// Verifies evidence without raising the floors, for a thread that must not wait for a disk.
    func judge(
        _ evidence: Evidence, policy: VerificationPolicy, at time: Int64, floors: CollateralFloors?
    ) -> VerificationReport {
        guard let floors else { return judge(evidence, policy, time, nil, nil) }
        let (current, renewal) = current(under: floors)
        return current.judge(evidence, policy, time, floors, renewal)
    }

    /// What verification uses under floors: this, or the same with newer documents. Nothing that was found out with older
    /// ones is used then, neither of the documents nor of platforms.
    private func current(under floors: CollateralFloors) -> (PreparedCollateral, CollateralFloors.Renewal) {
        let known = renewed.withLock { $0 }
        if let known, known.floors === floors, known.renewal.revision == floors.revision {
            return (known.prepared ?? self, known.renewal)
        }
        let renewal = floors.renewal(of: collateral, CollateralMarks(evaluation.decoded), under: evaluation.anchor)
        var prepared: PreparedCollateral?
        if !renewal.replaced.isEmpty {
            let former = known?.prepared.flatMap { $0.collateral == renewal.collateral ? $0 : nil }
            prepared =
                former ?? PreparedCollateral(renewal.collateral, trustAnchor: evaluation.anchor, tables: tables)
        }
        renewed.withLock { $0 = Renewed(floors: floors, renewal: renewal, prepared: prepared) }
        return (prepared ?? self, renewal)
    }

    private func judge(
        _ evidence: Evidence, _ policy: VerificationPolicy, _ time: Int64, _ floors: CollateralFloors?,
        _ renewal: CollateralFloors.Renewal?
    ) -> VerificationReport {
        let verification = QuoteVerification(evidence, policy: policy, time: time)
        if let known = knownPlatform(verification) {
            let batch = SignatureBatch(verification.signatures)
            return verification.report(
                evaluation, known.evaluation, floors, renewal, cache: known, keys: [], tables: tables, batch)
        }
        let chain = verification.pckChain(collateral)
        let batch = SignatureBatch(
            PlatformEvaluation.signatures(chain) + verification.signatures, proven: proven)
        let platform = PlatformEvaluation(chain, evaluation, tables: tables, batch)
        let cache = PlatformCache(platform)
        let report = verification.report(
            evaluation, platform, floors, renewal, cache: cache, keys: platform.keys, tables: tables, batch)
        // Only platforms under the trust anchor are remembered, so that strangers cannot fill the memory.
        if platform.checks.hasPassed(.pckChain), let key = chainDigest(verification) {
            platforms.withLock { platforms in
                if platforms.count >= Self.capacity { platforms.removeAll() }
                platforms[key] = cache
            }
        }
        return report
    }

    /// What of the collateral is genuine, as it is used under floors, with the platform of a quote.
    func verifiedMarks(of quote: Quote, under floors: CollateralFloors) -> CollateralMarks {
        let current = current(under: floors).0
        guard case .success(let text) = PlatformEvaluation.chainText(quote, current.collateral) else {
            return CollateralMarks(verified: current.evaluation, nil)
        }
        let chain = DecodedCollateral.result { () throws(DecodingFailure) in
            try DecodedCollateral.chain(text, "PCK certificate chain")
        }
        let batch = SignatureBatch(PlatformEvaluation.signatures(chain), proven: current.proven)
        return CollateralMarks(
            verified: current.evaluation, PlatformEvaluation(chain, current.evaluation, tables: tables, batch))
    }

    /// Whether something in it is older than what was verified before, and nothing newer can be used instead.
    func isRolledBack(under floors: CollateralFloors) -> Bool { current(under: floors).1.issue != nil }

    /// Lets go of all platforms, as if none had been seen.
    package func forgetPlatforms() {
        platforms.withLock { $0.removeAll() }
        renewed.withLock { $0 = nil }
    }

    private func chainDigest(_ verification: QuoteVerification) -> FixedBytes<32>? {
        guard case .success(let quote) = verification.quote,
            case .success(let text) = PlatformEvaluation.chainText(quote, collateral)
        else { return nil }
        return SHA256.hash(text)
    }

    private func knownPlatform(_ verification: QuoteVerification) -> PlatformCache? {
        guard let key = chainDigest(verification) else { return nil }
        return platforms.withLock { $0[key] }
    }
}

/// One verification on its way from bytes to a report.
struct QuoteVerification {
    private let evidence: EvidenceEvaluation
    private let bytes: [UInt8]
    let quote: Result<Quote, AttestationError>
    let policy: VerificationPolicy
    /// Unix seconds, clamped to the years 1970 to 9999, in which dates can be added without overflow.
    let now: Int64
    private var checks = CheckList()

    init(_ evidence: Evidence, policy: VerificationPolicy, time: Int64) {
        self.evidence = EvidenceEvaluation(evidence, policy: policy)
        bytes = self.evidence.quote ?? []
        self.policy = policy
        now = min(max(time, 0), 253_402_300_799)
        do throws(AttestationError) {
            if case .unreadable(let error) = evidence.form { throw error }
            quote = .success(try Quote(parsing: bytes))
        } catch {
            let named = evidence.named(EvidenceFile.named(error, bytes, wanted: .quote))
            quote = .failure(named)
            checks.fail(.quoteFormat, .malformed, named)
        }
        checks.merge(self.evidence.checks)
    }

    var signatures: [P256Signature] {
        guard case .success(let quote) = quote else { return [] }
        return [
            P256Signature(raw: quote.signature.qeReportSignature), P256Signature(raw: quote.signature.isvSignature),
        ]
    }

    /// The certificates of the platform, from the quote or the collateral.
    func pckChain(_ collateral: QuoteCollateral) -> Result<[Certificate], DecodingFailure> {
        guard case .success(let quote) = quote else {
            return .failure(DecodingFailure(.malformed, "PCK certificate chain", "the quote could not be read"))
        }
        switch PlatformEvaluation.chainText(quote, collateral) {
        case .failure: return .failure(DecodingFailure(.malformed, "PCK certificate chain", "there is none"))
        case .success(let text):
            return DecodedCollateral.result { () throws(DecodingFailure) in
                try DecodedCollateral.chain(text, "PCK certificate chain")
            }
        }
    }

    /// Brings all checks together.
    ///
    /// - Parameters:
    ///   - renewal: how the collateral became what it is under the floors; without it they are not recorded, which rejects.
    ///   - keys: what has served so far in this verification.
    func report(
        _ collateral: CollateralEvaluation, _ platform: PlatformEvaluation, _ floors: CollateralFloors?,
        _ renewal: CollateralFloors.Renewal?, cache: PlatformCache?, keys earlierKeys: [P256VerifyingKey],
        tables: P256KeyTables, _ batch: SignatureBatch
    ) -> VerificationReport {
        var checks = self.checks
        checks.reserveAll()
        PolicyEvaluation.recordLost(policy, in: &checks)
        checks.merge(collateral.checks)
        for window in collateral.windows { window.record(at: now, in: &checks) }
        if let floors, let renewal {
            floors.record(renewal, under: collateral.anchor, at: now, in: &checks)
        } else if floors == nil {
            checks.skip(.collateralFloor, "judged by what is given alone, without what was verified before")
            checks.skip(.clockFloor, "judged as of a given time, without what was verified before")
        }
        var keys = earlierKeys
        var facts = VerificationFacts(collateral, now: now)
        var evidenceFacts: EvidenceFacts?
        if case .success(let quote) = quote {
            switch PlatformEvaluation.chainText(quote, collateral.decoded.source) {
            case .success:
                let isFromCollateral = collateral.decoded.source.pckCertificateChain != nil
                checks.pass(
                    .pckCertificateSource, found: isFromCollateral ? .literal("collateral") : .literal("quote"))
                checks.merge(platform.checks)
                for window in platform.windows { window.record(at: now, in: &checks) }
            case .failure(let issue): checks.fail(.pckCertificateSource, issue)
            }
            var evaluation = QuoteEvaluation(quote)
            let span = bytes.span.bytes.extracting(0..<quote.signedByteCount)
            keys += evaluation.evaluate(
                signedBytes: span, pckKey: platform.pckKey, identity: collateral.qeIdentity, tables: tables, batch,
                cache: cache)
            checks.merge(evaluation.checks)
            facts.quote = quote
            facts.platform = platform
            facts.qeLevel = evaluation.qeLevel
            if let pck = platform.pck, let tcbInfo = collateral.tcbInfo {
                let tcb = TCBEvaluation(quote, pck, tcbInfo, qeLevel: evaluation.qeLevel)
                checks.merge(tcb.checks)
                facts.tcb = tcb
            }
            AttributeEvaluation.record(quote.body, policy: policy, in: &checks)
            if let policyFacts = facts.policyFacts { PolicyEvaluation.record(policy, policyFacts, in: &checks) }
            PolicyEvaluation.recordExpected(policy.expected, quote.body, in: &checks)
            var evidence = self.evidence
            evidence.evaluate(quote, pck: platform.pck)
            checks.merge(evidence.checks)
            evidenceFacts = evidence.facts
        }
        if checks.isAuthentic { tables.recordSuccess(of: keys) }
        var report = VerificationReport(
            checks: checks, facts: facts, policy: policy, trustAnchor: collateral.anchor, time: now,
            evidence: evidenceFacts)
        report.replacedDocuments = renewal?.replaced ?? []
        return report
    }
}
