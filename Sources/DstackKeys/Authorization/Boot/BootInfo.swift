package import DstackEncoding

/// What is known of a virtual machine that wants to boot with keys: measured facts, after its evidence was verified.
///
/// A plain value. Whoever makes one answers for it; whoever decides about one takes it as it is.
package struct BootInfo: Sendable, Hashable {
    /// The kind of TEE, such as `dstack-tdx`; nil where the sender does not say.
    package var teeVariant: String?
    /// Everything measured, the application included.
    package var mrAggregated: FixedBytes<32>
    /// Nil where the platform's configuration names no image.
    package var osImageHash: FixedBytes<32>?
    /// What is measured of the system without the application; nil where an old sender leaves it out.
    package var mrSystem: FixedBytes<32>?
    package var appID: FixedBytes<20>
    package var composeHash: FixedBytes<32>
    /// Nil for an application without instances (`no_instance_id`).
    package var instanceID: FixedBytes<20>?
    /// SHA-256 of the platform's own identifier, on all platforms.
    package var deviceID: FixedBytes<32>
    /// JSON that names where the machine has its keys from; empty for measurements of the time of its boot.
    package var keyProviderInfo: [UInt8]
    /// `UpToDate`, `OutOfDate`, …; empty where the platform has none.
    package var tcbStatus: String
    package var advisoryIDs: [String]

    package init(
        teeVariant: String? = nil, mrAggregated: FixedBytes<32>, osImageHash: FixedBytes<32>?,
        mrSystem: FixedBytes<32>?, appID: FixedBytes<20>, composeHash: FixedBytes<32>, instanceID: FixedBytes<20>?,
        deviceID: FixedBytes<32>, keyProviderInfo: [UInt8] = [], tcbStatus: String, advisoryIDs: [String] = []
    ) {
        self.teeVariant = teeVariant
        self.mrAggregated = mrAggregated
        self.osImageHash = osImageHash
        self.mrSystem = mrSystem
        self.appID = appID
        self.composeHash = composeHash
        self.instanceID = instanceID
        self.deviceID = deviceID
        self.keyProviderInfo = keyProviderInfo
        self.tcbStatus = tcbStatus
        self.advisoryIDs = advisoryIDs
    }
}

/// As what a machine wants to boot: what it may do with the keys differs.
package enum BootSubject: String, Sendable, Hashable, CaseIterable {
    /// An application, which gets keys of its own.
    case app
    /// A key management service, which holds, gets or gives the keys of all applications.
    case kms

    /// Where services are asked about it.
    package var path: String { "/bootAuth/\(rawValue)" }
}
