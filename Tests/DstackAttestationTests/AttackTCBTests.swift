import DstackAttestation
import DstackEncoding
import DstackMockTEE
import Testing

/// Attacks on, and mistakes in, judging how current a platform is.
@Suite("Attacks: TCB levels")
struct AttackTCBTests {
    private static func collateral(
        _ name: String, _ check: CheckID, _ code: FailureCode,
        _ edit: @escaping @Sendable (inout MockCollateral) -> Void
    ) -> [Attack] {
        collateral(name, TEEType.allCases, check, code, edit)
    }

    private static func collateral(
        _ name: String, _ tees: [TEEType], _ check: CheckID, _ code: FailureCode,
        _ edit: @escaping @Sendable (inout MockCollateral) -> Void
    ) -> [Attack] {
        tees.map { tee in Attack(name: name, tee: tee, check: check, code: code) { $0.collateral(edit) } }
    }

    /// Evidence under the policy that accepts every status but a revoked one, so that the status can be seen.
    private static func authentic(
        _ name: String, _ status: TCBStatus, _ edit: @escaping @Sendable (inout MockEvidence) throws -> Void
    ) -> [Harmless] {
        authentic(name, TEEType.allCases, status, edit)
    }

    private static func authentic(
        _ name: String, _ tees: [TEEType], _ status: TCBStatus,
        _ edit: @escaping @Sendable (inout MockEvidence) throws -> Void
    ) -> [Harmless] {
        tees.map { tee in
            Harmless(name: name, tee: tee, status: status) {
                $0.policy = .authentic
                try edit(&$0)
            }
        }
    }

    @Test("the unchanged platform is up to date", arguments: Harmless.both("nothing changed"))
    func controls(_ control: Harmless) throws { try control.run() }

    // MARK: Component lists

    @Rows<Attack> static var componentRows: [Attack] {
        for count in [0, 1, 15, 17, 1_000] {
            collateral("\(count) SGX components", .tcbInfoFormat, .malformed) {
                $0.tcbInfo.levels[0].sgxComponents = [UInt8](repeating: 0, count: count)
            }
            collateral("\(count) SGX components in a level that is not used", .tcbInfoFormat, .malformed) {
                $0.tcbInfo.levels[1].sgxComponents = [UInt8](repeating: 0, count: count)
            }
            collateral("\(count) TDX components", [.tdx], .tcbInfoFormat, .malformed) {
                $0.tcbInfo.levels[0].tdxComponents = [UInt8](repeating: 0, count: count)
            }
        }
        collateral("no TDX components", [.tdx], .tcbInfoFormat, .malformed) {
            $0.tcbInfo.levels[0].tdxComponents = nil
        }
        collateral("no list of SGX components", .tcbInfoFormat, .malformed) {
            $0.tcbInfoSigning.editJSON = { $0["tcbLevels"][0]["tcb"].remove("sgxtcbcomponents") }
        }
        for number in ["256", "-1", "1.0", "\"1\"", "null"] {
            collateral("a component of \(number)", .tcbInfoFormat, .malformed) {
                $0.tcbInfoSigning.editJSON = {
                    $0["tcbLevels"][0]["tcb"]["sgxtcbcomponents"][15]["svn"] = .raw(number)
                }
            }
        }
        for number in ["65536", "-1", "13.0", "\"13\"", "null"] {
            collateral("a PCESVN of \(number)", .tcbInfoFormat, .malformed) {
                $0.tcbInfoSigning.editJSON = { $0["tcbLevels"][0]["tcb"]["pcesvn"] = .raw(number) }
            }
        }
        collateral("a component without a version", .tcbInfoFormat, .malformed) {
            $0.tcbInfoSigning.editJSON = { $0["tcbLevels"][0]["tcb"]["sgxtcbcomponents"][3].remove("svn") }
        }
        collateral("no levels", .tcbLevel, .noMatchingLevel) { $0.tcbInfo.levels = [] }
        collateral("no level low enough", .tcbLevel, .noMatchingLevel) {
            $0.tcbInfo.levels[1].sgxComponents[15] = 1
            $0.tcbInfo.levels[0].sgxComponents[15] = 2
        }
    }

