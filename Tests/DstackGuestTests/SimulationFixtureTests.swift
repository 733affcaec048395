import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackGuest
import DstackMockTEE
import DstackSimulation
import Foundation
import TestKit
import Testing

@Suite("Simulation: upstream's recorded files", .enabled(if: GuestFixture.isAvailable, GuestFixture.absence))
struct SimulationFixtureTests {
    static let now: Int64 = 1_790_000_000

    private func open() async throws -> (ScratchDirectory, SimulationDirectory) {
        let folder = try ScratchDirectory()
        try GuestFixture.copy(to: folder)
        return (folder, try await SimulationDirectory.loadOrCreate(in: folder.path, at: Self.now))
    }

    @Test("the files are used unchanged, and the mismatch of the compose file is told")
    func unchanged() async throws {
        let (folder, simulation) = try await open()
        for name in GuestFixture.inputs { #expect(try folder.read(name) == GuestFixture.read(name), "\(name)") }
        let notice = try #require(simulation.notice)
        #expect(notice.contains(try GuestFixture.decoded().expected_info.compose_hash))
        #expect(try Set(folder.names).isSuperset(of: ["root.pem", "collateral.json"]))
    }

    @Test("registers, events and configuration are those of the recording")
    func recorded() async throws {
        let (_, simulation) = try await open()
        let expected = try GuestFixture.decoded()
        let attestation = try await simulation.attester.attestation(reportData: ReportData(padding: [1, 2, 3]))
        let quote = try attestation.parsedQuote()
        let report = try #require(quote.body.tdReport)
        let found = [
            "mrtd": report.mrTd.hex, "mr_config_id": report.mrConfigId.hex, "mr_owner": report.mrOwner.hex,
            "mr_owner_config": report.mrOwnerConfig.hex, "rtmr0": report.rtMr0.hex, "rtmr1": report.rtMr1.hex,
            "rtmr2": report.rtMr2.hex, "rtmr3": report.rtMr3.hex,
        ]
        #expect(found == expected.measurements)
        var recordedReport = try #require(
            try Quote(parsing: Hex.decode(expected.quote, subject: "quote")).body.tdReport)
        recordedReport.reportData = report.reportData
        #expect(report == recordedReport)
        #expect(report.reportData.bytes == [1, 2, 3] + [UInt8](repeating: 0, count: 61))
        #expect(attestation.eventLog?.json == expected.get_quote_event_log_simulator)
        #expect(attestation.eventLog?.stripped().json == expected.get_quote_event_log_hardware_style)
        #expect(attestation.runtimeEvents.map { $0.name } == expected.runtime_events.map(\.event))
        #expect(attestation.config == expected.config)
        // Offset of the report data in version 4, which clients patch and read.
        #expect(Array(try #require(attestation.quote)[568..<571]) == [1, 2, 3])
    }

    @Test("Info's values follow from the evidence")
    func info() async throws {
        let (_, simulation) = try await open()
        let expected = try GuestFixture.decoded().expected_info
        let attestation = try await simulation.attester.attestation(reportData: ReportData(padding: []))
        let report = try #require(try attestation.parsedQuote().body.tdReport)
        let replayed = try #require(try attestation.eventLog?.replay())
        let identity = try ApplicationIdentity(replayed)
        let measurements = try ApplicationMeasurements(report, replayed)
        #expect(identity.appID.description == expected.app_id)
        #expect(identity.instanceID?.description == expected.instance_id)
        #expect(identity.composeHash.description == expected.compose_hash)
        #expect(String(decoding: identity.keyProvider?.payload ?? [], as: UTF8.self) == expected.key_provider_info)
        #expect(measurements.mrAggregated.hex == expected.mr_aggregated)
        #expect(measurements.mrSystem.hex == expected.mr_system)
    }

