package import DstackAttestation
package import DstackPages

/// What the dashboard shows of the application and its evidence. The guest agent implements it.
package protocol DashboardContent: Sendable {
    /// Whether the TEE is simulated, which every page says, also where nothing else is known.
    var isSimulated: Bool { get }

    /// The facts of now. Called for every page, so it must come from memory: the quote behind it is taken once, and
    /// again only after something was measured.
    func dashboardFacts() async throws -> DashboardFacts
}

/// What the dashboard says of the application and its evidence.
package struct DashboardFacts: Sendable {
    package var appName: String
    /// 20 bytes each, or empty where there is none.
    package var appID: [UInt8]
    package var instanceID: [UInt8]
    package var deviceID: [UInt8]
    /// SHA-256 of the compose file's bytes, as measured.
    package var composeHash: [UInt8]
    package var osImageHash: [UInt8]
    package var aggregatedMeasurement: [UInt8]
    /// "kms", "local", "tpm" or "none", and whatever identifies it.
    package var keyProviderName: String
    package var keyProviderID: String
    package var cloudVendor: String
    package var cloudProduct: String
    /// Whether the TEE is simulated: then everything here is for development and proves nothing.
    package var isSimulated: Bool
    /// The agent's version with its revision.
    package var version: String
    package var measurements: Measurements?
    package var eventLog: EventLog
    /// As `Info` gives it: JSON.
    package var tcbInfo: String
    /// The compose file's text, as measured.
    package var appCompose: String

    /// The registers of a TDX quote.
    package struct Measurements: Sendable, Hashable {
        package var mrtd: Measurement384
        package var rtmrs: RTMRValues

        package init(mrtd: Measurement384, rtmrs: RTMRValues) {
            self.mrtd = mrtd
            self.rtmrs = rtmrs
        }
    }

    package init(
        appName: String, appID: [UInt8], instanceID: [UInt8] = [], deviceID: [UInt8] = [], composeHash: [UInt8],
        osImageHash: [UInt8] = [], aggregatedMeasurement: [UInt8] = [], keyProviderName: String = "",
        keyProviderID: String = "", cloudVendor: String = "", cloudProduct: String = "", isSimulated: Bool,
        version: String, measurements: Measurements? = nil, eventLog: EventLog = EventLog(), tcbInfo: String = "",
        appCompose: String = ""
    ) {
        self.appName = appName
        self.appID = appID
        self.instanceID = instanceID
        self.deviceID = deviceID
        self.composeHash = composeHash
        self.osImageHash = osImageHash
        self.aggregatedMeasurement = aggregatedMeasurement
        self.keyProviderName = keyProviderName
        self.keyProviderID = keyProviderID
        self.cloudVendor = cloudVendor
        self.cloudProduct = cloudProduct
        self.isSimulated = isSimulated
        self.version = version
        self.measurements = measurements
        self.eventLog = eventLog
        self.tcbInfo = tcbInfo
        self.appCompose = appCompose
    }
}

/// What strangers may see, by the flags of the application's compose file.
package struct DashboardSettings: Sendable, Hashable {
    /// Containers' output: `/logs/<name>` and `/containers/<name>`. Preset: no.
    package var publicLogs: Bool
    /// The machine: `/metrics` and a part of the page. Preset: no.
    package var publicSystemInformation: Bool
    /// Measurements, event log and compose file. Preset: yes.
    package var publicTCBInformation: Bool
    /// Mount points of the disks to tell of.
    package var dataDisks: [String]
    /// What to type in order to check the application from outside.
    package var commands: VerificationCommands
    /// Where the application itself is.
    package var address: Address
    /// How often a page that is open brings itself up to date, in whole seconds.
    package var refresh: Duration

    /// Where the application's own HTTPS address is to be had from.
    package enum Address: Sendable, Hashable {
        case unknown
        /// `https://HOST[:PORT]`
        case url(String)
        /// A file that holds it, which is there once the application runs.
        case file(String)
    }

    /// - Parameter commands: nil for those of an application on hardware.
    package init(
        publicLogs: Bool = false, publicSystemInformation: Bool = false, publicTCBInformation: Bool = true,
        dataDisks: [String] = ["/"], commands: VerificationCommands? = nil, address: Address = .unknown,
        refresh: Duration = .seconds(10)
    ) {
        self.publicLogs = publicLogs
        self.publicSystemInformation = publicSystemInformation
        self.publicTCBInformation = publicTCBInformation
        self.dataDisks = dataDisks
        self.commands = commands ?? VerificationCommands()
        self.address = address
        self.refresh = refresh
    }
}
