import DstackConcurrency
import Synchronization

/// Passes on what strangers cause as often as they like: so many reports of a kind at once, then so many a second, and how
/// many were left out. They are made on a thread of their own, so that neither a flood nor somebody who does not read keeps
/// the thread where it happened from its work.
package final class LimitedReports: Sendable {
    private struct Kind {
        let name: StaticString
        /// Told how many were left out.
        let sum: @Sendable (Int) -> Void
        /// How many may be made.
        var credit: TokenBucket
        var leftOut = 0

        func isNamed(_ name: StaticString) -> Bool {
            name.hasPointerRepresentation && self.name.hasPointerRepresentation
                && name.utf8Start == self.name.utf8Start
        }
    }

    private struct State {
        var kinds: [Kind] = []
        var sumIsDue = false
    }

    private let burst: Double
    private let perSecond: Double
    private let sumInterval: Duration
    private let state = Mutex(State())
    private let thread: JobThreads<@Sendable () -> Void>

    /// - Parameters:
    ///   - burst: how many reports of one kind may be made at once.
    ///   - perSecond: how many may follow.
    ///   - sumInterval: how long after the first one that is left out it is told how many were.
    package init(burst: Int = 20, perSecond: Double = 1, sumInterval: Duration = .seconds(10)) {
        self.burst = Double(max(1, burst))
        self.perSecond = perSecond
        self.sumInterval = sumInterval
        thread = JobThreads(capacity: max(256, burst)) { $0() }
    }

    deinit { thread.stop() }

    /// - Parameters:
    ///   - kind: what is counted by; the same literal for all of a kind.
    ///   - report: called on the thread, unless there were too many.
    ///   - sum: called there with how many were left out, some time after the first of them.
    package func add(
        _ kind: StaticString, _ report: @escaping @Sendable () -> Void, sum: @escaping @Sendable (Int) -> Void
    ) {
        guard state.withLock({ allows(kind, sum, &$0) }) else { return leaveOut(kind, 1) }
        // Somebody who reads too slowly is one more reason to leave some out.
        if thread.append(report) != nil { leaveOut(kind, 1) }
    }

    private func allows(
        _ name: StaticString, _ sum: @escaping @Sendable (Int) -> Void, _ state: inout State
    ) -> Bool {
        if let index = state.kinds.firstIndex(where: { $0.isNamed(name) }) { return state.kinds[index].credit.take() }
        var credit = TokenBucket(burst: burst, perSecond: perSecond)
        let isAllowed = credit.take()
        state.kinds.append(Kind(name: name, sum: sum, credit: credit))
        return isAllowed
    }

    private func leaveOut(_ kind: StaticString, _ count: Int) {
        let isFirst = state.withLock { state in
            guard let index = state.kinds.firstIndex(where: { $0.isNamed(kind) }) else { return false }
            state.kinds[index].leftOut += count
            defer { state.sumIsDue = true }
            return !state.sumIsDue
        }
        guard isFirst else { return }
        Task { [weak self, sumInterval] in
            try? await Task.sleep(for: sumInterval)
            self?.sumUp()
        }
    }

    private func sumUp() {
        let due: [Kind] = state.withLock { state in
            state.sumIsDue = false
            let due = state.kinds.filter { $0.leftOut > 0 }
            for index in state.kinds.indices { state.kinds[index].leftOut = 0 }
            return due
        }
        for kind in due where thread.append({ kind.sum(kind.leftOut) }) != nil {
            // Nobody reads at all; it is said when somebody does.
            leaveOut(kind.name, kind.leftOut)
        }
    }
}
