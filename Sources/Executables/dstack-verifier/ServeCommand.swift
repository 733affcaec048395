import DstackAttestation
import DstackCommandLine
import DstackHTTP
import DstackHTTPServer
import DstackNetwork
import DstackService
import DstackSystem
import DstackVerifierService

/// `serve`: upstream's verifier service over HTTP.
enum ServeCommand {
    private static let config = Option(
        "config", .file, short: "c", "settings, TOML; docs/verifier-service.md lists them")

    static let command = Command(
        "serve", "answers POST /verify and GET /health over HTTP",
        examples: [
            "dstack-verifier serve",
            "dstack-verifier serve --config dstack-verifier.toml",
            "DSTACK_VERIFIER_PORT=9000 dstack-verifier serve",
        ],
        notes: [
            "Without --config, dstack-verifier.toml in the working directory is read if it is there. SIGHUP reads it again "
                + "(address and limits stay), SIGUSR1 logs what was served, SIGTERM lets requests under way finish."
        ],
        arguments: [config]
    ) { arguments, console in try await serve(arguments.path(config), console) }

    private static let log = Log("verifier")
    /// For what strangers cause.
    private static let limited = LimitedLog(log)

    /// Serves until it is asked to end.
    static func serve(_ path: String?, _ console: Console) async throws -> ExitStatus {
        let configuration = try VerifierConfiguration.load(path)
        let service = Current(try VerifierService(configuration))
        let server = HTTPServer(
            http(configuration),
            // What takes no work takes no place either: health is answered also while all handlers are busy.
            immediate: { $0.path == "/verify" ? nil : plain($0) },
            handler: routes(service).respond)
        try await Service(
            "verifier", server, drainingWithin: .seconds(15), reload: .configuration { try reload(path, service) }
        ).run { bound in
            report(configuration, service.value)
            console.note("listening on " + bound.map(\.description).joined(separator: ", "))
        }
        return .done
    }

    private static func http(_ configuration: VerifierConfiguration) -> HTTPServerConfiguration {
        var http = HTTPServerConfiguration(
            listeners: listeners(configuration), limits: configuration.limits, observer: { $0.write(to: limited) })
        // What comes in beyond is for the process's own files and connections.
        let descriptors = Int(clamping: DescriptorLimit.raise())
        http.limits.maximumConnections = min(http.limits.maximumConnections, max(16, descriptors / 2))
        http.route = { head, _ in HTTPRouteRules(maximumBodyBytes: head.path == "/verify" ? nil : 4 << 10) }
        let limit = http.limits.maximumBodyBytes
        http.refusal = { refusal in
            let reason =
                refusal.status == 413 && refusal.reason.contains(" \(limit) bytes")
                ? Self.largeBody(limit) : refusal.reason
            return .text(refusal.status, reason + "\n")
        }
        // Signals and signs of life do not wait behind requests.
        http.threads = .apart
        return http
    }

    /// Compose files may have fifty megabytes, of which a service for everybody takes few.
    private static func largeBody(_ limit: Int) -> String {
        "the body is over \(limit) bytes; whoever runs the service raises limits.max_body (DSTACK_VERIFIER_LIMITS__MAX_BODY), and "
            + "in place of a large app_compose its hash will do: expected_compose_hash"
    }

    private static func listeners(_ configuration: VerifierConfiguration) -> [HTTPListener] {
        let inherited = SocketActivation.descriptors()
        guard inherited.isEmpty else { return inherited.map { HTTPListener("http", .descriptor($0)) } }
        return [HTTPListener("http", .tcp(host: configuration.address, port: configuration.port))]
    }

    private static func routes(_ service: Current<VerifierService>) -> HTTPRoutes {
        var routes = HTTPRoutes()
        routes.on(.post, "/verify") { request in
            let answer = await service.value.answer(
                toBody: request.body, query: request.head.query, askedBy: "\(request.peer.address.identity)")
            if let response = answer.response {
                note(response, of: request.peer.address)
                for note in response.notes { limited.error("cannot keep what was verified", ["reason": note]) }
            }
            var response = HTTPServerResponse.json(answer.json, status: answer.status)
            if let seconds = answer.retryAfter { response.headers.add("Retry-After", "\(seconds)") }
            return response
        }
        return routes
    }

    /// Everything that needs no handler.
    private static func plain(_ request: HTTPServerRequest) -> HTTPServerResponse {
        // For people who look at it, with a browser or without.
        let answers = "dstack-verifier: POST /verify judges evidence, GET /health says whether the service is there\n"
        guard ["/", "/health"].contains(request.path) else { return .text(404, "not found; " + answers) }
        guard request.method == .get || request.method == .head else { return .methodNotAllowed([.get, .head]) }
        return request.path == "/" ? .text(200, answers) : .json(VerifierService.health)
    }

    /// A yes takes genuine evidence; a no can be had for a few bytes.
    private static func note(_ response: VerifierResponse, of peer: HTTPPeer.Address) {
        guard !response.isValid else { return log.info("verified", ["peer": "\(peer)", "valid": true, "reason": ""]) }
        let reason = response.reason ?? ""
        limited.info("verified", ["peer": "\(peer)", "valid": false, "reason": reason])
    }

    private static func reload(_ path: String?, _ service: Current<VerifierService>) throws {
        let configuration = try VerifierConfiguration.load(path)
        service.value = try VerifierService(configuration, after: service.value)
        report(configuration, service.value)
    }

    private static func report(_ configuration: VerifierConfiguration, _ service: VerifierService) {
        log.info("policy", ["name": service.policy.name])
        if service.trustAnchor.isSimulated {
            log.warn("trusting a simulated TEE: nothing about hardware is verified", ["root": service.trustAnchor.name])
        } else if !service.trustAnchor.isIntel {
            log.warn("trusting another root than Intel's", ["root": service.trustAnchor.name])
        }
        if let exposure = configuration.collateral.cacheDirectory.flatMap(CollateralDirectory.exposure) {
            log.warn("what is kept is not safe from others", ["reason": exposure])
        }
        for key in configuration.withoutEffect {
            log.warn("setting has no effect: only TDX is verified, and without images", ["key": key])
        }
    }
}
