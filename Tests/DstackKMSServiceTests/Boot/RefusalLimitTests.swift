import DstackAuthorization
import DstackCrypto
import DstackEncoding
import DstackKMSService
import TestKit
import Testing

@Suite("Refusals in the audit log")
struct RefusalLimitTests {
    private func boot(device: UInt8 = 1, app: UInt8 = 2, compose: UInt8 = 3) -> BootInfo {
        BootInfo(
            mrAggregated: FixedBytes(), osImageHash: nil, mrSystem: nil, appID: FixedBytes(repeating: app),
            composeHash: FixedBytes(repeating: compose), instanceID: nil, deviceID: FixedBytes(repeating: device),
            tcbStatus: "UpToDate")
    }

    private func limit(machine: Double, asker: Double) -> RefusalLimit {
        RefusalLimit(ofMachine: .init(burst: machine, perSecond: 0), ofAsker: .init(burst: asker, perSecond: 0))
    }

    @Test("one that asks again and again costs some entries, and the machine's next says how many it did not cost")
    func oneAsker() {
        let limit = limit(machine: 100, asker: 3)
        #expect((0..<1_000).map { _ in limit.note(boot(), as: .app) }.compactMap(\.self) == [0, 0, 0])
        #expect(limit.note(boot(device: 9), as: .app) == 0)
        #expect(limit.note(boot(compose: 4), as: .app) == 997)
        #expect(limit.note(boot(compose: 5), as: .app) == 0)
        #expect(limit.note(boot(), as: .kms) == 0)
        #expect(limit.note(boot(app: 7), as: .app) == 0)
    }

    @Test("a machine that makes up applications does not fill the disk")
    func oneMachine() {
        let limit = limit(machine: 10, asker: 3)
        let entries = (0..<250).compactMap { limit.note(boot(app: $0), as: .app) }
        #expect(entries == [UInt64](repeating: 0, count: 10))
        #expect(limit.note(boot(device: 2), as: .app) == 0)
    }
}
