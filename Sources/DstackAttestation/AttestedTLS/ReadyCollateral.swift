import DstackCrypto
import DstackSystem
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
/// handshakes, and kept fresh by ``run()``, which a server runs beside its listeners: a peer of a platform that was not
/// seen before is refused, and let in once the collateral is there.
public final class ReadyCollateral: Sendable {
    private enum Source {
        /// Finding it takes no waiting.
        case fixed(OfflineCollateral)
        case provider(any CollateralProvider)
    }

    private struct Entry {
        let prepared: PreparedCollateral
        /// One of the platform's, to ask with again. Unverified, like the collateral.
        let quote: Quote
        /// Whether evidence of the platform was accepted, so that it is one and not a stranger's invention.
        var isProven = false
    }

    private struct State {
        var entries: [FixedBytes<32>: Entry] = [:]
        /// Quotes that came before their collateral.
        var wanted: [FixedBytes<32>: Quote] = [:]
    }

    private let source: Source
    private let cache: PreparedCollateralCache
    private let state = Mutex(State())
    private let refreshInterval: Duration
    /// The root that evidence must lead back to.
    public let trustAnchor: TrustAnchor

    /// Platforms remembered; strangers can show any number of them.
    private static let capacity = 256
    /// Platforms waiting; what comes beyond is left out until there is room.
    private static let maximumWanted = 64

    /// Collateral that was fetched before and does not change.
    public init(_ collateral: OfflineCollateral, verifier: QuoteVerifier = QuoteVerifier()) {
        source = .fixed(collateral)
        cache = PreparedCollateralCache(verifier)
        trustAnchor = verifier.trustAnchor
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
        cache = PreparedCollateralCache(verifier)
        trustAnchor = verifier.trustAnchor
        self.refreshInterval = max(refreshInterval, .seconds(1))
    }

    /// What is there for a quote's platform. Never waits.
    ///
    /// - Throws: ``AttestationError/Code/collateralUnavailable``; from then on the platform is one of those that ``run()``
    ///   fetches for.
    func ready(for quote: Quote) throws(AttestationError) -> PreparedCollateral {
        switch source {
        case .fixed(let offline): return cache.prepare(try offline.collateral(for: quote))
        case .provider:
            let key = try Self.key(of: quote)
            let found = state.withLock { state in
                if let entry = state.entries[key] { return entry.prepared as PreparedCollateral? }
                if state.wanted.count < Self.maximumWanted { state.wanted[key] = quote }
                return nil
            }
            guard let found else {
                throw AttestationError(
                    .collateralUnavailable, subject: "collateral",
                    reason: "there is none yet for the peer's platform",
                    hint: "it is fetched outside of handshakes; try again in a moment")
            }
            return found
        }
    }

    /// Fetches collateral for the platform of a quote, which has been parsed and not verified.
    ///
    /// - Returns: whether there is other collateral now than before.
    /// - Throws: what the provider throws.
    @discardableResult
    public func prepare(for quote: Quote) async throws -> Bool {
        guard case .provider(let provider) = source else { return false }
        let key = try Self.key(of: quote)
        let collateral = try await provider.collateral(for: quote)
        let prepared = cache.prepare(collateral)
        return state.withLock { state in
            state.wanted[key] = nil
            let isNew = state.entries[key].map { $0.prepared !== prepared } ?? true
            let isProven = state.entries[key]?.isProven ?? false
            if state.entries[key] == nil, state.entries.count >= Self.capacity { Self.makeRoom(&state) }
            state.entries[key] = Entry(prepared: prepared, quote: quote, isProven: isProven)
            return isNew
        }
    }

    /// Chains that lead nowhere can be made by the thousand; they must not push out the platforms of honest peers, who would
    /// be refused until theirs is fetched again.
    private static func makeRoom(_ state: inout State) {
        if let index = state.entries.firstIndex(where: { !$0.value.isProven }) {
            state.entries.remove(at: index)
        } else {
            state.entries.removeAll()
        }
    }

    /// Remembers that evidence of a quote's platform was accepted.
    func noteAccepted(_ quote: Quote) {
        guard case .provider = source, let key = try? Self.key(of: quote) else { return }
        state.withLock { $0.entries[key]?.isProven = true }
    }

    /// Fetches for all platforms that were seen. What cannot be fetched stays as it is.
    ///
    /// - Parameter onlyMissing: whether to leave alone what is there.
    public func refresh(onlyMissing: Bool = false) async {
        let quotes = state.withLock { state in
            Array(state.wanted.values) + (onlyMissing ? [] : state.entries.values.map { $0.quote })
        }
        for quote in quotes {
            guard !Task.isCancelled else { return }
            // Done with, whether or not there is any: who shows what nobody has collateral for must not keep the places
            // of others. An honest peer comes again.
            if let key = try? Self.key(of: quote) { state.withLock { $0.wanted[key] = nil } }
            _ = try? await prepare(for: quote)
        }
    }

    /// Fetches what handshakes missed, within seconds, and refreshes everything at every interval, until the task is
    /// cancelled.
    public func run() async {
        guard case .provider = source else { return }
        var refreshedAt = ContinuousClock.now
        while !Task.isCancelled {
            try? await Task.sleep(for: .seconds(1))
            let isDue = ContinuousClock.now - refreshedAt >= refreshInterval
            await refresh(onlyMissing: !isDue)
            if isDue { refreshedAt = .now }
        }
    }

    /// Platforms are told apart by the whole certificate chain that their quotes bring, so that an unverified claim of one
    /// platform cannot replace another's collateral.
    private static func key(of quote: Quote) throws(AttestationError) -> FixedBytes<32> {
        guard case .pckCertificateChain(let chain) = quote.signature.certificationData.content else {
            throw AttestationError(
                .invalidQuote, subject: "certification data", reason: "the quote has no PCK certificate chain")
        }
        return SHA256.hash([quote.header.teeType == .tdx ? 1 : 0] + chain)
    }
}
