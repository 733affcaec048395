import DstackEncoding

/// The TCB of a platform: which levels of Intel's documents it reaches, and what it counts as in the end.
struct TCBEvaluation: Sendable {
    private(set) var checks = CheckList()
    /// The platform's level.
    private(set) var platformLevel: TCBLevel?
    /// The TDX module's level, where the module has an identity.
    private(set) var moduleLevel: SVNLevel?
    /// What the platform runs now, for TDX 1.5.
    private(set) var currentLevel: TCBLevel?
    private(set) var currentModuleLevel: SVNLevel?
    /// Platform and TDX module together.
    private(set) var platformStatus: TCBStatus?
    /// Platform, TDX module and quoting enclave together.
    private(set) var status: TCBStatus?
    /// Advisories of platform, module and quoting enclave, each once.
    private(set) var advisoryIDs: [String] = []
    private(set) var platformAdvisoryIDs: [String] = []

    /// Unix seconds: the older of platform's and module's dates.
    var platformDate: Int64? {
        platformLevel.map { level in moduleLevel.map { min($0.date, level.date) } ?? level.date }
    }

    init(_ quote: Quote, _ pck: PCKExtension, _ tcbInfo: TCBInfo, qeLevel: SVNLevel?) {
        let isTDX = quote.header.teeType == .tdx
        checks.require(
            .fmspc, tcbInfo.fmspc == pck.fmspc, .mismatch, "TCB info is for another platform family",
            found: .hex(tcbInfo.fmspc), expected: .hex(pck.fmspc))
        // Versions that are not known are not read as if they were: version 3 is the newest.
        let (id, version, type) = (tcbInfo.id, tcbInfo.version, tcbInfo.tcbType)
        let isForTEE =
            isTDX ? tcbInfo.id == "TDX" && tcbInfo.version == 3 : tcbInfo.id == "SGX" && 2...3 ~= tcbInfo.version
        checks.require(
            .tcbInfoType, isForTEE && tcbInfo.tcbType == 0, .mismatch,
            "TCB info is for another TEE, or of an unknown version or type",
            found: .text("\(id) version \(version), TCB type \(type)"),
            expected: isTDX ? .literal("TDX version 3, TCB type 0") : .literal("SGX version 2 or 3, TCB type 0"))
        checks.require(
            .pceID, tcbInfo.pceId == pck.pceId, .mismatch, "TCB info is for another PCE", found: .hex(tcbInfo.pceId),
            expected: .hex(pck.pceId))
        guard isForTEE else { return }
        if let report = quote.body.tdReport {
            evaluateTDX(quote, report, pck, tcbInfo, qeLevel)
        } else {
            for check in [.tdxModuleIdentity, .tdxModuleSigner, .tdxModuleAttributes, .currentTCBLevel] as [CheckID] {
                checks.skip(check, "SGX quote")
            }
            evaluateSGX(pck, tcbInfo, qeLevel)
        }
    }

    // MARK: Levels

    /// The best level that a platform reaches. Levels are in canonical order, so the first match is the best.
    private static func level(_ tcbInfo: TCBInfo, _ pck: PCKExtension, teeTcbSvn: FixedBytes<16>?) -> TCBLevel? {
        tcbInfo.levels.first { level in
            guard pck.pceSvn >= level.pceSvn else { return false }
            for index in 0..<16 where pck.cpuSvn[index] < level.sgxComponents[index] { return false }
            guard let teeTcbSvn else { return true }
            guard let components = level.tdxComponents else { return false }
            for index in judgedTDXComponents(teeTcbSvn) where teeTcbSvn[index] < components[index] { return false }
            return true
        }
    }

    /// The TDX components that levels of the platform judge: with a module version above 0, the module's own identity judges
    /// the first two.
    static func judgedTDXComponents(_ teeTcbSvn: FixedBytes<16>) -> Range<Int> { (teeTcbSvn[1] > 0 ? 2 : 0)..<16 }

    private static func advisories(_ lists: [String]...) -> [String] {
        var result: [String] = []
        for item in lists.joined() where !result.contains(item) { result.append(item) }
        return result
    }

    /// What the platform has, and the status of the level that it reaches with it.
    private static func found(
        _ pck: PCKExtension, _ teeTcbSvn: FixedBytes<16>?, _ status: TCBStatus? = nil
    ) -> Fact {
        let (cpuSvn, pceSvn) = (pck.cpuSvn, pck.pceSvn)
        return .deferred {
            "CPUSVN \(cpuSvn.hex), PCESVN \(pceSvn)" + (teeTcbSvn.map { ", TEE TCB SVN \($0.hex)" } ?? "")
                + (status.map { ": \($0.rawValue)" } ?? "")
        }
    }

