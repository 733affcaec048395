import DstackCrypto
import DstackEncoding
import DstackHTTP
import DstackHTTPClient
import DstackSystem

/// Asks the services, in order and in rounds, until one has given everything.
struct CollateralDownload: Sendable {
    /// Time and chance, so that tests can do without both.
    struct Dependencies: Sendable {
        var clock: any WallClock = SystemWallClock()
        var sleep: @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
        var random: @Sendable () -> Double = { Double.random(in: 0...1) }
    }

    let endpoints: [CollateralEndpoint]
    let policy: CollateralRetryPolicy
    /// Hosts that the root's revocation list may be fetched from by its distribution point.
    let crlHosts: Set<String>
    let client: HTTPClient
    let dependencies: Dependencies
    /// Told once for each service that has not answered for ``patience``.
    private let onDelay: (@Sendable (String) -> Void)?
    /// Why collateral is not taken although it can be read; nil if it is.
    let objection: @Sendable (QuoteCollateral) -> CollateralFailure?
    private let deadline: ContinuousClock.Instant

    /// How long somebody waits who is told nothing.
    private static let patience = Duration.seconds(3)

    init(
        endpoints: [CollateralEndpoint], policy: CollateralRetryPolicy, crlHosts: Set<String>, client: HTTPClient,
        dependencies: Dependencies, onDelay: (@Sendable (String) -> Void)? = nil,
        objection: @escaping @Sendable (QuoteCollateral) -> CollateralFailure? = { _ in nil }
    ) {
        self.endpoints = endpoints
        self.policy = policy
        self.crlHosts = crlHosts
        self.client = client
        self.dependencies = dependencies
        self.onDelay = onDelay
        self.objection = objection
        deadline = .now + policy.totalTimeout
    }

    /// What a service gave, and what was unpleasant on the way.
    struct Found<Value: Sendable>: Sendable {
        let value: Value
        let endpoint: CollateralEndpoint
        let notes: [String]
    }

    // MARK: Rounds

    /// A service on the way through the rounds. `State` is what is kept for it between them.
    private struct Candidate<State> {
        let endpoint: CollateralEndpoint
        var state: State
        var notBefore = ContinuousClock.now
    }

    /// How a service failed, and what that took.
    private struct Failed {
        var failure: CollateralFailure
        var attempts = 0
        var duration = Duration.zero

        /// With how often and how long it was asked, where that was long.
        var description: String {
            guard duration >= .seconds(1) else { return failure.reason }
            let often = attempts == 1 ? "asked once" : "asked \(attempts) times"
            return "\(failure.reason) (\(often), \(duration.components.seconds) s in all)"
        }
    }

    /// Calls `ask` for service after service until one succeeds.
    private func firstAnswer<Value: Sendable, State>(
        _ subject: String, state initial: State,
        _ ask: (CollateralEndpoint, inout State) async -> Result<Value, CollateralFailure>
    ) async throws(AttestationError) -> Found<Value> {
        var waiting = endpoints.map { Candidate(endpoint: $0, state: initial) }
        var failures: [String: Failed] = [:]
        var notes: [String] {
            endpoints.compactMap { endpoint in failures["\(endpoint)"].map { "\(endpoint): \($0.description)" } }
        }
        rounds: for round in 0..<max(1, policy.maximumRounds) {
            if round > 0, await !pause(beforeRound: round, until: waiting.map(\.notBefore).min()) { break }
            var remaining: [Candidate<State>] = []
            for var candidate in waiting {
                guard candidate.notBefore <= .now else {
                    remaining.append(candidate)
                    continue
                }
                guard !Task.isCancelled, deadline > .now else { break rounds }
                let name = "\(candidate.endpoint)"
                let begin = ContinuousClock.now
                let answer = await watched(subject, candidate.endpoint, isFirst: failures[name] == nil) {
                    await ask(candidate.endpoint, &candidate.state)
                }
                switch answer {
                case .success(let value):
                    return Found(value: value, endpoint: candidate.endpoint, notes: notes)
                case .failure(let failure):
                    var failed = failures[name] ?? Failed(failure: failure)
                    failed.failure = failure
                    failed.attempts += 1
                    failed.duration += begin.duration(to: .now)
                    failures[name] = failed
                    guard failure.mayPass else { continue }
                    if let wait = failure.wait {
                        if wait > policy.maximumDelay { continue }
                        candidate.notBefore = .now + wait
                    }
                    remaining.append(candidate)
                }
            }
            waiting = remaining
            if waiting.isEmpty { break }
        }
        var told = notes.isEmpty ? ["there is no collateral service to ask"] : notes
        if !Task.isCancelled, deadline <= .now {
            told += endpoints.filter { failures["\($0)"] == nil }.map { "\($0): not asked any more" }
            told.append("no more than \(policy.totalTimeout.components.seconds) s are spent on it")
        }
        let remedy = failures.values.compactMap(\.failure.remedy).min()
        var error = AttestationError(
            .collateralUnavailable, subject: subject,
            reason: Task.isCancelled ? "cancelled" : told.joined(separator: "; "), hint: remedy?.hint ?? "")
        error.actions = remedy?.actions ?? []
        throw error
    }

