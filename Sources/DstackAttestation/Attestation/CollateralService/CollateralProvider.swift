/// Where the collateral for a quote comes from: a service of Intel's form, a cache, or files.
///
/// What a provider gives is not trusted; verification checks every signature and date in it. A provider that answers for
/// the wrong platform or with stale data makes a verification fail, never pass.
public protocol CollateralProvider: Sendable {
    /// Collateral for the platform and the TEE of a quote, which has been parsed and not verified.
    ///
    /// - Throws: ``AttestationError`` with code `collateral_unavailable` if there is none to be had.
    func collateral(for quote: Quote) async throws -> QuoteCollateral

    /// Collateral for a quote that somebody else brought, and that a verifier is about to judge.
    ///
    /// Whoever shows quotes must not be able to have things fetched by making them up. So nobody is asked for collateral
    /// before the quote is known to lead to the verifier's trust anchor. Where this is left out it is done for every quote;
    /// providers that have collateral at hand without asking anybody give it at once, and verification says what is wrong.
    ///
    /// - Throws: ``AttestationError`` with code `untrusted_quote` if the quote does not lead to the trust anchor,
    ///   `collateral_unavailable` if there is none to be had, `collateral_busy` if too many wait for some already.
    func collateral(for quote: Quote, verifiedBy verifier: QuoteVerifier) async throws -> QuoteCollateral

    /// As ``collateral(for:verifiedBy:)``, for a service that many ask: one who asks on behalf of others says of whom, so that
    /// whatever there is little of can be shared out.
    ///
    /// Where this is left out, all are served alike.
    ///
    /// - Parameter client: who brought the quote, such as an address; the same text for all that should count as one. Nil for
    ///   nobody in particular.
    func collateral(
        for quote: Quote, verifiedBy verifier: QuoteVerifier, askedBy client: String?
    ) async throws -> QuoteCollateral

    /// What was verified before, where the provider keeps it; nil where whoever verifies has to.
    var floors: CollateralFloors? { get }
}

extension CollateralProvider {
    /// Nothing is kept.
    public var floors: CollateralFloors? { nil }

    /// Asks ``collateral(for:)`` once the quote is known to lead to the verifier's trust anchor.
    public func collateral(for quote: Quote, verifiedBy verifier: QuoteVerifier) async throws -> QuoteCollateral {
        try verifier.requireOrigin(of: quote)
        return try await collateral(for: quote)
    }

    /// Asks ``collateral(for:verifiedBy:)``, whoever the client is.
    public func collateral(
        for quote: Quote, verifiedBy verifier: QuoteVerifier, askedBy client: String?
    ) async throws -> QuoteCollateral {
        try await collateral(for: quote, verifiedBy: verifier)
    }
}
