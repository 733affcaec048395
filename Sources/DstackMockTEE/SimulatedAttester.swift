public import DstackAttestation
import DstackEncoding

/// A simulated trust domain that testifies: registers really extend, quotes are really signed, and the event log really
/// replays.
///
/// ```swift
/// let platform = try MockPlatform.loadOrCreate(in: directory)
/// let boot = try MockBoot(platform, appCompose: compose)
/// let attester = try SimulatedAttester(boot, record: directory + "/runtime_events.log")
/// let attestation = try await attester.attestation(reportData: ReportData(padding: challenge))
/// ```
///
/// - Important: Its evidence proves nothing (``MockPlatform``).
public final class SimulatedAttester: Attester {
    private let state: SimulatedState

    /// A trust domain that has just booted, or that goes on where another process stopped.
    ///
    /// - Parameters:
    ///   - boot: what was measured before.
    ///   - record: path of a file in which later events are kept; they are measured again when an attester is made of the
    ///     same boot and file. Nil for one whose events end with it.
    ///   - config: the host's configuration in the evidence; nil for that of the boot.
    /// - Throws: ``AttestationError`` for a record that cannot be read or written, is in use, or is another boot's.
    public init(_ boot: MockBoot, record path: String? = nil, config: String? = nil) throws(AttestationError) {
        let body = boot.domain.report(reportData: FixedBytes())
        state = try SimulatedState(
            boot.domain.platform, body: body, quoteVersion: boot.domain.reportForm == .td10 ? 4 : 5,
            eventLog: boot.eventLog, config: config ?? boot.vmConfig, eventVersion: boot.eventVersion, record: path)
    }

    /// True.
    public var isSimulated: Bool { true }

    /// That of the boot.
    public var eventVersion: RuntimeEvent.Version { state.eventVersion }

    /// The registers as they are now.
    public var registers: RTMRValues { state.registers }

    /// Evidence of the trust domain as it is now.
    public func attestation(reportData: ReportData) async throws(AttestationError) -> Attestation {
        try state.attestation(reportData: reportData)
    }

    /// Extends RTMR3 and keeps the event.
    public func emit(_ event: RuntimeEvent) async throws(AttestationError) { try await state.emit(event) }
}

extension MockBoot {
    /// Evidence of the trust domain as it is now: quote, event log and VM configuration.
    public func attestation(reportData: ReportData) throws(AttestationError) -> Attestation {
        try SimulatedState(
            domain.platform, body: domain.report(reportData: FixedBytes()),
            quoteVersion: domain.reportForm == .td10 ? 4 : 5, eventLog: eventLog, config: vmConfig,
            eventVersion: eventVersion, record: nil
        ).attestation(reportData: reportData)
    }
}
