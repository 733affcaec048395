import DstackAttestation
import DstackEncoding
import DstackMockTEE

// Platforms and TCB documents at random, near each other, all signed as they should be.

extension CaseMaker {
    func levels(_ number: Int, _ random: inout FuzzRandom) throws(FuzzFailure) -> FuzzCase {
        var (index, _, source) = pickSimulated(&random)
        let configuration = source.mint.platform.configuration
        source.body = Self.otherVersions(source.body, &random)
        var expectation = Expectation.rejected
        var changes: [String] = []
        let qeIsvSvn = UInt16(random.below(12))
        let exhibit = try source.exhibit(
            editQuote: { $0.qeReport.isvSvn = qeIsvSvn },
            editCollateral: { draft in
                Self.rewrite(&draft.tcbInfo, configuration, &random)
                Self.rewrite(&draft.qeIdentity, &random)
                let rules = ReferenceRules(
                    tcbInfo: draft.tcbInfo, qeIdentity: draft.qeIdentity, cpuSvn: configuration.cpuSvn,
                    pceSvn: configuration.pceSvn, qeIsvSvn: qeIsvSvn)
                expectation = rules.judge(source.body)
                changes = Self.describe(draft, source.body, qeIsvSvn)
            })
        return FuzzCase(
            .levels, number: number, seed: index, changes: changes, subject: .exhibit(exhibit),
            expectation: expectation)
    }

    private static func describe(_ draft: MockCollateral, _ body: QuoteBody, _ qeIsvSvn: UInt16) -> [String] {
        var changes = [
            "\(draft.tcbInfo.levels.count) levels of TCB info, \(draft.qeIdentity.levels.count) of QE identity",
            "QE ISVSVN \(qeIsvSvn)",
        ]
        if let report = body.tdReport { changes.append("TEE TCB SVN \(report.teeTcbSvn)") }
        if let report = body.tdReport15 { changes.append("now \(report.teeTcbSvn2)") }
        return changes
    }

    private static func otherVersions(_ body: QuoteBody, _ random: inout FuzzRandom) -> QuoteBody {
        func edit(_ report: inout TDReport) {
            report.teeTcbSvn = versions(report.teeTcbSvn, &random)
            if random.chance(1, in: 12) { report.seamAttributes[0] ^= 1 << UInt8(random.below(8)) }
            if random.chance(1, in: 12) { report.mrSignerSeam[0] = 1 }
        }
        switch body {
        case .sgxEnclave: return body
        case .td10(var report):
            edit(&report)
            return .td10(report)
        case .td15(var report):
            edit(&report.base)
            report.teeTcbSvn2 = versions(report.teeTcbSvn2, &random)
            return .td15(report)
        case .td15Extended(var report):
            edit(&report.base.base)
            report.base.teeTcbSvn2 = versions(report.base.teeTcbSvn2, &random)
            return .td15Extended(report)
        }
    }

    /// Module version (byte 1) 0, known or unknown; the rest near what it was.
    private static func versions(_ svn: FixedBytes<16>, _ random: inout FuzzRandom) -> FixedBytes<16> {
        var svn = svn
        svn[0] = UInt8(random.below(8))
        if random.chance(1, in: 4) { svn[1] = random.pick([0, 0, 1, 3, 0x0A, 0xFF]) }
        for place in 2..<4 where random.chance(1, in: 3) { svn[place] = UInt8(random.below(6)) }
        return svn
    }

    private static let statuses: [TCBStatus] = [
        .upToDate, .upToDate, .swHardeningNeeded, .configurationNeeded, .configurationAndSWHardeningNeeded, .outOfDate,
        .outOfDateConfigurationNeeded, .revoked,
    ]

    private static func advisories(_ random: inout FuzzRandom) -> [String] {
        (0..<random.below(3)).map { _ in "SIMULATED-SA-001\(random.below(10))" }
    }

