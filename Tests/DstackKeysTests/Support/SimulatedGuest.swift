import DstackAttestation
import DstackCrypto
import DstackKeys
import DstackMockTEE

/// A guest in a simulated trust domain that gives attestations.
struct SimulatedGuest {
    /// When everything in these tests happens, Unix seconds.
    static let now: Int64 = 1_790_000_000

    let platform: MockPlatform
    let boot: MockBoot

    init(eventVersion: RuntimeEvent.Version = .v1) throws {
        platform = try MockPlatform(seed: FixedBytes(repeating: 0x11))
        boot = try MockBoot(
            platform, appCompose: Array("{\"name\":\"test\"}".utf8), eventVersion: eventVersion)
    }

    func attestation(_ reportData: ReportData) throws -> Attestation {
        try Attestation(quote: boot.quote(reportData: reportData.bytes.bytes), eventLog: boot.eventLog)
    }
}
