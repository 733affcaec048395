package import DstackAttestation
import DstackMockTEE
package import DstackSystem
import Glibc

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
        if settings.ident == GuestSettings().ident { settings.ident = "dstack Simulator" }
        settings.listeners.main = .init(.unix(path: directory + "/dstack.sock"))
        settings.listeners.tappd = .init(.unix(path: directory + "/tappd.sock"))
        settings.listeners.external = .init(.unix(path: directory + "/external.sock"))
        settings.listeners.guestAPI = .init(.unix(path: directory + "/guest.sock"), mode: 0o600)
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

    /// Whether evidence can be had, and whether its log will explain it, is better known at start than from a verifier.
    /// Calls are answered meanwhile: what fails, fails with its own reason.
    private static func examine(_ attester: TDXAttester) async {
        do {
            for notice in try await attester.examine() { log.warn("evidence", ["notice": notice]) }
        } catch {
            log.error("no evidence", ["error": "\(error)"])
        }
    }

    /// An agent of a machine, or of upstream's simulator where the settings say so.
    ///
    /// - Parameters:
    ///   - paths: where the machine's evidence comes from.
    /// - Throws: where there is no TEE: an agent that cannot prove anything helps nobody.
    package static func configured(
        _ settings: GuestSettings, version: GuestVersion = .unknown, paths: TDXPlatformPaths,
        clock: any WallClock = SystemWallClock()
    ) throws -> GuestService {
        let files = try GuestFiles(settings.files)
        guard let simulator = settings.simulator else {
            let attester = try attester(files, settings, paths)
            return try GuestService(
                settings, files: files, attester: attester, version: version, actions: SystemActions(files),
                notice: nil,
                clock: clock
            ) { await examine(attester) }
        }
        let attester = try simulator.attester()
        return try GuestService(
            settings, files: files, attester: attester, version: version, actions: SimulatedActions(),
            notice: simulator.notice(files, composePath: settings.files.compose), clock: clock)
    }

    /// The machine's own source of evidence.
    private static func attester(
        _ files: GuestFiles, _ settings: GuestSettings, _ paths: TDXPlatformPaths
    ) throws -> TDXAttester {
        // The entry in configfs is made with the first quote; its parent is there with the driver.
        let parent = paths.quoteEntry.split(separator: "/").dropLast().reduce("") { "\($0)/\($1)" }
        guard access(parent, F_OK) == 0 || access(paths.device, F_OK) == 0 else {
            throw GuestError(
                .systemUnavailable, subject: "TEE",
                reason:
                    "this machine has none that evidence could come from: neither \(parent) nor \(paths.device) is there",
                hint: "to develop without one, use --simulate DIR")
        }
        return try TDXAttester(
            paths: paths, config: files.system.text, eventVersion: files.compose.eventVersion,
            timeout: settings.evidence.timeout, queue: settings.evidence.maximumWaiting)
    }

    private init(
        _ settings: GuestSettings, files: GuestFiles, attester: any Attester, version: GuestVersion,
        actions: any GuestActions, notice: String?, clock: any WallClock, upkeep: (@Sendable () async -> Void)? = nil
    ) throws(GuestError) {
        let engine = try settings.engine(files)
        let host = MachineHost(dataDisks: settings.dataDisks, engine: engine, scope: settings.scope(files))
        let agent = GuestAgent(
            settings, files: files, attester: attester, version: version, host: host, actions: actions, clock: clock)
        try self.init(agent, dashboard: agent.dashboard(engine), notice: notice, upkeep: upkeep)
    }
}
