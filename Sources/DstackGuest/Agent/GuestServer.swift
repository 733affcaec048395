import DstackHTTP
import DstackHTTPClient
package import DstackHTTPServer
import DstackRPC
import DstackRPCServer
import DstackSystem

/// Serves an agent on its sockets.
///
/// The application and the host have a server of their own: whatever strangers do on the public port, neither threads nor
/// places for connections go to them.
package final class GuestServer: Sendable {
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
        func server(_ listeners: [HTTPListener], _ limits: HTTPServerLimits) -> HTTPServer {
            HTTPServer(
                HTTPServerConfiguration(
                    listeners: listeners, limits: limits, observer: Self.observe, refusal: routers.refusal),
                immediate: routers.immediate, handler: routers.respond)
        }
        inner = server(own, Self.limits(routers))
        outer = server(open, Self.publicLimits(routers))
        probes = GuestProbes()
    }

    /// Containers keep connections open and do nothing with them; there is room for many.
    private static func limits(_ routers: GuestRouters) -> HTTPServerLimits {
        var limits = HTTPServerLimits()
        limits.maximumBodyBytes = routers.maximumBodyBytes
        limits.maximumConnections = 16_384
        return limits
    }

    /// Strangers get less of everything: their questions are short, and they should come to the point.
    private static func publicLimits(_ routers: GuestRouters) -> HTTPServerLimits {
        var limits = HTTPServerLimits()
        limits.maximumBodyBytes = routers.maximumBodyBytes
        limits.maximumBufferedBodyBytes = 32 << 20
        limits.maximumConnections = 2_048
        limits.maximumRequestsInFlight = 256
        limits.headerTimeout = .seconds(10)
        limits.bodyTimeout = .seconds(20)
        limits.idleTimeout = .seconds(30)
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
        probes.prepare(listeners, bound)
        agent.warmUp()
        return bound
    }

    /// Stops accepting, lets calls under way finish until the deadline, and closes.
    package func stop(within patience: Duration = .seconds(10)) async {
        async let outside: Void = outer.stop(within: patience)
        await inner.stop(within: patience)
        await outside
    }

    /// Whether calls over every socket are answered, for a watchdog: a process that runs but does not answer is no use.
    ///
    /// - Throws: naming the first socket that did not answer.
    package func probe() async throws { try await probes.run() }

    /// Of the application's and the host's sockets.
    package var statistics: HTTPServerStatistics { inner.statistics }
    /// Of the public port.
    package var publicStatistics: HTTPServerStatistics { outer.statistics }

    private static let log = Log("guest.server")

    private static let observe: @Sendable (HTTPServerEvent) -> Void = { event in
        switch event {
        case .answered(let listener, let peer, let method, let path, let status):
            log.trace(
                "answered",
                [
                    "listener": listener, "peer": "\(peer)", "method": method.rawValue, "path": path,
                    "status": status,
                ])
        case .refused(let listener, let peer, let refusal):
            log.info("refused", ["listener": listener, "peer": "\(peer)", "reason": refusal.reason])
        case .overloaded(let listener): log.warn("too many connections", ["listener": listener])
        case .acceptFailed(let listener, let reason):
            log.error("cannot accept connections", ["listener": listener, "reason": reason])
        case .handshakeFailed, .invalidResponse: log.error("unexpected event", ["event": "\(event)"])
        }
    }
}

/// Which service answers what on which socket.
struct GuestRouters: Sendable {
    private let unix: RPCRouter
    private let external: RPCRouter
    private let guestAPI: RPCRouter
    private let pages: (any GuestPages)?
    private let externalHeaders: HTTPHeaders
    private let headers: HTTPHeaders

