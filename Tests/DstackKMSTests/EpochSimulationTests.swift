import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKMS
import DstackKeys
import Foundation
import TestKit
import Testing

/// Replicas, their disks, and a network that loses, doubles and delays.
private final class World {
    final class Machine {
        var node: EpochNode
        var disk: EpochTable

        init(_ id: ReplicaID, _ table: EpochTable, _ random: any RandomBytes) {
            node = EpochNode(id, table, random: random)
            disk = table
        }

        var isMember: Bool { node.isMember }
        var durable: EpochTable { node.durable }
    }

    private struct Letter {
        let from: ReplicaID
        let to: ReplicaID
        let message: EpochMessage
    }

    private(set) var machines: [ReplicaID: Machine] = [:]
    private var letters: [Letter] = []
    var generator: SeededGenerator
    var loss = 0.3
    var crashes = 0.05
    /// Nothing comes in or out.
    var cutOff: Set<ReplicaID> = []
    private let random: PredictableBytesForTests

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
        random = PredictableBytesForTests("world \(seed)")
        let founder = replica(1)
        machines[founder] = Machine(founder, EpochTable(replicas: [founder]), random)
    }

    var ids: [ReplicaID] { machines.keys.sorted() }

    private func happens(_ probability: Double) -> Bool { Double.random(in: 0..<1, using: &generator) < probability }

    subscript(id: ReplicaID) -> Machine {
        guard let machine = machines[id] else { preconditionFailure("no such machine") }
        return machine
    }

    /// A service that gets its keys from another, which has to have stored it before.
    func join(_ new: ReplicaID, through old: ReplicaID) throws {
        machines[new] = Machine(new, EpochTable(), random)
        perform(try self[old].node.add(new), on: old)
    }

    func perform(_ effects: [EpochNode.Effect], on id: ReplicaID) {
        var effects = effects
        while !effects.isEmpty {
            switch effects.removeFirst() {
            case .send(let message, let target):
                // As it goes over the wire.
                guard let message = try? EpochMessage(decoding: message.encoded) else {
                    Issue.record("a message cannot be read")
                    return
                }
                letters.append(Letter(from: id, to: target, message: message))
                if happens(0.1) { letters.append(Letter(from: id, to: target, message: message)) }
            case .store(let table):
                // Power may go before it is stored, and after.
                if happens(crashes) { return restart(id) }
                self[id].disk = table
                if happens(crashes) { return restart(id) }
                effects += self[id].node.stored(table)
            }
        }
    }

    private func restart(_ id: ReplicaID) {
        self[id].node = EpochNode(id, self[id].disk, random: random)
    }

    func deliverOne() {
        guard !letters.isEmpty else { return }
        let letter = letters.remove(at: Int.random(in: 0..<letters.count, using: &generator))
        guard !cutOff.contains(letter.from), !cutOff.contains(letter.to), !happens(loss),
            let machine = machines[letter.to]
        else { return }
        do {
            perform(try machine.node.receive(letter.message, from: letter.from), on: letter.to)
        } catch {
            Issue.record("a message was refused: \(error)")
        }
    }

    func tick(_ id: ReplicaID) { perform(self[id].node.tick(), on: id) }

    func advance(_ scope: EpochScope, on id: ReplicaID) throws -> UInt64 {
        let (number, effects) = try self[id].node.advance(scope)
        perform(effects, on: id)
        return number
    }

    /// Everything is delivered and nothing crashes, until nobody has anything to say.
    func settle() {
        (loss, crashes) = (0, 0)
        for _ in 0..<20 {
            for id in ids { tick(id) }
            while !letters.isEmpty { deliverOne() }
        }
    }
}

@Suite("Agreement on epochs")
struct EpochSimulationTests {
    private static let apps = [app(1), app(2)]

    /// What must hold at every moment.
    ///
    /// Only what does not is recorded: it is looked at so often that expectations would take most of the time.
    private func check(_ world: World, since former: inout [ReplicaID: [KeyEpoch]]) {
        for id in world.ids {
            let table = world[id].durable
            if table != world[id].disk { Issue.record("\(id) takes for stored what is not on its disk") }
            guard world[id].isMember else { continue }
            let others = world.ids.filter { world[$0].isMember && table.members.contains($0) }.map { world[$0].disk }
            for (number, epoch) in table.epochs where epoch.phase == .inForce {
                for theirs in others.map({ $0.epochs[number] })
                where theirs?.proposal != epoch.proposal || theirs?.scope != epoch.scope {
                    Issue.record("epoch \(number) is in force at \(id), and another member has not stored it")
                }
            }
            let current = Self.apps.map { table.current(of: $0) }
            for (old, new) in zip(former[id] ?? [], current) where old > new {
                Issue.record("the epoch of an application went back")
            }
            former[id] = current
        }
    }