    @Test(
        "component lists that are not whole are refused, and nothing matches by being short (V28)",
        arguments: componentRows)
    func components(_ attack: Attack) throws { try attack.run() }

    // MARK: Order

    @Rows<Harmless> static var orderRows: [Harmless] {
        authentic("levels of TCB info reversed", .upToDate) { $0.collateral { $0.tcbInfo.levels.reverse() } }
        authentic("levels of QE identity reversed", .upToDate) { $0.collateral { $0.qeIdentity.levels.reverse() } }
        authentic("levels of the TDX module reversed", [.tdx], .upToDate) {
            $0.collateral { $0.tcbInfo.moduleIdentities?[0].levels.reverse() }
        }
        authentic("an older platform, levels reversed", .outOfDate) {
            $0.collateral {
                $0.tcbInfo.levels[0].pceSvn += 1
                $0.tcbInfo.levels.reverse()
            }
        }
        authentic("a better level of the same SGX versions behind a worse one", [.tdx], .upToDate) {
            // Both match; the one that asks for more TDX counts.
            $0.collateral {
                var lower = $0.tcbInfo.levels[0]
                lower.tdxComponents?[2] = 0
                lower.status = .outOfDate
                $0.tcbInfo.levels = [lower, $0.tcbInfo.levels[0]]
            }
        }
        authentic("a worse level that asks for more PCE", .outOfDateConfigurationNeeded) {
            $0.collateral {
                var lower = $0.tcbInfo.levels[0]
                lower.pceSvn = 1
                $0.tcbInfo.levels[0].status = .outOfDateConfigurationNeeded
                $0.tcbInfo.levels = [lower, $0.tcbInfo.levels[0]]
            }
        }
        authentic("a revoked level that the platform does not reach", .upToDate) {
            $0.collateral {
                var higher = $0.tcbInfo.levels[0]
                higher.sgxComponents[0] += 1
                higher.status = .revoked
                $0.tcbInfo.levels.insert(higher, at: 0)
            }
        }
        authentic("a revoked level below the platform's", .upToDate) {
            $0.collateral { $0.tcbInfo.levels[1].status = .revoked }
        }
        authentic("a revoked level whose SGX part matches and whose TDX part does not", [.tdx], .upToDate) {
            $0.collateral {
                var higher = $0.tcbInfo.levels[0]
                higher.tdxComponents?[2] = 9
                higher.status = .revoked
                $0.tcbInfo.levels.insert(higher, at: 0)
            }
        }
    }

    @Test("the best level counts, whatever the order of the document (V29, V33)", arguments: orderRows)
    func order(_ control: Harmless) throws { try control.run() }