    /// What a level demands.
    private static func demand(_ level: TCBLevel, _ teeTcbSvn: FixedBytes<16>?) -> Fact {
        .deferred {
            var text = "at least CPUSVN \(level.sgxComponents.hex), PCESVN \(level.pceSvn)"
            if let teeTcbSvn, let components = level.tdxComponents {
                let judged = judgedTDXComponents(teeTcbSvn)
                text +=
                    judged.lowerBound == 0
                    ? ", TEE TCB SVN \(components.hex)"
                    : ", TEE TCB SVN from byte \(judged.lowerBound) on "
                        + "\(Hex.encode(Array(components.bytes[judged])))"
            }
            return text
        }
    }

    /// For a platform that reaches no level: what the lowest demands.
    private static func lowestDemand(_ tcbInfo: TCBInfo, _ teeTcbSvn: FixedBytes<16>?) -> Fact {
        tcbInfo.levels.last.map { demand($0, teeTcbSvn) } ?? .literal("a level; the document has none")
    }

    private mutating func evaluateSGX(_ pck: PCKExtension, _ tcbInfo: TCBInfo, _ qeLevel: SVNLevel?) {
        guard let level = Self.level(tcbInfo, pck, teeTcbSvn: nil) else {
            return checks.fail(
                .tcbLevel, .noMatchingLevel, "the platform is older than every level that Intel knows",
                found: Self.found(pck, nil), expected: Self.lowestDemand(tcbInfo, nil))
        }
        checks.pass(.tcbLevel, found: Self.found(pck, nil, level.status), expected: Self.demand(level, nil))
        platformLevel = level
        platformStatus = level.status
        platformAdvisoryIDs = level.advisoryIDs
        guard let qeLevel else { return }
        status = level.status.converged(with: qeLevel.status)
        advisoryIDs = Self.advisories(level.advisoryIDs, qeLevel.advisoryIDs)
        requireNotRevoked(status, nil)
    }

    private mutating func evaluateTDX(
        _ quote: Quote, _ report: TDReport, _ pck: PCKExtension, _ tcbInfo: TCBInfo, _ qeLevel: SVNLevel?
    ) {
        guard let level = Self.level(tcbInfo, pck, teeTcbSvn: report.teeTcbSvn) else {
            return checks.fail(
                .tcbLevel, .noMatchingLevel, "the platform is older than every level that Intel knows",
                found: Self.found(pck, report.teeTcbSvn), expected: Self.lowestDemand(tcbInfo, report.teeTcbSvn))
        }
        checks.pass(
            .tcbLevel, found: Self.found(pck, report.teeTcbSvn, level.status),
            expected: Self.demand(level, report.teeTcbSvn))
        platformLevel = level
        let module: ModuleMatch
        switch Self.match(report, svn: report.teeTcbSvn, tcbInfo, into: &checks) {
        case .success(let match): module = match
        case .failure(let failure): return checks.fail(failure.check, failure.issue)
        }
        moduleLevel = module.level
        let launched = module.level.map { level.status.converged(with: $0.status) } ?? level.status
        platformStatus = launched
        platformAdvisoryIDs = Self.advisories(level.advisoryIDs, module.level?.advisoryIDs ?? [])
        guard let qeLevel else { return }
        advisoryIDs = Self.advisories(platformAdvisoryIDs, qeLevel.advisoryIDs)
        let launchedWithQE = launched.converged(with: qeLevel.status)

        guard let report15 = quote.body.tdReport15 else {
            checks.skip(.currentTCBLevel, "a TDX 1.0 report does not say what runs now")
            status = launchedWithQE
            return requireNotRevoked(status, nil)
        }
        guard let current = Self.level(tcbInfo, pck, teeTcbSvn: report15.teeTcbSvn2) else {
            return checks.fail(
                .currentTCBLevel, .noMatchingLevel, "what the platform runs now is older than every known level",
                found: Self.found(pck, report15.teeTcbSvn2),
                expected: Self.lowestDemand(tcbInfo, report15.teeTcbSvn2))
        }
        var currentChecks = CheckList()
        let currentModule: ModuleMatch
        switch Self.match(report, svn: report15.teeTcbSvn2, tcbInfo, into: &currentChecks) {
        case .success(let match): currentModule = match
        case .failure(let failure): return checks.fail(.currentTCBLevel, failure.issue)
        }
        currentLevel = current
        currentModuleLevel = currentModule.level
        let now = currentModule.level.map { current.status.converged(with: $0.status) } ?? current.status
        let nowWithQE = now.converged(with: qeLevel.status)
        checks.pass(
            .currentTCBLevel, found: Self.found(pck, report15.teeTcbSvn2, nowWithQE),
            expected: Self.demand(current, report15.teeTcbSvn2))
        requireNotRevoked(launchedWithQE, nowWithQE)
        status = Self.relaunchAdvice(launched: launchedWithQE, now: nowWithQE) ?? launchedWithQE
    }