    /// Says what is waited for, if it takes its time.
    private func watched<Value>(
        _ subject: String, _ endpoint: CollateralEndpoint, isFirst: Bool, _ body: () async -> Value
    ) async -> Value {
        guard isFirst, let onDelay else { return await body() }
        let left = ContinuousClock.now.duration(to: deadline).components.seconds
        let timer = Task {
            try await Task.sleep(for: Self.patience)
            onDelay("waiting for collateral from \(endpoint) (\(subject)), for \(left) s at most")
        }
        defer { timer.cancel() }
        return await body()
    }

    /// False if the time is up.
    private func pause(beforeRound round: Int, until earliest: ContinuousClock.Instant?) async -> Bool {
        var delay = policy.delay(beforeRound: round, random: dependencies.random())
        if let earliest { delay = max(delay, ContinuousClock.now.duration(to: earliest)) }
        guard delay < ContinuousClock.now.duration(to: deadline) else { return false }
        do { try await dependencies.sleep(delay) } catch { return false }
        return true
    }

    // MARK: Collateral

    private struct Parts {
        var tcbInfo: SignedDocument?
        var qeIdentity: SignedDocument?
        var pckCRL: PCKList?
    }

    private struct PCKList: Sendable {
        let der: [UInt8]
        let issuerChain: String
    }

    /// All of it from one service, so that its parts belong together. What a service has given is not asked for again.
    func collateral(
        _ request: CollateralRequest
    ) async throws(AttestationError) -> Found<QuoteCollateral> {
        try await firstAnswer(request.subject, state: Parts()) { endpoint, parts in
            await collateral(request, endpoint, &parts)
        }
    }

    private func collateral(
        _ request: CollateralRequest, _ endpoint: CollateralEndpoint, _ parts: inout Parts
    ) async -> Result<QuoteCollateral, CollateralFailure> {
        let (oldInfo, oldIdentity, oldList) = (parts.tcbInfo, parts.qeIdentity, parts.pckCRL)
        async let newInfo = reuse(oldInfo) { await tcbInfo(request, endpoint) }
        async let newIdentity = reuse(oldIdentity) { await qeIdentity(request, endpoint) }
        async let newList = reuse(oldList) { await pckCRL(request, endpoint) }
        let (info, identity, list) = await (newInfo, newIdentity, newList)
        parts.tcbInfo = try? info.get()
        parts.qeIdentity = try? identity.get()
        parts.pckCRL = try? list.get()
        do throws(CollateralFailure) {
            let (info, identity, list) = try Self.all(info, identity, list)
            let rootList = try await rootCRL(endpoint, identity.issuerChain).get()
            let collateral = QuoteCollateral(
                pckCRLIssuerChain: list.issuerChain, rootCACRL: rootList, pckCRL: list.der,
                tcbInfoIssuerChain: info.issuerChain, tcbInfo: info.text, tcbInfoSignature: info.signature,
                qeIdentityIssuerChain: identity.issuerChain, qeIdentity: identity.text,
                qeIdentitySignature: identity.signature)
            if let failure = objection(collateral) { return .failure(failure) }
            return .success(collateral)
        } catch {
            return .failure(error)
        }
    }

