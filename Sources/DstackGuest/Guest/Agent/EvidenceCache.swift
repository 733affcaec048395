import DstackConcurrency
import DstackSystem
import Synchronization

/// What calls are answered from, made from one quote and made anew after every measured event; so that Info costs no
/// quote and is never about another state of the registers than the current one.
final class EvidenceCache<Value: Sendable>: Sendable {
    /// A value of an older state of the registers is not handed out. Failures are for those who wait for them: what is at
    /// hand is of the present state all the same.
    private let recent = RecentValue<Result<Value, any Error>>(maximumAge: nil) {
        if case .success = $0 { true } else { false }
    }
    private let nextAttempt = Mutex(ContinuousClock.now)
    private let maximumAge: Duration
    private let make: @Sendable () async -> Result<Value, any Error>
    private let log = Log("guest.evidence")

    /// - Parameters:
    ///   - maximumAge: after that a value is made anew in the background, once somebody asks: other programs measure
    ///     events too.
    ///   - make: makes a value of the present state.
    init(maximumAge: Duration, make: @escaping @Sendable () async throws -> Value) {
        self.maximumAge = maximumAge
        self.make = { do { return .success(try await make()) } catch { return .failure(error) } }
    }

    /// The value at hand, if it is of the present state as far as this agent knows. Neither waits nor computes.
    var current: Value? {
        guard let entry = recent.current else { return nil }
        let now = ContinuousClock.now
        if entry.madeAt + maximumAge < now {
            // One attempt in a while, also if it fails.
            let isDue = nextAttempt.withLock { next in
                guard next < now else { return false }
                next = now + .seconds(5)
                return true
            }
            if isDue { refresh() }
        }
        return try? entry.value.get()
    }

    /// The value, made now if there is none. All who ask meanwhile share one attempt.
    func value() async throws -> Value {
        if let value = current { return value }
        guard let value = await recent.value(.shared, make) else { throw CancellationError() }
        return try value.get()
    }

    /// The registers have changed: what is at hand is of the past.
    func invalidate() { recent.invalidate() }

    /// Makes a value in the background.
    func refresh() {
        Task { [recent, make, log] in
            if case .failure(let error) = await recent.value(.renewed, make) {
                log.warn("no evidence", ["error": "\(error)"])
            }
        }
    }
}