    private static func rewrite(
        _ document: inout MockTCBInfo, _ platform: MockPlatform.Configuration, _ random: inout FuzzRandom
    ) {
        let isTDX = document.id == "TDX"
        let date = document.levels[0].date
        var levels: [MockTCBInfo.Level] = []
        for _ in 0..<random.below(9) {
            var level = document.levels[0]
            for place in 0..<16 where random.chance(1, in: 10) {
                level.sgxComponents[place] = near(level.sgxComponents[place], &random)
            }
            level.pceSvn = UInt16(max(0, Int(platform.pceSvn) + random.number(in: -3...1)))
            if isTDX {
                var components = level.tdxComponents ?? []
                for place in 0..<4 { components[place] = UInt8(random.below(random.chance(1, in: 2) ? 3 : 6)) }
                level.tdxComponents = components
            }
            level.status = random.pick(statuses)
            level.advisoryIDs = advisories(&random)
            level.date = date - Int64(random.below(10)) * 86_400
            // Two verdicts on one TCB would have no right answer.
            let isNew = levels.allSatisfy {
                $0.sgxComponents != level.sgxComponents || $0.pceSvn != level.pceSvn
                    || $0.tdxComponents != level.tdxComponents
            }
            if isNew { levels.append(level) }
        }
        // Most platforms reach some level.
        if random.chance(3, in: 4) {
            var level = document.levels[document.levels.count - 1]
            level.status = random.pick(statuses)
            levels.append(level)
        }
        document.levels = random.shuffled(levels)
        guard isTDX else { return }
        if random.chance(1, in: 12) { document.module = nil }
        if random.chance(1, in: 8) { document.module?.attributesMask = FixedBytes(repeating: random.byte()) }
        guard let template = document.moduleIdentities?.first else { return }
        var identities: [MockTCBInfo.ModuleIdentity] = []
        for version in [1, 3, 0x0A] where random.chance(4, in: 5) {
            let name = Hex.encodeUppercase([UInt8(version)])
            var identity = template
            identity.id = random.chance(1, in: 6) ? "tdx_\(name.lowercased())" : "TDX_\(name)"
            identity.levels = svnLevels(
                [.upToDate, .upToDate, .outOfDate, .revoked, .configurationNeeded], upTo: 8, date, &random)
            if random.chance(1, in: 10) { identity.module.attributes = FixedBytes(repeating: 1) }
            identities.append(identity)
        }
        document.moduleIdentities = random.chance(1, in: 20) ? nil : random.shuffled(identities)
    }

    private static func near(_ value: UInt8, _ random: inout FuzzRandom) -> UInt8 {
        UInt8(clamping: Int(value) + random.pick([-2, -1, -1, 1]))
    }

    private static func svnLevels(
        _ statuses: [TCBStatus], upTo bound: Int, _ date: Int64, _ random: inout FuzzRandom
    ) -> [MockTCBInfo.SVNLevel] {
        var levels: [MockTCBInfo.SVNLevel] = []
        for _ in 0..<random.below(5) {
            let svn = UInt16(random.below(bound))
            guard levels.allSatisfy({ $0.isvSvn != svn }) else { continue }
            levels.append(
                MockTCBInfo.SVNLevel(
                    isvSvn: svn, date: date - Int64(random.below(10)) * 86_400, status: random.pick(statuses),
                    advisoryIDs: advisories(&random)))
        }
        return levels
    }

    private static func rewrite(_ document: inout MockQEIdentity, _ random: inout FuzzRandom) {
        var levels = svnLevels(
            [TCBStatus](repeating: .upToDate, count: 8) + [.outOfDate, .configurationNeeded] + statuses, upTo: 12,
            document.levels[0].date, &random)
        // Most platforms have a quoting enclave that Intel knows.
        if random.chance(3, in: 4), levels.allSatisfy({ $0.isvSvn != 0 }) {
            levels.append(
                MockTCBInfo.SVNLevel(
                    isvSvn: 0, date: document.levels[0].date, status: random.pick([.upToDate, .outOfDate])))
        }
        document.levels = random.shuffled(levels)
    }
}
