import DstackAttestation
import DstackEncoding
import DstackMockTEE
import Testing

@Suite("Event logs of others")
struct EventLogSurveyTests {
    private static func digest(_ byte: UInt8) -> Measurement384 { FixedBytes(repeating: byte) }

    @Test("a log of dstack's has the registers of its replay, and nothing is remarked")
    func own() throws {
        let boot = try MockBoot(try MockPlatform(), appCompose: Array("{}".utf8))
        for log in [boot.eventLog, boot.eventLog.stripped()] {
            let survey = EventLogSurvey(log)
            let replayed = try log.replay()
            for register in RTMR.allCases {
                #expect(survey[register] == replayed.registers[register])
                #expect(survey.registers[Int(register.rawValue)].eventCount == replayed.eventCount(of: register))
            }
            #expect(survey.remarks.isEmpty)
        }
    }

    @Test("a register that a stripped log does not tell has no value but a reason")
    func stripped() throws {
        let boot = try MockBoot(try MockPlatform(), appCompose: Array("{}".utf8))
        for (bootEvents, words) in [
            (EventLog.Stripping.BootEvents.acpiEventsOnly, "three ACPI events"), (.dropped, "no boot events"),
        ] {
            let survey = EventLogSurvey(boot.eventLog.stripped(.init(bootEvents: bootEvents)))
            #expect(survey.registers[..<3].allSatisfy { $0.value == nil && $0.absence?.contains(words) == true })
            #expect(survey[.rtmr3] == boot.domain.registers[3])
        }
    }

    @Test("events of others in RTMR3 are replayed by their digests and named, and do not verify")
    func foreign() throws {
        let log = EventLog([
            LoggedEvent(register: .rtmr0, type: .separator, digest: Self.digest(1)),
            LoggedEvent(register: .rtmr3, type: .eventTag, digest: Self.digest(2)),
            LoggedEvent(register: .rtmr3, type: .eventTag, digest: Self.digest(3)),
        ])
        let survey = EventLogSurvey(log)
        var domain = MockTrustDomain(on: try MockPlatform())
        try domain.extend(3, with: Self.digest(2))
        try domain.extend(3, with: Self.digest(3))
        #expect(survey[.rtmr3] == domain.registers[3])
        #expect(survey.remarks.count == 1 && survey.remarks[0].contains("and 1 more like it"))
        #expect(throws: AttestationError.self) { try log.replay() }
    }

    @Test("a register with digests of SM3 alone is unknown, and the others are computed")
    func sm3() throws {
        var binary = TCGEventLog(header: .init(), entries: [])
        binary.entries = [
            TCGEventLog.Entry(
                registerIndex: 1, type: .separator,
                digests: [try #require(.init(.sm3, [UInt8](repeating: 1, count: 32)))], data: []),
            TCGEventLog.Entry(
                registerIndex: 2, type: .separator,
                digests: [
                    try #require(.init(.sm3, [UInt8](repeating: 1, count: 32))),
                    try #require(.init(.sha384, [UInt8](repeating: 2, count: 48))),
                ], data: []),
        ]
        let log = try EventLog(ccel: binary.encoded)
        let survey = EventLogSurvey(log)
        var domain = MockTrustDomain(on: try MockPlatform())
        try domain.extend(1, with: Self.digest(2))
        #expect(survey[.rtmr0] == nil && survey.registers[0].absence?.contains("SHA-384") == true)
        #expect(survey[.rtmr1] == domain.registers[1])
        #expect(survey.remarks.count == 1)
        #expect(throws: AttestationError.self) { try log.replay() }
    }

    @Test("what of a binary log was not read is remarked")
    func unread() throws {
        var binary = TCGEventLog(header: .init(), entries: [])
        binary.unused = [0xFF, 0xFF, 0xFF, 0xFF, 1, 2, 3]
        #expect(EventLogSurvey(try EventLog(ccel: binary.encoded)).remarks.first?.contains("3 bytes") == true)
    }

    @Test("a digest that is not its event's, and a runtime event in a register of the boot, are remarked")
    func inconsistent() {
        var event = LoggedEvent(RuntimeEvent(name: "a", payload: []))
        event.digest = Self.digest(7)
        var misplaced = LoggedEvent(RuntimeEvent(name: "b", payload: []))
        misplaced.register = .rtmr1
        #expect(EventLogSurvey(EventLog([event, misplaced])).remarks.count == 2)
    }
}
