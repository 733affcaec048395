import DstackStore
import DstackSystem
import Foundation
import Glibc
import TestKit
import Testing

@Suite("A store in a file")
struct SQLiteStoreTests {
    private let directory = storeDirectory()

    @Test("records, versions and logs are there again after closing and opening")
    func survives() async throws {
        let first = try await SQLiteStore.open(directory)
        try await first.put("a", "one")
        try await first.put("a", "two")
        try await first.put("b", "")
        var change = StoreTransaction()
        change.append([Array("x".utf8), Array("y".utf8)], to: "log", after: 0)
        change.remove(StoreKey("b"))
        #expect(try await first.commit(change) == .committed(version: 4))
        let before = try await first.record(StoreKey("a"))
        await first.close()

        let second = try await SQLiteStore.open(directory)
        #expect(try await second.record(StoreKey("a")) == before)
        #expect(text(before?.value) == "two" && before?.version == 2)
        #expect(try await second.record(StoreKey("b")) == nil)
        #expect(try await second.count(of: "log") == 2)
        #expect(try await second.count(of: "another") == 0)
        #expect(try await second.entries(of: "log", from: 2, limit: 10).map { text($0.value) } == ["y"])
        #expect(try await second.entries(of: "log", from: 3, limit: 10).isEmpty)
        // A record that is made again has a later version than it ever had.
        try await second.put("b", "again")
        #expect(try await second.record(StoreKey("b"))?.version == 5)
        await second.close()
    }

    @Test("keys are scanned in the order of their bytes, by prefix, in pieces")
    func scans() async throws {
        let store = try await SQLiteStore.open(directory)
        let keys: [[UInt8]] = [
            [1], [1, 0], [1, 0xFF], [1, 0xFF, 0xFF], [2], [0xFF], [0xFF, 0xFF], [0xFF, 0xFF, 1],
        ]
        for key in keys.shuffled() {
            var change = StoreTransaction()
            change.put(StoreKey(bytes: key), key)
            _ = try await store.commit(change)
        }
        func scan(_ prefix: [UInt8], after: [UInt8]? = nil, limit: Int = 100) async throws -> [[UInt8]] {
            try await store.records(
                prefix: StoreKey(bytes: prefix), after: after.map { StoreKey(bytes: $0) }, limit: limit
            ).map(\.value)
        }
        #expect(try await scan([]) == keys)
        #expect(try await scan([1]) == Array(keys[0...3]))
        #expect(try await scan([1, 0xFF]) == Array(keys[2...3]))
        #expect(try await scan([0xFF]) == Array(keys[5...7]))
        #expect(try await scan([0xFF, 0xFF]) == Array(keys[6...7]))
        #expect(try await scan([1], after: [1, 0], limit: 1) == [keys[2]])
        #expect(try await scan([1], after: [0]) == Array(keys[0...3]))
        #expect(try await scan([3]).isEmpty)
        await store.close()
    }

    @Test("a transaction of which one condition does not hold changes nothing")
    func conflicts() async throws {
        let store = try await SQLiteStore.open(directory)
        try await store.put("a", "1")
        let old = try #require(try await store.record(StoreKey("a")))
        try await store.put("a", "2")
        let conditions: [(String, (inout StoreTransaction) -> Void)] = [
            ("a", { $0.require(StoreKey("a"), version: old.version) }),
            ("a", { $0.requireAbsent(StoreKey("a")) }),
            ("c", { $0.require(StoreKey("c"), version: 1) }),
            ("log", { $0.append([[1]], to: "log", after: 1) }),
        ]
        for (what, condition) in conditions {
            var change = StoreTransaction.put("b", "never")
            condition(&change)
            #expect(try await store.commit(change) == .conflict(what))
        }
        #expect(try await store.record(StoreKey("b")) == nil)
        #expect(try await store.count(of: "log") == 0)
        await store.close()
    }