    /// The parts, or the failure that weighs most: one that will not pass, before one that may.
    private static func all<A, B, C>(
        _ a: Result<A, CollateralFailure>, _ b: Result<B, CollateralFailure>, _ c: Result<C, CollateralFailure>
    ) throws(CollateralFailure) -> (A, B, C) {
        var failures: [CollateralFailure] = []
        if case .failure(let failure) = a { failures.append(failure) }
        if case .failure(let failure) = b { failures.append(failure) }
        if case .failure(let failure) = c { failures.append(failure) }
        if let worst = failures.first(where: { !$0.mayPass }) { throw worst }
        // The longest wait that any of them asked for holds for the service.
        if let slowest = failures.max(by: { ($0.wait ?? .zero) < ($1.wait ?? .zero) }) { throw slowest }
        return (try a.get(), try b.get(), try c.get())
    }

    private func reuse<Value: Sendable>(
        _ old: Value?, _ fetch: @Sendable () async -> Result<Value, CollateralFailure>
    ) async -> Result<Value, CollateralFailure> {
        if let old { return .success(old) }
        return await fetch()
    }

    private func tcbInfo(
        _ request: CollateralRequest, _ endpoint: CollateralEndpoint
    ) async -> Result<SignedDocument, CollateralFailure> {
        let query = "fmspc=\(Hex.encodeUppercase(request.fmspc.bytes))&\(request.selector.query)"
        let url = "\(endpoint.baseURL)/\(request.tee.name.lowercased())/certification/v4/tcb?\(query)"
        return await answer(url, "TCB info", selector: request.selector) { response throws(CollateralFailure) in
            let document = try SignedDocument(
                response, member: "tcbInfo", chainHeaders: ["SGX-TCB-Info-Issuer-Chain", "TCB-Info-Issuer-Chain"])
            try document.checkTCBInfo(request)
            return document
        }
    }

    private func qeIdentity(
        _ request: CollateralRequest, _ endpoint: CollateralEndpoint
    ) async -> Result<SignedDocument, CollateralFailure> {
        let path = "\(request.tee.name.lowercased())/certification/v4/qe/identity"
        let url = "\(endpoint.baseURL)/\(path)?\(request.selector.query)"
        return await answer(url, "QE identity", selector: request.selector) { response throws(CollateralFailure) in
            let document = try SignedDocument(
                response, member: "enclaveIdentity", chainHeaders: ["SGX-Enclave-Identity-Issuer-Chain"])
            try document.checkQEIdentity(request)
            return document
        }
    }

    private func pckCRL(
        _ request: CollateralRequest, _ endpoint: CollateralEndpoint
    ) async -> Result<PCKList, CollateralFailure> {
        let query = "ca=\(request.authority.rawValue)&encoding=der"
        return await answer("\(endpoint.baseURL)/sgx/certification/v4/pckcrl?\(query)", "PCK CRL") {
            response throws(CollateralFailure) in
            PCKList(
                der: try RevocationListAnswer.der(response.body),
                issuerChain: try SignedDocument.chain(response, ["SGX-PCK-CRL-Issuer-Chain"]))
        }
    }

    /// From the service, if it is a cache that has it; else from where the root certificate says.
    private func rootCRL(
        _ endpoint: CollateralEndpoint, _ chain: String
    ) async -> Result<[UInt8], CollateralFailure> {
        let parse = { @Sendable (response: HTTPResponse) throws(CollateralFailure) in
            try RevocationListAnswer.der(response.body)
        }
        var reason = ""
        var rootRemedy: CollateralFailure.Remedy?
        if !endpoint.isIntel {
            let result = await answer("\(endpoint.baseURL)/sgx/certification/v4/rootcacrl", "root CRL", parse)
            guard case .failure(let failure) = result else { return result }
            reason = "\(failure.reason), and "
            rootRemedy = failure.remedy
        }
        do throws(CollateralFailure) {
            let address = try RevocationListAnswer.distributionPoint(ofLastIn: chain)
            try checkDistributionPoint(address)
            return await answer(address, "root CRL", parse)
        } catch {
            return .failure(.permanent(reason + error.reason, rootRemedy))
        }
    }

