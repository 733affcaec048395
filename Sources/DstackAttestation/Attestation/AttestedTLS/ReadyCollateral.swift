import DstackConcurrency
import DstackCrypto
import DstackEncoding
import Synchronization

/// Collateral that is at hand when a handshake asks for it. A handshake runs on a thread that serves other connections,
/// too, so that nothing is fetched during one.
///
/// ```swift
/// let offline = try ReadyCollateral(OfflineCollateral(path: "/var/lib/collateral"))
/// let online = ReadyCollateral(CollateralService(cacheDirectory: "/var/cache/dstack"))
/// ```
///
/// Collateral from a provider is fetched by ``prepare(for:)``, which an ``AttestedHTTPClient`` calls by itself between two
/// handshakes, and kept fresh by ``run()``, which a server runs beside its listeners. A client of a platform that was not seen
/// before waits after its handshake until the collateral is there (``AttestedPeerVerifier/verify(_:as:askedBy:)``); where
/// nobody waits, it is refused and let in once the collateral is there.
public final class ReadyCollateral: Sendable {
    private enum Source {
        /// Finding it takes no waiting.
        case fixed(OfflineCollateral)
        case provider(any CollateralProvider)
    }

    private struct Entry {
        let prepared: PreparedCollateral
        /// One of the platform family's, which leads to the trust anchor, to ask with again.
        let quote: Quote
        /// Whether evidence of the family was accepted.
        var isProven = false
    }

    private struct State {
        var entries: [CollateralRequest: Entry] = [:]
        /// Quotes that came before their collateral; all lead to the trust anchor.
        var wanted: [CollateralRequest: Quote] = [:]
        /// What ``run()`` is fetching for the first time.
        var fetching: Set<CollateralRequest> = []
        /// The families of PCK chains whose evidence was accepted, by the SHA-256 of TEE and chain.
        var families: [FixedBytes<32>: CollateralRequest] = [:]
    }

    private let source: Source
    private let cache: PreparedCollateralCache
    private let state = Mutex(State())
    private let refreshInterval: Duration
    private let verifier: QuoteVerifier
    /// One for each platform family, however many want it.
    private let flights = SingleFlight<CollateralRequest, Result<Bool, AttestationError>>()
    /// Of strangers who wait for it.
    private let places = WaitingPlaces(maximum: ReadyCollateral.maximumWaiting)
    /// What was verified before; nil where collateral does not change.
    let floors: CollateralFloors?
    /// The root that evidence must lead back to.
    public var trustAnchor: TrustAnchor { verifier.trustAnchor }
    /// Why it could not be written how new the collateral is (``CollateralFloors/writeProblem``); nil if nothing is missing.
    /// For whoever runs it to log: ``prepare(for:)`` and ``run()`` go on all the same, and try again each time.
    public var writeProblem: String? { floors?.writeProblem }

    /// Platform families remembered; there are some hundred.
    private static let capacity = 256
    /// Families waiting; what comes beyond is left out until there is room.
    private static let maximumWanted = 64
    /// Fetched for at once, for the first time and again; each has places of its own.
    private static let maximumFetches = 8
    /// Peers that wait for collateral, all together. They share what is fetched; a place costs a task.
    private static let maximumWaiting = 64
    /// Chains remembered.
    private static let maximumChains = 4096

    /// Collateral that was fetched before and does not change.
    public init(_ collateral: OfflineCollateral, verifier: QuoteVerifier = QuoteVerifier()) {
        source = .fixed(collateral)
        floors = nil
        cache = PreparedCollateralCache(verifier)
        self.verifier = verifier
        refreshInterval = .seconds(3600)
    }

    /// Collateral from a provider.
    ///
    /// - Parameter refreshInterval: how often ``run()`` asks for collateral again, at least a second. Providers with a
    ///   cache decide themselves when they ask further.
    public init(
        _ provider: any CollateralProvider, verifier: QuoteVerifier = QuoteVerifier(),
        refreshInterval: Duration = .seconds(3600)
    ) {
        source = .provider(provider)
        floors = provider.floors ?? CollateralFloors()
        cache = PreparedCollateralCache(verifier)
        self.verifier = verifier
        self.refreshInterval = max(refreshInterval, .seconds(1))
    }

