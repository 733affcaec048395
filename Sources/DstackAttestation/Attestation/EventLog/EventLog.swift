public import DstackEncoding
public import DstackMeasurement

/// One entry of an event log: what was measured into which register.
public struct LoggedEvent: Sendable, Hashable {
    /// The register that was extended (`imr`).
    public var register: RTMR
    /// What kind of event it is.
    public var type: MeasuredEventType
    /// What the register was extended with; nil where the log leaves it blank. A runtime event's digest is always
    /// recomputed, so that it may be blank.
    public var digest: Measurement384?
    /// Name of a runtime event or of an ACPI event; empty for other boot events.
    public var name: String
    /// Payload of a runtime event; event data of a boot event, often stripped.
    public var payload: [UInt8]
    /// How a runtime event is hashed.
    public var version: RuntimeEvent.Version
    /// The bytes that were hashed, where the log has them (runtime events of version 2 only).
    public var preimage: [UInt8]?

    /// An entry from its parts.
    public init(
        register: RTMR, type: MeasuredEventType, digest: Measurement384?, name: String = "", payload: [UInt8] = [],
        version: RuntimeEvent.Version = .v1, preimage: [UInt8]? = nil
    ) {
        self.register = register
        self.type = type
        self.digest = digest
        self.name = name
        self.payload = payload
        self.version = version
        self.preimage = preimage
    }

    /// The entry of a runtime event in RTMR3, complete with its digest.
    public init(_ event: RuntimeEvent) {
        self.init(
            register: .rtmr3, type: .runtime, digest: event.digest, name: event.name, payload: event.payload,
            version: event.version)
    }

    /// The runtime event that this entry claims to be, or nil for a boot event.
    public var runtimeEvent: RuntimeEvent? {
        guard type == .runtime else { return nil }
        return RuntimeEvent(name: name, payload: payload, version: version)
    }

    /// The payload by which firmware marks the measurement of ACPI tables.
    static let acpiMarker = Array("ACPI DATA".utf8)

    /// Whether this entry is the measurement of ACPI tables.
    public var isACPIData: Bool {
        register == .rtmr0 && type == .platformConfigFlags && payload == Self.acpiMarker
    }
}

/// The record of everything that was measured, in order. It proves nothing until it is replayed and the outcome compared
/// with a verified quote (``replay()``).
public struct EventLog: Sendable, Hashable {
    /// The entries. Order matters within a register; entries of different registers interleave.
    public var events: [LoggedEvent]
    /// What the source had and was not read, in words, for people who wonder why a log does not replay. Part of no wire form.
    public var omissions: [String] = []

    /// A log of the given entries.
    public init(_ events: [LoggedEvent] = []) {
        self.events = events
    }

    /// A log of runtime events alone.
    public init(runtimeEvents: some Sequence<RuntimeEvent>) {
        events = runtimeEvents.map { LoggedEvent($0) }
    }

    /// The names of the three measurements of ACPI tables, in the order in which firmware makes them.
    static let acpiEventNames = ["acpi-loader", "acpi-rsdp", "acpi-tables"]

    /// Gives the first three measurements of ACPI tables their names. Firmware measures them in a fixed order and calls
    /// all of them the same.
    public mutating func nameACPIEvents() {
        var names = Self.acpiEventNames[...]
        for index in events.indices where events[index].isACPIData {
            guard let name = names.popFirst() else { return }
            events[index].name = name
        }
    }

    /// The same log with the hashed bytes beside the digest of each runtime event of version 2. Verifiers of upstream refuse
    /// such events without them.
    public func withPreimages() -> EventLog {
        var log = self
        for index in events.indices where events[index].version == .v2 && events[index].digest != nil {
            log.events[index].preimage = events[index].runtimeEvent?.preimage
        }
        return log
    }

    // MARK: Stripping

    /// What a smaller log leaves out. All of it is either recomputed in replay or not needed for it.
    public struct Stripping: Sendable, Hashable {
        /// What happens to boot events.
        public enum BootEvents: Sendable, Hashable {
            /// They lose their data, except for the marker of the ACPI events. RTMR0 to RTMR2 can still be replayed.
            case withoutData
            /// Only the three ACPI events stay, as upstream's certificates and small envelopes have it since mid-2026: enough
            /// to verify an OS image, not to replay RTMR0 to RTMR2.
            case acpiEventsOnly
            /// They are left out; only runtime events stay.
            case dropped
        }

        /// What happens to boot events.
        public var bootEvents: BootEvents
        /// Whether runtime events keep their digests. Older clients cannot replay a log without.
        public var keepsRuntimeDigests: Bool

        /// A choice for each kind of events.
        public init(bootEvents: BootEvents = .withoutData, keepsRuntimeDigests: Bool = true) {
            self.bootEvents = bootEvents
            self.keepsRuntimeDigests = keepsRuntimeDigests
        }

        /// What upstream's guests do since 0.5.6 in quotes, certificates and attestations.
        public static let upstream = Stripping(bootEvents: .withoutData, keepsRuntimeDigests: false)
    }

    /// A smaller log that replays to the same registers (unless boot events are left out).
    public func stripped(_ stripping: Stripping = .upstream) -> EventLog {
        var log = EventLog()
        for var event in events {
            if event.type == .runtime {
                if !stripping.keepsRuntimeDigests {
                    event.digest = nil
                    // A preimage without the digest that it explains would be refused by strict readers.
                    event.preimage = nil
                }
            } else {
                switch stripping.bootEvents {
                case .withoutData: if !event.isACPIData { event.payload = [] }
                case .acpiEventsOnly: guard event.isACPIData else { continue }
                case .dropped: continue
                }
            }
            log.events.append(event)
        }
        return log
    }
}
