package import DstackRPC

/// The machine that the agent runs on, as its kernel and its container engine tell.
package struct MachineHost: GuestHost {
    private let dataDisks: [String]
    private let engine: any ContainerEngine
    private let application: any ContainerEngine

    /// - Parameters:
    ///   - dataDisks: mount points of the disks to tell of.
    ///   - scope: which containers are the application's.
    package init(dataDisks: [String], engine: ContainerEngineKind, scope: ContainerScope) {
        self.dataDisks = dataDisks
        // The host sees all containers, as it always has; only health is the application's alone.
        self.engine = engine.engine(.engine)
        application = engine.engine(scope)
    }

    package func systemInformation() async throws -> GuestAPIRPC.SystemInfo {
        try SystemInformation.current(dataDisks: dataDisks).message
    }

    package func networkInformation() async throws -> GuestAPIRPC.NetworkInformation {
        try await NetworkInformation.current().message
    }

    package func containers() async throws -> GuestAPIRPC.ListContainersResponse {
        do {
            return GuestAPIRPC.ListContainersResponse(try await engine.list())
        } catch {
            throw RPCError("\(error)")
        }
    }

    package func containerHealth() async throws -> [ContainerHealth] { try await application.health() }
}
