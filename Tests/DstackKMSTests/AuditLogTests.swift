import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKMS
import DstackKeys
import DstackStore
import DstackSystem
import Foundation
import TestKit
import Testing

@Suite("The audit log")
struct AuditLogTests {
    private let directory = Scratch.path("audit")
    private let clock = FixedWallClock(unixSeconds: 1_800_000_000)
    private let root = roots().caKey.publicKey

    private func log(_ store: any Store, name: String = "audit", random: String = "log") async throws -> AuditLog {
        try await AuditLog.open(
            store, name: name, node: "kms-1", clock: clock, random: PredictableBytesForTests(random)
        ) { id throws(KMSStateError) in try AuditKey(id, of: roots()) }
    }

    private func store() async throws -> SQLiteStore { try await SQLiteStore.open(directory) }

    private static let subject = AuditSubject(
        .app, appID: [UInt8](repeating: 1, count: 20), instanceID: [UInt8](repeating: 2, count: 20),
        deviceID: [UInt8](repeating: 3, count: 32), tcbStatus: "UpToDate")

    private static let events: [AuditEvent] = [
        .started(version: "1.0"), .bootDecided(subject, isAllowed: true, reason: ""),
        .keysReleased(.app, epoch: KeyEpoch(2), subject, receiver: [1, 2, 3]),
        .certificateIssued(
            AuditCertificate(
                app: app(1), serial: [7], commonName: "a \"name\"\n", alternativeNames: ["a.example", "10.0.0.1"],
                fingerprint: FixedBytes(repeating: 9), notAfter: 1_900_000_000)),
        .bootDecided(subject, isAllowed: false, reason: "image \u{1F600} not allowed"),
        .onboarded(from: AuditSubject(.kms), url: "https://kms-0", publicKey: FixedBytes(repeating: 3)),
        .bootstrapped(caPublicKey: [4], publicKey: FixedBytes(repeating: 5), domain: "kms.example"),
        .keysFound(publicKey: FixedBytes(repeating: 8)),
        .epochChanged(.proposed, number: 3, app: nil), .epochChanged(.inForce, number: 3, app: app(1)),
        .headSeen(log: FixedBytes(repeating: 6), count: 9, hash: FixedBytes(repeating: 7)),
        .administered(by: "alice", action: "ClearImageCache", detail: "all"),
        .keysReleased(.root, epoch: nil, subject, receiver: [1, 2, 3], sealedTo: FixedBytes(repeating: 8)),
        .stopped(reason: "SIGTERM"),
    ]

    private func export(_ log: AuditLog) async throws -> [UInt8] {
        let bytes = Shared<[UInt8]>([])
        try await log.export { piece in bytes.edit { $0 += piece } }
        return bytes.value
    }

    private func filled() async throws -> (log: AuditLog, store: SQLiteStore) {
        let store = try await store()
        let log = try await log(store)
        for event in Self.events { try await log.record(event) }
        return (log, store)
    }

    @Test("every kind of event is recorded, in order, and what is exported can be checked without the service")
    func records() async throws {
        let (log, store) = try await filled()
        let export = try await export(log)
        let report = AuditExport.check(export, root: root)
        #expect(report.isIntact, "\(report.findings)")
        #expect(report.count == UInt64(Self.events.count + 1) && report.head != nil && report.log == log.id)
        #expect(report.firstTime == "2027-01-15T08:00:00.000Z")
        let lines = export.split(separator: UInt8(ascii: "\n"))
        let names = try lines.dropLast().map { try AuditEntry(line: Array($0)).event }
        #expect(names == ["log_begun"] + Self.events.map(\.name))
        #expect(try await log.check(root: root).isIntact)
        await store.close()
    }

    @Test("the log goes on where it was after a restart")
    func restarts() async throws {
        let (first, store) = try await filled()
        let head = try await first.signedHead()
        await store.close()
        let again = try await self.store()
        let second = try await log(again, random: "another")
        #expect(second.id == first.id)
        #expect(try await second.record(.started(version: "1.1")) == head.count + 1)
        #expect(try await second.check(root: root, known: [head]).isIntact)
        await again.close()
    }