    /// So many are tried; DSTACK_SOAK=1 for many more.
    private static let histories = ProcessInfo.processInfo.environment["DSTACK_SOAK"] == nil ? 20 : 500

    @Test(
        "an epoch is in force nowhere before it is stored everywhere, whatever is lost, doubled, late or crashes",
        arguments: 1...histories)
    func agreement(seed: Int) throws {
        let world = World(seed: UInt64(seed))
        var former: [ReplicaID: [KeyEpoch]] = [:]
        var joined: UInt8 = 1
        for _ in 0..<600 {
            let members = world.ids.filter { world[$0].isMember }
            let id = members[Int.random(in: 0..<members.count, using: &world.generator)]
            switch Int.random(in: 0..<100, using: &world.generator) {
            case 0..<3 where joined < 5:
                joined += 1
                try world.join(replica(joined), through: id)
            case 3..<7:
                let scopes: [EpochScope] = [.all, .app(Self.apps[0]), .app(Self.apps[1])]
                let scope = scopes[Int.random(in: 0..<scopes.count, using: &world.generator)]
                _ = try world.advance(scope, on: id)
            case 7..<9:
                let epoch = UInt64.random(in: 0...5, using: &world.generator)
                if let effects = try? world[id].node.retire(epoch, for: .app(Self.apps[0])) {
                    world.perform(effects, on: id)
                }
            case 9..<30: world.tick(id)
            default: world.deliverOne()
            }
            check(world, since: &former)
        }
        world.settle()
        check(world, since: &former)
        // Everybody who was heard of has the same, and nothing is left undone.
        let members = world[replica(1)].disk.members
        for id in members { #expect(world[id].disk == world[replica(1)].disk) }
        #expect(world[replica(1)].disk.epochs.values.allSatisfy { $0.phase == .inForce })
    }

    @Test("one replica that is cut off keeps an epoch from coming into force, refuses it by name, and gets it later")
    func cutOff() throws {
        let world = World(seed: 1)
        (world.loss, world.crashes) = (0, 0)
        for number: UInt8 in 2...3 { try world.join(replica(number), through: replica(1)) }
        world.settle()
        world.cutOff = [replica(3)]
        let number = try world.advance(.all, on: replica(1))
        let epoch = KeyEpoch(number)
        world.settle()
        for id in [replica(1), replica(2)] {
            #expect(world[id].disk.current(of: app(1)) == .first)
            #expect(throws: KMSStateError(.epochNotInForce, "", "")) { try world[id].disk.resolve(epoch, of: app(1)) }
        }
        // It has never heard of it: it gives no other in its place, and its own current one where none is named.
        #expect(throws: KMSStateError(.unknownEpoch, "", "")) { try world[replica(3)].disk.resolve(epoch, of: app(1)) }
        #expect(try world[replica(3)].disk.resolve(nil, of: app(1)) == .first)
        world.cutOff = []
        world.settle()
        for id in world.ids {
            #expect(try world[id].disk.resolve(nil, of: app(1)) == epoch)
            #expect(try world[id].disk.resolve(.first, of: app(1)) == .first)
        }
    }

    @Test("a replica that is given up keeps nobody waiting, and gives no keys once it hears of it")
    func forgotten() throws {
        let world = World(seed: 2)
        (world.loss, world.crashes) = (0, 0)
        for number: UInt8 in 2...3 { try world.join(replica(number), through: replica(1)) }
        world.settle()
        world.cutOff = [replica(3)]
        let number = try world.advance(.app(app(1)), on: replica(2))
        world.settle()
        world.perform(try world[replica(1)].node.forget(replica(3)), on: replica(1))
        world.settle()
        #expect(world[replica(1)].disk.current(of: app(1)) == KeyEpoch(number))
        #expect(world[replica(2)].disk.current(of: app(1)) == KeyEpoch(number))
        #expect(world[replica(2)].disk.current(of: app(2)) == .first)
        world.cutOff = []
        world.settle()
        #expect(!world[replica(3)].isMember)
        #expect(throws: KMSStateError(.notAReplica, "", "")) { try world.advance(.all, on: replica(3)) }
        #expect(throws: KMSStateError(.notAReplica, "", "")) { try world[replica(1)].node.add(replica(3)) }
    }

    @Test("no replica gives itself up, and so the last one stays")
    func ownReplica() throws {
        let world = World(seed: 2)
        (world.loss, world.crashes) = (0, 0)
        let own = KMSStateError(.ownReplica, "", "")
        #expect(throws: own) { try world[replica(1)].node.forget(replica(1)) }
        try world.join(replica(2), through: replica(1))
        world.settle()
        #expect(throws: own) { try world[replica(2)].node.forget(replica(2)) }
        world.perform(try world[replica(2)].node.forget(replica(1)), on: replica(2))
        world.settle()
        #expect(throws: own) { try world[replica(2)].node.forget(replica(2)) }
        #expect(world[replica(2)].isMember)
    }

    @Test("two that give one number away at the same time end with an epoch each")
    func sameNumber() throws {
        for seed in 10..<20 {
            let world = World(seed: UInt64(seed))
            (world.loss, world.crashes) = (0, 0)
            try world.join(replica(2), through: replica(1))
            world.settle()
            #expect(try world.advance(.app(app(1)), on: replica(1)) == 1)
            #expect(try world.advance(.app(app(2)), on: replica(2)) == 1)
            world.settle()
            let table = world[replica(1)].disk
            #expect(table == world[replica(2)].disk)
            #expect(Set([app(1), app(2)].map { table.current(of: $0) }) == [KeyEpoch(1), KeyEpoch(2)])
        }
    }

    @Test("only what nobody uses any more can be retired, and it gives no keys then")
    func retiring() throws {
        let world = World(seed: 3)
        world.crashes = 0
        let node = world[replica(1)]
        #expect(throws: KMSStateError(.currentEpoch, "", "")) { try node.node.retire(0, for: .all) }
        #expect(throws: KMSStateError(.unknownEpoch, "", "")) { try node.node.retire(4, for: .all) }
        #expect(try world.advance(.app(app(1)), on: replica(1)) == 1)
        // Others still have the first only.
        #expect(throws: KMSStateError(.currentEpoch, "", "")) { try node.node.retire(0, for: .all) }
        #expect(throws: KMSStateError(.unknownEpoch, "", "")) { try node.node.retire(1, for: .app(app(2))) }
        #expect(throws: KMSStateError(.currentEpoch, "", "")) { try node.node.retire(1, for: .app(app(1))) }
        world.perform(try node.node.retire(0, for: .app(app(1))), on: replica(1))
        #expect(throws: KMSStateError(.retiredEpoch, "", "")) { try node.disk.resolve(.first, of: app(1)) }
        #expect(try node.disk.resolve(.first, of: app(2)) == .first)
        #expect(throws: KMSStateError(.unknownEpoch, "", "")) { try node.disk.resolve(KeyEpoch(1), of: app(2)) }
        #expect(try world.advance(.all, on: replica(1)) == 2)
        world.perform(try node.node.retire(0, for: .all), on: replica(1))
        world.perform(try node.node.retire(1, for: .app(app(1))), on: replica(1))
        #expect(try node.disk.resolve(nil, of: app(1)) == KeyEpoch(2))
        #expect(throws: KMSStateError(.retiredEpoch, "", "")) { try node.disk.resolve(.first, of: app(2)) }
    }

    @Test("a service that got its keys from another gives none before it has the others' epochs")
    func joining() throws {
        let world = World(seed: 4)
        (world.loss, world.crashes) = (0, 0)
        _ = try world.advance(.all, on: replica(1))
        try world.join(replica(2), through: replica(1))
        #expect(!world[replica(2)].isMember)
        #expect(throws: KMSStateError(.notAReplica, "", "")) { try world.advance(.all, on: replica(2)) }
        world.settle()
        #expect(world[replica(2)].isMember)
        #expect(world[replica(2)].disk.current(of: app(1)) == KeyEpoch(1))
    }

    @Test("tables have one encoding, and nothing else is read")
    func encoding() throws {
        let world = World(seed: 5)
        world.crashes = 0
        try world.join(replica(2), through: replica(1))
        for scope in [EpochScope.all, .app(app(1)), .all] { _ = try world.advance(scope, on: replica(1)) }
        world.settle()
        world.perform(try world[replica(1)].node.retire(0, for: .all), on: replica(1))
        let table = world[replica(1)].disk
        let bytes = table.encoded
        #expect(try EpochTable(decoding: bytes) == table)
        for end in 0..<bytes.count {
            #expect(throws: KMSStateError(.malformed, "", "")) { try EpochTable(decoding: Array(bytes[..<end])) }
        }
        #expect(throws: KMSStateError(.malformed, "", "")) { try EpochTable(decoding: bytes + [0]) }
        for place in bytes.indices {
            var changed = bytes
            changed[place] ^= 1
            // Other ids are other tables; whatever is read is written as it was.
            if let read = try? EpochTable(decoding: changed) { #expect(read.encoded == changed && read != table) }
        }
    }
}
