import DstackCrypto
import DstackEncoding

/// What a verification found out on its way, for the report and the policy. Whether any of it may be believed is for the
/// checks to say.
struct VerificationFacts: Sendable {
    let collateral: CollateralEvaluation
    let now: Int64
    var quote: Quote?
    var platform: PlatformEvaluation?
    var qeLevel: SVNLevel?
    var tcb: TCBEvaluation?

    init(_ collateral: CollateralEvaluation, now: Int64) {
        self.collateral = collateral
        self.now = now
    }

    /// All spans of time that the answer depends on.
    var windows: [ValidityWindow] { collateral.windows + (platform?.windows ?? []) }

    /// The last second at which everything that was used is valid.
    var lastValidSecond: Int64? { windows.map(\.notAfter).min() }

    /// The smaller of both documents' numbers.
    var evaluationDataNumber: UInt32? {
        guard let tcbInfo = collateral.tcbInfo, let identity = collateral.qeIdentity else { return nil }
        return min(tcbInfo.evaluationDataNumber, identity.evaluationDataNumber)
    }

    /// The oldest of TCB info, QE identity and revocation lists: certificates live for years and say nothing of freshness.
    private var oldestIssueDate: Int64? {
        guard let tcbInfo = collateral.tcbInfo, let identity = collateral.qeIdentity,
            let rootCRL = try? collateral.decoded.rootCRL.get(), let pckCRL = try? collateral.decoded.pckCRL.get()
        else { return nil }
        return [tcbInfo.issueDate, identity.issueDate, rootCRL.thisUpdate, pckCRL.thisUpdate].min()
    }

    var policyFacts: PolicyEvaluation.Facts? {
        guard let tcb else { return nil }
        return PolicyEvaluation.Facts(
            status: tcb.status, tcb: tcb, qeLevel: qeLevel, pck: platform?.pck,
            evaluationDataNumber: evaluationDataNumber, oldestIssueDate: oldestIssueDate, now: now)
    }
}
