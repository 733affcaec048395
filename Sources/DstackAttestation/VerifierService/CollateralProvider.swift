/// Where the collateral for a quote comes from: a service of Intel's form, a cache, or files.
///
/// What a provider gives is not trusted; verification checks every signature and date in it. A provider that answers for
/// the wrong platform or with stale data makes a verification fail, never pass.
public protocol CollateralProvider: Sendable {
    /// Collateral for the platform and the TEE of a quote, which has been parsed and not verified.
    ///
    /// - Throws: ``AttestationError`` with code `collateral_unavailable` if there is none to be had.
    func collateral(for quote: Quote) async throws -> QuoteCollateral
}