    @Test("of many who record at once each gets a number of its own, and the chain holds")
    func concurrent() async throws {
        let store = try await store()
        let log = try await log(store)
        let numbers = try await withThrowingTaskGroup(of: UInt64.self) { group in
            for number in 0..<600 {
                group.addTask { try await log.record(.administered(by: "a", action: "b", detail: "\(number)")) }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(numbers.sorted() == Array(2...601))
        #expect(try await log.check(root: root).isIntact)
        await store.close()
    }

    @Test("of entries that are too large to go to the disk together, none costs another its place")
    func large() async throws {
        let store = try await store()
        let log = try await log(store)
        let certificate = AuditCertificate(
            app: nil, serial: [1], commonName: "",
            alternativeNames: Array(repeating: String(repeating: "\u{1}", count: 600), count: 200),
            fingerprint: FixedBytes(), notAfter: 0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<40 { group.addTask { try await log.record(.certificateIssued(certificate)) } }
            try await group.waitForAll()
        }
        let report = try await log.check(root: root)
        #expect(report.isIntact && report.count == 41)
        await store.close()
    }

    @Test("an entry and a change that belong together happen together or not at all")
    func together() async throws {
        let store = try await store()
        let log = try await log(store)
        var change = StoreTransaction()
        change.requireAbsent(StoreKey("a"))
        change.put(StoreKey("a"), [1])
        #expect(try await log.record(.started(version: "1"), with: change) == 2)
        await #expect(throws: KMSStateError(.conflict, "", "")) {
            try await log.record(.started(version: "2"), with: change)
        }
        #expect(try await log.record([.started(version: "3"), .stopped(reason: "")]) == 3)
        let report = try await log.check(root: root)
        #expect(report.isIntact && report.count == 4)
        await store.close()
    }

    @Test("nothing is acknowledged that the store has not taken")
    func failing() async throws {
        let store = try await store()
        let log = try await log(store)
        await store.close()
        await #expect(throws: KMSStateError(.storage, "", "")) { try await log.record(.started(version: "1")) }
        #expect(try await log.signedHead().count == 1)
    }

    @Test("every byte of an export that is changed, removed or put in is found", .timeLimit(.minutes(5)))
    func mutations() async throws {
        let store = try await store()
        let log = try await log(store)
        for event in Self.events[2...4] { try await log.record(event) }
        let export = try await export(log)
        #expect(AuditExport.check(export, root: root).isIntact)
        for place in export.indices {
            for change in 0..<5 {
                var changed = export
                switch change {
                case 0: changed[place] ^= 1
                // The case of letters, among them those of digits.
                case 1: changed[place] ^= 0x20
                case 2: changed[place] = changed[place] &+ 1
                case 3: changed.remove(at: place)
                default: changed.insert(changed[place], at: place)
                }
                guard changed != export else { continue }
                if AuditExport.check(changed, root: root).isIntact {
                    Issue.record("change \(change) of byte \(place) is not found")
                }
            }
        }
        for end in 0..<export.count where AuditExport.check(Array(export[..<end]), root: root).isIntact {
            Issue.record("an export that ends at byte \(end) is taken for whole")
        }
        await store.close()
    }

    @Test("entries that are left out, doubled, swapped or of another log are found by what is wrong with them")
    func order() async throws {
        let (log, store) = try await filled()
        let other = try await self.log(store, name: "other", random: "other")
        for event in Self.events { try await other.record(event) }
        let lines = try await export(log).split(separator: UInt8(ascii: "\n")).map { Array($0) }
        let others = try await export(other).split(separator: UInt8(ascii: "\n")).map { Array($0) }
        func kinds(_ change: (inout [[UInt8]]) -> Void) -> Set<AuditReport.Finding.Kind> {
            var changed = lines
            change(&changed)
            let bytes = changed.flatMap { $0 + [UInt8(ascii: "\n")] }
            return Set(AuditExport.check(bytes, root: root).findings.map(\.kind))
        }
        #expect(kinds { _ in } == [])
        #expect(kinds { $0.remove(at: 4) } == [.order, .link])
        #expect(kinds { $0.remove(at: 0) } == [.order, .link])
        #expect(kinds { $0.insert($0[4], at: 4) } == [.order, .link])
        #expect(kinds { $0.swapAt(4, 5) } == [.order, .link])
        #expect(kinds { $0.remove(at: $0.count - 2) } == [.cutOff])
        #expect(kinds { $0.removeLast() } == [.noHead])
        #expect(kinds { $0[5] = others[5] }.isSuperset(of: [.otherLog, .link]))
        #expect(kinds { $0[$0.count - 1] = others[others.count - 1] } == [.otherLog])
        #expect(kinds { $0[3] = Array("{}".utf8) }.contains(.malformed))
        await store.close()
    }

    @Test("a log that is cut off with its head is whole by itself, and found by a head that somebody kept")
    func cutOff() async throws {
        let store = try await store()
        let log = try await log(store)
        for event in Self.events.prefix(3) { try await log.record(event) }
        // What an attacker with the disk can put back: an older state, whose head is good.
        let older = try await export(log)
        for event in Self.events.dropFirst(3) { try await log.record(event) }
        let kept = try await log.signedHead()
        #expect(AuditExport.check(older, root: root).isIntact)
        #expect(AuditExport.check(older, root: root, known: [kept]).findings.map(\.kind) == [.cutOff])
        #expect(try await AuditExport.check(export(log), root: root, known: [kept]).isIntact)
        await store.close()

        // And another history from there on.
        let directory = Scratch.path("audit")
        let forked = try await SQLiteStore.open(directory)
        let second = try await self.log(forked)
        clock.advance(bySeconds: 60)
        for _ in 0..<20 { try await second.record(.started(version: "forked")) }
        #expect(second.id == log.id)
        let report = try await second.check(root: root, known: [kept])
        #expect(report.findings.map(\.kind) == [.forked])
        await forked.close()
    }

    @Test("a head counts only if the root CA vouches for the key of that very log")
    func heads() async throws {
        let (log, store) = try await filled()
        let head = try await log.signedHead()
        try head.verify(root: root)
        #expect(try SignedAuditHead(json: head.json) == head)
        #expect(throws: KMSStateError(.notAuthentic, "", "")) { try head.verify(root: roots("others").caKey.publicKey) }
        let text = String(decoding: head.json, as: UTF8.self)
        for (member, other) in [
            ("\"count\":\(head.count)", "\"count\":\(head.count - 1)"),
            ("\"log\":\"\(log.id)\"", "\"log\":\"\(String(repeating: "0", count: 32))\""),
            (head.time, "2027-01-15T08:00:01.000Z"),
        ] {
            let changed = text.replacingOccurrences(of: member, with: other)
            #expect(changed != text)
            #expect(throws: KMSStateError(.notAuthentic, "", "")) {
                try SignedAuditHead(json: Array(changed.utf8)).verify(root: root)
            }
        }
        // A key of the same root for another log signs nothing about this one.
        let foreign = try AuditKey(FixedBytes(repeating: 1), of: roots()).sign(
            count: head.count, hash: head.hash, time: 0)
        try foreign.verify(root: root)
        #expect(foreign.publicKey != head.publicKey)
        await store.close()
    }

