import DstackConcurrency
import DstackCrypto
import DstackEncoding
import DstackHTTPClient
package import DstackSystem
import Synchronization

/// Collateral as a ``CollateralService`` found it, with where from and how old.
public struct FetchedCollateral: Hashable, Sendable {
    /// Where collateral comes from. Times are Unix seconds.
    public enum Origin: Hashable, Sendable {
        /// A service, just now.
        case network(service: String)
        /// A service, at an earlier time; still within all its dates.
        case cache(service: String, fetchedAt: Int64)
        /// A service, at an earlier time; outdated since, and given only because no service could be reached and the
        /// configuration allows it. Verification as of now will refuse it.
        case stale(service: String, fetchedAt: Int64)
    }

    /// What a verifier takes.
    public let collateral: QuoteCollateral
    /// Where it comes from.
    public let origin: Origin
    /// The last moment at which none of its parts is outdated, Unix seconds.
    public let expires: Int64
    /// What to know of the way, for a log: services that failed, a cache that could not be written, documents in whose place
    /// newer ones are given that were verified before.
    public let notes: [String]
}

/// Fetches collateral from Intel's service or caches of it, and keeps it until it is outdated.
///
///     let service = CollateralService(cacheDirectory: "/var/cache/dstack")
///     let fetched = try await service.fetch(for: quote)
///     let report = verifier.verify(quote, collateral: fetched.collateral, at: now)
///
/// Services are asked in order, and again with growing delays while they fail in a way that may pass. Proxy variables of
/// the environment are honoured. Callers that need the same platform's collateral at the same time share one download.
/// Nothing that comes out is trusted: see ``CollateralProvider``. Quotes that somebody else brought go through
/// ``collateral(for:verifiedBy:)``, so that made-up ones cause no request.
public final class CollateralService: CollateralProvider {
    /// Where and how to look.
    public struct Configuration: Sendable {
        /// Asked in this order.
        public var endpoints: [CollateralEndpoint] = [.phala, .intel]
        /// Which generation of TCB data to ask for.
        public var selector = TCBDataSelector.standard
        /// How often and how patiently.
        public var retry = CollateralRetryPolicy()
        /// An existing directory where collateral is kept between runs, and which others may read; nil for memory only.
        public var cacheDirectory: String?
        /// What was verified before, where it is kept elsewhere; nil, the default, for in ``cacheDirectory``, or in memory where
        /// there is none.
        public var floors: CollateralFloors?
        /// After this time the services are asked again although nothing is outdated yet, because a revocation or a TCB
        /// recovery is published when it happens. While they cannot be reached, what is there stays good to its dates.
        public var refreshAfter = Duration.seconds(86_400)
        /// How long after its dates collateral is still given, as ``FetchedCollateral/Origin/stale(service:fetchedAt:)``,
        /// while no service can be reached. Nil, the default, for not at all.
        public var staleFor: Duration?
        /// Gets a line of text for whoever waits, where a service has not answered for some seconds: which one, and how long it
        /// is waited for. Once for each service and download; nil, the default, for nobody who waits.
        public var onDelay: (@Sendable (String) -> Void)?
        /// Authorities for the services' own TLS certificates, PEM; nil for those of the operating system. A cache in
        /// one's own network often has a certificate of one's own.
        public var tlsAuthorities: [UInt8]?
        /// How many callers of ``CollateralService/collateral(for:verifiedBy:)`` may wait for services at once. A platform gets
        /// at most half of these places, and platforms that there was no collateral for before two thirds; who finds none is
        /// refused at once (`collateral_busy`). What is in the cache needs no place.
        public var maximumWaiting = 48
        /// How long such a caller waits for newer collateral while what is there is still good. The download goes on
        /// without it.
        public var refreshPatience = Duration.seconds(2)
        /// Hosts that the root's revocation list may be fetched from where a service does not have it. A root
        /// certificate names its address, but is not verified yet at that time.
        public var crlHosts: Set<String> = ["certificates.trustedservices.intel.com"]

        /// The defaults.
        public init() {}
    }

    private let configuration: Configuration
    private let client: HTTPClient
    private let store: CollateralStore
    private let dependencies: CollateralDownload.Dependencies
    private let places: WaitingPlaces
    /// What was verified before: nothing older is given to whoever verifies, whether it is from a service or out of the cache.
    /// Newer revocation lists and QE identities take the place of older ones (``FetchedCollateral/notes`` says so).
    public var floors: CollateralFloors? { keptFloors }
    private let keptFloors: CollateralFloors
    private let downloads = SingleFlight<Wanted, Result<FetchedCollateral, AttestationError>>()
    /// Downloads that failed a moment ago: a peer who shows such a quote over and over is not passed on every time.
    private let refusals = Mutex<[Wanted: (error: AttestationError, until: ContinuousClock.Instant)]>([:])

