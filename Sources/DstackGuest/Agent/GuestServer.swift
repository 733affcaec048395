import DstackHTTP
import DstackHTTPClient
package import DstackHTTPServer
import DstackRPC
import DstackRPCServer
import DstackSystem

/// Serves an agent on its sockets.
package final class GuestServer: Sendable {
    private let agent: GuestAgent
    private let server: HTTPServer
    private let probes: GuestProbes
    private let locks: [SocketLock]
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
        listeners = GuestListeners.all(settings.listeners, inherited: inherited)
        let withSettings = listeners.map { listener in
            switch listener.name {
            case GuestListeners.Name.main: (listener, settings.listeners.main)
            case GuestListeners.Name.tappd: (listener, settings.listeners.tappd)
            case GuestListeners.Name.guestAPI: (listener, settings.listeners.guestAPI)
            default: (listener, settings.listeners.external)
            }
        }
        locks = try GuestListeners.locks(withSettings)
        let routers = GuestRouters(agent, pages: pages)
        var limits = HTTPServerLimits()
        limits.maximumBodyBytes = routers.maximumBodyBytes
        limits.headerTimeout = .seconds(15)
        limits.idleTimeout = .seconds(75)
        limits.maximumConnections = 16_384
        server = HTTPServer(
            HTTPServerConfiguration(
                listeners: listeners, limits: limits, observer: Self.observe, refusal: routers.refusal),
            immediate: routers.immediate, handler: routers.respond)
        probes = GuestProbes()
    }

    /// Opens all sockets and begins to serve.
    ///
    /// - Returns: where it listens: the main socket, that of older applications, the public ones, the host's.
    package func start() async throws -> [HTTPBoundListener] {
        let bound = try await server.start()
        probes.prepare(listeners, bound)
        agent.warmUp()
        return bound
    }

    /// Stops accepting, lets calls under way finish until the deadline, and closes.
    package func stop(within patience: Duration = .seconds(10)) async { await server.stop(within: patience) }

    package var statistics: HTTPServerStatistics { server.statistics }

    /// Whether calls over every socket are answered, for a watchdog: a process that runs but does not answer is no use.
    ///
    /// - Throws: naming the first socket that did not answer.
    package func probe() async throws { try await probes.run() }

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
            router.mount(agent.workerService, at: "/prpc/v0")
            router.mount(agent.workerServiceV1, at: "/prpc/v1", unknownMethodStatus: 404)
        }
        guestAPI = Self.router(headers, observer) { $0.mount(agent.guestAPIService, at: "/api") }
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
        var admission: RPCRouter.Admission?
        if let rules = agent.settings.access { admission = { try rules.check($0) } }
        let (main, tappd) = ([GuestListeners.Name.main], [GuestListeners.Name.tappd])
        let (guest, older, newer) = (agent.guestService, agent.tappdService, agent.guestServiceV1)
        router.mount(guest, at: "/", on: main, admission: admission)
        router.mount(guest, at: "/prpc", on: main, admission: admission)
        router.mount(older, at: "/prpc", on: tappd, admission: admission)
        router.mount(older, at: "/", on: tappd, admission: admission)
        router.mount(guest, at: "/prpc", on: tappd, admission: admission)
        router.mount(guest, at: "/v0", on: main, admission: admission)
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
