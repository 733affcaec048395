import DstackEncoding
import DstackRPC

/// What the guest agent says of the instance that it serves. A statement, not evidence: what counts elsewhere is what a
/// verified quote leads to.
public struct AgentInfo: Sendable {
    /// The application.
    public let appID: AppID
    /// What it runs, as it was measured.
    public let composeHash: ComposeHash
    /// Which instance it is; nil for applications whose instances have no id.
    public let instanceID: InstanceID?
    /// Name in the compose file.
    public let appName: String
    /// The machine; nil from agents that do not say.
    public let deviceID: DeviceID?
    /// ``ApplicationMeasurements/mrAggregated``; nil from agents that do not say.
    public let mrAggregated: FixedBytes<32>?
    /// The OS image; nil where it is not known.
    public let osImageHash: FixedBytes<32>?
    /// Where the application's keys come from; nil from agents that do not say.
    public let keyProvider: KeyProviderInfo?
    /// A certificate that the agent made to be looked at, PEM with its chain; empty until it has one.
    public let appCertificate: String
    /// The VM's configuration as its host states it, JSON.
    public let vmConfig: String
    /// From the firmware's tables; empty where they say nothing.
    public let cloudVendor: String
    /// From the firmware's tables; empty where they say nothing.
    public let cloudProduct: String
    /// The compose file's exact text; nil where the agent does not tell.
    public let appCompose: String?
    /// Registers and log; nil where the agent does not tell, and from ``DstackClient/V1/info()``.
    public let tcb: AgentTCBInfo?

    /// Whether ``appCompose`` is the measured compose file; nil without one.
    public var composeHashMatches: Bool? {
        appCompose.map { ComposeHash(ofFile: Array($0.utf8)) == composeHash }
    }

    init(_ message: AgentRPC.AppInfo, _ method: String) throws(DstackClientError) {
        tcb = message.tcbInfo.isEmpty ? nil : try AgentTCBInfo(json: message.tcbInfo, method)
        let fields = Fields(method: method)
        appID = AppID(try fields.required(message.appID, "app_id"))
        composeHash = ComposeHash(try fields.required(message.composeHash, "compose_hash"))
        instanceID = try fields.optional(message.instanceID, "instance_id").map { InstanceID($0) }
        appName = message.appName
        deviceID = try fields.optional(message.deviceID, "device_id").map { DeviceID($0) }
        mrAggregated = try fields.optional(message.mrAggregated, "mr_aggregated")
        osImageHash = try fields.optional(message.osImageHash, "os_image_hash")
        keyProvider = try fields.keyProvider(message.keyProviderInfo)
        appCertificate = message.appCertificate
        vmConfig = message.vmConfig
        cloudVendor = message.cloudVendor
        cloudProduct = message.cloudProduct
        appCompose = tcb?.appCompose
    }

    init(_ message: AgentRPCv1.AppInfo, _ method: String) throws(DstackClientError) {
        let fields = Fields(method: method)
        appID = AppID(try fields.required(message.appID, "app_id"))
        composeHash = ComposeHash(try fields.required(message.composeHash, "compose_hash"))
        instanceID = try fields.optional(message.instanceID, "instance_id").map { InstanceID($0) }
        appName = message.appName
        deviceID = try fields.optional(message.deviceID, "device_id").map { DeviceID($0) }
        mrAggregated = try fields.optional(message.mrAggregated, "mr_aggregated")
        osImageHash = try fields.optional(message.osImageHash, "os_image_hash")
        keyProvider = try fields.keyProvider(message.keyProviderInfo)
        appCertificate = ""
        vmConfig = message.vmConfig
        cloudVendor = message.cloudVendor
        cloudProduct = message.cloudProduct
        appCompose = message.appCompose.isEmpty ? nil : message.appCompose
        tcb = nil
    }

    /// Reads an answer's fields.
    private struct Fields {
        let method: String

        func required<let count: Int>(
            _ bytes: [UInt8], _ name: String
        ) throws(DstackClientError) -> FixedBytes<count> {
            guard let value = FixedBytes<count>(bytes) else {
                throw DstackClientError(
                    .invalidResponse, subject: method, reason: "\(name) has \(bytes.count) bytes, \(count) expected")
            }
            return value
        }

        /// Nil for no bytes.
        func optional<let count: Int>(
            _ bytes: [UInt8], _ name: String
        ) throws(DstackClientError) -> FixedBytes<count>? {
            bytes.isEmpty ? nil : try required(bytes, name)
        }

        func keyProvider(_ text: String) throws(DstackClientError) -> KeyProviderInfo? {
            guard !text.isEmpty else { return nil }
            do {
                return try KeyProviderInfo(payload: Array(text.utf8))
            } catch {
                throw DstackClientError(method, error)
            }
        }
    }
}

/// Registers and log of a running instance, as its agent states them (`tcb_info`).
public struct AgentTCBInfo: Sendable {
    /// What was measured before the trust domain ran; nil where the platform is not TDX.
    public let mrtd: Measurement384?
    /// The registers; nil where the platform is not TDX.
    public let rtmrs: RTMRValues?
    /// What was measured into them.
    public let eventLog: EventLog
    /// The compose file's exact text.
    public let appCompose: String

    /// Reads `tcb_info`: a JSON object. Members that are not known are ignored; the registers may be null or empty, but
    /// only all together.
    init(json text: String, _ method: String) throws(DstackClientError) {
        do throws(DecodingFailure) {
            let root = try JSONDocument(parsing: text, subject: "tcb_info").root
            let registers = [
                try Self.register(root, "mrtd"), try Self.register(root, "rtmr0"), try Self.register(root, "rtmr1"),
                try Self.register(root, "rtmr2"), try Self.register(root, "rtmr3"),
            ]
            let known = registers.compactMap { $0 }
            guard known.isEmpty || known.count == registers.count else {
                throw root.failure("some of the five registers are there, and some are not")
            }
            mrtd = known.first
            rtmrs =
                known.isEmpty
                ? nil : RTMRValues(rtmr0: known[1], rtmr1: known[2], rtmr2: known[3], rtmr3: known[4])
            eventLog = try EventLog(try root.member("event_log"))
            appCompose = try root.member("app_compose").string()
        } catch {
            throw DstackClientError(method, error)
        }
    }

    private static func register(
        _ root: JSONNode, _ name: StaticString
    ) throws(DecodingFailure) -> Measurement384? {
        guard let node = try root.optionalMember(name), !node.equals("") else { return nil }
        return try node.fixedHex()
    }
}