    @Test("of many that change a record at once, each change builds on the one before, and none is lost")
    func races() async throws {
        let store = try await SQLiteStore.open(directory)
        let conflicts = Shared(0)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    var done = 0
                    while done < 25 {
                        let record = try await store.record(StoreKey("sum"))
                        let sum = Int(text(record?.value) ?? "0") ?? 0
                        var change = StoreTransaction.put("sum", "\(sum + 1)")
                        change.requireUnchanged(StoreKey("sum"), since: record)
                        switch try await store.commit(change) {
                        case .committed: done += 1
                        case .conflict: conflicts.edit { $0 += 1 }
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(text(try await store.record(StoreKey("sum"))?.value) == "200")
        // They did get in each other's way, or this shows nothing.
        #expect(conflicts.value > 0)
        await store.close()
    }

    @Test("many writers together wait for the disk far less often than one after another")
    func groups() async throws {
        let store = try await SQLiteStore.open(directory)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<500 { group.addTask { try await store.put("key \(writer)", "\(writer)") } }
            try await group.waitForAll()
        }
        #expect(try await store.allRecords(prefix: StoreKey("key ")).count == 500)
        await store.close()
        #expect(try await SQLiteStore.open(directory).allRecords(prefix: StoreKey("")).count == 500)
    }

    @Test("what is too large, changed twice or nameless is refused before anything is done")
    func limits() async throws {
        let store = try await SQLiteStore.open(directory)
        var transactions: [(StoreError.Code, StoreTransaction)] = [
            (.tooLarge, .put(String(repeating: "k", count: StoreLimits.key + 1), "")),
            (.tooLarge, .put("k", String(repeating: "v", count: StoreLimits.value + 1))), (.invalid, .put("", "v")),
        ]
        var twice = StoreTransaction.put("k", "1")
        twice.remove(StoreKey("k"))
        transactions.append((.invalid, twice))
        var many = StoreTransaction()
        for number in 0...StoreLimits.operations { many.put(StoreKey("\(number)"), []) }
        transactions.append((.tooLarge, many))
        var entries = StoreTransaction()
        entries.append(Array(repeating: [1], count: StoreLimits.operations), to: "log", after: 0)
        transactions.append((.tooLarge, entries))
        for (code, transaction) in transactions {
            await #expect { try await store.commit(transaction) } throws: { ($0 as? StoreError)?.code == code }
        }
        #expect(try await store.allRecords(prefix: StoreKey("")).isEmpty)
        await store.close()
    }

    @Test("a closed store answers nothing, and what was under way when it was closed is there")
    func closing() async throws {
        let store = try await SQLiteStore.open(directory)
        async let last: Void = store.put("a", "1")
        try await last
        await store.close()
        await store.close()
        await #expect { try await store.put("a", "2") } throws: { ($0 as? StoreError)?.code == .closed }
        await #expect { try await store.record(StoreKey("a")) } throws: { ($0 as? StoreError)?.code == .closed }
        #expect(text(try await SQLiteStore.open(directory).record(StoreKey("a"))?.value) == "1")
    }

    @Test("a store has one owner, also among processes, and is free again when that is killed")
    func owners() async throws {
        let probe = try RunningProgram(BesideTests.program("state-probe"), ["store", directory, "1"])
        while try await probe.read(within: .seconds(60)).isEmpty {}
        await #expect { try await SQLiteStore.open(directory, patience: .zero) } throws: {
            ($0 as? StoreError)?.code == .inUse
        }
        await probe.end()
        let store = try await SQLiteStore.open(directory)
        await #expect { try await SQLiteStore.open(directory, patience: .zero) } throws: {
            ($0 as? StoreError)?.code == .inUse
        }
        await store.close()
    }

    @Test("its files are their owner's alone, and a place that others can reach is refused")
    func places() async throws {
        let store = try await SQLiteStore.open(directory)
        try await store.put("a", "1")
        for name in try FileManager.default.contentsOfDirectory(atPath: directory) {
            var status = stat()
            #expect(lstat("\(directory)/\(name)", &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600, "\(name)")
        }
        await store.close()
        func expectUnsafe(_ path: String) async {
            await #expect { try await SQLiteStore.open(path) } throws: { ($0 as? StoreError)?.code == .unsafePlace }
        }
        chmod(directory, 0o777)
        await expectUnsafe(directory)
        chmod(directory, 0o700)
        chmod(directory + "/state.sqlite", 0o644)
        await expectUnsafe(directory)
        chmod(directory + "/state.sqlite", 0o600)
        let linked = storeDirectory()
        mkdir(linked, 0o700)
        symlink(directory + "/state.sqlite", linked + "/state.sqlite")
        await expectUnsafe(linked)
        let file = storeDirectory()
        try AtomicFile.write("", to: file, mode: .secret)
        await expectUnsafe(file)
    }
}
