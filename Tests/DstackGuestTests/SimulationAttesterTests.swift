import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMockTEE
import Foundation
import TestKit
import Testing

@Suite("Simulation: attesters")
struct SimulationAttesterTests {
    let folder: ScratchDirectory
    let boot: MockBoot

    init() throws {
        folder = try ScratchDirectory()
        boot = try MockBoot(
            MockPlatform(seed: FixedBytes(repeating: 0x21)), appCompose: Array("{}".utf8),
            seed: FixedBytes(repeating: 1))
    }

    private var record: String { folder.path + "/runtime_events.log" }

    private func event(_ name: String, _ payload: [UInt8] = [1]) throws -> RuntimeEvent {
        try RuntimeEvent(emitting: name, payload: payload)
    }

    private func refusal(_ boot: MockBoot) throws -> AttestationError {
        try #require(#expect(throws: AttestationError.self) { try SimulatedAttester(boot, record: record) })
    }

    @Test("registers extend as real ones do, and each quote's log leads to them")
    func extends() async throws {
        let attester = try SimulatedAttester(boot)
        let before = attester.registers
        let event = try event("a")
        try await attester.emit(event)
        #expect(attester.registers.rtmr3 == SHA384.hash(before.rtmr3.bytes + event.digest.bytes))
        #expect(attester.registers.rtmr0 == before.rtmr0)
        let attestation = try await attester.attestation(reportData: ReportData(padding: [5]))
        let report = try #require(try attestation.parsedQuote().body.tdReport)
        #expect(report.rtmrs == attester.registers)
        #expect(attestation.consistency(with: report).failures.isEmpty)
        #expect(attestation.runtimeEvents.last == event)
        #expect(attester.wireForm == nil)
        #expect(attester.encoded(attestation) == attestation.encoded.bytes)
    }

