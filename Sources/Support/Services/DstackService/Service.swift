package import DstackHTTPServer
package import DstackSystem

/// What a service serves with: listeners that are opened together and closed together.
package protocol ServiceServer: Sendable {
    /// Opens all listeners and begins to serve.
    func start() async throws -> [HTTPBoundListener]

    /// Takes no more, lets requests under way finish until the time is over, and closes.
    func stop(within patience: Duration) async

    /// What was served, by the name of the part that served it.
    var parts: [(name: String, statistics: HTTPServerStatistics)] { get }
}

/// A service as a process runs it: from its first listener to its last request.
///
/// ```swift
/// let service = Service("gateway", server, reload: .configuration { try current.load(path) })
/// try await service.run { bound in for listener in bound { console.note("listening on \(listener)") } }
/// ```
///
/// - The service manager is told when requests are answered, that the process is alive, when the configuration is being read
///   again, and when it drains (sd_notify(3)).
/// - SIGHUP reads the configuration again. One that cannot be used changes nothing, and the log says why.
/// - SIGUSR1 logs what was served.
/// - SIGTERM and Ctrl-C let requests under way finish, within a time; a second one ends the process at once.
package struct Service: Sendable {
    /// What SIGHUP does.
    package enum Reload: Sendable {
        /// Nothing is read again: what the log says then.
        case nothing(String)
        /// Reads the configuration and puts it in the place of the old one, or throws and leaves everything as it is.
        case configuration(@Sendable () async throws -> Void)
    }

    /// For services that are alive as long as their process is.
    package static let isAlive: ServiceWatchdog.Probe = { $0(true) }

    private let log: Log
    private let server: any ServiceServer
    private let drainingWithin: Duration
    private let reload: Reload
    private let probe: ServiceWatchdog.Probe
    private let upkeep: [@Sendable () async -> Void]

    /// - Parameters:
    ///   - component: under which the log has what happens.
    ///   - server: what serves.
    ///   - drainingWithin: how long requests under way may take when the service is to end. Service managers have a time of
    ///     their own for that, which should be longer.
    ///   - probe: finds out whether the service is alive, for a service manager that wants to know (``ServiceNotifier``).
    ///   - upkeep: work beside the service, which is cancelled with it.
    package init(
        _ component: String, _ server: any ServiceServer, drainingWithin: Duration, reload: Reload,
        probe: @escaping ServiceWatchdog.Probe = Service.isAlive, upkeep: [@Sendable () async -> Void] = []
    ) {
        log = Log(component)
        self.server = server
        self.drainingWithin = drainingWithin
        self.reload = reload
        self.probe = probe
        self.upkeep = upkeep
    }

    /// Serves until the process is asked to end.
    ///
    /// - Parameter whenListening: told where, before the service manager is told that it is ready.
    /// - Throws: what the server throws where it cannot listen; ``SystemError`` where signals cannot be had.
    package func run(
        notifier: ServiceNotifier = .init(), whenListening: ([HTTPBoundListener]) -> Void
    ) async throws {
        // First of all, so that no signal ends the process while it starts with listeners half open.
        let signals = try Signals.stream(of: .interrupt, .terminate, .hangup, .user1)
        try await run(until: signals, notifier: notifier, whenListening: whenListening)
    }

    /// Serves until the stream ends, or has a signal to end by.
    package func run(
        until signals: AsyncStream<Signal>, notifier: ServiceNotifier, whenListening: ([HTTPBoundListener]) -> Void
    ) async throws {
        let bound = try await server.start()
        whenListening(bound)
        let status = "listening on " + bound.map(\.description).joined(separator: ", ")
        notifier.ready(status: status)
        let life = Task { [probe] in await notifier.keepAlive(probe: probe) }
        let upkeep = upkeep.map { work in Task { await work() } }
        // Also while it drains, which can take longer than the manager waits for a sign.
        defer {
            life.cancel()
            for task in upkeep { task.cancel() }
        }
        signals: for await signal in signals {
            switch signal {
            case .hangup: await readAgain(notifier, status)
            case .user1: logStatistics()
            case .user2: continue
            case .interrupt, .terminate: break signals
            }
        }
        notifier.stopping()
        log.info("draining")
        await server.stop(within: drainingWithin)
    }

    private func readAgain(_ notifier: ServiceNotifier, _ status: String) async {
        switch reload {
        case .nothing(let reason): log.info(reason)
        case .configuration(let read):
            notifier.reloading()
            do {
                try await read()
                log.info("configuration read again")
            } catch {
                log.error("configuration cannot be used, the old one stays in force", ["error": "\(error)"])
            }
            notifier.ready(status: status)
        }
    }

    private func logStatistics() {
        for (name, numbers) in server.parts {
            log.info(
                "statistics",
                [
                    "server": name, "connections": numbers.connections, "accepted": numbers.acceptedConnections,
                    "in_flight": numbers.requestsInFlight, "answered": numbers.answeredRequests,
                    "refused": numbers.refusedRequests, "evicted": numbers.evictedConnections,
                    "body_bytes": numbers.bufferedBodyBytes,
                ])
        }
    }
}

extension HTTPServer: ServiceServer {
    package var parts: [(name: String, statistics: HTTPServerStatistics)] { [("", statistics)] }
}