    private let standings = Mutex<[Wanted: KnownStanding]>([:])

    private static let maximumStandings = 256
    private static let refusalLifetime = Duration.seconds(30)
    private static let maximumRefusals = 256
    /// A PCK certificate is good for years, but which one a platform gets changes with its registration.
    private static let pckRefreshSeconds: Int64 = 30 * 86_400
    /// After how long services are asked again where standard data was asked for and early data came.
    private static let earlyRefreshSeconds: Int64 = 600

    /// A service with a configuration.
    public convenience init(_ configuration: Configuration = .init()) {
        self.init(configuration, dependencies: .init())
    }

    /// The default services with a cache on disk.
    public convenience init(cacheDirectory: String) {
        var configuration = Configuration()
        configuration.cacheDirectory = cacheDirectory
        self.init(configuration)
    }

    /// - Parameters:
    ///   - sleep: waits between rounds.
    ///   - random: a number of 0 to 1, which spreads the waits.
    package convenience init(
        _ configuration: Configuration, clock: any WallClock,
        sleep: @escaping @Sendable (Duration) async throws -> Void, random: @escaping @Sendable () -> Double = { 1 }
    ) {
        self.init(configuration, dependencies: .init(clock: clock, sleep: sleep, random: random))
    }

    private init(_ configuration: Configuration, dependencies: CollateralDownload.Dependencies) {
        self.configuration = configuration
        self.dependencies = dependencies
        store = CollateralStore(directory: configuration.cacheDirectory)
        keptFloors =
            configuration.floors
            ?? CollateralFloors(directory: configuration.cacheDirectory, selector: configuration.selector)
        places = WaitingPlaces(maximum: configuration.maximumWaiting)
        var http = HTTPClientConfiguration()
        if let authorities = configuration.tlsAuthorities { http.trust = .chain(to: .pem(authorities)) }
        client = HTTPClient(http)
    }

    // MARK: Fetching

    /// Collateral for the platform and TEE of a quote, which has been parsed and not verified.
    public func collateral(for quote: Quote) async throws -> QuoteCollateral { try await fetch(for: quote).collateral }

    /// Collateral for a quote that a verifier is about to judge; nothing is asked of any service unless the quote leads to
    /// the verifier's trust anchor.
    public func collateral(for quote: Quote, verifiedBy verifier: QuoteVerifier) async throws -> QuoteCollateral {
        try await fetch(for: quote, verifiedBy: verifier).collateral
    }

    /// As ``collateral(for:verifiedBy:)``, where no client gets more than half of the places for waiting.
    public func collateral(
        for quote: Quote, verifiedBy verifier: QuoteVerifier, askedBy client: String?
    ) async throws -> QuoteCollateral {
        try await fetch(for: quote, verifiedBy: verifier, askedBy: client).collateral
    }

    /// Collateral for the platform and TEE of a quote, which has been parsed and not verified.
    ///
    /// - Parameters:
    ///   - verifier: who will judge the quote. Services are then asked only for a quote that leads to its trust anchor, and
    ///     waiting for them is bounded (``Configuration/maximumWaiting``). Without one they are asked for whatever the quote
    ///     claims to be, as is right for one's own.
    ///   - client: who brought the quote, such as an address, which the places for waiting are shared out by; nil for nobody in
    ///     particular.
    ///   - refreshing: whether to ask the services although there is good collateral in the cache.
    /// - Throws: ``AttestationError`` with code `collateral_unavailable`, saying for each service why, `untrusted_quote` or
    ///   `collateral_busy` as in ``CollateralProvider/collateral(for:verifiedBy:)``, `simulated_platform` where only public
    ///   services would be asked about a simulated TEE, or `invalid_quote` if the quote does not
    ///   say which platform it is from.
    public func fetch(
        for quote: Quote, verifiedBy verifier: QuoteVerifier? = nil, askedBy client: String? = nil,
        refreshing: Bool = false
    ) async throws(AttestationError) -> FetchedCollateral {
        let tee: TEEType = quote.body.enclaveReport != nil ? .sgx : .tdx
        switch quote.signature.certificationData.content {
        case .pckCertificateChain(let chain):
            let claim = verifier.map { Claim(quote: quote, verifier: $0, client: client) }
            let wanted = try request(tee, chain)
            try refuseSimulated(quote, wanted)
            return try await fetch(wanted, claim, refreshing: refreshing)
        case .ppidEncryptedRSA2048(let identifier, let selector), .ppidEncryptedRSA3072(let identifier, let selector):
            let wanted = PCKCertificateRequest(quote, encryptedPPID: identifier, selector)
            let (chain, notes) = try await pckChain(
                wanted, verifier.map { Claim(quote: quote, verifier: $0, client: client) }, refreshing: refreshing)
            let claim = verifier.map { Claim(quote: quote, verifier: $0, client: client, chain: chain) }
            let found = try await fetch(request(tee, Array(chain.utf8)), claim, refreshing: refreshing)
            var collateral = found.collateral
            collateral.pckCertificateChain = chain
            return FetchedCollateral(
                collateral: collateral, origin: found.origin, expires: found.expires, notes: notes + found.notes)
        default:
            throw AttestationError(
                .invalidQuote, subject: "certification data",
                reason: "type \(quote.signature.certificationData.type) does not lead to a PCK certificate",
                hint: "types 2, 3 and 5 do")
        }
    }