    @Test("events and quotes at the same time are consistent, and all events are measured")
    func concurrent() async throws {
        let attester = try SimulatedAttester(boot, record: record)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<10 as Range<UInt8> {
                group.addTask { try await attester.emit(RuntimeEvent(name: "e", payload: [number])) }
                group.addTask {
                    let attestation = try await attester.attestation(reportData: ReportData(padding: [number]))
                    let report = try #require(try attestation.parsedQuote().body.tdReport)
                    #expect(try attestation.eventLog?.replay().registers == report.rtmrs)
                    #expect(attestation.checkSameRuntimeEvents().outcome == .passed)
                }
            }
            try await group.waitForAll()
        }
        let last = try await attester.attestation(reportData: ReportData(padding: []))
        #expect(Set(last.runtimeEvents.suffix(10).map { $0.payload }).count == 10)
    }

    @Test("the record goes on where it stopped; a line that was torn by a crash is as if it had never been begun")
    func torn() async throws {
        do {
            let attester = try SimulatedAttester(boot, record: record)
            try await attester.emit(event("kept"))
        }
        let good = try folder.read("runtime_events.log")
        for torn in ["{\"event\":\"lo", try event("lost").logLine] {
            try folder.write(good + Array(torn.utf8), "runtime_events.log")
            let attester = try SimulatedAttester(boot, record: record)
            let attestation = try await attester.attestation(reportData: ReportData(padding: []))
            #expect(attestation.runtimeEvents.last?.name == "kept")
            #expect(try folder.read("runtime_events.log") == good)
        }
    }

    @Test("a record of another boot, a damaged one, and one that is in use are refused")
    func refused() throws {
        let first = try SimulatedAttester(boot, record: record)
        #expect(try refusal(boot).reason.contains("another simulator"))
        withExtendedLifetime(first) {}
    }

    @Test("a record of another boot or a damaged one is refused by its path")
    func foreign() async throws {
        do { _ = try SimulatedAttester(boot, record: record) }
        let other = try MockBoot(boot.domain.platform, appCompose: Array("[]".utf8))
        let error = try refusal(other)
        #expect(error.code == .invalidEventLog && error.subject == record && error.reason.contains("another boot"))
        let good = try folder.read("runtime_events.log")
        try folder.write(good + Array("{}\n".utf8), "runtime_events.log")
        #expect(try refusal(boot).code == .invalidEventLog)
        #expect(try folder.read("runtime_events.log") == good + Array("{}\n".utf8))
    }

    @Test("an event that cannot be recorded is not measured")
    func unrecorded() async throws {
        let attester = try SimulatedAttester(boot, record: record)
        let before = attester.registers
        let big = try event("big", [UInt8](repeating: 0, count: 3 << 20))
        await #expect(throws: AttestationError(.measurementTooLarge, subject: "", reason: "")) {
            try await attester.emit(big)
        }
        try folder.remove("runtime_events.log")
        try FileManager.default.createDirectory(atPath: record, withIntermediateDirectories: false)
        await #expect(throws: AttestationError(.measurementFailed, subject: "", reason: "")) {
            try await attester.emit(event("a"))
        }
        await #expect(throws: AttestationError(.ambiguousName, subject: "", reason: "")) {
            try await attester.emit(RuntimeEvent(name: "a:b", payload: []))
        }
        #expect(attester.registers == before)
    }

    @Test("what evidence has no room for is not measured, and what is small still is")
    func full() async throws {
        let attester = try SimulatedAttester(boot, record: record)
        for _ in 0..<2 { try await attester.emit(event("large", [UInt8](repeating: 7, count: 16 << 10))) }
        let before = attester.registers
        for refused in [
            try event("large", [UInt8](repeating: 7, count: 16 << 10)), try event(String(repeating: "n", count: 1_025)),
        ] {
            await #expect(throws: AttestationError(.measurementTooLarge, subject: "", reason: "")) {
                try await attester.emit(refused)
            }
        }
        #expect(attester.registers == before)
        try await attester.emit(event("small"))
        #expect(attester.registers != before)
    }

    @Test("a mutated record is refused, or begins with the boot and explains the registers")
    func mutations() async throws {
        do {
            let attester = try SimulatedAttester(boot, record: record)
            for name in ["x", "y"] { try await attester.emit(event(name)) }
        }
        let good = try folder.read("runtime_events.log")
        var generator = SeededGenerator(seed: 11)
        var refused = 0
        for _ in 0..<200 {
            var mutated = good
            mutated[Int.random(in: 0..<good.count, using: &generator)] = .random(in: 0...255, using: &generator)
            if Bool.random(using: &generator) {
                mutated.removeLast(Int.random(in: 0..<good.count, using: &generator))
            }
            try folder.write(mutated, "runtime_events.log")
            do throws(AttestationError) {
                let attester = try SimulatedAttester(boot, record: record)
                let attestation = try await attester.attestation(reportData: ReportData(padding: []))
                let replayed = try attestation.eventLog?.replay().registers
                #expect(replayed == attester.registers)
            } catch {
                refused += 1
            }
        }
        #expect(refused > 100)
    }

    @Test("a recording that contradicts itself or is not of TDX is refused")
    func badRecordings() throws {
        let platform = boot.domain.platform
        let good = try boot.attestation(reportData: ReportData(padding: []))
        var extra = good
        extra.runtimeEvents.append(RuntimeEvent(name: "x", payload: []))
        var other = good
        other.platform = .nitroEnclave(document: [1])
        var sgx = good
        sgx.platform = .tdx(
            .init(
                quote: try platform.quote(.sgxEnclave(platform.enclaveReport(reportData: FixedBytes()))),
                eventLog: EventLog()))
        for (attestation, code) in [
            (extra, AttestationError.Code.invalidEventLog), (other, .invalidEnvelope), (sgx, .invalidEnvelope),
        ] {
            let error = try #require(
                #expect(throws: AttestationError.self) {
                    try RecordedAttester(attestation.encoded.bytes, on: platform)
                })
            #expect(error.code == code, "\(error)")
        }
        #expect(try RecordedAttester(good.encoded(as: .v1), on: platform).wireForm == .v1)
        #expect(try RecordedAttester(good.encoded(as: .v0), on: platform).wireForm == .v0)
    }

    @Test("recordings of every report form keep it, and their version of quotes", arguments: [4, 5] as [UInt16])
    func forms(version: UInt16) async throws {
        for form in MockTrustDomain.ReportForm.allCases where form == .td10 || version == 5 {
            var domain = MockTrustDomain(on: boot.domain.platform)
            domain.reportForm = form
            let quote = try domain.quote(reportData: FixedBytes<64>(), version: version)
            let recording = try Attestation(quote: quote, eventLog: EventLog())
            let attester = try RecordedAttester(recording.encoded.bytes, on: domain.platform)
            try await attester.emit(event("first"))
            let attestation = try await attester.attestation(reportData: ReportData(padding: [3]))
            let parsed = try attestation.parsedQuote()
            #expect(parsed.header.version == version)
            #expect(parsed.body.typeValue == (try Quote(parsing: quote).body.typeValue))
            #expect(parsed.body.tdReport?.rtMr3 == attester.registers.rtmr3)
            #expect(parsed.body.reportData[0] == 3)
        }
    }
}
