package import DstackAttestation
package import DstackHTTPServer
package import DstackRPC

/// What the agent passes on about the machine that it runs on and does not look up itself.
///
/// Whoever throws decides what the caller reads: an error's description is the answer, with status 400 for an
/// `RPCError` of its own choice and 500 for anything else.
package protocol GuestHost: Sendable {
    /// Operating system, processors, memory, load, and the disks that are configured to be shown.
    func systemInformation() async throws -> GuestAPIRPC.SystemInfo

    /// Addresses, counters, resolvers, gateways and the state of WireGuard.
    func networkInformation() async throws -> GuestAPIRPC.NetworkInformation

    /// All containers, also those that are stopped.
    func containers() async throws -> GuestAPIRPC.ListContainersResponse

    /// The containers of the application that declare a health check.
    func containerHealth() async throws -> [ContainerHealth]
}

/// The pages of the public port, beside the methods: `/`, `/metrics`, `/logs/<name>`.
package protocol GuestPages: Sendable {
    /// Answers a request, or returns nil if there is no such page. Called for what is under none of the RPC paths, on the
    /// public listener alone.
    func answer(_ request: HTTPServerRequest) async -> HTTPServerResponse?
}

/// What the agent knows of the instance, as one consistent moment: made from one quote and the log that explains it.
package struct GuestSnapshot: Sendable {
    /// Whether the evidence is simulated and proves nothing; every page says so.
    package let isSimulated: Bool
    /// The application, from its measured events.
    package let identity: ApplicationIdentity
    /// MRTD and the registers; nil on platforms without.
    package let registers: Registers?
    package let mrAggregated: [UInt8]
    /// From the VM configuration; empty if that names none.
    package let osImageHash: [UInt8]
    package let deviceID: DeviceID
    /// With all events, boot and runtime.
    package let eventLog: EventLog
    /// `name` of the compose file.
    package let appName: String
    /// The compose file's exact text.
    package let appCompose: String
    /// Whether the compose file at hand is the measured one.
    package let isComposeMeasured: Bool
    /// JSON, as the host gave it.
    package let vmConfig: String
    /// JSON; empty where no key provider was measured.
    package let keyProviderInfo: String
    package let cloudVendor: String
    package let cloudProduct: String
    /// What the public may see, by the compose file.
    package let visibility: GuestVisibility
    /// The pretty-printed `tcb_info`.
    package let tcbInfo: String

    package struct Registers: Sendable {
        package let mrtd: Measurement384
        package let rtmrs: RTMRValues
    }
}

/// What the compose file lets the public see.
package struct GuestVisibility: Sendable, Hashable {
    /// `/logs`.
    package var showsLogs = false
    /// System information on the page, and `/metrics`.
    package var showsSystem = false
    /// `tcb_info` and `vm_config`.
    package var showsTCBInfo = true

    package init(showsLogs: Bool = false, showsSystem: Bool = false, showsTCBInfo: Bool = true) {
        self.showsLogs = showsLogs
        self.showsSystem = showsSystem
        self.showsTCBInfo = showsTCBInfo
    }
}
