import DstackAttestation
import DstackCrypto
import DstackEncoding
import Foundation
import TestKit
import Testing

@Suite("Event logs")
struct EventLogTests {
    static func boot(_ register: RTMR, _ byte: UInt8) -> LoggedEvent {
        LoggedEvent(register: register, type: .separator, digest: FixedBytes(repeating: byte), payload: [byte])
    }

    /// A log in which registers interleave and both versions of runtime events occur.
    static func sample() -> EventLog {
        EventLog([
            boot(.rtmr0, 1), boot(.rtmr1, 2), boot(.rtmr0, 3),
            LoggedEvent(RuntimeEvent(name: "system-preparing", payload: [])), boot(.rtmr2, 4),
            LoggedEvent(RuntimeEvent(name: "compose-hash", payload: [1, 2, 3], version: .v2)),
            LoggedEvent(RuntimeEvent(name: "boot-mr-done", payload: [])),
            LoggedEvent(RuntimeEvent(name: "späte \"Stunde\"\u{1}", payload: Array("x".utf8))),
        ])
    }

    // MARK: Recorded logs

    /// The registers and event counts of vectors/attestation/README.md, section 3.
    static let recordedLogs: [(file: String, counts: [Int], registers: [String])] = [
        (
            "quote-report.json", [13, 5, 2, 8],
            [
                "2e3843265f8ecdd4e2282694747f6f2f111605c33f2a8882f5734ee6f3a6ce63d8f34aeef06093dcda76fa5f9d33d8d6",
                "a1b79d76021970f57c45c4a7c395f780bab37011a4df27fe44e8559bd1abb4d6e52f12f866d1d08405448eb797a5970f",
                "1e31b59d605df7ee8160cf7966be9bafa6d0e1905de7e09695a24cd9748e71a603a51fae1297619fa0c30517addbcd07",
                "0f787c3877f3e95095d5a4d13dd0fe0233803b30120d8469866719dc28f519ce021fe1e53459121e7a5a4443147185a8",
            ]
        ),
        (
            "tdx-lite-getquote.json", [13, 5, 2, 9],
            [
                "f8438db36b96f85d8752ff7f24a89ec05c79ec9eda2ba732c897fb970ca429365b7471b1c054cb84f17b1c2b23ba6640",
                "2023546e7f3b9d1228e274f70c44d481162540f8452544520a796a52f06879709b81a824a26792a7822327504b0d2aee",
                "4c1b739ed451a637b0f82642e48a5ea83925d23633c72e7385c8e9aca4175e133ed1625b7d92eb39edf509c27ff392dc",
                "6f24c170d0fd63fc2b1b53202eea47b013978437fa6982cf5e0438ff95c208994aaa0f4ebab2e3a66824b5b56869137e",
            ]
        ),
    ]

    @Test(
        "recorded logs replay to the registers of their quotes and are written back byte for byte",
        .enabled(if: Vectors.areAvailable, Vectors.absence), arguments: Self.recordedLogs)
    func recorded(file: String, counts: [Int], registers: [String]) throws {
        let text = try Vectors.json("attestation/\(file)").member("event_log").string()
        let log = try EventLog(json: text)
        #expect(log.json == text)
        let replayed = try log.replay()
        #expect(RTMR.allCases.map { replayed.eventCount(of: $0) } == counts)
        #expect(RTMR.allCases.map { replayed.registers[$0].hex } == registers)
        #expect(replayed.bootCoverage == .full)
    }

