public import DstackAttestation
import DstackCrypto
import DstackEncoding

/// A dstack guest that has booted in a simulated trust domain: boot events in RTMR0 to RTMR2, the application's identity in
/// RTMR3, and the event log that replays to exactly these registers.
public struct MockBoot: Sendable {
    /// The trust domain with its registers extended.
    public private(set) var domain: MockTrustDomain
    /// All events, in order.
    public private(set) var eventLog: EventLog
    /// The application.
    public let appID: AppID
    /// This instance; nil where the application's instances are all the same.
    public let instanceID: InstanceID?
    /// What the host states of the VM, JSON: a verifier finds the registers of this boot with it.
    public let vmConfig: String
    /// How runtime events are hashed.
    public let eventVersion: RuntimeEvent.Version

    /// Boots an application.
    ///
    /// - Parameters:
    ///   - platform: the machine.
    ///   - appCompose: the bytes of app-compose.json; their hash is measured.
    ///   - appID: nil for the default, the first 20 bytes of the compose hash.
    ///   - seed: what the instance identifier is made from; nil for none (`no_instance_id` of a compose file).
    ///   - initScripts: what the application runs before anything else (`init_script` of a compose file).
    ///   - keyProvider: who gave the application its keys.
    ///   - eventVersion: how runtime events are hashed.
    public init(
        _ platform: MockPlatform, appCompose: [UInt8], appID: AppID? = nil, seed: FixedBytes<20>? = FixedBytes(),
        initScripts: [[UInt8]] = [], keyProvider: KeyProviderInfo = KeyProviderInfo(kind: .none, id: []),
        eventVersion: RuntimeEvent.Version = .v1
    ) throws(MockTEEError) {
        let composeHash = ComposeHash(ofFile: appCompose)
        let appID = appID ?? AppID(defaultFor: composeHash)
        let image = try MockImage()
        self.appID = appID
        instanceID = seed.map { InstanceID(seed: $0, appID: appID) }
        vmConfig = image.vmConfig
        self.eventVersion = eventVersion
        domain = MockTrustDomain(on: platform)
        domain.mrTd = image.mrTd
        domain.mrConfigId = MRConfigID.composeHash(composeHash).register
        eventLog = EventLog()
        for event in image.bootLog.events { try append(event) }
        try emit("system-preparing", [])
        try emit("app-id", appID.bytes.bytes)
        try emit("compose-hash", composeHash.bytes.bytes)
        for script in initScripts { try emit("init-script-hash", SHA256.hash(script).bytes) }
        try emit("instance-id", instanceID?.bytes.bytes ?? [])
        try emit("boot-mr-done", [])
        try emit("key-provider", keyProvider.payload)
        try emit("storage-fs", Array("ext4".utf8))
        try emit("system-ready", [])
    }

    /// Extends RTMR3 with an event and logs it, as the guest agent does for applications.
    public mutating func emit(_ name: String, _ payload: [UInt8]) throws(MockTEEError) {
        let event: RuntimeEvent
        do throws(AttestationError) {
            event = try RuntimeEvent(emitting: name, payload: payload, version: eventVersion)
        } catch {
            throw MockTEEError(.register, "event", error.description)
        }
        try append(LoggedEvent(event))
    }

    private mutating func append(_ event: LoggedEvent) throws(MockTEEError) {
        if let digest = event.digest ?? event.runtimeEvent?.digest {
            try domain.extend(Int(event.register.rawValue), with: digest)
        }
        eventLog.events.append(event)
    }

    /// A quote of the domain as it is now.
    public func quote(reportData: [UInt8]) throws(MockTEEError) -> [UInt8] {
        try domain.quote(reportData: reportData)
    }
}
