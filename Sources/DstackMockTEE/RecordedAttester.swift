public import DstackAttestation
import DstackEncoding

/// Replays evidence that was recorded once, for any report data: the recorded registers and log, in quotes that a
/// simulated platform signs.
///
/// ```swift
/// let recording = try Attestation(decoding: bytes)
/// let platform = try MockPlatform(RecordedAttester.configuration(for: recording))
/// let attester = try RecordedAttester(bytes, on: platform)
/// ```
///
/// The recording's own signature cannot be kept, because the report data is part of what was signed.
///
/// - Important: Its evidence proves nothing (``MockPlatform``), even where the recording is of a real machine.
public final class RecordedAttester: Attester {
    /// The evidence as it was recorded.
    public let recording: Attestation
    private let recordedForm: Attestation.WireForm
    private let state: SimulatedState

    /// An attester that goes on where the recording ends, or where another process stopped.
    ///
    /// - Parameters:
    ///   - bytes: an attestation of a TDX guest in one of the wire forms; evidence is handed out in the same.
    ///   - platform: signs the quotes. Its collateral calls them up to date if it was made with
    ///     ``configuration(for:)``.
    ///   - record: path of a file in which later events are kept; nil for an attester whose events end with it.
    /// - Throws: ``AttestationError`` for a recording that is not of TDX or contradicts itself, and for a record that
    ///   cannot be read or written, is in use, or belongs to another recording.
    public init(_ bytes: [UInt8], on platform: MockPlatform, record path: String? = nil) throws(AttestationError) {
        let recording = try Attestation(decoding: bytes)
        let (version, body) = try Self.quoted(recording)
        self.recording = recording
        recordedForm = try Attestation.WireForm(detecting: bytes)
        guard let report = body.tdReport, let log = recording.eventLog else { throw Self.notTDX(recording) }
        // Events are added to this log and this register: they must agree to begin with.
        for finding in [recording.checkRuntimeEvents(with: report), recording.checkSameRuntimeEvents()] {
            if case .failed(let reason) = finding.outcome {
                throw AttestationError(.invalidEventLog, subject: "recorded attestation", reason: reason)
            }
        }
        state = try SimulatedState(
            platform, body: body, quoteVersion: version, eventLog: log, config: recording.config,
            eventVersion: recording.runtimeEvents.last?.version ?? .v1, record: path)
    }

    /// A platform whose collateral judges quotes with the recorded security versions as up to date.
    public static func configuration(
        for recording: Attestation
    ) throws(AttestationError) -> MockPlatform.Configuration {
        var configuration = MockPlatform.Configuration()
        if let report = try quoted(recording).body.tdReport { configuration.teeTcbSvn = report.teeTcbSvn }
        return configuration
    }

    private static func quoted(_ recording: Attestation) throws(AttestationError) -> (version: UInt16, body: QuoteBody)
    {
        guard case .tdx = recording.platform else { throw notTDX(recording) }
        let quote = try recording.parsedQuote()
        guard quote.body.tdReport != nil else { throw notTDX(recording) }
        return (quote.header.version, quote.body)
    }

    private static func notTDX(_ recording: Attestation) -> AttestationError {
        AttestationError(
            .invalidEnvelope, subject: "recorded attestation",
            reason: "evidence of a TDX guest is needed, this is of \(recording.platform.variant)")
    }

    /// True.
    public var isSimulated: Bool { true }

    /// That of the recorded events.
    public var eventVersion: RuntimeEvent.Version { state.eventVersion }

    /// That of the recording.
    public var wireForm: Attestation.WireForm? { recordedForm }

    /// The registers as they are now.
    public var registers: RTMRValues { state.registers }

    /// Evidence with the recorded registers, and with the events that were emitted since.
    public func attestation(reportData: ReportData) async throws(AttestationError) -> Attestation {
        try state.attestation(reportData: reportData)
    }

    /// Extends the recorded RTMR3 and keeps the event.
    public func emit(_ event: RuntimeEvent) async throws(AttestationError) { try await state.emit(event) }
}