    @Test(
        "the names of recorded runtime events come in order",
        .enabled(if: Vectors.areAvailable, Vectors.absence))
    func names() throws {
        func names(_ file: String) throws -> [String] {
            let text = try Vectors.json("attestation/\(file)").member("event_log").string()
            return try EventLog(json: text).replay().runtimeEvents.map(\.name)
        }
        #expect(
            try names("tdx-lite-getquote.json") == [
                "system-preparing", "app-id", "compose-hash", "instance-id", "boot-mr-done", "os-image-hash",
                "key-provider", "storage-fs", "system-ready",
            ])
        #expect(
            try names("quote-report.json") == [
                "system-preparing", "app-id", "compose-hash", "instance-id", "boot-mr-done", "key-provider",
                "system-ready", "LIUM_MINER_HOTKEY",
            ])
    }

    @Test(
        "an older release's log goes round and replays to its quote's registers",
        .enabled(if: Vectors.areAvailable, Vectors.absence))
    func older() throws {
        let text = String(decoding: try Vectors.read("guest-agent/legacy-0.5.4/eventlog.json"), as: UTF8.self)
        let quote = hex(
            String(decoding: try Vectors.read("guest-agent/legacy-0.5.4/quote.hex"), as: UTF8.self)
                .trimmingPrefix("0x").filter { $0.isHexDigit })
        let log = try EventLog(json: text)
        #expect(log.json == text.trimmingSuffixNewline())
        // rt_mr0 to rt_mr3 of a version 4 quote.
        let quoted = stride(from: 376, to: 568, by: 48).map { Hex.encode(quote[$0..<$0 + 48]) }
        #expect(RTMR.allCases.map { (try? log.replay())?.registers[$0].hex } == quoted)
    }

    @Test(
        "stripping gives upstream's text, byte for byte, and the same registers",
        .enabled(if: Vectors.areAvailable, Vectors.absence))
    func strippedVector() throws {
        let vector = try Vectors.json("guest-agent/attestation.decoded.json")
        let full = try vector.member("get_quote_event_log_simulator").string()
        let stripped = try vector.member("get_quote_event_log_hardware_style").string()
        let log = try EventLog(json: full)
        #expect(log.json == full)
        #expect(log.stripped().json == stripped)
        #expect(try log.stripped().replay().registers == log.replay().registers)
        #expect(try EventLog(json: stripped).replay().registers == log.replay().registers)
    }

    // MARK: Replay

    @Test("registers interleave; each is extended in the order of the log")
    func interleaved() throws {
        let log = Self.sample()
        let replayed = try log.replay()
        let registers = try RTMR.allCases.map { register in
            try EventLog(log.events.filter { $0.register == register }).replay().registers[register]
        }
        #expect(RTMR.allCases.map { replayed.registers[$0] } == registers)
        #expect(try EventLog(log.events.reversed()).replay().registers.rtmr0 != replayed.registers.rtmr0)
        #expect(try EventLog().replay().registers == RTMRValues())
    }

    @Test("RTMR3 is known after each boot event")
    func moments() throws {
        let replayed = try Self.sample().replay()
        let part = try EventLog(runtimeEvents: replayed.runtimeEvents.prefix(3)).replay()
        #expect(replayed.runtimeRegister(after: .bootMRDone) == part.registers.rtmr3)
        #expect(replayed.runtimeRegister(after: .systemReady) == nil)
    }

    @Test("a comparison names each register with what was expected and found")
    func comparison() throws {
        let replayed = try Self.sample().replay()
        var quoted = replayed.registers
        #expect(replayed.compare(with: quoted).allSatisfy { $0.matches })
        quoted.rtmr2 = FixedBytes(repeating: 0xAA)
        let wrong = replayed.compare(with: quoted).filter { !$0.matches }
        #expect(wrong.map(\.register) == [.rtmr2] && wrong[0].eventCount == 1)
        #expect(wrong[0].quoted == quoted.rtmr2 && wrong[0].replayed == replayed.registers.rtmr2)
    }

    @Test("EV_NO_ACTION extends nothing, whatever its digest")
    func noAction() throws {
        var log = Self.sample()
        log.events.insert(LoggedEvent(register: .rtmr0, type: .noAction, digest: FixedBytes(repeating: 9)), at: 1)
        log.events.insert(LoggedEvent(register: .rtmr1, type: .noAction, digest: nil), at: 1)
        #expect(try log.replay().registers == Self.sample().replay().registers)
        #expect(try log.replay().eventCount(of: .rtmr0) == 2)
    }

    /// Each breaks the sample in one way.
    static let attackTable: [(name: String, code: AttestationError.Code, edit: @Sendable (inout EventLog) -> Void)] = [
        (
            "a runtime digest that is not that of name and payload", .digestMismatch,
            { $0.events[3].digest = FixedBytes() }
        ),
        ("a payload exchanged under its digest", .digestMismatch, { $0.events[5].payload = [9] }),
        ("a name exchanged under its digest", .digestMismatch, { $0.events[5].name = "app-id" }),
        ("a version exchanged under its digest", .digestMismatch, { $0.events[5].version = .v1 }),
        ("a preimage of another event", .digestMismatch, { $0.events[5].preimage = Array("{}".utf8) }),
        ("a runtime event in RTMR0", .misplacedRuntimeEvent, { $0.events[3].register = .rtmr0 }),
        ("a runtime event in RTMR2", .misplacedRuntimeEvent, { $0.events[3].register = .rtmr2 }),
        ("a boot event in RTMR3", .foreignEvent, { $0.events[4].register = .rtmr3 }),
        (
            "an EV_NO_ACTION in RTMR3", .foreignEvent,
            {
                $0.events[4].register = .rtmr3
                $0.events[4].type = .noAction
            }
        ),
        ("a boot event without digest", .missingDigest, { $0.events[1].digest = nil }),
    ]

    @Test("replay refuses a log that hides something", arguments: Self.attackTable.indices)
    func attacks(index: Int) throws {
        let attack = Self.attackTable[index]
        var log = Self.sample()
        attack.edit(&log)
        let error = #expect(throws: AttestationError.self, "\(attack.name)") { try log.replay() }
        #expect(error?.code == attack.code, "\(attack.name)")
    }

    @Test("a blank runtime digest is recomputed, and a right preimage is accepted with or without it")
    func blank() throws {
        var log = Self.sample()
        for index in log.events.indices {
            guard let event = log.events[index].runtimeEvent else { continue }
            log.events[index].digest = nil
            if event.version == .v2 { log.events[index].preimage = event.preimage }
        }
        #expect(try log.replay().registers == Self.sample().replay().registers)
    }

    // MARK: Stripping

    @Test("stripping keeps what replay needs and what the ACPI measurements are told apart by")
    func stripping() throws {
        var log = Self.sample()
        log.events.insert(
            LoggedEvent(
                register: .rtmr0, type: .platformConfigFlags, digest: FixedBytes(repeating: 5), name: "acpi-loader",
                payload: Array("ACPI DATA".utf8)), at: 0)
        log.events[6].preimage = log.events[6].runtimeEvent?.preimage
        let registers = try log.replay().registers
        let small = log.stripped()
        #expect(try small.replay().registers == registers)
        #expect(small.events[0] == log.events[0])
        #expect(small.events[1].payload.isEmpty && small.events[1].digest != nil)
        #expect(small.events[6].digest == nil && small.events[6].preimage == nil && small.events[6].version == .v2)
        #expect(try EventLog(json: small.json) == small)

        let kept = log.stripped(.init(keepsRuntimeDigests: true))
        #expect(kept.events[6] == log.events[6])
        let runtimeOnly = log.stripped(.init(bootEvents: .dropped))
        #expect(runtimeOnly.events.allSatisfy { $0.register == .rtmr3 })
        #expect(try runtimeOnly.replay().registers.rtmr3 == registers.rtmr3)
        #expect(try runtimeOnly.replay().bootCoverage == .absent)
    }

    @Test("the hashed bytes stand beside the digests of version 2, and nowhere else")
    func preimages() throws {
        let log = Self.sample().withPreimages()
        for event in log.events {
            #expect((event.preimage != nil) == (event.type == .runtime && event.version == .v2))
            if let preimage = event.preimage { #expect(SHA384.hash(preimage) == event.digest) }
        }
        #expect(log.events.contains { $0.preimage != nil })
        #expect(try log.replay().registers == Self.sample().replay().registers)
        #expect(log.stripped().withPreimages() == log.stripped())
    }

    // MARK: JSON

    @Test("the JSON form has upstream's members in upstream's order, and omits what is at its default")
    func json() throws {
        var log = EventLog([
            LoggedEvent(register: .rtmr0, type: .noAction, digest: nil, payload: [0xAB]),
            LoggedEvent(register: .rtmr3, type: .runtime, digest: nil, name: "a\"", payload: [1], version: .v2),
        ])
        log.events[1].preimage = [0x7B]
        #expect(
            log.json == #"[{"imr":0,"event_type":3,"digest":"","event":"","event_payload":"ab"},"#
                + #"{"imr":3,"event_type":134217729,"digest":"","event":"a\"","event_payload":"01","version":2,"#
                + #""preimage":"7b"}]"#)
        #expect(try EventLog(json: log.json) == log)
        #expect(EventLog().json == "[]")
        #expect(try EventLog(json: Self.sample().json) == Self.sample())
    }

    @Test("unknown members, any order, upper-case digits and nulls for what may be absent are read")
    func liberal() throws {
        let digest = String(repeating: "AB", count: 48)
        let text =
            #"[ {"x":[{}],"event_payload":"0F","event":"e","digest":"\#(digest)","event_type":4,"imr":2,"version":null,"#
            + #""preimage":null} ]"#
        let log = try EventLog(json: text)
        #expect(
            log.events == [
                LoggedEvent(
                    register: .rtmr2, type: .separator, digest: FixedBytes(repeating: 0xAB), name: "e", payload: [15])
            ])
    }

    @Test(
        "wrong members are refused by their paths",
        arguments: [
            (#""imr":0"#, #""imr":4"#, "event_log[0].imr"), (#""imr":0"#, #""imr":-1"#, "event_log[0].imr"),
            (#""imr":0"#, #""imr":"0""#, "event_log[0].imr"), (#""imr":0"#, #""imr":0.0"#, "event_log[0].imr"),
            (#""imr":0"#, #""imR":0"#, "event_log[0]"), (#""imr":0"#, #""imr":0,"imr":0"#, "event_log"),
            (#""event_type":4"#, #""event_type":4294967296"#, "event_log[0].event_type"),
            (#""digest":"""#, #""digest":"00""#, "event_log[0].digest"),
            (#""digest":"""#, #""digest":null"#, "event_log[0].digest"),
            (#""digest":"""#, #""digest":"0x0""#, "event_log[0].digest"),
            (#""event":"""#, #""event":0"#, "event_log[0].event"),
            (#""event_payload":"""#, #""event_payload":"0""#, "event_log[0].event_payload"),
            (#""event_payload":"""#, #""event_payload":"","version":0"#, "event_log[0].version"),
            (#""event_payload":"""#, #""event_payload":"","preimage":1"#, "event_log[0].preimage"),
        ])
    func wrongMembers(member: String, replacement: String, subject: String) throws {
        let good = #"[{"imr":0,"event_type":4,"digest":"","event":"","event_payload":""}]"#
        #expect(throws: Never.self) { try EventLog(json: good) }
        let start = try #require(good.firstRange(of: member))
        let error = #expect(throws: AttestationError.self) {
            try EventLog(json: good.replacingCharacters(in: start, with: replacement))
        }
        #expect(error?.subject.hasPrefix("\(subject) at byte ") == true)
    }

    @Test("mutated and truncated logs never trap, and what is accepted goes round")
    func mutations() throws {
        let seed = Array(Self.sample().json.utf8)
        for count in 0..<seed.count {
            #expect(throws: AttestationError.self) { try EventLog(json: Array(seed[..<count])) }
        }
        var random = SeededGenerator(seed: 0x1095)
        let registers = try Self.sample().replay().registers
        var accepted = 0
        for _ in SeededGenerator.rounds(3000) {
            let bytes = random.mutated(seed)
            guard let log = try? EventLog(json: bytes) else { continue }
            accepted += 1
            if try EventLog(json: log.json) != log { Issue.record("does not go round: \(log.json)") }
            guard let replayed = try? log.replay(), replayed.registers == registers else { continue }
            // Equal registers mean equal measurements.
            #expect(replayed.runtimeEvents == (try Self.sample().replay().runtimeEvents))
        }
        #expect(accepted > 100)
    }
}

extension String {
    fileprivate func trimmingSuffixNewline() -> String { last == "\n" ? String(dropLast()) : self }
}
