import Synchronization

/// Collateral that has been decoded and checked, by its content, so that a service does that once for each platform and
/// publication instead of once a request.
///
/// What is remembered never answers for other collateral: the key is all of it, byte for byte.
package final class PreparedCollateralCache: Sendable {
    private let verifier: QuoteVerifier
    /// Platform families times TEEs times what was published lately; each takes about 100 KB.
    private let capacity: Int
    private let prepared = Mutex<[QuoteCollateral: PreparedCollateral]>([:])

    package init(_ verifier: QuoteVerifier, capacity: Int = 64) {
        self.verifier = verifier
        self.capacity = capacity
    }

    package func prepare(_ collateral: QuoteCollateral) -> PreparedCollateral {
        if let known = prepared.withLock({ $0[collateral] }) { return known }
        // Outside of the lock: two requests may do it at once, which costs less than making all others wait.
        let new = verifier.prepare(collateral)
        prepared.withLock { prepared in
            if prepared.count >= capacity { prepared.removeAll() }
            prepared[collateral] = new
        }
        return new
    }
}