    @Rows<Harmless> static var comparisonRows: [Harmless] {
        authentic("an older PCE", .outOfDate) { $0.collateral { $0.tcbInfo.levels[0].pceSvn += 1 } }
        authentic("a PCE of more than 255", .outOfDate) { $0.collateral { $0.tcbInfo.levels[0].pceSvn = 0x010D } }
        for index in 0..<16 {
            authentic("an older SGX component \(index)", .outOfDate) {
                $0.collateral { $0.tcbInfo.levels[0].sgxComponents[index] += 1 }
            }
        }
        for index in 2..<16 {
            authentic("an older TDX component \(index)", [.tdx], .outOfDate) {
                $0.collateral { $0.tcbInfo.levels[0].tdxComponents?[index] += 1 }
            }
        }
        // With a module version above 0, the module's identity judges components 0 and 1.
        authentic("TDX components 0 and 1 of a module of version 1", [.tdx], .upToDate) {
            $0.collateral { $0.tcbInfo.levels[0].tdxComponents?.replaceSubrange(0..<2, with: [255, 255]) }
        }
        authentic("an older TDX component 0 of a module of version 0", [.tdx], .outOfDate) {
            $0.report { $0.teeTcbSvn[1] = 0 }
            $0.collateral { $0.tcbInfo.levels[0].tdxComponents?[0] = 6 }
        }
        authentic("TDX component 0 of a module of version 0", [.tdx], .upToDate) {
            $0.report { $0.teeTcbSvn[1] = 0 }
            $0.collateral { $0.tcbInfo.levels[0].tdxComponents?[0] = 5 }
        }
        authentic("an older TDX component 1 of a module of version 0", [.tdx], .outOfDate) {
            $0.report { $0.teeTcbSvn[1] = 0 }
            $0.collateral { $0.tcbInfo.levels[0].tdxComponents?[1] = 1 }
        }
        authentic("CPUSVN of the report is not believed", [.sgx], .outOfDate) {
            $0.collateral { $0.tcbInfo.levels[0].sgxComponents[0] += 1 }
            $0.enclave { $0.cpuSvn = FixedBytes(repeating: 0xFF) }
            $0.quote { $0.qeReport.cpuSvn = FixedBytes(repeating: 0xFF) }
        }
        authentic("the components of the PCK certificate one by one are not believed", .outOfDate) {
            $0.collateral { $0.tcbInfo.levels[0].sgxComponents[0] += 1 }
            try $0.certificates { certificates in
                certificates.sgx?.tcb[0].value = DER.integer(UInt8(100))
            }
        }
        authentic("PCESVN of the header is not believed", .outOfDate) {
            $0.collateral { $0.tcbInfo.levels[0].pceSvn += 1 }
            $0.quote { $0.header.pceSvn = .max }
        }
        authentic("QESVN of the header is not believed", .outOfDate) {
            $0.collateral { $0.qeIdentity.levels[0].isvSvn += 1 }
            $0.quote { $0.header.qeSvn = .max }
        }
    }

    @Test("every version counts, of the PCE, of SGX and of TDX (V30, V31)", arguments: comparisonRows)
    func comparisons(_ control: Harmless) throws { try control.run() }

    // MARK: TDX module

    @Rows<Attack> static var moduleRows: [Attack] {
        Attack.tdx("another signer", .tdxModuleSigner, .mismatch) { $0.report { $0.mrSignerSeam[47] = 1 } }
        Attack.tdx("a signer in the document alone", .tdxModuleSigner, .mismatch) {
            $0.collateral { $0.tcbInfo.moduleIdentities?[0].module.mrSigner[0] = 1 }
        }
        Attack.tdx("an attribute", .tdxModuleAttributes, .mismatch) { $0.report { $0.seamAttributes[7] = 0x80 } }
        Attack.tdx("an attribute that the mask leaves out", .tdxModuleAttributes, .mismatch) {
            $0.report { $0.seamAttributes[0] = 1 }
            $0.collateral { $0.tcbInfo.moduleIdentities?[0].module.attributesMask = FixedBytes() }
        }
        Attack.tdx("an attribute that is asked for and not there", .tdxModuleAttributes, .mismatch) {
            $0.collateral { $0.tcbInfo.moduleIdentities?[0].module.attributes[0] = 1 }
        }
        Attack.tdx("an attribute, judged by tdxModule", .tdxModuleAttributes, .mismatch) {
            $0.report {
                $0.teeTcbSvn[1] = 0
                $0.seamAttributes[0] = 1
            }
        }
        Attack.tdx("another signer, judged by tdxModule", .tdxModuleSigner, .mismatch) {
            $0.report {
                $0.teeTcbSvn[1] = 0
                $0.mrSignerSeam[0] = 1
            }
        }
        Attack.tdx("an unknown version", .tdxModuleIdentity, .missing) { $0.report { $0.teeTcbSvn[1] = 2 } }
        Attack.tdx("no identities", .tdxModuleIdentity, .missing) { $0.collateral { $0.tcbInfo.moduleIdentities = [] } }
        Attack.tdx("no list of identities", .tdxModuleIdentity, .missing) {
            $0.collateral { $0.tcbInfo.moduleIdentities = nil }
        }
        Attack.tdx("an identity of another name", .tdxModuleIdentity, .missing) {
            $0.collateral { $0.tcbInfo.moduleIdentities?[0].id = "TDX_1" }
        }
        Attack.tdx("no tdxModule", .tdxModuleIdentity, .missing) { $0.collateral { $0.tcbInfo.module = nil } }
        Attack.tdx("too old", .tdxModuleIdentity, .noMatchingLevel) {
            $0.collateral { $0.tcbInfo.moduleIdentities?[0].levels = [.init(isvSvn: 6, date: 1, status: .upToDate)] }
        }
        Attack.tdx("no levels", .tdxModuleIdentity, .noMatchingLevel) {
            $0.collateral { $0.tcbInfo.moduleIdentities?[0].levels = [] }
        }
        Attack.tdx("a status that no module has", .tdxModuleIdentity, .unsupported) {
            $0.collateral { $0.tcbInfo.moduleIdentities?[0].levels[0].status = .configurationNeeded }
        }
    }

