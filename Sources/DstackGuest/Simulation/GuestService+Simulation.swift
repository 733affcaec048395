package import DstackGuest
import DstackNetwork
package import DstackSystem

extension GuestService {
    /// An agent without a TEE, from the files of a directory, which is filled first if it is empty.
    ///
    /// Its sockets are in the directory, by upstream's names: `dstack.sock`, `tappd.sock`, `external.sock`, `guest.sock`;
    /// the public port is also on TCP at 127.0.0.1, where a browser gets to it.
    ///
    /// - Parameters:
    ///   - configuration: what is configured beside; where files and sockets are it does not say.
    ///   - externalPort: 0 for any free one.
    package static func simulated(
        in directory: String, _ configuration: GuestSettings = .init(), appCompose: [UInt8]? = nil,
        externalPort: UInt16 = 0, version: GuestVersion = .unknown, clock: any WallClock = SystemWallClock()
    ) async throws -> GuestService {
        let simulation = try await SimulationDirectory.loadOrCreate(
            in: directory, appCompose: appCompose, at: clock.unixSeconds)
        var settings = configuration
        settings.files.keys = simulation.appKeysPath
        settings.files.compose = simulation.appComposePath
        settings.files.system = simulation.sysConfigPath
        if settings.ident == GuestSettings().ident { settings.ident = GuestSettings.simulatorIdent }
        settings.placeSockets(in: directory)
        settings.listeners.secondExternal = .tcp(host: "127.0.0.1", port: externalPort)
        settings.listeners.usesActivation = false
        settings.pages.simulation = directory
        if settings.pages.address == .unknown { settings.pages.address = .file(simulation.applicationURLPath) }
        return try GuestService(
            settings, files: try GuestFiles(settings.files), attester: simulation.attester, version: version,
            actions: SimulatedActions(), notice: simulation.notice, clock: clock
        ) { await refreshCollateral(of: simulation, clock) }
    }

    private static let log = Log("guest.evidence")

    /// A simulator that runs for weeks must not end up with evidence that nobody can verify any more.
    private static func refreshCollateral(of simulation: SimulationDirectory, _ clock: any WallClock) async {
        while (try? await Task.sleep(for: .seconds(12 * 3_600))) != nil {
            do {
                if try simulation.refreshCollateral(at: clock.unixSeconds) { log.info("collateral made anew") }
            } catch {
                log.warn("collateral cannot be made anew", ["error": "\(error)"])
            }
        }
    }

    /// Upstream's simulator: recorded evidence, in place of a platform's.
    ///
    /// - Parameter settings: say where it is, or that it is in `attestation.bin` by saying nothing.
    package static func recorded(
        _ settings: GuestSettings, version: GuestVersion = .unknown, clock: any WallClock = SystemWallClock()
    ) throws -> GuestService {
        let simulator = settings.simulator ?? .standard
        let files = try GuestFiles(settings.files)
        return try GuestService(
            settings, files: files, attester: try simulator.attester(), version: version, actions: SimulatedActions(),
            notice: simulator.notice(files, composePath: settings.files.compose), clock: clock)
    }
}

extension GuestSettings {
    /// Upstream's `Server` header of a simulator.
    static let simulatorIdent = "dstack Simulator"

    /// Upstream's presets of its simulator: recorded files and sockets in the working directory.
    package static var inWorkingDirectory: GuestSettings {
        var settings = GuestSettings()
        settings.ident = simulatorIdent
        settings.files.keys = SimulationDirectory.appKeysName
        settings.files.compose = SimulationDirectory.appComposeName
        settings.files.system = SimulationDirectory.sysConfigName
        settings.simulator = .standard
        settings.placeSockets(in: ".")
        return settings
    }

    fileprivate mutating func placeSockets(in directory: String) {
        listeners.main = .init(.unix(path: directory + "/dstack.sock"))
        listeners.tappd = .init(.unix(path: directory + "/tappd.sock"))
        listeners.external = .init(.unix(path: directory + "/external.sock"))
        listeners.guestAPI = .init(.unix(path: directory + "/guest.sock"), mode: 0o600)
    }
}

/// Says what would happen, where a simulated machine is a process on somebody's desk.
private struct SimulatedActions: GuestActions {
    func shutDown() async {
        Log("guest.shutdown").warn("simulated: the host asked to power off; a real machine would be off now")
    }
}
