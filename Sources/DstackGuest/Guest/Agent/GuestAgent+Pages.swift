import DstackAttestation
import DstackEncoding
import DstackPages
import DstackSystem

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

    /// What relying parties type; of a simulation that is not on this machine's disk, with files of the usual names.
    private var commands: VerificationCommands {
        guard isSimulated else { return VerificationCommands() }
        return settings.pages.simulation.flatMap { VerificationCommands.simulation(in: $0) } ?? .simulation
    }

    /// The pages of the public port.
    package func dashboard(_ engine: ContainerEngineKind) -> Dashboard {
        let visibility = files.compose.visibility
        return Dashboard(
            content: self, engine: engine.engine(settings.scope(files)),
            settings: DashboardSettings(
                publicLogs: visibility.showsLogs, publicSystemInformation: visibility.showsSystem,
                publicTCBInformation: visibility.showsTCBInfo, dataDisks: settings.dataDisks,
                commands: commands, address: settings.pages.address))
    }
}

extension GuestSettings {
    /// Which containers are the application's.
    func scope(_ files: GuestFiles) -> ContainerScope {
        switch containers.project {
        case "*": .engine
        case let name?: .project(name)
        case nil: .project(files.compose.projectName)
        }
    }

    /// What runs the application's containers. A machine without any has an agent all the same; where no engine is found,
    /// the pages say so.
    func engine(_ files: GuestFiles, environment: Environment = .process) throws(GuestError) -> ContainerEngineKind {
        switch containers.engine ?? files.compose.engine {
        case .docker: .docker(try .fromEnvironment(environment))
        case .nerdctl: .nerdctl(program: NerdctlEngine.standardProgram, namespace: containers.namespace)
        }
    }
}
