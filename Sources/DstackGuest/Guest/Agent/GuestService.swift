package import DstackHTTPServer
import DstackService
import DstackSystem

/// A whole agent as a process runs it: sockets, pages, service manager, draining.
///
/// ```swift
/// let service = try GuestService.ofMachine(settings, paths: paths)
/// try await service.run { bound in service.announcements(bound).forEach { console.note($0) } }
/// ```
package struct GuestService: Sendable {
    package let agent: GuestAgent
    package let server: GuestServer
    /// What a person should know before relying on it; nil if there is nothing.
    package let notice: String?
    private let dashboard: Dashboard?
    private let upkeep: (@Sendable () async -> Void)?

    /// - Parameters:
    ///   - notice: what a person should know.
    ///   - upkeep: runs beside the service and is cancelled with it.
    package init(
        _ agent: GuestAgent, dashboard: Dashboard? = nil, notice: String? = nil,
        upkeep: (@Sendable () async -> Void)? = nil,
        inherited: [Int32] = SocketActivation.descriptors()
    ) throws(GuestError) {
        self.agent = agent
        self.notice = notice
        self.dashboard = dashboard
        self.upkeep = upkeep
        server = try GuestServer(agent, pages: dashboard, inherited: inherited)
    }

    private static let log = Log("guest")

    /// Serves until the process is asked to end; then lets calls under way finish.
    ///
    /// - Parameters:
    ///   - watchdog: whether signs of life, which a service manager may want, depend on the agent's answers. Without one in
    ///     time, systemd starts the service again, which mends what asking again does not.
    ///   - whenListening: told where.
    package func run(watchdog: Bool = false, whenListening: ([HTTPBoundListener]) -> Void) async throws {
        let probe: ServiceWatchdog.Probe = { [server] answer in
            server.probe { error in
                if let error { Self.log.error("the agent does not answer itself", ["error": "\(error)"]) }
                answer(error == nil)
            }
        }
        // Keys and compose file are those of the boot; other ones come with another boot.
        let service = Service(
            "guest", server, drainingWithin: .seconds(10),
            reload: .nothing("nothing is read again: start the agent anew for other settings"),
            probe: watchdog ? probe : Service.isAlive,
            upkeep: [{ [dashboard] in _ = await dashboard?.recordHistory() }, { [upkeep] in _ = await upkeep?() }])
        try await service.run(whenListening: whenListening)
    }

    /// What a person wants to know once it listens: where, and where a browser on this machine finds the public pages, if they
    /// are on a TCP port. `dstack dev` reads the pages' address there.
    package func announcements(_ bound: [HTTPBoundListener]) -> [String] {
        let pages = bound.first { $0.name == GuestListeners.Name.external && $0.description.hasPrefix("http") }
        return bound.map { "listening on \($0.description) (\($0.name))" }
            + (pages.map { ["dashboard at \($0.description)/"] } ?? [])
    }
}