    /// Refuses what the public services cannot know, before they are asked: it would be in vain, and tell them what is being
    /// developed here. A service that somebody named may be one for simulated TEEs, and what came from it is kept.
    private func refuseSimulated(_ quote: Quote, _ wanted: CollateralRequest) throws(AttestationError) {
        guard quote.isSimulated, store.entry(for: wanted) == nil,
            configuration.endpoints.allSatisfy({
                [CollateralEndpoint.phala, .intel].map(\.baseURL).contains($0.baseURL)
            })
        else { return }
        var error = AttestationError(
            .simulatedPlatform, subject: wanted.subject,
            reason: "the platform is a simulated TEE's, which no public service has collateral for",
            hint: "give the collateral.json that lies beside its evidence")
        error.actions = [.giveCollateral]
        throw error
    }

    /// Collateral for a platform family, without a quote: to fill a cache beforehand, for example.
    public func fetch(
        _ request: CollateralRequest, refreshing: Bool = false
    ) async throws(AttestationError) -> FetchedCollateral { try await fetch(request, nil, refreshing: refreshing) }

    /// A stranger's quote, and who is to judge it.
    private struct Claim {
        let quote: Quote
        let verifier: QuoteVerifier
        /// The stranger, if he has a name.
        let client: String?
        /// PEM; nil for the one in the quote.
        var chain: String?

        func check() throws(AttestationError) { try verifier.requireOrigin(of: quote, pckCertificateChain: chain) }
    }

    /// What is fetched, and for whom: what one trust anchor calls too old, another may not.
    private struct Wanted: Hashable, Sendable {
        let request: CollateralRequest
        /// Nil where nothing was verified before that could be newer.
        let anchor: FixedBytes<64>?
    }

    /// - Parameter claim: what must hold before anybody is asked; nil if nothing.
    private func fetch(
        _ request: CollateralRequest, _ claim: Claim?, refreshing: Bool
    ) async throws(AttestationError) -> FetchedCollateral {
        let now = dependencies.clock.unixSeconds
        let anchor = claim?.verifier.trustAnchor
        if anchor != nil, let problem = keptFloors.problem { throw problem }
        let standing = store.entry(for: request).flatMap { stand($0, request, anchor) }
        let known = standing?.entry
        if !refreshing, let known, known.expires >= now, !isDue(known, now) {
            return FetchedCollateral(
                collateral: known.collateral, origin: .cache(service: known.source, fetchedAt: known.fetchedAt),
                expires: known.expires, notes: standing?.notes ?? [])
        }
        let result: Result<FetchedCollateral, AttestationError>
        if let refusal = currentRefusal(Wanted(request: request, anchor: anchor?.point)), !refreshing {
            result = .failure(refusal)
        } else {
            try claim?.check()
            // With something good at hand, nobody waits for a second round.
            let isUrgent = known.map { $0.expires < now } ?? true
            if claim == nil {
                result = await sharedDownload(request, anchor, isUrgent: isUrgent)
            } else {
                let patience = isUrgent ? nil : configuration.refreshPatience
                result =
                    await places.wait(for: request, isKnown: known != nil, askedBy: claim?.client) {
                        await sharedDownload(request, anchor, isUrgent: isUrgent, patience: patience)
                    } ?? .failure(.busy(request.subject))
            }
        }
        switch result {
        case .success(let fetched): return fetched
        case .failure(let error):
            guard let known, let origin = origin(ofOld: known, now) else { throw error }
            return FetchedCollateral(
                collateral: known.collateral, origin: origin, expires: known.expires,
                notes: [error.message] + (standing?.notes ?? []))
        }
    }