    @Test("the wire form is that of the recording, and only report data and signatures differ")
    func wireForm() async throws {
        let (_, simulation) = try await open()
        let attestation = try await simulation.attester.attestation(
            reportData: simulation.attester.recording.reportData)
        let bytes = simulation.attester.encoded(attestation)
        #expect(try Attestation.WireForm(detecting: bytes) == .v0)
        var decoded = try Attestation(decoding: bytes)
        decoded.platform = simulation.attester.recording.platform
        #expect(decoded == simulation.attester.recording)
    }

    @Test("quotes verify under the simulated root; only the OS image cannot, and the report says so")
    func verifies() async throws {
        let (folder, simulation) = try await open()
        let attestation = try await simulation.attester.attestation(reportData: ReportData(padding: []))
        func report(_ policy: VerificationPolicy, compose: [UInt8]? = nil) throws -> VerificationReport {
            try verify(
                attestation, root: folder.read("root.pem"), collateral: folder.read("collateral.json"),
                appCompose: compose, policy: policy, at: Self.now)
        }
        var policy = VerificationPolicy.standard
        policy.osImage = .optional
        let accepted = try report(policy)
        #expect(accepted.verdict == .accepted, "\(String(describing: accepted.failure))")
        #expect(accepted.text().contains("OS image"))
        #expect(try report(.standard).failure?.check == .osImage)
        #expect(try report(policy, compose: GuestFixture.read("app-compose.json")).failure?.check == .composeHash)
    }

    @Test("an emitted event extends the recorded RTMR3 and its log, and outlives the simulator")
    func emits() async throws {
        let folder = try ScratchDirectory()
        try GuestFixture.copy(to: folder)
        let recorded = try GuestFixture.decoded().measurements["rtmr3"] ?? ""
        var rtmr3 = ""
        do {
            let simulation = try await SimulationDirectory.loadOrCreate(in: folder.path, at: Self.now)
            let event = try RuntimeEvent(emitting: "my-event", payload: [1, 2])
            try await simulation.attester.emit(event)
            let attestation = try await simulation.attester.attestation(reportData: ReportData(padding: []))
            let report = try #require(try attestation.parsedQuote().body.tdReport)
            let expected = SHA384.hash(try Hex.decode(recorded, subject: "rtmr3") + event.digest.bytes)
            #expect(report.rtMr3 == expected)
            #expect(attestation.consistency(with: report).failures.isEmpty)
            #expect(attestation.eventLog?.events.last == LoggedEvent(event))
            rtmr3 = report.rtMr3.hex
        }
        let again = try await SimulationDirectory.loadOrCreate(in: folder.path, at: Self.now)
        #expect(again.attester.registers.rtmr3.hex == rtmr3)
    }

    @Test("the older fixture's files are named for what they are")
    func older() async throws {
        let folder = try ScratchDirectory()
        for name in ["appkeys.json", "app-compose.json", "sys-config.json", "quote.hex", "eventlog.json"] {
            try folder.write(try GuestFixture.read("legacy-0.5.4/\(name)"), name)
        }
        let error = await #expect(throws: GuestError.self) {
            try await SimulationDirectory.loadOrCreate(in: folder.path, at: Self.now)
        }
        #expect(error?.reason.contains("older simulator") == true)
        #expect(try folder.names.count == 5)
    }

    @Test("a damaged recording is refused with its name, never a trap")
    func damaged() async throws {
        let bytes = try GuestFixture.read("attestation.bin")
        let platform = try MockPlatform()
        var generator = SeededGenerator(seed: 7)
        var refused = 0
        for _ in 0..<200 {
            var mutated = bytes
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                mutated[Int.random(in: 0..<mutated.count, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            if Bool.random(using: &generator) {
                mutated.removeLast(Int.random(in: 0...mutated.count, using: &generator))
            }
            do {
                let attester = try RecordedAttester(mutated, on: platform)
                // What is accepted must be consistent.
                let attestation = try await attester.attestation(reportData: ReportData(padding: []))
                let report = try #require(try attestation.parsedQuote().body.tdReport)
                #expect(!attestation.checkRuntimeEvents(with: report).isFailure)
            } catch is AttestationError {
                refused += 1
            }
        }
        #expect(refused > 50)
    }
}
