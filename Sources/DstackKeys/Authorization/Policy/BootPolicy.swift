/// Rules by which machines may boot: whoever fulfils all conditions of one rule may; everybody else may not.
package struct BootPolicy: Sendable, Hashable {
    package struct Rule: Sendable, Hashable {
        package let name: String
        /// What it is for: nothing else is ever allowed by it.
        package let subject: BootSubject
        package let conditions: [BootCondition]
    }

    package let gatewayAppID: String
    package let rules: [Rule]

    /// Judges a machine by every rule, in the order of the file, also behind one that allows it.
    package func explanation(for info: BootInfo, as subject: BootSubject) -> BootExplanation {
        BootExplanation(
            subject: subject, gatewayAppID: gatewayAppID,
            rules: rules.map { rule in
                BootExplanation.Rule(
                    name: rule.name, subject: rule.subject, isApplicable: rule.subject == subject,
                    conditions: rule.subject == subject ? rule.conditions.map { $0.outcome(for: info) } : [])
            })
    }
}

/// Why a machine may boot or may not: every rule, and every condition of each.
package struct BootExplanation: Sendable, Hashable {
    package struct Condition: Sendable, Hashable {
        package let fact: BootCondition.Fact
        package let found: [String]
        package let expected: [String]
        package let isAnyAccepted: Bool
        package let holds: Bool
    }

    package struct Rule: Sendable, Hashable {
        package let name: String
        package let subject: BootSubject
        /// Whether it is for what was asked.
        package let isApplicable: Bool
        /// Empty where it is not.
        package let conditions: [Condition]

        /// A rule without conditions allows nothing: there is none, and if there were, it would say nothing.
        package var isFulfilled: Bool { isApplicable && !conditions.isEmpty && conditions.allSatisfy(\.holds) }

        package var failures: [Condition] { conditions.filter { !$0.holds } }
    }

    package let subject: BootSubject
    let gatewayAppID: String
    package let rules: [Rule]

    /// The first rule that is fulfilled; nil where the machine may not boot.
    package var allowing: Rule? { rules.first(where: \.isFulfilled) }

    package var decision: BootDecision {
        if allowing != nil { return .allowed(gatewayAppID: gatewayAppID) }
        return .denied(denial, gatewayAppID: gatewayAppID)
    }

    /// What the nearest rule misses. It names what was found, which is the asker's own, and not what would be accepted: that
    /// is for whoever may read the policy.
    private var denial: String {
        let candidates = rules.filter(\.isApplicable)
        guard let nearest = candidates.min(by: { $0.failures.count < $1.failures.count }) else {
            return "no rule is for \(subject == .kms ? "a KMS" : "an app")"
        }
        let failures = nearest.failures.map { condition in
            let found = condition.found.isEmpty ? "none" : condition.found.joined(separator: ", ")
            return "\(condition.fact.rawValue) \(found)"
        }
        return
            "no rule allows it; nearest is \"\(nearest.name)\", which does not accept \(failures.joined(separator: "; "))"
    }
}
