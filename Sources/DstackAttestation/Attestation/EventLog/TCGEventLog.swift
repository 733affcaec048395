internal import DstackEncoding
public import DstackMeasurement

/// A binary event log as firmware leaves it (TCG PC Client Platform Firmware Profile 1.06, section 10.2), in the form
/// that the CCEL table of a trust domain points to (UEFI 2.10 section 38.4, Intel TDVF design guide).
///
/// Nothing is lost: ``encoded`` gives the bytes that were parsed. ``EventLog/init(_:)`` makes the log that can be
/// replayed.
public struct TCGEventLog: Sendable, Hashable {
    /// The first entry, which describes the others.
    public var header: Header
    /// The events.
    public var entries: [Entry]
    /// What follows the last event: the end marker `ff ff ff ff` and the rest of the area. Empty where the log ends with
    /// its last event. Firmware fills it with `ff`; ``unreadByteCount`` says what else is there.
    public var unused: [UInt8]

    /// A log from its parts. `unused` is best left at the end marker.
    public init(header: Header, entries: [Entry], unused: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF]) {
        self.header = header
        self.entries = entries
        self.unused = unused
    }

    /// The first entry: a TCG_PCClientPCREvent of type EV_NO_ACTION around a TCG_EfiSpecIDEvent.
    public struct Header: Sendable, Hashable {
        /// Register index; without meaning. 1 in CCEL, 0 in the logs of TPMs.
        public var registerIndex: UInt32
        /// SHA-1 digest; zeros.
        public var digest: [UInt8]
        /// 0 for clients, 1 for servers.
        public var platformClass: UInt32
        /// Version of the specification: minor, major, errata.
        public var specificationVersion: [UInt8]
        /// Size of a native integer of the firmware: 1 for 32 bits, 2 for 64.
        public var uintnSize: UInt8
        /// The digests that entries carry. Sizes that differ from the algorithms' own are kept but not believed.
        public var algorithms: [Algorithm]
        /// Vendor's information, at most 255 bytes.
        public var vendorInfo: [UInt8]

        /// The header that TDVF writes: version 2.0, one digest, SHA-384.
        public init() {
            registerIndex = 1
            digest = [UInt8](repeating: 0, count: 20)
            platformClass = 0
            specificationVersion = [0, 2, 0]
            uintnSize = 2
            algorithms = [Algorithm(id: HashAlgorithm.sha384.rawValue, digestSize: 48)]
            vendorInfo = []
        }

        init(
            registerIndex: UInt32, digest: [UInt8], platformClass: UInt32, specificationVersion: [UInt8],
            uintnSize: UInt8, algorithms: [Algorithm], vendorInfo: [UInt8]
        ) {
            self.registerIndex = registerIndex
            self.digest = digest
            self.platformClass = platformClass
            self.specificationVersion = specificationVersion
            self.uintnSize = uintnSize
            self.algorithms = algorithms
            self.vendorInfo = vendorInfo
        }

        /// An announced digest.
        public struct Algorithm: Sendable, Hashable {
            /// TCG algorithm identifier.
            public var id: UInt16
            /// Announced size in bytes.
            public var digestSize: UInt16
        }
    }

    /// The hash algorithms that entries may use (TCG Algorithm Registry).
    public enum HashAlgorithm: UInt16, Sendable, Hashable, CaseIterable {
        /// SHA-1.
        case sha1 = 0x0004
        /// SHA-256.
        case sha256 = 0x000B
        /// SHA-384, that of a trust domain.
        case sha384 = 0x000C
        /// SHA-512.
        case sha512 = 0x000D
        /// SM3-256, beside or in place of SHA-384 in logs of some clouds.
        case sm3 = 0x0012
        /// SHA3-256.
        case sha3Bits256 = 0x0027
        /// SHA3-384.
        case sha3Bits384 = 0x0028
        /// SHA3-512.
        case sha3Bits512 = 0x0029

        /// Size of a digest in bytes.
        public var digestSize: Int {
            switch self {
            case .sha1: 20
            case .sha256, .sm3, .sha3Bits256: 32
            case .sha384, .sha3Bits384: 48
            case .sha512, .sha3Bits512: 64
            }
        }
    }

    /// An event: a TCG_PCR_EVENT2.
    public struct Entry: Sendable, Hashable {
        /// Measurement register index, 0 to 4: 0 stands for MRTD, 1 to 4 for RTMR0 to RTMR3. Any in an entry that extends
        /// nothing (EV_NO_ACTION); firmware writes 0xFFFFFFFF there.
        public var registerIndex: UInt32
        /// What kind of event it is.
        public var type: MeasuredEventType
        /// What the register was extended with, one digest an algorithm.
        public var digests: [Digest]
        /// Event data, at most 65536 bytes.
        public var data: [UInt8]

        /// An entry from its parts.
        public init(registerIndex: UInt32, type: MeasuredEventType, digests: [Digest], data: [UInt8]) {
            self.registerIndex = registerIndex
            self.type = type
            self.digests = digests
            self.data = data
        }
    }

    /// One digest of an entry.
    public struct Digest: Sendable, Hashable {
        /// Its algorithm.
        public let algorithm: HashAlgorithm
        /// Its value, as many bytes as the algorithm has.
        public let bytes: [UInt8]

        /// Nil if the number of bytes is not the algorithm's.
        public init?(_ algorithm: HashAlgorithm, _ bytes: [UInt8]) {
            guard bytes.count == algorithm.digestSize else { return nil }
            self.algorithm = algorithm
            self.bytes = bytes
        }
    }
}

extension EventLog {
    /// The log of a trust domain's boot, for replay.
    ///
    /// Entries for register index 0 are left out: they describe MRTD, which no log can replay; so are entries that extend
    /// nothing and name no register. Of several digests that of SHA-384 counts; an entry without one is kept without digest,
    /// so that its register does not replay. ACPI measurements get their names.
    ///
    /// - Throws: ``AttestationError`` for an entry that extends a register which a trust domain does not have, and for one
    ///   with several digests of SHA-384.
    public init(_ log: TCGEventLog) throws(AttestationError) {
        var events: [LoggedEvent] = []
        for (index, entry) in log.entries.enumerated() where entry.registerIndex != 0 {
            guard let register = UInt8(exactly: entry.registerIndex - 1).flatMap(RTMR.init) else {
                if entry.type == .noAction { continue }
                throw AttestationError(
                    .invalidEventLog, subject: "entry \(index) of the CCEL",
                    reason: "register index \(entry.registerIndex); a trust domain has 1 to 4")
            }
            let digests = entry.digests.filter { $0.algorithm == .sha384 }
            guard digests.count <= 1 else {
                throw AttestationError(
                    .invalidEventLog, subject: "entry \(index) of the CCEL",
                    reason: "\(digests.count) digests of SHA-384; an entry has one")
            }
            events.append(
                LoggedEvent(
                    register: register, type: entry.type, digest: digests.first.flatMap { Measurement384($0.bytes) },
                    payload: entry.data))
        }
        self.init(events)
        if log.unreadByteCount > 0 {
            omissions = [
                "\(log.unreadByteCount) bytes behind the end marker of the log were not read; the rest of the area should be "
                    + "filled with ff"
            ]
        }
        nameACPIEvents()
    }

    /// The log of a trust domain's boot from the bytes of its CCEL area
    /// (`/sys/firmware/acpi/tables/data/CCEL`).
    public init(ccel bytes: [UInt8]) throws(AttestationError) {
        try self.init(TCGEventLog(parsing: bytes))
    }
}
