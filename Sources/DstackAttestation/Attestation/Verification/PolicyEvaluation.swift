import DstackEncoding

/// The relying party's policy over what was found. All of it is evaluated, also after a failure, so that a report names
/// everything that stands in the way.
enum PolicyEvaluation {
    /// What the policy is asked about.
    struct Facts {
        let status: TCBStatus?
        let tcb: TCBEvaluation
        let qeLevel: SVNLevel?
        let pck: PCKExtension?
        let evaluationDataNumber: UInt32?
        /// The earliest issue date of TCB info, QE identity and revocation lists.
        let oldestIssueDate: Int64?
        let now: Int64
    }

    /// Records all policy checks on TCB, platform and collateral. What an earlier failure left unknown stays unreached.
    static func record(_ policy: VerificationPolicy, _ facts: Facts, in checks: inout CheckList) {
        recordStatus(policy, facts, &checks)
        recordGrace(policy, facts, &checks)
        recordAdvisories(policy, facts, &checks)
        if let number = facts.evaluationDataNumber {
            let minimum = policy.minimumEvaluationDataNumber
            checks.require(
                .policyEvaluationDataNumber, number >= policy.minimumEvaluationDataNumber, .notAcceptable,
                "TCB evaluation data number \(number) is below the minimum \(policy.minimumEvaluationDataNumber)",
                found: .number(Int64(number)), expected: .text("at least \(minimum)"))
        }
        if let pck = facts.pck { recordPlatform(policy, pck, &checks) }
        if let oldest = facts.oldestIssueDate {
            guard let limit = policy.maximumCollateralAge else {
                return checks.skip(.policyCollateralAge, "the policy sets no limit within the collateral's validity")
            }
            let now = facts.now
            checks.require(
                .policyCollateralAge, facts.now - oldest <= limit, .notAcceptable,
                "the collateral is \(facts.now - oldest) s old, at most \(limit) s are accepted", found: .time(oldest),
                expected: .text("\(RFC3339.format(now &- limit)) or later"))
        }
    }

    /// Rejects for every restriction whose value is lost. Recorded before all else: a failure stands.
    static func recordLost(_ policy: VerificationPolicy, in checks: inout CheckList) {
        for restriction in policy.lostRestrictions {
            checks.fail(
                restriction.check, .missing,
                "the policy's \(restriction.name) was set to nothing (nil), so that nothing can satisfy it",
                expected: .literal("a value; or the restriction left alone, to not ask"))
        }
    }

    private static func recordStatus(_ policy: VerificationPolicy, _ facts: Facts, _ checks: inout CheckList) {
        guard let status = facts.status else { return }
        let allowed = policy.allowedStatuses
        checks.require(
            .policyTCBStatus, status != .revoked && policy.allowedStatuses.contains(status), .notAcceptable,
            "TCB status \(status.rawValue) is not accepted by the \(policy.shownName) policy", found: .status(status),
            expected: .list(TCBStatus.allCases.filter(allowed.contains).map(\.rawValue)))
    }

    private static func recordGrace(_ policy: VerificationPolicy, _ facts: Facts, _ checks: inout CheckList) {
        guard let status = facts.status, let platform = facts.tcb.platformStatus, let date = facts.tcb.platformDate,
            let qe = facts.qeLevel
        else { return }
        let isRelaunch = status == .tdRelaunchAdvised || status == .tdRelaunchAdvisedConfigurationNeeded
        if platform.isOutOfDate, !isRelaunch {
            require(.policyPlatformGrace, "the platform", date, policy.platformGracePeriod, facts.now, &checks)
        } else {
            checks.skip(.policyPlatformGrace, "the platform is not outdated")
        }
        if qe.status.isOutOfDate {
            require(.policyQEGrace, "the quoting enclave", qe.date, policy.qeGracePeriod, facts.now, &checks)
        } else {
            checks.skip(.policyQEGrace, "the quoting enclave is not outdated")
        }
    }

