package import DstackHTTPServer
package import DstackSystem
import Synchronization

/// A whole agent as a process runs it: sockets, pages, service manager, draining.
///
/// ```swift
/// let service = try GuestService.ofMachine(settings, paths: paths)
/// try await service.run(until: signals) { bound in service.announcements(bound).forEach { console.note($0) } }
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

    /// Serves until the stream ends or gives a signal to end by; then lets calls under way finish.
    ///
    /// - Parameters:
    ///   - notifier: is told when the agent is ready and, with `watchdog`, that it is alive.
    ///   - watchdog: whether signs of life depend on the agent's answers.
    ///   - whenListening: told where.
    package func run(
        until signals: AsyncStream<Signal>, notifier: ServiceNotifier = .init(), watchdog: Bool = false,
        whenListening: ([HTTPBoundListener]) -> Void
    ) async throws {
        let bound = try await server.start()
        whenListening(bound)
        notifier.ready(status: "listening on " + bound.map(\.description).joined(separator: ", "))
        let life = Task { [self] in await keepAlive(notifier, probing: watchdog) }
        let history = Task { [dashboard] in await dashboard?.recordHistory() }
        let upkeep = Task { [upkeep] in await upkeep?() }
        defer {
            upkeep.cancel()
            life.cancel()
            history.cancel()
        }
        for await signal in signals {
            guard signal == .hangup else { break }
            // Keys and compose file are those of the boot; other ones come with another boot.
            Self.log.info("nothing is read again: start the agent anew for other settings")
        }
        notifier.stopping()
        Self.log.info("draining")
        await server.stop(within: .seconds(10))
    }

    /// What a person wants to know once it listens: where, and where a browser on this machine finds the public pages, if they
    /// are on a TCP port. `dstack dev` reads the pages' address there.
    package func announcements(_ bound: [HTTPBoundListener]) -> [String] {
        let pages = bound.first { $0.name == GuestListeners.Name.external && $0.description.hasPrefix("http") }
        return bound.map { "listening on \($0.description) (\($0.name))" }
            + (pages.map { ["dashboard at \($0.description)/"] } ?? [])
    }

    /// Signs of life at half the interval in which they are expected. Without one in time, systemd starts the service
    /// again, which mends what asking again does not.
    private func keepAlive(_ notifier: ServiceNotifier, probing: Bool) async {
        guard probing else { return await notifier.keepAlive() }
        await notifier.keepAlive { [server] answer in
            server.probe { error in
                if let error { Self.log.error("the agent does not answer itself", ["error": "\(error)"]) }
                answer(error == nil)
            }
        }
    }
}
