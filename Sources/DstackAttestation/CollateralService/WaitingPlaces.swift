import Synchronization

/// Who may wait for a download of collateral: places of their own, shared out so that neither a platform nor strangers take
/// all of them.
///
/// A service that does not answer keeps those who wait for it. They must not be all that a verifier can serve: what needs no
/// download needs no place, platforms that collateral was had for before find places that others cannot take, and no platform
/// gets more than half.
final class WaitingPlaces: Sendable {
    private struct State {
        var waiting: [CollateralRequest: Int] = [:]
        var strangers = 0
        var total = 0
        var identifiers = 0
        /// How many identifiers may be asked about at once, and when that was reckoned.
        var tokens = WaitingPlaces.identifierBurst
        var reckoned = ContinuousClock.now
    }

    private let state = Mutex(State())
    private let maximum: Int

    /// Encrypted identifiers name a platform to Intel's service alone, so that nobody can tell a made-up one without asking.
    /// Few need it: so many at once, and one more every so often.
    private static let identifierBurst = 10.0
    private static let identifiersPerSecond = 0.5
    private static let maximumIdentifiersAtOnce = 2

    init(maximum: Int) { self.maximum = max(1, maximum) }

    /// The most that one platform gets: half.
    private var perPlatform: Int { max(1, maximum / 2) }
    /// The most that platforms get which there was no collateral for before: two thirds.
    private var forStrangers: Int { max(1, maximum * 2 / 3) }

    /// Runs `body` in a place of a platform; nil if there is none.
    func wait<Value: Sendable>(
        for request: CollateralRequest, isKnown: Bool, _ body: () async -> Value
    ) async -> Value? {
        let isIn = state.withLock { state in
            guard state.total < maximum, isKnown || state.strangers < forStrangers,
                state.waiting[request, default: 0] < perPlatform
            else { return false }
            state.waiting[request, default: 0] += 1
            state.total += 1
            if !isKnown { state.strangers += 1 }
            return true
        }
        guard isIn else { return nil }
        defer {
            state.withLock { state in
                state.total -= 1
                if !isKnown { state.strangers -= 1 }
                let left = state.waiting[request, default: 1] - 1
                state.waiting[request] = left > 0 ? left : nil
            }
        }
        return await body()
    }

    /// Runs `body`, which asks for a PCK certificate by an identifier; nil if that was done too often a moment ago.
    func waitForIdentifier<Value: Sendable>(_ body: () async -> Value) async -> Value? {
        let isIn = state.withLock { state in
            let now = ContinuousClock.now
            let passed = (now - state.reckoned) / .seconds(1)
            state.tokens = min(Self.identifierBurst, state.tokens + passed * Self.identifiersPerSecond)
            state.reckoned = now
            guard state.tokens >= 1, state.identifiers < Self.maximumIdentifiersAtOnce, state.total < maximum else {
                return false
            }
            state.tokens -= 1
            state.identifiers += 1
            state.total += 1
            return true
        }
        guard isIn else { return nil }
        defer {
            state.withLock { state in
                state.identifiers -= 1
                state.total -= 1
            }
        }
        return await body()
    }
}

extension AttestationError {
    /// Nobody more may wait.
    static func busy(_ subject: String) -> AttestationError {
        AttestationError(
            .collateralBusy, subject: subject, reason: "too many wait for collateral already",
            hint: "try again in a moment")
    }
}