    /// What is there for a quote's platform. Never waits.
    ///
    /// - Throws: ``AttestationError/Code/collateralUnavailable``; from then on the platform is one of those that ``run()``
    ///   fetches for. ``AttestationError/Code/untrustedQuote`` for a quote that does not lead to the trust anchor: nothing
    ///   is fetched for it.
    func ready(for quote: Quote) throws(AttestationError) -> PreparedCollateral {
        switch source {
        case .fixed(let offline): return cache.prepare(try offline.collateral(for: quote))
        case .provider:
            let family = try family(of: quote)
            if let entry = state.withLock({ $0.entries[family] }), !isTooOld(entry) { return entry.prepared }
            try verifier.requireOrigin(of: quote)
            state.withLock { state in
                guard state.wanted.count < Self.maximumWanted, !state.fetching.contains(family) else { return }
                state.wanted[family] = quote
            }
            throw AttestationError(
                .collateralUnavailable, subject: "collateral", reason: "there is none yet for the peer's platform",
                hint: "it is fetched outside of handshakes; try again in a moment")
        }
    }

    /// Fetches collateral for the platform of a quote, which has been parsed and not verified.
    ///
    /// - Returns: whether there is other collateral now than before.
    /// - Throws: what the provider throws; ``AttestationError/Code/untrustedQuote``, without asking it, for a quote that
    ///   does not lead to the trust anchor.
    @discardableResult
    public func prepare(for quote: Quote) async throws -> Bool {
        guard case .provider(let provider) = source else { return false }
        let family = try family(of: quote)
        try verifier.requireOrigin(of: quote)
        return try await fetch(quote, family, provider).get()
    }

    /// As ``prepare(for:)``, for a quote that a stranger brought, who waits for it: there are places for so many, half of them
    /// at most for one platform or one client.
    ///
    /// - Parameter client: who waits; the same text for all that should count as one.
    /// - Throws: also ``AttestationError/Code/collateralBusy``.
    func prepare(for quote: Quote, askedBy client: String?) async throws -> Bool {
        guard case .provider(let provider) = source else { return false }
        let family = try family(of: quote)
        try verifier.requireOrigin(of: quote)
        let isKnown = state.withLock { $0.entries[family] != nil }
        let outcome = await places.wait(for: family, isKnown: isKnown, askedBy: client) {
            await self.fetch(quote, family, provider)
        }
        guard let outcome else { throw AttestationError.busy("collateral") }
        return try outcome.get()
    }

    /// Takes part in the one request that there is for a platform family.
    private func fetch(
        _ quote: Quote, _ family: CollateralRequest, _ provider: any CollateralProvider
    ) async -> Result<Bool, AttestationError> {
        await flights.value(for: family) {
            do {
                return .success(try await self.store(quote, family, provider))
            } catch let error as AttestationError {
                return .failure(error)
            } catch {
                return .failure(AttestationError(.collateralUnavailable, subject: "collateral", reason: "\(error)"))
            }
        } ?? .failure(AttestationError(.collateralUnavailable, subject: "collateral", reason: "cancelled"))
    }

    private func store(
        _ quote: Quote, _ family: CollateralRequest, _ provider: any CollateralProvider
    ) async throws -> Bool {
        var collateral = try await provider.collateral(for: quote, verifiedBy: verifier)
        // Quotes bring their own; that of one machine would be in the way of the others.
        collateral.pckCertificateChain = nil
        let prepared = cache.prepare(collateral)
        // Here and not when a peer is let in, because it may have to be written to a disk.
        if let floors { floors.raise(to: prepared.verifiedMarks(of: quote, under: floors), under: trustAnchor) }
        return state.withLock { state in
            state.wanted[family] = nil
            let isNew = state.entries[family].map { $0.prepared !== prepared } ?? true
            let isProven = state.entries[family]?.isProven ?? false
            if state.entries[family] == nil, state.entries.count >= Self.capacity { Self.makeRoom(&state) }
            state.entries[family] = Entry(prepared: prepared, quote: quote, isProven: isProven)
            return isNew
        }
    }

    /// Whether something newer was verified since that cannot be used in its place; what can be is, when a peer is judged.
    private func isTooOld(_ entry: Entry) -> Bool { floors.map(entry.prepared.isRolledBack) ?? false }

