public import DstackEncoding

/// Up to which moment the runtime events count.
public enum MeasurementMoment: Sendable, Hashable, CaseIterable {
    /// Up to and with the event `boot-mr-done`: what a KMS sees when it releases keys, before there is a key provider.
    case bootTime
    /// All events: what a running application shows.
    case runtime
}

/// Who an application is and how it came up, from the runtime events of its boot.
///
/// Values are looked up by the name of their event; the first of a name counts, and looking stops at `system-ready`,
/// because later events are the application's own and may have any name.
///
/// It is as true as the log: the replayed RTMR3 must equal that of a verified quote, and MRTD and RTMR0 to RTMR2 must be
/// those of an OS image that is known to record these events.
public struct ApplicationIdentity: Sendable, Hashable {
    /// Up to which moment events were looked at.
    public let moment: MeasurementMoment
    /// The application.
    public let appID: AppID
    /// What it runs.
    public let composeHash: ComposeHash
    /// Which instance it is; nil for instances that have no id.
    public let instanceID: InstanceID?
    /// Where its keys come from; nil at boot time.
    public let keyProvider: KeyProviderInfo?
    /// The hash of the OS image as the KMS judged it. The hash to rely on is that of the VM configuration, once the image
    /// is verified.
    public let osImageHashEvent: FixedBytes<32>?
    /// Hashes of the init scripts, in the order in which they ran.
    public let initScriptHashes: [FixedBytes<32>]
    /// Hash of the policy for GPUs; absent in older releases.
    public let gpuPolicyHash: FixedBytes<32>?
    /// Result of the GPUs' attestation, JSON.
    public let gpuAttestation: [UInt8]?
    /// File system of the data disk; absent in older releases.
    public let storageFS: String?
    /// Hash of the root file system; older images only.
    public let rootFSHash: FixedBytes<32>?
    /// Whether the boot sequence had ended when the quote was made.
    public let isSystemReady: Bool
    /// The application's own events, after `system-ready`.
    public let applicationEvents: [RuntimeEvent]

    /// Reads the identity from a replayed log.
    ///
    /// - Throws: ``AttestationError`` for a missing `app-id`, `compose-hash`, `instance-id` or (at boot time)
    ///   `boot-mr-done` event, for a value of the wrong length or form, and for an event of version 1 whose name has a
    ///   colon: its digest is that of another event too, so that it could hide one.
    public init(_ log: ReplayedEventLog, at moment: MeasurementMoment = .runtime) throws(AttestationError) {
        let boot = try BootEvents(log.runtimeEvents, at: moment)
        self.moment = moment
        appID = AppID(try boot.required(.appID))
        composeHash = ComposeHash(try boot.required(.composeHash))
        instanceID = try boot.requiredOrEmpty(.instanceID).map(InstanceID.init)
        if let payload = boot.first(.keyProvider) {
            keyProvider = try KeyProviderInfo(payload: payload)
        } else {
            keyProvider = nil
        }
        osImageHashEvent = try boot.optional(.osImageHash)
        var scripts: [FixedBytes<32>] = []
        for event in boot.events where event.name == BootEvent.initScriptHash.rawValue {
            scripts.append(try BootEvents.fixed(event.payload, .initScriptHash))
        }
        initScriptHashes = scripts
        gpuPolicyHash = try boot.optional(.gpuPolicyHash)
        gpuAttestation = boot.first(.gpuAttestation)
        if let payload = boot.first(.storageFS) {
            guard let text = String(validating: payload, as: UTF8.self), text.utf8.allSatisfy({ 0x21...0x7E ~= $0 })
            else {
                throw AttestationError(
                    .invalidIdentity, subject: BootEvent.storageFS.rawValue, reason: "not printable ASCII")
            }
            storageFS = text
        } else {
            storageFS = nil
        }
        rootFSHash = try boot.optional(.rootFSHash)
        isSystemReady = boot.isSystemReady
        applicationEvents = boot.applicationEvents
    }
}
