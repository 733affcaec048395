import DstackAttestation
import DstackEncoding
import DstackMockTEE

/// The rules of TCB evaluation a second time, written plainly from the facts: the library's answers must be the same.
struct ReferenceRules {
    let tcbInfo: MockTCBInfo
    let qeIdentity: MockQEIdentity
    let cpuSvn: FixedBytes<16>
    let pceSvn: UInt16
    let qeIsvSvn: UInt16

    private static let qeStatuses: [TCBStatus] = [
        .upToDate, .outOfDate, .configurationNeeded, .outOfDateConfigurationNeeded, .revoked,
    ]

    /// The expected answer for a body.
    func judge(_ body: QuoteBody) -> Expectation {
        let levels = qeIdentity.levels.filter { $0.isvSvn <= qeIsvSvn }
        guard let qe = levels.max(by: { $0.isvSvn < $1.isvSvn }), Self.qeStatuses.contains(qe.status) else {
            return .rejected
        }
        guard let report = body.tdReport else {
            guard let level = best(teeTcbSvn: nil) else { return .rejected }
            return result(Self.merge(level.status, qe.status), level.advisoryIDs + qe.advisoryIDs)
        }
        guard let launched = platform(report, svn: report.teeTcbSvn) else { return .rejected }
        let status = Self.merge(launched.status, qe.status)
        let advisories = launched.advisoryIDs + qe.advisoryIDs
        guard let newer = body.tdReport15 else { return result(status, advisories) }
        guard let current = platform(report, svn: newer.teeTcbSvn2) else { return .rejected }
        let now = Self.merge(current.status, qe.status)
        if now == .revoked { return .rejected }
        let isCurrent = [.upToDate, .swHardeningNeeded, .configurationNeeded, .configurationAndSWHardeningNeeded]
            .contains(now)
        if isCurrent, status == .outOfDate || status == .outOfDateConfigurationNeeded {
            let needsConfiguration =
                status == .outOfDateConfigurationNeeded || now == .configurationNeeded
                || now == .configurationAndSWHardeningNeeded
            return result(needsConfiguration ? .tdRelaunchAdvisedConfigurationNeeded : .tdRelaunchAdvised, advisories)
        }
        return result(status, advisories)
    }

    private func result(_ status: TCBStatus, _ advisories: [String]) -> Expectation {
        if status == .revoked { return .rejected }
        var once: [String] = []
        for item in advisories where !once.contains(item) { once.append(item) }
        return .judged(status, advisoryIDs: once)
    }

    /// The highest of all levels that the platform reaches; nil for none.
    private func best(teeTcbSvn: FixedBytes<16>?) -> MockTCBInfo.Level? {
        tcbInfo.levels.filter { level in
            let first = (teeTcbSvn?[1] ?? 0) > 0 ? 2 : 0
            return pceSvn >= level.pceSvn && (0..<16).allSatisfy { cpuSvn[$0] >= level.sgxComponents[$0] }
                && (teeTcbSvn.map { svn in
                    level.tdxComponents.map { all in (first..<16).allSatisfy { svn[$0] >= all[$0] } } ?? false
                } ?? true)
        }.max { Self.key($0).lexicographicallyPrecedes(Self.key($1)) }
    }

    private static func key(_ level: MockTCBInfo.Level) -> [Int] {
        level.sgxComponents.map(Int.init) + [Int(level.pceSvn)] + (level.tdxComponents ?? []).map(Int.init)
    }

    /// Platform and TDX module together.
    private func platform(
        _ report: TDReport, svn: FixedBytes<16>
    ) -> (status: TCBStatus, advisoryIDs: [String])? {
        guard let level = best(teeTcbSvn: svn), let generic = tcbInfo.module else { return nil }
        guard svn[1] > 0 else {
            return fits(report, generic) ? (level.status, level.advisoryIDs) : nil
        }
        let name = "TDX_" + Hex.encodeUppercase([svn[1]])
        guard let identity = tcbInfo.moduleIdentities?.first(where: { $0.id.uppercased() == name }),
            let module = identity.levels.filter({ $0.isvSvn <= UInt16(svn[0]) }).max(by: { $0.isvSvn < $1.isvSvn }),
            [.upToDate, .outOfDate, .revoked].contains(module.status), fits(report, identity.module)
        else { return nil }
        return (Self.merge(level.status, module.status), level.advisoryIDs + module.advisoryIDs)
    }

    private func fits(_ report: TDReport, _ module: MockTCBInfo.Module) -> Bool {
        report.mrSignerSeam == module.mrSigner
            && (0..<8).allSatisfy { report.seamAttributes[$0] == module.attributes[$0] & module.attributesMask[$0] }
    }

    /// A platform's status with that of a component, as a table: what the component makes of UpToDate,
    /// SWHardeningNeeded, ConfigurationNeeded, ConfigurationAndSWHardeningNeeded, OutOfDate,
    /// OutOfDateConfigurationNeeded and Revoked.
    private static func merge(_ platform: TCBStatus, _ component: TCBStatus) -> TCBStatus {
        let (good, soft, conf, both, old, oldConf, gone): TCBStatus7 = (
            .upToDate, .swHardeningNeeded, .configurationNeeded, .configurationAndSWHardeningNeeded, .outOfDate,
            .outOfDateConfigurationNeeded, .revoked
        )
        let rows: [TCBStatus: [TCBStatus]] = [
            good: [good, soft, conf, both, old, oldConf, gone],
            old: [old, old, oldConf, oldConf, old, oldConf, gone],
            // Beyond Intel's table, which loses these two.
            conf: [conf, both, conf, both, oldConf, oldConf, gone],
            oldConf: [oldConf, oldConf, oldConf, oldConf, oldConf, oldConf, gone],
            gone: [gone, gone, gone, gone, gone, gone, gone],
        ]
        let columns = [good, soft, conf, both, old, oldConf, gone]
        guard let row = rows[component], let column = columns.firstIndex(of: platform) else { return platform }
        return row[column]
    }

    private typealias TCBStatus7 = (
        TCBStatus, TCBStatus, TCBStatus, TCBStatus, TCBStatus, TCBStatus, TCBStatus
    )
}
