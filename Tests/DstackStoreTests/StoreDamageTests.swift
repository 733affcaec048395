import DstackStore
import DstackSystem
import Foundation
import Glibc
import TestKit
import Testing

@Suite("A store after an accident")
struct StoreDamageTests {
    private let directory = storeDirectory()

    @Test(
        "whatever was acknowledged is there after the process was killed, whole transactions only",
        .timeLimit(.minutes(5)))
    func killed() async throws {
        let writers = 4
        var generator = SeededGenerator(seed: 1)
        var acknowledged = [Int](repeating: 0, count: writers)
        for _ in 0..<25 {
            let probe = try RunningProgram(BesideTests.program("state-probe"), ["store", directory, "\(writers)"])
            var output: [UInt8] = []
            let wanted = Int.random(in: 1...400, using: &generator)
            while output.count(where: { $0 == UInt8(ascii: "\n") }) < wanted {
                let piece = try await probe.read(within: .seconds(60))
                try #require(piece.ending == nil && !piece.isEmpty)
                output += piece.output
            }
            // It goes on writing until the signal comes.
            usleep(UInt32.random(in: 0...2_000, using: &generator))
            await probe.end()
            for line in String(decoding: output, as: UTF8.self).split(separator: "\n").dropFirst() {
                let words = line.split(separator: " ").compactMap { Int($0) }
                guard words.count == 2 else { continue }
                acknowledged[words[0]] = max(acknowledged[words[0]], words[1])
            }
            let store = try await SQLiteStore.open(directory)
            for writer in 0..<writers {
                let log = "log-\(writer)"
                let count = try await store.count(of: log)
                #expect(count >= acknowledged[writer])
                #expect(text(try await store.record(StoreKey("writer/\(writer)"))?.value) ?? "0" == "\(count)")
                if count > 0 {
                    #expect(
                        try await store.entries(of: log, from: count, limit: 2).map { text($0.value) }
                            == ["entry \(count) of \(writer)"])
                }
            }
            await store.close()
        }
    }

    /// Fills a store, part of it only in the write-ahead log, and copies its files as a crash would leave them.
    private func crashed() async throws -> (files: [String: Data], contents: [String: String]) {
        let store = try await SQLiteStore.open(directory)
        for number in 0..<40 {
            var change = StoreTransaction.put("key \(number)", String(repeating: "value \(number) ", count: 20))
            change.append([Array("entry \(number + 1)".utf8)], to: "log", after: UInt64(number))
            _ = try await store.commit(change)
        }
        await store.close()
        let again = try await SQLiteStore.open(directory)
        for number in 40..<60 { try await again.put("key \(number)", "late \(number)") }
        let contents = try await again.contents(logs: ["log"])
        let files = try Self.read(directory)
        await again.close()
        return (files, contents)
    }

    private static func read(_ directory: String) throws -> [String: Data] {
        var files: [String: Data] = [:]
        for name in try FileManager.default.contentsOfDirectory(atPath: directory) where !name.hasSuffix("-shm") {
            files[name] = try Data(contentsOf: URL(fileURLWithPath: "\(directory)/\(name)"))
        }
        return files
    }

    /// Writes files into a directory of their own; opens the store and reads everything.
    private static func opened(_ files: [String: Data]) async throws -> [String: String] {
        let directory = storeDirectory()
        mkdir(directory, 0o700)
        for (name, data) in files { try AtomicFile.write([UInt8](data), to: "\(directory)/\(name)", mode: .secret) }
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let store = try await SQLiteStore.open(directory)
        do {
            let contents = try await store.contents(logs: ["log"])
            await store.close()
            return contents
        } catch {
            await store.close()
            throw error
        }
    }

    @Test(
        "bytes that change anywhere in its files are reported, or change nothing that is read", .timeLimit(.minutes(5)))
    func corruption() async throws {
        let (files, contents) = try await crashed()
        #expect(try await Self.opened(files) == contents)
        #expect(files["state.sqlite-wal"]?.count ?? 0 > 10_000)
        var generator = SeededGenerator(seed: 2)
        var found: [String: Int] = [:]
        for round in 0..<240 {
            let name = ["state.sqlite", "state.sqlite-wal", "state.mark"][round % 8 == 0 ? 2 : round % 2]
            var damaged = files
            guard var data = damaged[name] else { continue }
            // Bits, bytes, and whole sectors that came back as zeros.
            let place = Int.random(in: 0..<data.count, using: &generator)
            switch round % 3 {
            case 0: data[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
            case 1: data[place] = data[place] &+ UInt8.random(in: 1...255, using: &generator)
            default:
                let sector = place / 512 * 512
                for index in sector..<min(sector + 512, data.count) { data[index] = 0 }
            }
            guard data != files[name] else { continue }
            damaged[name] = data
            do {
                #expect(try await Self.opened(damaged) == contents, "\(name), byte \(place), round \(round)")
            } catch let error as StoreError {
                #expect(
                    [.corrupt, .newerVersion, .system].contains(error.code), "\(name), byte \(place): \(error)")
                found[name, default: 0] += 1
            }
        }
        #expect(found["state.sqlite"] ?? 0 > 20 && found["state.sqlite-wal"] ?? 0 > 20 && found["state.mark"] ?? 0 > 20)
    }

    @Test("files that are cut off, missing or of an older copy are no store, or no younger one")
    func shortened() async throws {
        let (files, _) = try await crashed()
        func expectCorrupt(_ change: (inout [String: Data]) -> Void, _ what: Comment) async {
            var changed = files
            change(&changed)
            let damaged = changed
            await #expect(what) { try await Self.opened(damaged) } throws: { ($0 as? StoreError)?.code == .corrupt }
        }
        await expectCorrupt({ $0["state.sqlite-wal"] = nil }, "no write-ahead log")
        await expectCorrupt({ $0["state.sqlite-wal"]?.removeLast(4_200) }, "its last transaction")
        await expectCorrupt({ $0["state.sqlite"] = nil }, "no database")
        await expectCorrupt({ $0["state.sqlite"] = Data() }, "an empty database")
        await expectCorrupt({ $0["state.sqlite"] = $0["state.sqlite"]?.prefix(8_192) }, "most of its pages")
        // An older copy of everything but the mark.
        let older = try await {
            let directory = storeDirectory()
            let store = try await SQLiteStore.open(directory)
            try await store.put("key 1", "old")
            await store.close()
            return try Self.read(directory)
        }()
        await expectCorrupt(
            { files in
                files["state.sqlite"] = older["state.sqlite"]
                files["state.sqlite-wal"] = nil
            }, "an older copy")
        await expectCorrupt(
            { files in
                files = older
                files["state.sqlite"]?[0] = 0x58
            }, "another kind of file")
        // An operator who means it takes the mark away.
        var meant = older
        meant["state.mark"] = nil
        #expect(try await Self.opened(meant)["key\\201"] == "old")
    }

    @Test("a file of a later version is named as such and not touched")
    func newer() async throws {
        let store = try await SQLiteStore.open(directory)
        await store.close()
        var files = try Self.read(directory)
        // user_version, big-endian, at byte 60 of the header.
        files["state.sqlite"]?[63] = 9
        let newer = files
        await #expect { try await Self.opened(newer) } throws: {
            ($0 as? StoreError)?.code == .newerVersion && "\($0)".contains("version 9")
        }
    }

    private static let canMount: Bool = {
        let directory = storeDirectory()
        mkdir(directory, 0o700)
        guard mount("tmpfs", directory, "tmpfs", 0, "size=64k") == 0 else { return false }
        return umount2(directory, Int32(MNT_DETACH)) == 0
    }()

    @Test(
        "a full disk refuses the change that has no room, keeps all that was acknowledged, and goes on when there is room",
        .enabled(if: canMount, "needs the right to mount a small file system"), .timeLimit(.minutes(2)))
    func full() async throws {
        mkdir(directory, 0o700)
        try #require(mount("tmpfs", directory, "tmpfs", 0, "size=2m,mode=0700") == 0)
        defer { umount2(directory, Int32(MNT_DETACH)) }
        let store = try await SQLiteStore.open(directory)
        try AtomicFile.write([UInt8](repeating: 0, count: 1_200_000), to: directory + "/ballast", mode: .secret)
        var count: UInt64 = 0
        var refusal: StoreError?
        while refusal == nil, count < 10_000 {
            var change = StoreTransaction.put("count", "\(count + 1)")
            change.append([[UInt8](repeating: 7, count: 3_000)], to: "log", after: count)
            do {
                guard case .committed = try await store.commit(change) else { break }
                count += 1
            } catch {
                refusal = error
            }
        }
        #expect(refusal?.code == .full && count > 10, "\(String(describing: refusal))")
        #expect(text(try await store.record(StoreKey("count"))?.value) == "\(count)")
        #expect(try await store.count(of: "log") == count)
        // Again and again, without harm.
        for _ in 0..<20 {
            var change = StoreTransaction()
            change.append([[UInt8](repeating: 7, count: 100_000)], to: "log", after: count)
            await #expect { try await store.commit(change) } throws: { ($0 as? StoreError)?.code == .full }
        }
        unlink(directory + "/ballast")
        try await store.put("count", "room")
        await store.close()
        let again = try await SQLiteStore.open(directory)
        #expect(try await again.count(of: "log") == count)
        #expect(text(try await again.record(StoreKey("count"))?.value) == "room")
        await again.close()
    }
}