    /// Takes part in the one download that there is for a platform.
    ///
    /// - Parameter patience: how long to wait for it; nil for as long as it takes.
    private func sharedDownload(
        _ request: CollateralRequest, _ anchor: TrustAnchor?, isUrgent: Bool, patience: Duration? = nil
    ) async -> Result<FetchedCollateral, AttestationError> {
        guard let patience else {
            let wanted = Wanted(request: request, anchor: anchor?.point)
            return await downloads.value(for: wanted) { await self.download(request, anchor, isUrgent: isUrgent) }
                ?? .failure(.init(.collateralUnavailable, subject: request.subject, reason: "cancelled"))
        }
        // A caller of its own, so that the download outlives those who do not wait for it. It ends by its own time limits.
        let download = Task { await self.sharedDownload(request, anchor, isUrgent: isUrgent) }
        @Sendable func unavailable(_ reason: String) -> AttestationError {
            .init(.collateralUnavailable, subject: request.subject, reason: reason)
        }
        do {
            return try await Deadline.run(within: patience, orThrow: unavailable("the services take their time")) {
                await download.value
            }
        } catch {
            return .failure(error as? AttestationError ?? unavailable("cancelled"))
        }
    }

    private func request(
        _ tee: TEEType, _ chain: [UInt8]
    ) throws(AttestationError) -> CollateralRequest {
        do throws(DecodingFailure) {
            return try CollateralRequest(tee: tee, pckChain: chain, selector: configuration.selector)
        } catch {
            throw AttestationError(.invalidQuote, error)
        }
    }

    private func isDue(_ entry: CollateralStore.Entry, _ now: Int64) -> Bool {
        var period = configuration.refreshAfter.components.seconds
        // A service that answers with early data once is not to have platforms judged by it for a day.
        if configuration.selector == .standard, entry.marks.items.contains(where: { $0.isTCBData && !$0.isStandard }) {
            period = min(period, Self.earlyRefreshSeconds)
        }
        // A time of fetching in the future means that one of the clocks was wrong.
        return entry.fetchedAt > now || now &- entry.fetchedAt >= period
    }

    /// As what an entry may be given while no service can be reached; nil for not at all.
    private func origin(ofOld entry: CollateralStore.Entry, _ now: Int64) -> FetchedCollateral.Origin? {
        if entry.expires >= now { return .cache(service: entry.source, fetchedAt: entry.fetchedAt) }
        guard let staleFor = configuration.staleFor, now &- entry.expires <= staleFor.components.seconds else {
            return nil
        }
        return .stale(service: entry.source, fetchedAt: entry.fetchedAt)
    }

    /// An entry as it counts after what was verified before.
    private struct Standing: Sendable {
        /// With newer documents in place of older ones, and the dates of these.
        let entry: CollateralStore.Entry
        /// Which they are.
        var notes: [String] = []
    }

    /// How an entry was found to stand, so that it is not decoded again for every quote.
    private struct KnownStanding: Sendable {
        let collateral: QuoteCollateral
        let revision: UInt64
        let standing: Standing?
    }

    /// - Parameter anchor: whose verifications count; nil for none.
    /// - Returns: nil where something in the entry is too old and has no substitute.
    private func stand(
        _ entry: CollateralStore.Entry, _ request: CollateralRequest, _ anchor: TrustAnchor?
    ) -> Standing? {
        guard let anchor else { return Standing(entry: entry) }
        let wanted = Wanted(request: request, anchor: anchor.point)
        let known = standings.withLock { $0[wanted] }
        if let known, known.revision == keptFloors.revision, known.collateral == entry.collateral {
            return known.standing
        }
        let renewal = keptFloors.renewal(of: entry.collateral, entry.marks, under: anchor)
        var standing: Standing? = Standing(entry: entry)
        if renewal.issue != nil {
            standing = nil
        } else if !renewal.replaced.isEmpty {
            standing = (try? CollateralDates(renewal.collateral, for: request)).map { dates in
                Standing(
                    entry: .init(
                        collateral: renewal.collateral, source: entry.source, fetchedAt: entry.fetchedAt, dates: dates),
                    notes: renewal.replaced.map(\.description))
            }
        }
        standings.withLock { standings in
            if standings.count >= Self.maximumStandings { standings.removeAll() }
            standings[wanted] = KnownStanding(
                collateral: entry.collateral, revision: renewal.revision, standing: standing)
        }
        return standing
    }

