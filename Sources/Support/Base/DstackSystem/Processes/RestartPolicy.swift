/// When a program is started again, and after which pause.
package struct RestartPolicy: Sendable, Hashable {
    package enum Condition: Sendable, Hashable {
        case never
        /// Unless it ended by itself with status 0. How a program ended that was found running is known to nobody, and
        /// counts as a failure.
        case onFailure
        case always
    }

    package var condition: Condition
    /// Before the first new start; it doubles with each further one.
    package var firstPause: Duration
    package var longestPause: Duration
    /// Who has run so long is not in trouble: the next pause is the first again.
    package var steadyAfter: Duration

    package init(
        _ condition: Condition, firstPause: Duration = .seconds(1), longestPause: Duration = .seconds(60),
        steadyAfter: Duration = .seconds(60)
    ) {
        self.condition = condition
        self.firstPause = firstPause
        self.longestPause = longestPause
        self.steadyAfter = steadyAfter
    }

    package static let never = RestartPolicy(.never)

    /// What a policy makes of one program's ends.
    package struct BackOff: Sendable {
        private let policy: RestartPolicy
        private var next: Duration

        package init(_ policy: RestartPolicy) {
            self.policy = policy
            next = policy.firstPause
        }

        /// The pause before the program is started again; nil for never.
        ///
        /// - Parameters:
        ///   - ending: nil where nobody knows.
        ///   - time: how long it ran.
        package mutating func pause(after ending: ProgramEnding?, running time: Duration) -> Duration? {
            switch policy.condition {
            case .never: return nil
            case .onFailure where ending == .success: return nil
            case .onFailure, .always: break
            }
            if time >= policy.steadyAfter { next = policy.firstPause }
            defer { next = min(next * 2, policy.longestPause) }
            return min(next, policy.longestPause)
        }
    }
}