    @Test("a TDX module that Intel does not describe is refused (V32)", arguments: moduleRows)
    func modules(_ attack: Attack) throws { try attack.run() }

    // MARK: Statuses

    /// What becomes of a platform's status with that of its module or its quoting enclave: Intel's table, and a component
    /// that needs configuration makes the platform need it too.
    private static let merges: [(platform: TCBStatus, component: TCBStatus, merged: TCBStatus)] = {
        let current: [TCBStatus] = [
            .upToDate, .swHardeningNeeded, .configurationNeeded, .configurationAndSWHardeningNeeded,
        ]
        var rows: [(TCBStatus, TCBStatus, TCBStatus)] = []
        for platform in current + [.outOfDate, .outOfDateConfigurationNeeded] {
            rows.append((platform, .upToDate, platform))
            let needs = [.configurationNeeded, .configurationAndSWHardeningNeeded, .outOfDateConfigurationNeeded]
                .contains(platform)
            rows.append((platform, .outOfDate, needs ? .outOfDateConfigurationNeeded : .outOfDate))
            rows.append((platform, .outOfDateConfigurationNeeded, .outOfDateConfigurationNeeded))
        }
        return rows + [
            (.upToDate, .configurationNeeded, .configurationNeeded),
            (.swHardeningNeeded, .configurationNeeded, .configurationAndSWHardeningNeeded),
            (.configurationNeeded, .configurationNeeded, .configurationNeeded),
            (.configurationAndSWHardeningNeeded, .configurationNeeded, .configurationAndSWHardeningNeeded),
            (.outOfDate, .configurationNeeded, .outOfDateConfigurationNeeded),
            (.outOfDateConfigurationNeeded, .configurationNeeded, .outOfDateConfigurationNeeded),
        ]
    }()

    @Test("the status of the quoting enclave is not lost (V33)", arguments: TEEType.allCases)
    func qeStatus(tee: TEEType) throws {
        for row in Self.merges {
            var evidence = try MockEvidence(tee)
            evidence.policy = .authentic
            evidence.collateral {
                $0.tcbInfo.levels[0].status = row.platform
                $0.qeIdentity.levels[0].status = row.component
            }
            let report = try evidence.verified()
            report.expectAccepted(row.merged)
            #expect(report.qeStatus == row.component && report.platformStatus == row.platform)
        }
    }

    @Test("the status of the TDX module is not lost (V33)")
    func moduleStatus() throws {
        for row in Self.merges where [.upToDate, .outOfDate].contains(row.component) {
            var evidence = try MockEvidence(.tdx)
            evidence.policy = .authentic
            evidence.collateral {
                $0.tcbInfo.levels[0].status = row.platform
                $0.tcbInfo.moduleIdentities?[0].levels[0].status = row.component
            }
            let report = try evidence.verified()
            report.expectAccepted(row.merged)
            #expect(report.platformStatus == row.merged && report.qeStatus == .upToDate)
        }
    }

