public import DstackEncoding

/// What a running instance says about itself, and what a KMS puts into the certificates that it issues.
///
/// In a certificate it is the issuer's claim; from verified evidence it is a result (``init(_:measurements:deviceID:osImageHash:)``).
public struct AppInfo: Sendable, Hashable {
    /// The application.
    public var appID: AppID
    /// What it runs.
    public var composeHash: ComposeHash
    /// Which instance it is; nil for instances without an id.
    public var instanceID: InstanceID?
    /// The machine.
    public var deviceID: DeviceID
    /// ``ApplicationMeasurements/mrSystem``.
    public var mrSystem: FixedBytes<32>
    /// ``ApplicationMeasurements/mrAggregated``.
    public var mrAggregated: FixedBytes<32>
    /// The OS image, from the VM configuration; nil if that names none.
    public var osImageHash: FixedBytes<32>?
    /// The key provider event's payload, JSON; may be empty.
    public var keyProviderInfo: [UInt8]
    /// Hashes of the init scripts; nil where older releases do not state them.
    public var initScriptHashes: [FixedBytes<32>]?

    /// Information from its parts.
    public init(
        appID: AppID, composeHash: ComposeHash, instanceID: InstanceID?, deviceID: DeviceID,
        mrSystem: FixedBytes<32>, mrAggregated: FixedBytes<32>, osImageHash: FixedBytes<32>?,
        keyProviderInfo: [UInt8], initScriptHashes: [FixedBytes<32>]? = nil
    ) {
        self.appID = appID
        self.composeHash = composeHash
        self.instanceID = instanceID
        self.deviceID = deviceID
        self.mrSystem = mrSystem
        self.mrAggregated = mrAggregated
        self.osImageHash = osImageHash
        self.keyProviderInfo = keyProviderInfo
        self.initScriptHashes = initScriptHashes
    }

    /// Information about an instance whose evidence was examined.
    public init(
        _ identity: ApplicationIdentity, measurements: ApplicationMeasurements, deviceID: DeviceID,
        osImageHash: FixedBytes<32>?
    ) {
        self.init(
            appID: identity.appID, composeHash: identity.composeHash, instanceID: identity.instanceID,
            deviceID: deviceID, mrSystem: measurements.mrSystem, mrAggregated: measurements.mrAggregated,
            osImageHash: osImageHash, keyProviderInfo: identity.keyProvider?.payload ?? [],
            initScriptHashes: identity.initScriptHashes.isEmpty ? nil : identity.initScriptHashes)
    }

    // MARK: JSON

    /// A JSON object with hexadecimal members, as agents and verifiers give it.
    public var json: String {
        var parts = zip(Self.names, byteMembers).map { name, value in "\"\(name)\":\"\(Hex.encode(value))\"" }
        let scripts = initScriptHashes.map { "[" + $0.map { "\"\($0.hex)\"" }.joined(separator: ",") + "]" }
        parts.append("\"init_script_hashes\":\(scripts ?? "null")")
        return "{" + parts.joined(separator: ",") + "}"
    }

    // MARK: Certificate extension

    /// Reads the content of certificate extension 1.3.6.1.4.1.62397.1.9: a MessagePack array of the members in order.
    /// Older ones lack the last.
    ///
    /// - Throws: ``AttestationError/Code/invalidIdentity`` for anything else and for values of the wrong length.
    public init(messagePack bytes: [UInt8]) throws(AttestationError) {
        self = try AttestationError.decoding(.invalidIdentity) { () throws(DecodingFailure) in
            var reader = MessagePackReader(ByteReader(bytes.span.bytes))
            let count = try reader.array("app info")
            guard count == 8 || count == 9 else {
                throw DecodingFailure(.malformed, "app info", at: 0, "8 or 9 members are needed, not \(count)")
            }
            let info = AppInfo(
                appID: AppID(try reader.fixed("app_id")), composeHash: ComposeHash(try reader.fixed("compose_hash")),
                instanceID: try reader.fixedOrEmpty("instance_id").map(InstanceID.init),
                deviceID: DeviceID(try reader.fixed("device_id")), mrSystem: try reader.fixed("mr_system"),
                mrAggregated: try reader.fixed("mr_aggregated"),
                osImageHash: try reader.fixedOrEmpty("os_image_hash"),
                keyProviderInfo: try reader.bytes("key_provider_info"),
                initScriptHashes: count == 9 ? try reader.hashes("init_script_hashes") : nil)
            try reader.expectEnd(of: "app info")
            return info
        }
    }

    /// The content of the certificate extension, with all nine members.
    public var messagePack: [UInt8] {
        var writer = MessagePackWriter(capacity: 512)
        writer.array(9)
        for member in byteMembers { writer.binary(member) }
        if let initScriptHashes {
            writer.array(initScriptHashes.count)
            for hash in initScriptHashes { writer.binary(hash.bytes) }
        } else {
            writer.null()
        }
        return writer.bytes
    }

    /// The members by their names, in order; all but the last are bytes.
    private static let names = [
        "app_id", "compose_hash", "instance_id", "device_id", "mr_system", "mr_aggregated", "os_image_hash",
        "key_provider_info", "init_script_hashes",
    ]

    private var byteMembers: [[UInt8]] {
        [
            appID.bytes.bytes, composeHash.bytes.bytes, instanceID?.bytes.bytes ?? [], deviceID.bytes.bytes,
            mrSystem.bytes, mrAggregated.bytes, osImageHash?.bytes ?? [], keyProviderInfo,
        ]
    }
}

extension MessagePackReader {
    fileprivate mutating func fixed<let count: Int>(
        _ subject: StaticString
    ) throws(DecodingFailure) -> FixedBytes<count> {
        let start = offset
        let bytes = try bytes(subject)
        guard let value = FixedBytes<count>(bytes) else {
            throw DecodingFailure(
                .malformed, "\(subject)", at: start, "\(count) bytes are needed, found \(bytes.count)")
        }
        return value
    }

    /// Nil for no bytes.
    fileprivate mutating func fixedOrEmpty<let count: Int>(
        _ subject: StaticString
    ) throws(DecodingFailure) -> FixedBytes<count>? {
        var ahead = self
        if try ahead.bytes(subject).isEmpty {
            self = ahead
            return nil
        }
        return try fixed(subject)
    }

    /// A list of hashes, or nil.
    fileprivate mutating func hashes(_ subject: StaticString) throws(DecodingFailure) -> [FixedBytes<32>]? {
        if try skipNull() { return nil }
        var hashes: [FixedBytes<32>] = []
        for _ in 0..<(try array(subject)) { hashes.append(try fixed(subject)) }
        return hashes
    }
}
