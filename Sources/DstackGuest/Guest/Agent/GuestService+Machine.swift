package import DstackAttestation
package import DstackSystem
import Glibc

extension GuestService {
    /// An agent of a machine with a TEE.
    ///
    /// - Parameters:
    ///   - paths: where the machine's evidence comes from.
    /// - Throws: where there is no TEE, because an agent that cannot prove anything helps nobody; and where the settings ask
    ///   for a simulated one, because this module has none.
    package static func ofMachine(
        _ settings: GuestSettings, version: GuestVersion = .unknown, paths: TDXPlatformPaths,
        clock: any WallClock = SystemWallClock()
    ) throws -> GuestService {
        guard settings.simulator == nil else {
            throw GuestError(
                .invalidConfiguration, subject: "core.simulator",
                reason: "asks for a simulated TEE, and this is for a real one")
        }
        let files = try GuestFiles(settings.files)
        let attester = try attester(files, settings, paths)
        return try GuestService(
            settings, files: files, attester: attester, version: version, actions: SystemActions(files), clock: clock
        ) { await examine(attester) }
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

    private static let log = Log("guest.evidence")

    /// Whether evidence can be had, and whether its log will explain it, is better known at start than from a verifier.
    /// Calls are answered meanwhile: what fails, fails with its own reason.
    private static func examine(_ attester: TDXAttester) async {
        do {
            for notice in try await attester.examine() { log.warn("evidence", ["notice": notice]) }
        } catch {
            log.error("no evidence", ["error": "\(error)"])
        }
    }

    /// An agent with its containers and pages, for evidence of any source.
    ///
    /// - Parameters:
    ///   - notice: what a person should know before relying on it.
    ///   - upkeep: runs beside the service and is cancelled with it.
    package init(
        _ settings: GuestSettings, files: GuestFiles, attester: any Attester, version: GuestVersion,
        actions: any GuestActions, notice: String? = nil, clock: any WallClock,
        upkeep: (@Sendable () async -> Void)? = nil
    ) throws(GuestError) {
        let engine = try settings.engine(files)
        let host = MachineHost(dataDisks: settings.dataDisks, engine: engine, scope: settings.scope(files))
        let agent = GuestAgent(
            settings, files: files, attester: attester, version: version, host: host, actions: actions, clock: clock)
        try self.init(agent, dashboard: agent.dashboard(engine), notice: notice, upkeep: upkeep)
    }
}