    @Rows<Attack> static var revokedRows: [Attack] {
        for policy in [VerificationPolicy.authentic, .standard, .strict] {
            Attack.both("the platform, \(policy.name)", .tcbNotRevoked, .revoked) {
                $0.policy = policy
                $0.collateral { $0.tcbInfo.levels[0].status = .revoked }
            }
            Attack.both("the quoting enclave, \(policy.name)", .tcbNotRevoked, .revoked) {
                $0.policy = policy
                $0.collateral { $0.qeIdentity.levels[0].status = .revoked }
            }
            Attack.tdx("the TDX module, \(policy.name)", .tcbNotRevoked, .revoked) {
                $0.policy = policy
                $0.collateral { $0.tcbInfo.moduleIdentities?[0].levels[0].status = .revoked }
            }
            Attack.tdx("what runs now, \(policy.name)", .tcbNotRevoked, .revoked) {
                $0.policy = policy
                $0.domain.reportForm = .td15
                $0.quote { Self.setCurrent(&$0, [5, 1, 1]) }
                $0.collateral {
                    var level = $0.tcbInfo.levels[0]
                    level.tdxComponents?[2] = 1
                    level.status = .revoked
                    $0.tcbInfo.levels.insert(level, at: 1)
                }
            }
            Attack.tdx("the TDX module that runs now, \(policy.name)", .tcbNotRevoked, .revoked) {
                $0.policy = policy
                $0.domain.reportForm = .td15
                $0.quote { Self.setCurrent(&$0, [3, 1, 2]) }
                $0.collateral { $0.tcbInfo.moduleIdentities?[0].levels[1].status = .revoked }
            }
        }
        Attack.both("the platform, by a policy that says it accepts it", .tcbNotRevoked, .revoked) {
            $0.policy = VerificationPolicy(allowedStatuses: Set(TCBStatus.allCases))
            $0.collateral { $0.tcbInfo.levels[0].status = .revoked }
        }
        Attack.both("an outdated platform with a revoked quoting enclave", .tcbNotRevoked, .revoked) {
            $0.policy = .authentic
            $0.collateral {
                $0.tcbInfo.levels[0].pceSvn += 1
                $0.qeIdentity.levels[0].status = .revoked
            }
        }
    }

    @Test("what is revoked is refused, under every policy and behind every better status (V33)", arguments: revokedRows)
    func revoked(_ attack: Attack) throws { try attack.run() }

    @Rows<Attack> static var statusRows: [Attack] {
        for status in [
            TCBStatus.outOfDate, .outOfDateConfigurationNeeded, .configurationNeeded,
            .configurationAndSWHardeningNeeded,
        ] {
            collateral("\(status.rawValue), standard", .policyTCBStatus, .notAcceptable) {
                $0.tcbInfo.levels[0].status = status
            }
        }
        collateral("an outdated quoting enclave, standard", .policyTCBStatus, .notAcceptable) {
            $0.qeIdentity.levels[0].status = .outOfDate
        }
        Attack.both("SWHardeningNeeded, strict", .policyTCBStatus, .notAcceptable) {
            var configuration = MockPlatform.Configuration()
            configuration.smtEnabled = false
            $0 = try MockEvidence($0.tee, configuration)
            $0.policy = .strict
            $0.collateral { $0.tcbInfo.levels[0].status = .swHardeningNeeded }
        }
        Attack.both("an outdated platform after its grace period", .policyPlatformGrace, .notAcceptable) {
            $0.policy.allowedStatuses.insert(.outOfDate)
            $0.policy.platformGracePeriod = 99
            $0.collateral {
                $0.tcbInfo.levels[0].status = .outOfDate
                $0.tcbInfo.levels[0].date = MockEvidence.issued - 100
            }
        }
        Attack.both("an outdated quoting enclave after its grace period", .policyQEGrace, .notAcceptable) {
            $0.policy.allowedStatuses.insert(.outOfDate)
            $0.policy.qeGracePeriod = 99
            $0.collateral {
                $0.qeIdentity.levels[0].status = .outOfDate
                $0.qeIdentity.levels[0].date = MockEvidence.issued - 100
            }
        }
        Attack.tdx("an outdated TDX module after its grace period", .policyPlatformGrace, .notAcceptable) {
            $0.policy.allowedStatuses.insert(.outOfDate)
            $0.policy.platformGracePeriod = 99
            $0.collateral {
                $0.tcbInfo.levels[0].date = MockEvidence.issued
                $0.tcbInfo.moduleIdentities?[0].levels[0].status = .outOfDate
                $0.tcbInfo.moduleIdentities?[0].levels[0].date = MockEvidence.issued - 100
            }
        }
    }