    /// Families of which nothing was accepted yet must not push out those of peers who are let in, who would be refused until
    /// theirs is fetched again.
    private static func makeRoom(_ state: inout State) {
        if let index = state.entries.firstIndex(where: { !$0.value.isProven }) {
            state.entries.remove(at: index)
        } else {
            state.entries.removeAll()
        }
    }

    /// Remembers that evidence of a quote's platform was accepted.
    func noteAccepted(_ quote: Quote) {
        guard case .provider = source, let chain = Self.chainDigest(of: quote), let family = try? family(of: quote)
        else {
            return
        }
        state.withLock { state in
            state.entries[family]?.isProven = true
            if state.families.count >= Self.maximumChains { state.families.removeAll() }
            state.families[chain] = family
        }
    }

    /// Fetches for all platform families that were seen, several at once. What cannot be fetched stays as it is.
    ///
    /// - Parameter onlyMissing: whether to leave alone what is there.
    public func refresh(onlyMissing: Bool = false) async {
        async let missing: Void = fetch(takeWanted())
        if !onlyMissing { await fetch(state.withLock { $0.entries.values.map(\.quote) }) }
        await missing
    }

    /// Done with, whether or not there is any: what nobody has collateral for must not keep the places of others. An honest
    /// peer comes again.
    private func takeWanted() -> [Quote] {
        state.withLock { state in
            let quotes = Array(state.wanted.values)
            state.wanted = [:]
            return quotes
        }
    }

    private func fetch(_ quotes: [Quote]) async {
        await withTaskGroup(of: Void.self) { group in
            for (index, quote) in quotes.enumerated() where !Task.isCancelled {
                if index >= Self.maximumFetches { await group.next() }
                group.addTask { _ = try? await self.prepare(for: quote) }
            }
        }
    }

    /// Fetches what handshakes missed, within seconds, and refreshes everything at every interval, until the task is
    /// cancelled. Neither waits for the other, so that platforms that nobody answers for do not keep those of others.
    public func run() async {
        guard case .provider = source else { return }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.keepFetchingMissing() }
            group.addTask {
                while (try? await Task.sleep(for: self.refreshInterval)) != nil {
                    await self.fetch(self.state.withLock { $0.entries.values.map(\.quote) })
                }
            }
        }
    }

    private func keepFetchingMissing() async {
        await withDiscardingTaskGroup { group in
            while (try? await Task.sleep(for: .seconds(1))) != nil {
                for (family, quote) in beginFetching() {
                    group.addTask {
                        _ = try? await self.prepare(for: quote)
                        self.state.withLock { _ = $0.fetching.remove(family) }
                    }
                }
            }
        }
    }

    private func beginFetching() -> [(CollateralRequest, Quote)] {
        state.withLock { state in
            var begun: [(CollateralRequest, Quote)] = []
            while state.fetching.count < Self.maximumFetches, let (family, quote) = state.wanted.popFirst() {
                state.fetching.insert(family)
                begun.append((family, quote))
            }
            return begun
        }
    }

    /// Collateral is for a platform family: TEE, FMSPC, and the authority of the PCK. An unverified claim of another's family
    /// finds collateral that does not make it any truer.
    private func family(of quote: Quote) throws(AttestationError) -> CollateralRequest {
        guard case .pckCertificateChain(let chain) = quote.signature.certificationData.content,
            let digest = Self.chainDigest(of: quote)
        else {
            throw AttestationError(
                .invalidQuote, subject: "certification data", reason: "the quote has no PCK certificate chain")
        }
        if let known = state.withLock({ $0.families[digest] }) { return known }
        return try AttestationError.decoding(.invalidQuote) { () throws(DecodingFailure) in
            try CollateralRequest(tee: Self.tee(of: quote), pckChain: chain, selector: .standard)
        }
    }

    private static func tee(of quote: Quote) -> TEEType { quote.body.enclaveReport != nil ? .sgx : .tdx }

    private static func chainDigest(of quote: Quote) -> FixedBytes<32>? {
        guard case .pckCertificateChain(let chain) = quote.signature.certificationData.content else { return nil }
        return SHA256.hash([tee(of: quote) == .tdx ? 1 : 0] + chain)
    }
}
