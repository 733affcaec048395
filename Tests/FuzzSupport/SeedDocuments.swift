package import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE

/// What a seed's collateral says beyond the defaults: several levels, several dates, revocation lists with entries.
package struct SeedDocuments: Sendable {
    /// What the platform's own level counts as.
    package var status: TCBStatus
    /// Advisories of that level.
    package var advisoryIDs: [String] = []
    /// What the quoting enclave's own level counts as.
    package var qeStatus = TCBStatus.upToDate

    private static let day: Int64 = 86_400

    /// When collateral made at a time is valid: the latest beginning is the PCK revocation list's, the earliest end the QE
    /// identity's.
    package static func window(at now: Int64) -> ClosedRange<Int64> { now - 80_000...now + 29 * day }

    func apply(to draft: inout MockCollateral) {
        let now = draft.tcbInfo.issueDate + Self.day
        // Five different spans, so that each end of the window is one document's alone.
        draft.qeIdentity.issueDate = now - 2 * Self.day
        draft.qeIdentity.nextUpdate = now + 29 * Self.day
        draft.rootCRL.builder.thisUpdate = .seconds(now - 100 * Self.day)
        draft.rootCRL.builder.nextUpdate = .seconds(now + 265 * Self.day)
        draft.pckCRL.builder.thisUpdate = .seconds(now - 80_000)
        draft.pckCRL.builder.nextUpdate = .seconds(now + 30 * Self.day + 7)
        for index in 0..<3 {
            let serial = Array(SHA256.hash([UInt8(index)]).bytes.prefix(20))
            draft.pckCRL.builder.revoked.append(
                RevocationListBuilder.Entry(
                    serialNumber: serial, date: .seconds(now - 200 * Self.day), extensions: [.revocationReason(1)]))
        }
        draft.rootCRL.builder.revoked.append(
            RevocationListBuilder.Entry(serialNumber: [0x11, 0x22], date: .seconds(now - 300 * Self.day)))

        draft.tcbInfo.levels[0].status = status
        draft.tcbInfo.levels[0].advisoryIDs = advisoryIDs
        draft.qeIdentity.levels[0].status = qeStatus
        let top = draft.tcbInfo.levels[0]
        for (step, status) in [
            TCBStatus.swHardeningNeeded, .configurationNeeded, .configurationAndSWHardeningNeeded,
            .outOfDateConfigurationNeeded,
        ].enumerated() {
            var level = top
            level.pceSvn -= UInt16(step + 1)
            level.sgxComponents[step] -= 1
            level.status = status
            level.date -= Int64(step + 1) * 30 * Self.day
            level.advisoryIDs = (0...step).map { "SIMULATED-SA-0002\($0)" }
            draft.tcbInfo.levels.insert(level, at: step + 1)
        }
        if var other = draft.tcbInfo.moduleIdentities?.first {
            other.id = "TDX_07"
            other.levels = [MockTCBInfo.SVNLevel(isvSvn: 2, date: top.date, status: .upToDate)]
            draft.tcbInfo.moduleIdentities?.append(other)
        }
        draft.qeIdentity.levels.insert(
            MockTCBInfo.SVNLevel(
                isvSvn: 4, date: top.date - 60 * Self.day, status: .outOfDate, advisoryIDs: ["SIMULATED-SA-00004"]),
            at: 1)
    }
}
