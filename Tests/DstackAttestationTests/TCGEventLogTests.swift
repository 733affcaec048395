import DstackAttestation
import DstackEncoding
import TestKit
import Testing

@Suite("TCG event logs")
struct TCGEventLogTests {
    /// A log with an entry for every index, of which 0 is left out in replay.
    static func sample() throws -> TCGEventLog {
        var header = TCGEventLog.Header()
        header.vendorInfo = [1, 2, 3]
        let entries = try (UInt32(0)...4).map { index in
            TCGEventLog.Entry(
                registerIndex: index, type: index == 1 ? .platformConfigFlags : .separator,
                digests: [
                    try #require(TCGEventLog.Digest(.sha384, [UInt8](repeating: UInt8(index), count: 48)))
                ], data: Array("ACPI DATA".utf8))
        }
        return TCGEventLog(header: header, entries: entries)
    }

    @Test(
        "the recorded CCEL parses, encodes to the same bytes and replays",
        .enabled(if: Vectors.areAvailable, Vectors.absence))
    func ccel() throws {
        let bytes = try Vectors.read("attestation/ccel.bin")
        let binary = try TCGEventLog(parsing: bytes)
        #expect(binary.encoded == bytes)
        #expect(binary.header == TCGEventLog.Header())
        #expect(binary.entries.count == 18)
        #expect(bytes.count == 65_536 && bytes.count - binary.unused.count == 1933)
        #expect(binary.unused.allSatisfy { $0 == 0xFF })

        let log = try EventLog(ccel: bytes)
        let replayed = try log.replay()
        #expect(RTMR.allCases.map { replayed.eventCount(of: $0) } == [13, 5, 0, 0])
        #expect(
            replayed.registers.rtmr0.hex
                == "274c2344116db7c663470693b5ba62b8621eac28cb41d2f816ddf188f9f423f900a1c44d32386fd3c993dc814e62af9d")
        #expect(
            replayed.registers.rtmr1.hex
                == "bdcf4ee0f7fdfe7c73fbb19ded73193aee23a6726b86d3b282ea097cf4c9ed7a0db21b5c1ccd513e410d90e310836b26")
        #expect(replayed.registers.rtmr2.isZero && replayed.registers.rtmr3.isZero)

        let acpi = log.events.filter { !$0.name.isEmpty }
        #expect(acpi.map(\.name) == ["acpi-loader", "acpi-rsdp", "acpi-tables"])
        #expect(
            acpi.map { $0.digest?.hex.prefix(16) } == ["68cd79315e70aecd", "6bc203b3843388cc", "444cf35d277a7b60"])
    }

    @Test(
        "every truncation of the recorded CCEL within its events is refused or has fewer events",
        .enabled(if: Vectors.areAvailable, Vectors.absence))
    func truncations() throws {
        let bytes = try Vectors.read("attestation/ccel.bin")
        var cleanEnds = 0
        for count in 0..<1933 {
            guard let log = try? TCGEventLog(parsing: Array(bytes[..<count])) else { continue }
            cleanEnds += 1
            #expect(log.entries.count < 18 || count == 1933)
            #expect(log.encoded == Array(bytes[..<count]))
        }
        // Behind the header and behind each event but the last.
        #expect(cleanEnds == 18)
    }

    @Test("a log of any shape goes round, and index 0 is not replayed")
    func roundTrip() throws {
        let log = try Self.sample()
        #expect(try TCGEventLog(parsing: log.encoded) == log)
        let events = try EventLog(log).events
        #expect(events.map(\.register) == RTMR.allCases)
        #expect(events.map(\.name) == ["acpi-loader", "", "", ""])
    }

    @Test("a log may end at its last event, with the marker, or with zeros only")
    func ends() throws {
        var log = try Self.sample()
        for unused in [
            [], [0xFF, 0xFF, 0xFF, 0xFF], [0xFF, 0xFF, 0xFF, 0xFF, 9, 9], [UInt8](repeating: 0, count: 100),
        ] {
            log.unused = unused
            #expect(try TCGEventLog(parsing: log.encoded) == log)
        }
        log.unused = [UInt8](repeating: 0, count: 99) + [1]
        #expect(throws: AttestationError.self) { try TCGEventLog(parsing: log.encoded) }
        log.unused = [0xFF, 0xFF]
        #expect(throws: AttestationError.self) { try TCGEventLog(parsing: log.encoded) }
    }

    @Test("a register index above 4 is refused")
    func index() throws {
        var log = try Self.sample()
        log.entries[2].registerIndex = 5
        #expect(log.entries[2].type != .noAction)
        let error = #expect(throws: AttestationError.self) { try TCGEventLog(parsing: log.encoded) }
        #expect(error?.code == .invalidEventLog)
        let direct = #expect(throws: AttestationError.self) { try EventLog(log) }
        #expect(direct?.code == .invalidEventLog)
    }

    @Test("an entry without a SHA-384 digest keeps its register from replaying, and one with two is refused")
    func digests() throws {
        let sha384 = try #require(TCGEventLog.Digest(.sha384, [UInt8](repeating: 9, count: 48)))
        let others = try [TCGEventLog.HashAlgorithm.sha1, .sha256, .sha512, .sm3, .sha3Bits384].map {
            try #require(TCGEventLog.Digest($0, [UInt8](repeating: 0, count: $0.digestSize)))
        }
        var log = try Self.sample()
        log.entries[4].type = .runtime
        for digests in [[]] + others.map({ [$0] }) {
            log.entries[1].digests = digests
            #expect(try TCGEventLog(parsing: log.encoded) == log)
            let error = #expect(throws: AttestationError.self) { try EventLog(log).replay() }
            #expect(error?.code == .missingDigest)
        }
        // Beside others, that of SHA-384 is the one that the register was extended with.
        log.entries[1].digests = others + [sha384]
        #expect(try TCGEventLog(parsing: log.encoded) == log)
        #expect(try EventLog(log).events[0].digest?.bytes == sha384.bytes)
        log.entries[1].digests = [sha384, sha384]
        #expect(throws: AttestationError.self) { try EventLog(log) }
        #expect(TCGEventLog.Digest(.sha384, [0]) == nil)
    }

    @Test(
        "entries that extend nothing are passed over wherever they stand, whatever register they name",
        arguments: [0xFFFF_FFFF, 5, 8, 0x1_0000] as [UInt32], [0, 1, 3, 5])
    func noAction(index: UInt32, position: Int) throws {
        var log = try Self.sample()
        let plain = try EventLog(log)
        for digests in [0, 1] {
            let entry = TCGEventLog.Entry(
                registerIndex: index, type: .noAction,
                digests: try [TCGEventLog.Digest](
                    repeating: #require(.init(.sha384, [UInt8](repeating: 0, count: 48))), count: digests),
                data: Array("SP800-155 Event3".utf8) + [UInt8](repeating: 0, count: 16))
            log.entries.insert(entry, at: position)
            for unused in [[], [UInt8](repeating: 0xFF, count: 64), [UInt8](repeating: 0, count: 64)] {
                log.unused = unused
                let read = try TCGEventLog(parsing: log.encoded)
                #expect(read == log && read.encoded == log.encoded)
                #expect(try EventLog(read) == plain)
            }
        }
    }

    @Test("an entry that extends nothing and is cut is refused, and never the silent end of the log")
    func cutNoAction() throws {
        var log = try Self.sample()
        log.entries.append(
            TCGEventLog.Entry(registerIndex: 0xFFFF_FFFF, type: .noAction, digests: [], data: [1, 2, 3, 4]))
        log.unused = []
        let bytes = log.encoded
        // Behind index and type, wherever it is cut; before that it is the marker of an end.
        for count in (bytes.count - 12)..<bytes.count {
            #expect(throws: AttestationError.self) { try TCGEventLog(parsing: Array(bytes[..<count])) }
        }
    }

    @Test("what stands behind a false end of the log is said, and how much of it")
    func falseEnd() throws {
        var log = try Self.sample()
        let more = TCGEventLog(header: log.header, entries: [log.entries[2]], unused: []).encoded
            .dropFirst(TCGEventLog(header: log.header, entries: [], unused: []).encoded.count)
        for (unused, count) in [
            ([], 0), ([UInt8](repeating: 0xFF, count: 999), 0), ([0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0], 0),
            ([0xFF, 0xFF, 0xFF, 0xFF, 9], 1), ([UInt8](repeating: 0xFF, count: 8) + more, more.count),
            ([UInt8](repeating: 0xFF, count: 8) + more + [0, 0], more.count),
        ] as [([UInt8], Int)] {
            log.unused = unused
            let read = try TCGEventLog(parsing: log.encoded)
            #expect(read == log)
            // Digits at the end that happen to be zeros count as fill.
            #expect(abs(read.unreadByteCount - count) <= 8 && (read.unreadByteCount == 0) == (count == 0))
            #expect(try EventLog(read).omissions.isEmpty == (count == 0))
        }
        #expect(throws: AttestationError.self) { try TCGEventLog(parsing: []) }
    }

    @Test("wrong headers are refused at their offsets")
    func headers() throws {
        let good = try Self.sample().encoded
        // Type, signature, event size, algorithm count.
        for (offset, value) in [(4, 4), (32, 0x54), (28, 0xFF), (28, 0), (57, 0xFF), (58, 0x01), (59, 0xFF)]
            as [(Int, UInt8)]
        {
            var bytes = good
            bytes[offset] = value
            let error = #expect(throws: AttestationError.self, "\(offset)") { try TCGEventLog(parsing: bytes) }
            #expect(error?.subject.contains(" at byte ") == true)
        }
    }

    @Test("counts and lengths over the limit or over what is left are refused before anything is allocated")
    func counts() throws {
        let header = TCGEventLog(header: .init(), entries: [], unused: []).encoded
        for hexEvent in [
            "01000000040000000100010004000000", "0100000004000000ffffffff", "01000000040000000000000000000100ff",
            "010000000400000000000000ffffffff", "0100000004000000010000000d00" + String(repeating: "00", count: 63),
            "01000000040000000100000000000000" + String(repeating: "00", count: 63),
        ] {
            #expect(throws: AttestationError.self, "\(hexEvent)") {
                try TCGEventLog(parsing: header + hex(hexEvent))
            }
        }
    }

    @Test("mutated logs never trap, and what is accepted encodes to the same bytes")
    func mutations() throws {
        let seed = try Self.sample().encoded
        var random = SeededGenerator(seed: 0xCCE1)
        var accepted = 0
        for _ in SeededGenerator.rounds(5000) {
            let bytes = random.mutated(seed)
            guard let log = try? TCGEventLog(parsing: bytes) else { continue }
            accepted += 1
            if log.encoded != bytes { Issue.record("not the same bytes: \(Hex.encode(bytes))") }
            _ = try? EventLog(log).replay()
        }
        #expect(accepted > 400)
    }
}