    @Test("a status that the policy does not name is refused (V35)", arguments: statusRows)
    func statuses(_ attack: Attack) throws { try attack.run() }

    @Test(
        "an outdated platform is accepted up to the last second of its grace period (V35)", arguments: TEEType.allCases)
    func grace(tee: TEEType) throws {
        var evidence = try MockEvidence(tee)
        evidence.policy.allowedStatuses.insert(.outOfDate)
        evidence.policy.platformGracePeriod = 100
        evidence.collateral {
            $0.tcbInfo.levels[0].status = .outOfDate
            $0.tcbInfo.levels[0].date = MockEvidence.issued - 100
            // The older of the platform's and the module's date counts.
            $0.tcbInfo.moduleIdentities?[0].levels[0].date = MockEvidence.issued
        }
        let report = try evidence.verified()
        report.expectAccepted(.outOfDate)
        #expect(report.validUntil == MockEvidence.issued)
        evidence.now += 1
        try evidence.verified().expectRefused(.policyPlatformGrace, .notAcceptable)
    }

    // MARK: Relaunch

    /// What the platform runs now, as a TDX 1.5 report has it.
    private static func setCurrent(_ quote: inout MockQuote, _ svn: [UInt8]) {
        guard case .td15(var report) = quote.body else { return }
        report.teeTcbSvn2 = FixedBytes(svn + [UInt8](repeating: 0, count: 16 - svn.count)) ?? FixedBytes()
        quote.body = .td15(report)
    }

    private static func launched(_ evidence: inout MockEvidence, _ svn: [UInt8], now: [UInt8] = [5, 1, 2]) {
        evidence.domain.reportForm = .td15
        evidence.report {
            $0.teeTcbSvn = FixedBytes(svn + [UInt8](repeating: 0, count: 16 - svn.count)) ?? FixedBytes()
        }
        evidence.quote { setCurrent(&$0, now) }
    }

    @Rows<Harmless> static var relaunchRows: [Harmless] {
        authentic("launched on an older platform", [.tdx], .tdRelaunchAdvised) { Self.launched(&$0, [5, 1, 1]) }
        authentic("launched on an older module", [.tdx], .tdRelaunchAdvised) { Self.launched(&$0, [4, 1, 2]) }
        authentic("launched on an older platform, needs configuration", [.tdx], .tdRelaunchAdvisedConfigurationNeeded) {
            Self.launched(&$0, [5, 1, 1])
            $0.collateral { $0.tcbInfo.levels[0].status = .configurationNeeded }
        }
        authentic("older then and now", [.tdx], .outOfDate) { Self.launched(&$0, [5, 1, 1], now: [5, 1, 1]) }
        authentic("older now alone", [.tdx], .upToDate) { Self.launched(&$0, [5, 1, 2], now: [5, 1, 1]) }
        authentic("launched on an older platform, with an outdated quoting enclave", [.tdx], .outOfDate) {
            Self.launched(&$0, [5, 1, 1])
            $0.collateral { $0.qeIdentity.levels[0].status = .outOfDate }
        }
    }

    @Test("the advice to relaunch is computed from what the quote signs (V36)", arguments: relaunchRows)
    func relaunch(_ control: Harmless) throws { try control.run() }

    @Rows<Attack> static var relaunchAttackRows: [Attack] {
        Attack.tdx("advice to relaunch, standard", .policyTCBStatus, .notAcceptable) { Self.launched(&$0, [5, 1, 1]) }
        Attack.tdx("a newer platform written into the report afterwards", .quoteSignature, .badSignature) {
            Self.launched(&$0, [5, 1, 1])
            $0.policy = .authentic
            $0.quote {
                $0.tampering = { quote in
                    guard case .td15(var report) = quote.body else { return }
                    report.base.teeTcbSvn[2] = 2
                    quote.body = .td15(report)
                }
            }
        }
        Attack.tdx("what runs now is older than every level", .currentTCBLevel, .noMatchingLevel) {
            Self.launched(&$0, [5, 1, 2], now: [5, 1, 0])
            $0.policy = .authentic
            $0.collateral { $0.tcbInfo.levels[1].tdxComponents?[2] = 1 }
        }
        Attack.tdx("a module that runs now and that Intel does not know", .currentTCBLevel, .missing) {
            Self.launched(&$0, [5, 1, 2], now: [5, 9, 2])
            $0.policy = .authentic
        }
    }

