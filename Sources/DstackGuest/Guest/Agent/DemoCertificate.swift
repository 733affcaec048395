import DstackSystem
import Synchronization

/// The certificate that Info shows (`app_cert`): an example of what the instance can get. Nobody waits for it; it is made
/// in the background, once at a time and ever more rarely where that fails.
final class DemoCertificate: Sendable {
    /// One certificate after the other; number 0 is none.
    struct Edition: Sendable {
        var number = 0
        /// The chain, each certificate followed by an empty line but the last.
        var pem = ""
    }

    private struct State {
        var edition = Edition()
        var isUnderWay = false
        var failures = 0
        /// Nil for never.
        var nextAttempt: ContinuousClock.Instant? = .now
    }

    private let state = Mutex(State())
    private let lifetime: Duration?
    private let issue: @Sendable () async throws -> [String]
    private let log = Log("guest.certificates")

    /// - Parameter lifetime: after half of it the next certificate is made; nil for once and for all.
    init(lifetime: Duration?, issue: @escaping @Sendable () async throws -> [String]) {
        self.lifetime = lifetime
        self.issue = issue
    }

    /// The certificate at hand. Asking for it begins the next attempt, if it is time for one.
    var current: Edition {
        let (edition, begins) = state.withLock { state -> (Edition, Bool) in
            guard !state.isUnderWay, let next = state.nextAttempt, next <= .now else { return (state.edition, false) }
            state.isUnderWay = true
            return (state.edition, true)
        }
        if begins { Task { await attempt() } }
        return edition
    }

    private func attempt() async {
        do {
            let chain = try await issue()
            state.withLock { state in
                state.edition = Edition(number: state.edition.number + 1, pem: chain.joined(separator: "\n"))
                state.isUnderWay = false
                state.failures = 0
                state.nextAttempt = lifetime.map { .now + $0 / 2 }
            }
        } catch {
            let pause = state.withLock { state -> Duration in
                state.failures += 1
                state.isUnderWay = false
                // 2 s, 4 s, … 512 s.
                let pause = Duration.seconds(1 << min(state.failures, 9))
                state.nextAttempt = .now + pause
                return pause
            }
            log.warn("no demo certificate", ["error": "\(error)", "next_attempt_in": pause])
        }
    }
}
