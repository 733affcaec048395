/// A way to have a trust domain's report signed by the platform's quoting enclave.
///
/// Calls block, some for seconds; ``TDXAttester`` makes them on a thread of its own. A quote is not trusted for where it
/// comes from: whoever relies on it verifies it, so that a source can at worst refuse.
public protocol QuoteProvider: Sendable {
    /// What it is, for messages: `configfs-tsm`.
    var name: String { get }

    /// A quote over this trust domain as it is now, with the given report data.
    ///
    /// - Parameter deadline: when the caller gives up. An implementation may overrun it by one call to the system.
    /// - Throws: ``AttestationError`` with code ``AttestationError/Code/quoteUnavailable`` saying why there is none.
    func quote(
        reportData: ReportData, deadline: ContinuousClock.Instant
    ) throws(AttestationError) -> [UInt8]
}

/// The most bytes of a quote that are read from any source; quotes have about 5000.
let maximumQuoteByteCount = 64 << 10
