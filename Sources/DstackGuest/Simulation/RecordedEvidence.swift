import DstackAttestation
import DstackEncoding
import DstackGuest
import DstackMockTEE
import DstackSystem

extension GuestSettings.Simulator {
    /// The recording that upstream's simulator looks for.
    static let standard: GuestSettings.Simulator = {
        var simulator = GuestSettings.Simulator()
        simulator.attestationFile = SimulationDirectory.attestationName
        return simulator
    }()

    /// What upstream's simulator settings ask for: recorded evidence, signed by a simulated platform, or handed out as it
    /// was recorded.
    func attester() throws -> any Attester {
        do {
            let recorded = try recordedBytes()
            guard patchesReportData else { return UnchangedAttester(try Attestation(decoding: recorded)) }
            let configuration = try RecordedAttester.configuration(for: Attestation(decoding: recorded))
            let platform =
                if let seed = seed.flatMap({ FixedBytes<32>($0) }) {
                    try MockPlatform(seed: seed, configuration)
                } else {
                    try MockPlatform(configuration)
                }
            return try RecordedAttester(recorded, on: platform)
        } catch let error as GuestError {
            throw error
        } catch {
            throw GuestError(
                .invalidFile, subject: attestationFile ?? quoteFile ?? "simulator", reason: "\(error)",
                hint: "core.simulator says where recorded evidence is")
        }
    }

    /// What a person should know of the recorded evidence; nil if it is of the compose file at hand.
    func notice(_ files: GuestFiles, composePath: String) -> String? {
        guard let recording = try? Attestation(decoding: recordedBytes()) else { return nil }
        return SimulationDirectory.notice(recording, files.compose.composeHash, name: composePath)
    }

    private func recordedBytes() throws -> [UInt8] {
        func file(_ path: String) throws -> EvidenceFile {
            EvidenceFile(recognising: try File.read(path, limit: EvidenceFile.maximumByteCount))
        }
        if let attestationFile { return try file(attestationFile).envelope() }
        let log = try file(eventLogFile ?? "").eventLog()
        return try Attestation(quote: file(quoteFile ?? "").quote(), eventLog: log).encoded.bytes
    }
}

/// Recorded evidence, the same whatever is asked for.
private struct UnchangedAttester: Attester {
    let recording: Attestation

    init(_ recording: Attestation) { self.recording = recording }

    var isSimulated: Bool { true }

    func attestation(reportData: ReportData) async throws(AttestationError) -> Attestation { recording }

    func emit(_ event: RuntimeEvent) async throws(AttestationError) {
        throw AttestationError(
            .measurementUnsupported, subject: "simulator",
            reason: "with patch_report_data = false the recorded evidence never changes")
    }
}
