import DstackConcurrency
package import DstackCrypto
import DstackEncoding
package import DstackHTTP
package import DstackHTTPServer
import DstackKMS
import DstackPages
package import DstackRPC
import DstackRPCServer
package import DstackSystem
import Synchronization

/// Serves whoever sets the service up, until it is told that this is done: a page, and upstream's methods.
///
/// ```swift
/// let listener = OnboardingListener(rules, onboarding) { try await info() }
/// for line in listener.announcements { console.note(line) }
/// let result = try await listener.run { bound in … }
/// ```
///
/// | | |
/// | --- | --- |
/// | `GET /` | the page |
/// | `POST /prpc/[Onboard.]Bootstrap`, `Onboard`, `Finish`, `GET` or `POST /finish` | for who may (``OnboardingAccess``) |
/// | `/prpc/[Onboard.]GetAttestationInfo`, `GET /health` | for everybody |
package final class OnboardingListener: Sendable {
    /// What is known of this machine.
    package typealias Information = @Sendable () async throws -> KMSRPC.AttestationInfoResponse

    let rules: OnboardingRules
    let onboarding: Onboarding
    let access: OnboardingAccess
    private let information: Information
    private let headers: HTTPHeaders
    private let log: Log
    private let refusals: LimitedLog
    private let finished = Promise<Void>()
    private let outcome = Mutex<OnboardingResult?>(nil)
    /// Made here, where the settings have none and one is needed.
    package let generatedToken: String?

    /// How long evidence and collateral may take before the page goes without.
    private static let informationTimeout = Duration.seconds(15)
    /// A quote, another service's answers, and what both may have to wait for.
    private static let attemptTimeout = Duration.seconds(300)

    /// - Parameters:
    ///   - information: what is answered about this machine.
    ///   - headers: sent with every answer.
    package init(
        _ rules: OnboardingRules, _ onboarding: Onboarding, headers: HTTPHeaders = [:],
        log: Log = Log("kms.onboarding"), random: any RandomBytes = SystemRandom(),
        information: @escaping Information
    ) {
        self.rules = rules
        self.onboarding = onboarding
        self.information = information
        self.headers = headers
        self.log = log
        refusals = LimitedLog(log)
        let isOpen = rules.token == nil && (rules.allowsEveryone || rules.isLocal)
        generatedToken = rules.token == nil && !isOpen ? random.fixed(FixedBytes<20>.self).hex : nil
        let token = generatedToken.map { SharedSecret(copying: Array($0.utf8).span.bytes) } ?? rules.token
        access = OnboardingAccess(token: token)
    }

    /// What an operator has to be told, at every start: who may use the listener, and by which token. It is no key: it is good
    /// for one set-up, by whoever can read this service's log anyway.
    package var announcements: [String] {
        if let generatedToken { return ["the token for onboarding is \(generatedToken)"] }
        if access.needsToken { return ["onboarding needs the token of the settings"] }
        if rules.isLocal { return ["onboarding is open to every program of this machine, without a token"] }
        return ["onboarding is open to EVERYBODY who reaches it, without a token (insecure_no_auth)"]
    }

    // MARK: Serving

    /// Serves until it was told to finish, or the task is cancelled.
    ///
    /// - Returns: how the service came to keys; nil where it did not.
    package func run(
        whenListening: @Sendable ([HTTPBoundListener]) -> Void = { _ in }
    ) async throws(HTTPServerError) -> OnboardingResult? {
        let server = HTTPServer(configuration, handler: { [self, router] in await respond(to: $0, router) })
        whenListening(try await server.start())
        // Whoever is cancelled stops as well.
        _ = await finished.value(whenCancelled: ())
        await server.stop(within: .seconds(10))
        return outcome.withLock { $0 }
    }

    private var configuration: HTTPServerConfiguration {
        var limits = HTTPServerLimits()
        limits.maximumBodyBytes = 64 << 10
        limits.maximumConnections = 64
        limits.maximumRequestsInFlight = 32
        return HTTPServerConfiguration(listeners: [HTTPListener("onboarding", rules.place)], limits: limits)
    }

    private func respond(to request: HTTPServerRequest, _ router: RPCRouter) async -> HTTPServerResponse {
        if let answer = await router.answer(request) { return answer }
        var response = await page(request)
        for field in headers.fields { response.headers[field.name] = field.value }
        return response
    }

    private func page(_ request: HTTPServerRequest) async -> HTTPServerResponse {
        let reads = request.method == .get || request.method == .head
        switch request.path {
        case "/health": return reads ? .text(200, "OK") : .methodNotAllowed([.get, .head])
        case "/":
            guard reads else { return .methodNotAllowed([.get, .head]) }
            if let refusal = access.refusal(of: request.head, changes: false) { return refused(refusal, request.peer) }
            return await OnboardingPage(self, host: request.head.host ?? "", information: currentInformation())
                .page.response()
        case "/finish":
            guard reads || request.method == .post else { return .methodNotAllowed([.get, .head, .post]) }
            if let refusal = access.refusal(of: request.head, changes: true) { return refused(refusal, request.peer) }
            do throws(RPCError) { try finish() } catch { return .text(error.status, error.message + "\n") }
            return .text(200, "OK")
        default: return .notFound
        }
    }

    private func refused(_ refusal: OnboardingAccess.Refusal, _ peer: HTTPPeer) -> HTTPServerResponse {
        refusals.warn("refused", ["peer": "\(peer.address)", "reason": refusal.reason])
        var response = HTTPServerResponse.text(refusal.status, refusal.reason + "\n")
        if refusal.status == 401 { response.headers["WWW-Authenticate"] = "Bearer realm=\"dstack-kms onboarding\"" }
        return response
    }

    /// What is known of this machine, or why nothing is.
    private func currentInformation() async -> Result<KMSRPC.AttestationInfoResponse, any Error> {
        let information = information
        do {
            return .success(
                try await Deadline.run(
                    within: Self.informationTimeout,
                    orThrow: KMSServiceError(.unavailable, "this machine's evidence", "it takes too long"),
                    information))
        } catch {
            return .failure(error)
        }
    }

    // MARK: Methods

    private var router: RPCRouter {
        let (access, refusals) = (access, refusals)
        var router = RPCRouter()
        router.headers = headers
        router.mount(
            service, at: "/prpc",
            admission: .init(check: { call in
                let changes = call.method != KMSRPC.Onboard.getAttestationInfo.name
                if let refusal = access.refusal(of: call.head, changes: changes) {
                    refusals.warn("refused", ["peer": "\(call.peer.address)", "reason": refusal.reason])
                    throw RPCError(refusal.reason, status: refusal.status)
                }
            }))
        return router
    }

    private var service: RPCService {
        let limits = RPCMethodLimits(maximumBodyBytes: 32 << 10, timeout: Self.attemptTimeout)
        var service = RPCService(KMSRPC.Onboard.name)
        service.on(KMSRPC.Onboard.bootstrap, limits: limits) { [self] request, _ in
            let result = try await attempt { () async throws(KMSServiceError) in
                try await onboarding.bootstrap(domain: request.domain)
            }
            guard case .bootstrapped(let answer, _) = result else { return .init() }
            return answer
        }
        service.on(KMSRPC.Onboard.onboard, limits: limits) { [self] request, _ in
            let result = try await attempt { () async throws(KMSServiceError) in
                try await onboarding.onboard(
                    from: request.sourceURL, domain: request.domain, caPublicKey: request.caPublicKey)
            }
            guard case .onboarded(_, _, let publicKey, _) = result else { return .init() }
            return .with { $0.k256PublicKey = publicKey.bytes }
        }
        service.on(KMSRPC.Onboard.getAttestationInfo, limits: limits) { [self] _, _ in
            do {
                return try await currentInformation().get()
            } catch let error as KMSServiceError {
                throw error.rpcError
            }
        }
        service.on(KMSRPC.Onboard.finish) { [self] _, _ in
            try finish()
            return RPCEmpty()
        }
        return service
    }

    private func attempt(
        _ body: () async throws(KMSServiceError) -> OnboardingResult
    ) async throws -> OnboardingResult {
        do throws(KMSServiceError) {
            let result = try await body()
            outcome.withLock { $0 = result }
            switch result {
            case .bootstrapped(_, let domain): log.info("root keys made", ["domain": domain.name])
            case .onboarded(_, let url, _, let domain):
                log.info("root keys taken from another service", ["url": url, "domain": domain.name])
            }
            return result
        } catch {
            log.warn("no root keys", ["error": "\(error)"])
            throw error.rpcError
        }
    }

    /// Ends ``run(whenListening:)``, once the answer to this request is sent.
    ///
    /// - Throws: 409 where there are no keys: the service would end, and nobody could set it up any more.
    private func finish() throws(RPCError) {
        guard (try? onboarding.files.state()) == .complete else {
            throw RPCError("there are no keys yet: bootstrap or onboard first", status: 409)
        }
        log.info("onboarding was finished")
        finished.fulfil(())
    }
}
