import DstackAttestation
import DstackEncoding

extension Dashboard: GuestPages {}

extension GuestAgent: DashboardContent {
    /// What the public page shows, from the cache that Info is answered from.
    package func dashboardFacts() async throws -> DashboardFacts {
        let snapshot = try await snapshot()
        let provider = snapshot.identity.keyProvider
        return DashboardFacts(
            appName: snapshot.appName, appID: snapshot.identity.appID.bytes.bytes,
            instanceID: snapshot.identity.instanceID?.bytes.bytes ?? [], deviceID: snapshot.deviceID.bytes.bytes,
            composeHash: snapshot.identity.composeHash.bytes.bytes, osImageHash: snapshot.osImageHash,
            aggregatedMeasurement: snapshot.mrAggregated, keyProviderName: provider?.kind.rawValue ?? "",
            keyProviderID: provider.map { Hex.encode($0.id) } ?? "", cloudVendor: snapshot.cloudVendor,
            cloudProduct: snapshot.cloudProduct, isSimulated: snapshot.isSimulated, version: version.header,
            measurements: snapshot.registers.map { .init(mrtd: $0.mrtd, rtmrs: $0.rtmrs) },
            eventLog: snapshot.eventLog, tcbInfo: snapshot.tcbInfo, appCompose: snapshot.appCompose)
    }

    /// The pages of the public port.
    ///
    /// - Parameter endpoint: where the container engine listens; nil for nowhere.
    package func dashboard(_ endpoint: ContainerEngineEndpoint?) -> Dashboard {
        let visibility = files.compose.visibility
        return Dashboard(
            content: self, engine: endpoint.map { ContainerEngine($0, scope: settings.scope(files)) },
            settings: DashboardSettings(
                publicLogs: visibility.showsLogs, publicSystemInformation: visibility.showsSystem,
                publicTCBInformation: visibility.showsTCBInfo, dataDisks: settings.dataDisks))
    }
}

extension GuestSettings {
    /// Which containers are the application's.
    func scope(_ files: GuestFiles) -> ContainerScope {
        switch containerProject {
        case "*": .engine
        case let name?: .project(name)
        case nil: .project(files.compose.projectName)
        }
    }
}