    private mutating func requireNotRevoked(_ launched: TCBStatus?, _ current: TCBStatus?) {
        checks.require(
            .tcbNotRevoked, launched != .revoked && current != .revoked, .revoked,
            "the platform, its TDX module or its quoting enclave is revoked",
            found: launched.map(Fact.status) ?? .none)
    }

    /// A TD launched on an outdated platform that has been updated since would be current if it were launched again.
    private static func relaunchAdvice(launched: TCBStatus, now: TCBStatus) -> TCBStatus? {
        guard launched.isOutOfDate, !now.isOutOfDate, now != .revoked else { return nil }
        return launched.needsConfiguration || now.needsConfiguration
            ? .tdRelaunchAdvisedConfigurationNeeded : .tdRelaunchAdvised
    }

    // MARK: TDX module

    private struct ModuleMatch {
        /// Nil where the module has no identity of its own (module version 0).
        let level: SVNLevel?
    }

    private struct ModuleFailure: Error {
        let check: CheckID
        let issue: CheckIssue
    }

    /// Matches the TDX module of an SVN (byte 1 its version, byte 0 its security version) with Intel's identities.
    private static func match(
        _ report: TDReport, svn: FixedBytes<16>, _ tcbInfo: TCBInfo, into checks: inout CheckList
    ) -> Result<ModuleMatch, ModuleFailure> {
        let version = svn[1]
        guard let generic = tcbInfo.module else {
            return .failure(
                ModuleFailure(
                    check: .tdxModuleIdentity,
                    issue: CheckIssue(.missing, "TCB info says nothing about the TDX module (tdxModule)")))
        }
        var module = generic
        var level: SVNLevel?
        if version == 0 {
            checks.pass(.tdxModuleIdentity, found: .literal("module version 0, judged by tdxModule"))
        } else {
            let id = "TDX_" + Hex.encodeUppercase([version])
            guard let identity = tcbInfo.moduleIdentities.first(where: { $0.id.uppercased() == id }) else {
                return .failure(
                    ModuleFailure(
                        check: .tdxModuleIdentity,
                        issue: CheckIssue(
                            .missing, "TCB info has no identity of this TDX module version", found: .text(id),
                            expected: .list(tcbInfo.moduleIdentities.map(\.id)))))
            }
            guard let found = identity.levels.first(where: { $0.isvSvn <= UInt16(svn[0]) }) else {
                return .failure(
                    ModuleFailure(
                        check: .tdxModuleIdentity,
                        issue: CheckIssue(
                            .noMatchingLevel, "the TDX module is older than every level that Intel knows",
                            found: .text("\(id), ISVSVN \(svn[0])"),
                            expected: .text(identity.levels.last.map { "at least \($0.isvSvn)" } ?? "a level"))))
            }
            guard [.upToDate, .outOfDate, .revoked].contains(found.status) else {
                return .failure(
                    ModuleFailure(
                        check: .tdxModuleIdentity,
                        issue: CheckIssue(
                            .unsupported, "a TDX module cannot have the status \(found.status.rawValue)")))
            }
            module = identity.module
            level = found
            checks.pass(
                .tdxModuleIdentity, found: .text("\(id), ISVSVN \(svn[0]): \(found.status.rawValue)"),
                expected: .text("at least \(found.isvSvn)"))
        }
        guard report.mrSignerSeam == module.mrSigner else {
            return .failure(
                ModuleFailure(
                    check: .tdxModuleSigner,
                    issue: CheckIssue(
                        .mismatch, "the TDX module has another signer", found: .hex(report.mrSignerSeam),
                        expected: .hex(module.mrSigner))))
        }
        checks.pass(.tdxModuleSigner, found: .hex(report.mrSignerSeam), expected: .hex(module.mrSigner))
        // Bits outside the mask must be clear too.
        guard report.seamAttributes == module.attributes.masked(module.attributesMask) else {
            return .failure(
                ModuleFailure(
                    check: .tdxModuleAttributes,
                    issue: CheckIssue(
                        .mismatch, "the TDX module has other attributes", found: .hex(report.seamAttributes),
                        expected: .hex(module.attributes))))
        }
        checks.pass(.tdxModuleAttributes, found: .hex(report.seamAttributes), expected: .hex(module.attributes))
        return .success(ModuleMatch(level: level))
    }
}
