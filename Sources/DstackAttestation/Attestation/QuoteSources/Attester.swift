/// The side that testifies (RFC 9334, section 2: Attester): makes evidence about the trust domain that this process runs
/// in, and measures what happens there.
///
/// ```swift
/// let attestation = try await attester.attestation(reportData: ReportData(padding: challenge))
/// try await attester.emit(RuntimeEvent(emitting: "model-loaded", payload: hash))
/// ```
///
/// Whoever holds an attester can have anything signed as this trust domain's report data. It stays inside the guest agent,
/// which decides who may ask for what.
public protocol Attester: Sendable {
    /// Whether the evidence is simulated and proves nothing. Every output that shows such evidence says so.
    var isSimulated: Bool { get }

    /// How runtime events are hashed: fixed for a boot. Events to be emitted have this version.
    var eventVersion: RuntimeEvent.Version { get }

    /// The wire form in which evidence is handed out; nil for the older one wherever the evidence fits into it
    /// (``Attestation/encoded``).
    var wireForm: Attestation.WireForm? { get }

    /// Evidence with the given report data. Its event log explains exactly the registers that its quote has: an event that
    /// is measured meanwhile is in both or in neither.
    ///
    /// The log is complete: boot events with their data, runtime events with their digests.
    ///
    /// - Throws: ``AttestationError`` with ``AttestationError/Code/quoteUnavailable`` where the platform gives none.
    func attestation(reportData: ReportData) async throws(AttestationError) -> Attestation

    /// Measures an event into RTMR3 and records it durably: both happened when this returns, and neither when it throws,
    /// unless the error's code is ``AttestationError/Code/measurementInDoubt``.
    ///
    /// - Parameter event: of the version ``eventVersion``; another is refused, and so is a name with a colon.
    func emit(_ event: RuntimeEvent) async throws(AttestationError)
}

extension Attester {
    /// Version 1, that of releases which know no other.
    public var eventVersion: RuntimeEvent.Version { .v1 }

    /// Nil.
    public var wireForm: Attestation.WireForm? { nil }

    /// Evidence in the form in which this attester hands it out. Evidence that has no place in ``wireForm``, such as
    /// events of version 2 in the older form, takes the form that has one.
    public func encoded(_ attestation: Attestation) -> [UInt8] {
        if let wireForm, let bytes = try? attestation.encoded(as: wireForm) { bytes } else { attestation.encoded.bytes }
    }
}

extension AttestationError.Code {
    /// The platform gave no quote: there is no interface for it, it failed, or it did not answer in time.
    public static let quoteUnavailable = Self(rawValue: "quote_unavailable")
    /// An event could not be measured, and nothing was.
    public static let measurementFailed = Self(rawValue: "measurement_failed")
    /// This source of evidence measures no events, now or later.
    public static let measurementUnsupported = Self(rawValue: "measurement_unsupported")
    /// A register was extended, but the event could not be recorded. From now on the log does not explain the register.
    public static let measurementInDoubt = Self(rawValue: "measurement_in_doubt")
}