    init(_ agent: GuestAgent, pages: (any GuestPages)?) {
        self.pages = pages
        let headers: HTTPHeaders = [
            "Server": agent.settings.ident, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "SAMEORIGIN",
            "Permissions-Policy": "interest-cohort=()",
        ]
        self.headers = headers
        var externalHeaders = headers
        externalHeaders.add("X-App-Version", agent.version.header)
        self.externalHeaders = externalHeaders
        let audit = AuditLog(agent.settings.audit)
        let observer: (@Sendable (RPCOutcome) -> Void)? =
            agent.settings.audit == .off ? nil : { @Sendable in audit.note($0) }
        unix = Self.router(headers, observer) { Self.mountUnix(agent, on: &$0) }
        external = Self.router(externalHeaders, observer) { router in
            router.mount(agent.workerService, at: "/prpc")
            router.mount(agent.workerService, at: "/prpc/v0", unknownMethodStatus: 404)
            router.mount(agent.workerServiceV1, at: "/prpc/v1", unknownMethodStatus: 404)
        }
        guestAPI = Self.router(headers, observer) {
            $0.mount(agent.guestAPIService, at: "/api", admission: agent.settings.listeners.hostPeers.admission)
        }
    }

    private static func router(
        _ headers: HTTPHeaders, _ observer: (@Sendable (RPCOutcome) -> Void)?, _ mount: (inout RPCRouter) -> Void
    ) -> RPCRouter {
        var router = RPCRouter()
        router.headers = headers
        router.observer = observer
        mount(&router)
        return router
    }

    /// Both sockets have all of both services, each at the paths that its clients use: what upstream answers with 404 is
    /// answered here, and nothing that it answers is answered otherwise.
    private static func mountUnix(_ agent: GuestAgent, on router: inout RPCRouter) {
        let admission = agent.settings.access?.admission
        let (main, tappd) = ([GuestListeners.Name.main], [GuestListeners.Name.tappd])
        let (guest, older, newer) = (agent.guestService, agent.tappdService, agent.guestServiceV1)
        router.mount(guest, at: "/", on: main, admission: admission)
        router.mount(guest, at: "/prpc", on: main, admission: admission)
        router.mount(older, at: "/prpc", on: tappd, admission: admission)
        router.mount(older, at: "/", on: tappd, admission: admission)
        router.mount(guest, at: "/prpc", on: tappd, admission: admission)
        router.mount(guest, at: "/v0", on: main, unknownMethodStatus: 404, admission: admission)
        router.mount(newer, at: "/v1", on: main, unknownMethodStatus: 404, admission: admission)
    }

    var maximumBodyBytes: Int {
        max(unix.maximumBodyBytes, external.maximumBodyBytes, guestAPI.maximumBodyBytes)
    }

    var immediate: @Sendable (HTTPServerRequest) -> HTTPServerResponse? {
        { router(of: $0).immediate($0) }
    }

    var respond: @Sendable (HTTPServerRequest) async -> HTTPServerResponse {
        { request in
            guard request.listener == GuestListeners.Name.external, let pages else {
                return await router(of: request).respond(to: request)
            }
            if let answer = await external.answer(request) { return answer }
            guard !request.path.hasPrefix("/prpc/"), var page = await pages.answer(request) else {
                return await external.respond(to: request)
            }
            for field in externalHeaders.fields where !page.headers.contains(field.name) {
                page.headers.add(field.name, field.value)
            }
            return page
        }
    }

    /// What never became a request is answered in the form that every client can read.
    var refusal: @Sendable (HTTPRefusal) -> HTTPServerResponse {
        { refusal in
            let error =
                refusal.status == 413 ? RPCError.payloadTooLarge : RPCError(refusal.reason, status: refusal.status)
            var headers = headers
            headers.add("Content-Type", RPCEncoding.json.contentType)
            return HTTPServerResponse(refusal.status, headers: headers, body: error.body(as: .json))
        }
    }

    private func router(of request: HTTPServerRequest) -> RPCRouter {
        switch request.listener {
        case GuestListeners.Name.external: external
        case GuestListeners.Name.guestAPI: guestAPI
        default: unix
        }
    }
}
