import DstackHTTP
import DstackHTTPServer
import DstackRPC
import DstackRPCServer

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
        let audit = CallLog(agent.settings.audit)
        let observer: (@Sendable (RPCOutcome) -> Void)? =
            agent.settings.audit == .off ? nil : { @Sendable in audit.note($0) }
        unix = Self.router(headers, observer) { Self.mountUnix(agent, on: &$0) }
        external = Self.router(externalHeaders, observer) { router in
            router.threads = .standingBack
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

    /// On the sockets of the application and the host.
    var maximumBodyBytes: Int { max(unix.maximumBodyBytes, guestAPI.maximumBodyBytes) }

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
