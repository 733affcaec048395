internal import DstackCrypto
public import DstackEncoding
internal import DstackMeasurement

/// Something that the running system measured: a name and a payload, extended into RTMR3.
///
/// The boot sequence records the application's identity this way (``BootEvent``); after `system-ready` applications
/// record what they like.
public struct RuntimeEvent: Sendable {
    /// How name and payload become the bytes that are hashed.
    public enum Version: UInt8, Sendable, Hashable, CaseIterable {
        /// Type, name and payload joined by colons. Ambiguous where a name contains a colon.
        case v1 = 1
        /// A JSON object in canonical form (RFC 8785).
        case v2 = 2
    }

    /// What happened, e.g. `compose-hash`.
    public let name: String
    /// What was measured.
    public let payload: [UInt8]
    /// How it was measured.
    public let version: Version

    /// An event as somebody claims that it was recorded.
    public init(name: String, payload: [UInt8], version: Version = .v1) {
        self.name = name
        self.payload = payload
        self.version = version
    }

    /// An event about to be measured.
    ///
    /// - Throws: ``AttestationError/Code/ambiguousName`` for a name with a colon: version 1 hashes
    ///   `type:name:payload`, so that such an event could be presented as one of another name.
    public init(
        emitting name: String, payload: [UInt8], version: Version = .v1
    ) throws(AttestationError) {
        guard !name.utf8.contains(UInt8(ascii: ":")) else {
            throw AttestationError(
                .ambiguousName, subject: "event name", reason: "a runtime event's name may not contain ':'")
        }
        self.init(name: name, payload: payload, version: version)
    }

    /// The bytes that are hashed.
    public var preimage: [UInt8] {
        var writer = ByteWriter(capacity: name.utf8.count + 2 * payload.count + 48)
        switch version {
        case .v1:
            writer.littleEndian(MeasuredEventType.runtime.rawValue)
            writer.u8(UInt8(ascii: ":"))
            writer.append(name.utf8)
            writer.u8(UInt8(ascii: ":"))
            writer.append(payload)
        case .v2:
            // RFC 8785: members sorted, no space; the payload is ASCII.
            writer.append("{\"name\":".utf8)
            writer.jsonString(name)
            writer.append(",\"payload\":\"".utf8)
            writer.append(Hex.encode(payload).utf8)
            writer.append("\",\"type\":\(MeasuredEventType.runtime.rawValue)}".utf8)
        }
        return writer.bytes
    }

    /// What RTMR3 is extended with: SHA-384 of ``preimage``.
    public var digest: Measurement384 { SHA384.hash(preimage) }

    /// What a register of the given bank is extended with, for platforms that use a TPM.
    public func digest(in bank: RegisterBank) -> [UInt8] { bank.hash(preimage) }
}

extension RuntimeEvent: Hashable {
    /// Whether name, payload and version are equal byte for byte. (Swift's own comparison of texts would call two
    /// spellings of `é` equal, but they are measured differently.)
    public static func == (left: Self, right: Self) -> Bool {
        left.version == right.version && left.payload == right.payload && left.name.utf8.elementsEqual(right.name.utf8)
    }

    /// Feeds name, payload and version to the hasher.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(name)
        hasher.combine(payload)
        hasher.combine(version)
    }
}

/// The runtime events that the boot sequence records, by name. Their order varies between releases; look them up by
/// name.
public enum BootEvent: String, Sendable, CaseIterable {
    /// The boot sequence begins. Empty.
    case systemPreparing = "system-preparing"
    /// Hash of the root file system, 32 bytes; older images only.
    case rootFSHash = "rootfs-hash"
    /// The application's id, 20 bytes.
    case appID = "app-id"
    /// SHA-256 of the compose file, 32 bytes.
    case composeHash = "compose-hash"
    /// SHA-256 of an init script, 32 bytes; one event a script.
    case initScriptHash = "init-script-hash"
    /// SHA-256 of the canonical GPU policy, 32 bytes.
    case gpuPolicyHash = "gpu-policy-hash"
    /// The result of the GPUs' attestation, JSON.
    case gpuAttestation = "gpu-attestation"
    /// The instance's id, 20 bytes, or empty for applications without one.
    case instanceID = "instance-id"
    /// All that identifies the application before it has keys is recorded. Empty.
    case bootMRDone = "boot-mr-done"
    /// Hash of the OS image as the KMS judged it, 32 bytes; with the KMS only.
    case osImageHash = "os-image-hash"
    /// Where the application's keys come from, JSON.
    case keyProvider = "key-provider"
    /// File system of the data disk, e.g. `zfs`.
    case storageFS = "storage-fs"
    /// The boot sequence is over; all later events are the application's. Empty.
    case systemReady = "system-ready"
}