    @Test("no advice to relaunch hides what is not acceptable (V36)", arguments: relaunchAttackRows)
    func relaunchAttacks(_ attack: Attack) throws { try attack.run() }

    // MARK: Advisories and recoveries

    @Test("the advisories of platform, module and quoting enclave are all kept, each once (V37)")
    func advisories() throws {
        var evidence = try MockEvidence(.tdx)
        evidence.policy = .authentic
        evidence.collateral {
            $0.tcbInfo.levels[0].advisoryIDs = ["A", "B"]
            $0.tcbInfo.moduleIdentities?[0].levels[0].advisoryIDs = ["B", "C"]
            $0.qeIdentity.levels[0].advisoryIDs = ["C", "A", "D"]
        }
        #expect(try evidence.verified().advisoryIDs == ["A", "B", "C", "D"])
        for id in ["A", "B", "C", "D", "d"] {
            evidence.policy.rejectedAdvisoryIDs = [id]
            try evidence.verified().expectRefused(.policyAdvisories, .notAcceptable)
        }
        evidence.policy.rejectedAdvisoryIDs = ["E"]
        try evidence.verified().expectAccepted()
        evidence.policy.allowedAdvisoryIDs = ["a", "b", "c"]
        try evidence.verified().expectRefused(.policyAdvisories, .notAcceptable)
        evidence.policy.allowedAdvisoryIDs = ["a", "b", "c", "d"]
        try evidence.verified().expectAccepted()
    }

    @Test("an advisory of what runs now alone is rejected by a policy that names it (V37)")
    func currentAdvisories() throws {
        var evidence = try MockEvidence(.tdx)
        evidence.policy = .authentic
        Self.launched(&evidence, [5, 1, 2], now: [4, 1, 1])
        evidence.policy.rejectedAdvisoryIDs = ["UNRELATED"]
        try evidence.verified().expectAccepted()
        for id in ["SIMULATED-SA-00001", "SIMULATED-SA-00002"] {
            evidence.policy.rejectedAdvisoryIDs = [id]
            try evidence.verified().expectRefused(.policyAdvisories, .notAcceptable)
        }
    }

    private static let oldDocuments: [(String, @Sendable (inout MockCollateral) -> Void)] = [
        ("TCB info", { $0.tcbInfo.evaluationDataNumber = 16 }),
        ("QE identity", { $0.qeIdentity.evaluationDataNumber = 16 }),
    ]

    @Rows<Attack> static var recoveryRows: [Attack] {
        for (name, edit) in oldDocuments {
            Attack.both("\(name) from before a recovery", .policyEvaluationDataNumber, .notAcceptable) {
                $0.policy.minimumEvaluationDataNumber = 17
                $0.collateral(edit)
            }
        }
        Attack.both("TCB info older than the policy allows", .policyCollateralAge, .notAcceptable) {
            $0.policy.maximumCollateralAge = 86_400
            $0.collateral { $0.tcbInfo.issueDate -= 1 }
        }
        Attack.both("QE identity older than the policy allows", .policyCollateralAge, .notAcceptable) {
            $0.policy.maximumCollateralAge = 86_400
            $0.collateral { $0.qeIdentity.issueDate -= 1 }
        }
    }

    @Test("collateral from before a TCB recovery is refused though it has not expired (V38)", arguments: recoveryRows)
    func recoveries(_ attack: Attack) throws { try attack.run() }

    @Test("collateral of the floor itself is accepted (V38)", arguments: TEEType.allCases)
    func floor(tee: TEEType) throws {
        var evidence = try MockEvidence(tee)
        evidence.policy.minimumEvaluationDataNumber = 17
        evidence.policy.maximumCollateralAge = 86_400
        try evidence.verified().expectAccepted()
    }
}
