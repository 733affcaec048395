import DstackConcurrency
import Synchronization

/// Who may wait for a download of collateral: places of their own, shared out so that neither a platform, nor strangers, nor a
/// client takes all of them.
///
/// A service that does not answer keeps those who wait for it. They must not be all that a verifier can serve: what needs no
/// download needs no place, platforms that collateral was had for before find places that others cannot take, and no platform
/// and no client gets more than half.
///
/// A client is whatever names one, such as an address. Where nobody is named, nothing is shared out by it.
final class WaitingPlaces: Sendable {
    private struct State {
        var waiting: [CollateralRequest: Int] = [:]
        var clients: [String: Int] = [:]
        var strangers = 0
        var total = 0
        /// How many ask about an identifier, and how often all together may begin to.
        var identifiers = 0
        var asking = TokenBucket(burst: 12, perSecond: 0.5)
        var askers: [String: Asker] = [:]
    }

    /// A client that asks about identifiers.
    private struct Asker {
        var identifiers = 0
        /// A third of what all may.
        var asking = TokenBucket(burst: 4, perSecond: 1.0 / 6)
    }

    private let state = Mutex(State())
    private let maximum: Int

    init(maximum: Int) { self.maximum = max(1, maximum) }

    /// The most that one platform gets, and the most that one client gets: half.
    private var half: Int { max(1, maximum / 2) }
    /// The most that platforms get which there was no collateral for before: two thirds.
    private var forStrangers: Int { max(1, maximum * 2 / 3) }
    /// Encrypted identifiers name a platform to Intel's service alone, so that nobody can tell a made-up one without asking.
    /// Few need it: so many may be asked about at once, and of these a third for one client, which must not keep the others
    /// from theirs while a service does not answer.
    private var forIdentifiers: Int { max(1, min(6, maximum / 3)) }
    private var identifiersOfOne: Int { max(1, forIdentifiers / 3) }

    /// Runs `body` in a place of a platform; nil if there is none.
    func wait<Value: Sendable>(
        for request: CollateralRequest, isKnown: Bool, askedBy client: String?, _ body: () async -> Value
    ) async -> Value? {
        let isIn = state.withLock { state in
            guard state.total < maximum, isKnown || state.strangers < forStrangers,
                state.waiting[request, default: 0] < half,
                client.map({ state.clients[$0, default: 0] < half }) ?? true
            else { return false }
            state.waiting[request, default: 0] += 1
            if let client { state.clients[client, default: 0] += 1 }
            state.total += 1
            if !isKnown { state.strangers += 1 }
            return true
        }
        guard isIn else { return nil }
        defer {
            state.withLock { state in
                state.total -= 1
                if !isKnown { state.strangers -= 1 }
                state.waiting.countDown(request)
                if let client { state.clients.countDown(client) }
            }
        }
        return await body()
    }

    /// Runs `body`, which asks for a PCK certificate by an identifier; nil if that was done too often a moment ago.
    func waitForIdentifier<Value: Sendable>(askedBy client: String?, _ body: () async -> Value) async -> Value? {
        let isIn = state.withLock { state in
            let now = ContinuousClock.now
            // Who has not asked for a while is like one who never did; so there are no more than may ask in that time.
            state.askers = state.askers.filter { $0.value.identifiers > 0 || !$0.value.asking.isFull(now) }
            var asker = client.map { state.askers[$0] ?? Asker() }
            guard state.identifiers < forIdentifiers, state.total < maximum,
                asker.map({ $0.identifiers < identifiersOfOne && $0.asking.allows(now) }) ?? true,
                state.asking.take(now)
            else { return false }
            if let client {
                _ = asker?.asking.take(now)
                asker?.identifiers += 1
                state.askers[client] = asker
            }
            state.identifiers += 1
            state.total += 1
            return true
        }
        guard isIn else { return nil }
        defer {
            state.withLock { state in
                state.identifiers -= 1
                state.total -= 1
                if let client { state.askers[client]?.identifiers -= 1 }
            }
        }
        return await body()
    }
}

extension Dictionary where Value == Int {
    fileprivate mutating func countDown(_ key: Key) { self[key] = self[key].flatMap { $0 > 1 ? $0 - 1 : nil } }
}

extension AttestationError {
    /// Nobody more may wait.
    static func busy(_ subject: String) -> AttestationError {
        AttestationError(
            .collateralBusy, subject: subject, reason: "too many wait for collateral already",
            hint: "try again in a moment")
    }
}