    /// - Parameter anchor: under which a service's answer must be no older than what was verified before; nil for any.
    private func makeDownload(_ anchor: TrustAnchor? = nil, isUrgent: Bool = true) -> CollateralDownload {
        var policy = configuration.retry
        if !isUrgent { policy.maximumRounds = 1 }
        return CollateralDownload(
            endpoints: configuration.endpoints, policy: policy,
            crlHosts: Set(configuration.crlHosts.map { $0.lowercased() }), client: client, dependencies: dependencies,
            onDelay: configuration.onDelay,
            objection: { [keptFloors] collateral in
                guard let anchor else { return nil }
                let marks = CollateralMarks(DecodedCollateral(collateral))
                return keptFloors.renewal(of: collateral, marks, under: anchor).issue.map { .permanent($0.message) }
            })
    }

    private func download(
        _ request: CollateralRequest, _ anchor: TrustAnchor?, isUrgent: Bool
    ) async -> Result<FetchedCollateral, AttestationError> {
        do throws(AttestationError) {
            let found = try await makeDownload(anchor, isUrgent: isUrgent).collateral(request)
            let dates: CollateralDates
            do throws(CollateralFailure) {
                dates = try CollateralDates(found.value, for: request)
            } catch {
                throw AttestationError(.collateralUnavailable, subject: request.subject, reason: error.reason)
            }
            let source = found.endpoint.baseURL
            let entry = CollateralStore.Entry(
                collateral: found.value, source: source, fetchedAt: dependencies.clock.unixSeconds, dates: dates)
            let problem = store.keep(entry, for: request, unless: establishFloors())
            // Kept as it came, and given as it counts.
            let standing = stand(entry, request, anchor) ?? Standing(entry: entry)
            return .success(
                FetchedCollateral(
                    collateral: standing.entry.collateral, origin: .network(service: source),
                    expires: standing.entry.expires,
                    notes: found.notes + (problem.map { [$0] } ?? []) + standing.notes))
        } catch {
            if !Task.isCancelled { remember(error, Wanted(request: request, anchor: anchor?.point)) }
            return .failure(error)
        }
    }

    /// Collateral in a directory tells by its form that floors lie beside it. Their file is made before it, also where other
    /// floors are judged by, so that whoever uses the directory next does not take them for gone.
    ///
    /// - Returns: why the directory has no floors, and may have no collateral.
    private func establishFloors() -> String? {
        let problem = keptFloors.establish()
        guard let directory = configuration.cacheDirectory else { return nil }
        return directory == keptFloors.directory ? problem : CollateralFloors(directory: directory).establish()
    }

    /// - Parameter claim: whose chain it must turn out to be before it is kept; nil for whatever comes.
    private func pckChain(
        _ request: PCKCertificateRequest, _ claim: Claim?, refreshing: Bool
    ) async throws(AttestationError) -> (chain: String, notes: [String]) {
        let now = dependencies.clock.unixSeconds
        let known = store.chain(for: request)
        if !refreshing, let known, known.fetchedAt <= now, now &- known.fetchedAt < Self.pckRefreshSeconds {
            return (known.chain, [])
        }
        do throws(AttestationError) {
            let download = makeDownload(isUrgent: known == nil)
            let ask = { () async -> Result<CollateralDownload.Found<String>, AttestationError> in
                do throws(AttestationError) {
                    return .success(try await download.pckChain(request))
                } catch {
                    return .failure(error)
                }
            }
            let answer: Result<CollateralDownload.Found<String>, AttestationError>
            if claim == nil {
                answer = await ask()
            } else {
                answer =
                    await places.waitForIdentifier(askedBy: claim?.client, ask) ?? .failure(.busy("PCK certificate"))
            }
            let found = try answer.get()
            if var claim {
                claim.chain = found.value
                try claim.check()
            }
            let entry = CollateralStore.PCKEntry(chain: found.value, source: found.endpoint.baseURL, fetchedAt: now)
            let problem = store.keep(entry, for: request, unless: establishFloors())
            return (found.value, found.notes + (problem.map { [$0] } ?? []))
        } catch {
            // An old certificate is as good as its own dates and its revocation list say.
            guard let known else { throw error }
            return (known.chain, [error.message])
        }
    }

    // MARK: Refusals

    private func currentRefusal(_ request: Wanted) -> AttestationError? {
        refusals.withLock { refusals in
            guard let refusal = refusals[request] else { return nil }
            if refusal.until > .now { return refusal.error }
            refusals[request] = nil
            return nil
        }
    }

    private func remember(_ error: AttestationError, _ request: Wanted) {
        refusals.withLock { refusals in
            if refusals.count >= Self.maximumRefusals { refusals = refusals.filter { $0.value.until > .now } }
            guard refusals.count < Self.maximumRefusals else { return }
            refusals[request] = (error, .now + Self.refusalLifetime)
        }
    }
}