    @Test("a witness notices a log that goes back or forks, and takes an older head that comes late for what it is")
    func witness() async throws {
        let key = try AuditKey(FixedBytes(repeating: 1), of: roots())
        func head(_ count: UInt64, _ hash: UInt8, at time: Int64) throws -> SignedAuditHead {
            try key.sign(count: count, hash: FixedBytes(repeating: hash), time: time * 1_000)
        }
        var witness = AuditWitness()
        #expect(try witness.observe(head(5, 5, at: 10), root: root) == .first)
        #expect(try witness.observe(head(5, 5, at: 11), root: root) == .good)
        let highest = try head(8, 8, at: 12)
        #expect(try witness.observe(highest, root: root) == .good)
        #expect(try witness.observe(head(6, 6, at: 11), root: root) == .late)
        #expect(try witness.observe(head(6, 6, at: 13), root: root) == .cutOff(highest))
        #expect(try witness.observe(head(8, 9, at: 13), root: root) == .forked(highest))
        #expect(witness.heads.values.map(\.count) == [8])
        #expect(throws: KMSStateError(.notAuthentic, "", "")) {
            try witness.observe(head(9, 9, at: 14), root: roots("others").caKey.publicKey)
        }
        // What it knows survives as it is.
        var again = AuditWitness(heads: Array(witness.heads.values))
        #expect(try again.observe(head(7, 7, at: 20), root: root) == .cutOff(highest))
    }

    @Test("texts of others are cut off at whole characters, and break no line")
    func texts() async throws {
        let store = try await store()
        let log = try await log(store)
        let hostile = String(repeating: "\u{1F600}\n\"\\\u{0}", count: 1_000)
        try await log.record(.administered(by: hostile, action: "\r\n{}", detail: String(repeating: "é", count: 700)))
        let export = try await export(log)
        #expect(AuditExport.check(export, root: root).isIntact)
        let line = export.split(separator: UInt8(ascii: "\n"))[1]
        #expect(line.count < 4_096)
        #expect(String(validating: line, as: UTF8.self) != nil)
        await store.close()
    }
}
