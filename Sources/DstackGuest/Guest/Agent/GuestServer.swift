import DstackConcurrency
import DstackHTTP
package import DstackHTTPServer
import DstackService
import DstackSystem

/// Serves an agent on its sockets.
///
/// The application and the host have a server of their own: whatever strangers do on the public port, neither threads nor
/// places for connections go to them. Their requests run on threads of their own, which stand back where the machine is
/// busy.
package final class GuestServer: ServiceServer {
    private let agent: GuestAgent
    private let inner: HTTPServer
    private let outer: HTTPServer
    private let probes: GuestProbes
    private let locks: [SocketLock]
    /// In the order of the two servers.
    private let listeners: [HTTPListener]

    /// - Parameters:
    ///   - pages: what the public port shows beside the methods; nil for nothing.
    ///   - inherited: listening sockets of a service manager.
    /// - Throws: ``GuestError`` where another agent has a socket.
    package init(
        _ agent: GuestAgent, pages: (any GuestPages)? = nil,
        inherited: [Int32] = SocketActivation.descriptors()
    ) throws(GuestError) {
        self.agent = agent
        let settings = agent.settings
        let all = GuestListeners.all(
            settings.listeners, inherited: inherited,
            identifyingProcesses: settings.access?.readControlGroups ?? false)
        locks = try GuestListeners.locks(
            all.map { listener in
                switch listener.name {
                case GuestListeners.Name.main: (listener, settings.listeners.main)
                case GuestListeners.Name.tappd: (listener, settings.listeners.tappd)
                case GuestListeners.Name.guestAPI: (listener, settings.listeners.guestAPI)
                default: (listener, settings.listeners.external)
                }
            })
        let isPublic: (HTTPListener) -> Bool = { $0.name == GuestListeners.Name.external }
        let (own, open) = (all.filter { !isPublic($0) }, all.filter(isPublic))
        listeners = own + open
        let routers = GuestRouters(agent, pages: pages)
        func server(
            _ listeners: [HTTPListener], _ limits: HTTPServerLimits, on threads: HandlerThreads? = nil
        ) -> HTTPServer {
            var configuration = HTTPServerConfiguration(
                listeners: listeners, limits: limits, observer: { $0.write(to: Self.limited) }, refusal: routers.refusal
            )
            configuration.threads = threads
            return HTTPServer(configuration, immediate: routers.immediate, handler: routers.respond)
        }
        let descriptors = Int(clamping: DescriptorLimit.raise())
        inner = server(own, Self.limits(routers, descriptors))
        outer = server(open, Self.publicLimits(descriptors), on: .standingBack)
        probes = GuestProbes()
    }

    /// Containers keep connections open and do nothing with them; there is room for many.
    private static func limits(_ routers: GuestRouters, _ descriptors: Int) -> HTTPServerLimits {
        var limits = HTTPServerLimits()
        limits.maximumBodyBytes = routers.maximumBodyBytes
        limits.maximumConnections = min(16_384, descriptors / 2)
        return limits
    }

    /// Strangers get less of everything: their questions are short (the longest is a call's name and a few bytes), and they
    /// should come to the point. Where the system gives few descriptors, most are the application's.
    private static func publicLimits(_ descriptors: Int) -> HTTPServerLimits {
        var limits = HTTPServerLimits()
        limits.maximumBodyBytes = 16 << 10
        limits.maximumBufferedBodyBytes = 4 << 20
        limits.maximumConnections = min(2_048, descriptors / 4)
        limits.maximumRequestsInFlight = 256
        limits.headerTimeout = .seconds(10)
        limits.bodyTimeout = .seconds(20)
        limits.idleTimeout = .seconds(30)
        limits.writeTimeout = .seconds(15)
        return limits
    }

    /// Opens all sockets and begins to serve.
    ///
    /// - Returns: where it listens: the main socket, that of older applications, the host's, the public ones.
    package func start() async throws -> [HTTPBoundListener] {
        var bound = try await inner.start()
        do {
            bound += try await outer.start()
        } catch {
            await inner.stop(within: .zero)
            throw error
        }
        probes.prepare(inner, outer, listeners)
        agent.warmUp()
        return bound
    }

    /// Stops accepting, lets calls under way finish until the deadline, and closes.
    package func stop(within patience: Duration = .seconds(10)) async {
        async let outside: Void = outer.stop(within: patience)
        await inner.stop(within: patience)
        await outside
    }

    /// Whether calls of the application would be answered, for a watchdog: a process that runs but does not answer is no
    /// use. The public port plays no part: strangers can fill it, and must not decide about the agent's life.
    ///
    /// - Parameter answer: told what does not answer; nil if all do. It is called once, or not at all where the agent stands
    ///   still.
    package func probe(_ answer: @escaping @Sendable (GuestError?) -> Void) { probes.run(answer) }

    /// As ``probe(_:)``.
    package func probe() async throws(GuestError) {
        let outcome = Promise<GuestError?>()
        probe { outcome.fulfil($0) }
        if let error = await outcome.value() { throw error }
    }

    /// What was served, the application's and the host's sockets apart from the public port.
    package var parts: [(name: String, statistics: HTTPServerStatistics)] {
        [("own", statistics), ("public", publicStatistics)]
    }

    /// Of the application's and the host's sockets.
    package var statistics: HTTPServerStatistics { inner.statistics }
    /// Of the public port.
    package var publicStatistics: HTTPServerStatistics { outer.statistics }

    /// For what strangers cause.
    private static let limited = LimitedLog(Log("guest.server"))
}
