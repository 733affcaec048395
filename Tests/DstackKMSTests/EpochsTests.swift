import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKMS
import DstackKeys
import DstackStore
import TestKit
import Testing

@Suite("Epochs of a service")
struct EpochsTests {
    private func store() async throws -> SQLiteStore { try await SQLiteStore.open(Scratch.path("epochs")) }

    @Test("a service alone has a new epoch at once, with a record of it, and still has it after a restart")
    func alone() async throws {
        let directory = Scratch.path("epochs")
        let store = try await SQLiteStore.open(directory)
        let log = try await AuditLog.open(store) { id throws(KMSStateError) in try AuditKey(id, of: roots()) }
        let epochs = try await Epochs.open(store, .founding, audit: log) { _, _ in }
        #expect(try epochs.epoch(of: app(1)) == .first)
        #expect(try await epochs.advance(.app(app(1))) == KeyEpoch(1))
        #expect(try epochs.epoch(of: app(1)) == KeyEpoch(1))
        #expect(try epochs.epoch(of: app(1), named: .first) == .first)
        #expect(try epochs.epoch(of: app(2)) == .first)
        #expect(try await epochs.advance(.all) == KeyEpoch(2))
        try await epochs.retire(.first, for: .all)
        #expect(try epochs.epoch(of: app(2)) == KeyEpoch(2))
        let report = try await log.check(root: roots().caKey.publicKey)
        // Begun; proposed and in force, twice; retired.
        #expect(report.isIntact && report.count == 6)
        await store.close()

        let again = try await SQLiteStore.open(directory)
        let restarted = try await Epochs.open(again, .joining) { _, _ in }
        #expect(restarted.replica == epochs.replica)
        #expect(restarted.table == epochs.table)
        #expect(throws: KMSStateError(.retiredEpoch, "", "")) { try restarted.epoch(of: app(2), named: .first) }
        #expect(throws: KMSStateError(.unknownEpoch, "", "")) { try restarted.epoch(of: app(2), named: KeyEpoch(3)) }
        await again.close()
    }

    @Test("two services agree over what carries their messages")
    func two() async throws {
        let stores = [try await store(), try await store()]
        let letters = Shared<[(message: [UInt8], to: ReplicaID, from: Int)]>([])
        func open(_ index: Int, _ beginning: Epochs.Beginning) async throws -> Epochs {
            try await Epochs.open(stores[index], beginning) { message, target in
                letters.edit { $0.append((message.encoded, target, index)) }
            }
        }
        let services = [try await open(0, .founding), try await open(1, .joining)]
        func deliver() async throws {
            while let letter = letters.value.first {
                letters.edit { $0.removeFirst() }
                for service in services where service.replica == letter.to {
                    try await service.receive(letter.message, from: services[letter.from].replica)
                }
            }
        }
        #expect(throws: KMSStateError(.notAReplica, "", "")) { try services[1].epoch(of: app(1)) }
        try await services[0].add(services[1].replica)
        try await deliver()
        #expect(try services[1].epoch(of: app(1)) == .first)
        let epoch = try await services[1].advance(.all)
        #expect(throws: KMSStateError(.epochNotInForce, "", "")) { try services[1].epoch(of: app(1), named: epoch) }
        try await deliver()
        for service in services {
            try await service.tick()
            #expect(try service.epoch(of: app(1)) == epoch)
        }
        await #expect(throws: KMSStateError(.malformed, "", "")) {
            try await services[0].receive([9], from: services[1].replica)
        }
        for store in stores { await store.close() }
    }

    @Test("what the disk does not take has not happened")
    func failing() async throws {
        let store = try await store()
        let epochs = try await Epochs.open(store, .founding) { _, _ in }
        await store.close()
        await #expect(throws: KMSStateError(.storage, "", "")) { try await epochs.advance(.all) }
        #expect(try epochs.epoch(of: app(1)) == .first)
        #expect(epochs.table.epochs.isEmpty)
    }
}
