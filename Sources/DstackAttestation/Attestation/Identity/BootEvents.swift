internal import DstackEncoding

/// The events of the boot, among which the identity is looked up: up to and with `system-ready`, or at boot time
/// `boot-mr-done`.
struct BootEvents {
    private(set) var events: [RuntimeEvent] = []
    private(set) var isSystemReady = false
    /// What follows `system-ready`.
    private(set) var applicationEvents: [RuntimeEvent] = []

    init(_ all: [RuntimeEvent], at moment: MeasurementMoment) throws(AttestationError) {
        for (index, event) in all.enumerated() {
            // Version 1 hashes `type:name:payload`. A host could split an event at another colon, for example one inside
            // the JSON of the key provider, and so hide it: the digest is the same, the name no longer found.
            guard !Self.isAmbiguous(event) else { throw Self.ambiguous(index) }
            events.append(event)
            if event.name == BootEvent.bootMRDone.rawValue, moment == .bootTime { return }
            if event.name == BootEvent.systemReady.rawValue {
                isSystemReady = true
                applicationEvents = Array(all[(index + 1)...])
                // The application's own events, too: whoever reads one must know that there is one reading of it.
                if let other = applicationEvents.firstIndex(where: Self.isAmbiguous) {
                    throw Self.ambiguous(index + 1 + other)
                }
                break
            }
        }
        guard moment == .runtime else {
            throw AttestationError(
                .missingEvent, subject: BootEvent.bootMRDone.rawValue,
                reason: "the log has no such event before system-ready, so that there is no identity at boot time")
        }
    }

    private static func isAmbiguous(_ event: RuntimeEvent) -> Bool {
        event.version == .v1 && event.name.utf8.contains(UInt8(ascii: ":"))
    }

    private static func ambiguous(_ index: Int) -> AttestationError {
        AttestationError(
            .ambiguousName, subject: "runtime event \(index)",
            reason: "a name with ':' in version 1, which has the digest of another name and payload too")
    }

    func first(_ event: BootEvent) -> [UInt8]? { events.first { $0.name == event.rawValue }?.payload }

    static func fixed<let count: Int>(
        _ payload: [UInt8], _ event: BootEvent
    ) throws(AttestationError) -> FixedBytes<count> {
        guard let value = FixedBytes<count>(payload) else {
            throw AttestationError(
                .invalidIdentity, subject: event.rawValue, reason: "\(payload.count) bytes, \(count) are needed")
        }
        return value
    }

    func optional<let count: Int>(_ event: BootEvent) throws(AttestationError) -> FixedBytes<count>? {
        guard let payload = first(event) else { return nil }
        return try Self.fixed(payload, event)
    }

    private func payload(_ event: BootEvent) throws(AttestationError) -> [UInt8] {
        guard let payload = first(event) else {
            throw AttestationError(
                .missingEvent, subject: event.rawValue, reason: "the log has no such event before system-ready")
        }
        return payload
    }

    func required<let count: Int>(_ event: BootEvent) throws(AttestationError) -> FixedBytes<count> {
        try Self.fixed(try payload(event), event)
    }

    /// The value, or nil for a payload of no bytes.
    func requiredOrEmpty<let count: Int>(_ event: BootEvent) throws(AttestationError) -> FixedBytes<count>? {
        let payload = try payload(event)
        return payload.isEmpty ? nil : try Self.fixed(payload, event)
    }
}
