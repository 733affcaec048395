/// How often something may happen: so many times at once, and then as fast as a constant rate.
package struct TokenBucket: Sendable {
    /// The most that may happen at once.
    private let burst: Double
    private let perSecond: Double
    private var tokens: Double
    /// When ``tokens`` was brought up to date.
    private var reckoned: ContinuousClock.Instant

    /// A full one.
    package init(burst: Double, perSecond: Double, _ now: ContinuousClock.Instant = .now) {
        self.burst = max(1, burst)
        self.perSecond = perSecond
        tokens = self.burst
        reckoned = now
    }

    /// Whether it may happen now. What is true is to be followed by ``take(_:)`` if it does.
    package func allows(_ now: ContinuousClock.Instant = .now) -> Bool { level(now) >= 1 }

    /// Whether nothing has happened for so long that it makes no difference any more.
    package func isFull(_ now: ContinuousClock.Instant = .now) -> Bool { level(now) >= burst }

    /// Notes that it happens, if it may.
    package mutating func take(_ now: ContinuousClock.Instant = .now) -> Bool {
        tokens = level(now)
        reckoned = max(reckoned, now)
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }

    private func level(_ now: ContinuousClock.Instant) -> Double {
        min(burst, tokens + max(0, reckoned.duration(to: now) / .seconds(1)) * perSecond)
    }
}