    private static func require(
        _ check: CheckID, _ subject: String, _ date: Int64, _ grace: GracePeriod, _ now: Int64,
        _ checks: inout CheckList
    ) {
        guard let grace = grace.seconds else {
            return checks.pass(check, found: .time(date), expected: .literal("any date"))
        }
        checks.require(
            check, now - date <= grace, .notAcceptable,
            "\(subject) has been outdated since \(RFC3339.format(date)), longer than the \(grace) s of grace",
            found: .time(date), expected: .text("\(RFC3339.format(now &- grace)) or later"))
    }

    private static func recordAdvisories(_ policy: VerificationPolicy, _ facts: Facts, _ checks: inout CheckList) {
        guard facts.status != nil else { return }
        let all =
            facts.tcb.advisoryIDs + (facts.tcb.currentLevel?.advisoryIDs ?? [])
            + (facts.tcb.currentModuleLevel?.advisoryIDs ?? [])
        if all.isEmpty { return checks.pass(.policyAdvisories, found: .list([])) }
        func contains(_ list: [String], _ id: String) -> Bool {
            list.contains { $0.lowercased() == id.lowercased() }
        }
        let rejected = all.filter { id in
            contains(policy.rejectedAdvisoryIDs, id) || policy.allowedAdvisoryIDs.map { !contains($0, id) } ?? false
        }
        checks.require(
            .policyAdvisories, rejected.isEmpty, .notAcceptable,
            "the policy rejects \(rejected.joined(separator: ", "))", found: .list(all))
    }

    private static func recordPlatform(
        _ policy: VerificationPolicy, _ pck: PCKExtension, _ checks: inout CheckList
    ) {
        func require(_ check: CheckID, _ flag: Bool?, _ isAllowed: Bool, _ what: StaticString) {
            checks.require(
                check, flag != true || isAllowed, .notAcceptable, "\(what) not accepted by the policy",
                found: flag.map { $0 ? .literal("yes") : .literal("no") } ?? .literal("not stated"),
                expected: isAllowed ? .literal("any") : .literal("no"))
        }
        require(.policyDynamicPlatform, pck.dynamicPlatform, policy.allowsDynamicPlatform, "a dynamic platform is")
        require(.policyCachedKeys, pck.cachedKeys, policy.allowsCachedKeys, "cached platform keys are")
        require(.policySMT, pck.smtEnabled, policy.allowsSMT, "simultaneous multithreading is")
        if let types = policy.acceptedSGXTypes {
            checks.require(
                .policySGXType, types.contains(pck.sgxType), .notAcceptable,
                "SGX type \(pck.sgxType) is not accepted by the policy", found: .number(Int64(pck.sgxType)),
                expected: .list(types.map { "\($0)" }))
        } else {
            checks.skip(.policySGXType, "the policy accepts every type")
        }
        if let platforms = policy.acceptedPlatforms {
            checks.require(
                .policyPlatforms, platforms.contains(pck.ppid), .notAcceptable,
                "the platform is not among those that the policy names", found: .hex(pck.ppid),
                expected: .text("one of \(platforms.count)"))
        } else {
            checks.skip(.policyPlatforms, "the policy names no platforms")
        }
    }

    /// Compares report data and measurements with what is expected.
    static func recordExpected(_ expected: ExpectedValues, _ body: QuoteBody, in checks: inout CheckList) {
        let facts = Expectation.Facts(body, nil)
        if checks.record(.expectedReportData, expected, facts).isEmpty {
            checks.skip(.expectedReportData, "no report data expected")
        }
        let compared = checks.record(.expectedMeasurements, expected, facts)
        if compared.isEmpty {
            checks.skip(.expectedMeasurements, "no measurements expected")
        } else {
            checks.pass(.expectedMeasurements, found: .list(compared))
        }
    }
}

extension CheckList {
    /// Compares what is expected of a check's own values.
    ///
    /// - Returns: the names of those that were compared.
    mutating func record(
        _ check: CheckID, _ expected: ExpectedValues, _ facts: Expectation.Facts
    ) -> [String] {
        var compared: [String] = []
        for expectation in Expectation.compared(by: check) {
            guard let comparison = expectation.compare(expected, with: facts) else { continue }
            compared.append(expectation.name)
            require(
                check, comparison.isMet, .mismatch, comparison.reason, found: comparison.found,
                expected: comparison.expected)
        }
        return compared
    }
}