    /// The address comes out of a certificate that nobody has verified yet; following it anywhere would let a service
    /// make this machine send requests to whatever host it likes.
    private func checkDistributionPoint(_ address: String) throws(CollateralFailure) {
        let rest = address.dropFirst("https://".count)
        let host = String(rest.prefix { !"/?#".contains($0) }).lowercased()
        guard address.lowercased().hasPrefix("https://"), crlHosts.contains(host) else {
            throw .permanent(
                "the root certificate's CRL distribution point is not at \(crlHosts.sorted().joined(separator: ", "))")
        }
    }

    // MARK: PCK certificates

    /// The chain of a machine's PCK certificate, PEM, leaf first.
    func pckChain(_ request: PCKCertificateRequest) async throws(AttestationError) -> Found<String> {
        try await firstAnswer("PCK certificate", state: ()) { endpoint, _ in
            await pckChain(request, endpoint)
        }
    }

    private func pckChain(
        _ request: PCKCertificateRequest, _ endpoint: CollateralEndpoint
    ) async -> Result<String, CollateralFailure> {
        var headers = HTTPHeaders()
        if let key = endpoint.subscriptionKey { headers.add("Ocp-Apim-Subscription-Key", key) }
        let url = "\(endpoint.baseURL)/sgx/certification/v4/pckcert?\(request.query)"
        return await answer(url, "PCK certificate", headers: headers) { response throws(CollateralFailure) in
            // The service answers with the certificate of the highest TCB that the platform is registered for.
            guard let found = response.headers["SGX-TCBm"] else { throw .permanent("the header SGX-TCBm is missing") }
            guard HTTPSyntax.equalIgnoringCase(found, Hex.encode(request.tcbBytes)) else {
                throw .permanent(
                    "the PCK certificate is for another TCB than the quote's; the platform must be registered again")
            }
            let issuers = try SignedDocument.chain(response, ["SGX-PCK-Certificate-Issuer-Chain"])
            guard let leaf = String(validating: response.body, as: UTF8.self) else {
                throw .permanent("the PCK certificate is not text")
            }
            let chain = leaf + "\n" + issuers
            do throws(DecodingFailure) {
                _ = try CollateralRequest(tee: .sgx, pckChain: Array(chain.utf8), selector: .standard)
            } catch {
                throw .permanent(error)
            }
            return chain
        }
    }

    // MARK: One exchange

    private func answer<Value: Sendable>(
        _ url: String, _ what: String, headers: HTTPHeaders = [:], selector: TCBDataSelector = .standard,
        _ read: @Sendable (HTTPResponse) throws(CollateralFailure) -> Value
    ) async -> Result<Value, CollateralFailure> {
        let remaining = ContinuousClock.now.duration(to: deadline)
        guard remaining > .zero else { return .failure(CollateralFailure(reason: "no time left", mayPass: false)) }
        var request = HTTPRequest(.get, url, headers: headers)
        request.limits = HTTPClientLimits(
            maximumBodyBytes: QuoteCollateral.maximumByteCount,
            connectTimeout: min(.seconds(10), policy.requestTimeout),
            totalTimeout: min(policy.requestTimeout, remaining))
        do throws(HTTPClientError) {
            let response = try await client.send(request)
            guard response.isSuccess else {
                return .failure(
                    CollateralFailure(
                        status: response, of: what, selector: selector))
            }
            do throws(CollateralFailure) {
                try AnswerForm.check(response)
                return .success(try read(response))
            } catch {
                let words = error.remedy == nil ? AnswerForm.words(of: response) : ""
                return .failure(
                    CollateralFailure(
                        reason: "\(what): \(error.reason)\(words)", mayPass: error.mayPass, remedy: error.remedy))
            }
        } catch {
            return .failure(CollateralFailure(error))
        }
    }
}
