/// One link of a chain of trust: what is believed because of the link before it.
public struct ChainLink: Sendable {
    /// What became of a link's checks.
    public enum Outcome: String, Hashable, Sendable {
        /// All that apply passed.
        case passed
        /// One failed.
        case failed
        /// Nothing was given to compare it with.
        case notCompared = "not_compared"
        /// It passed by itself, but a link before it does not hold: it hangs on nothing.
        case unproven
        /// An earlier failure left nothing to check.
        case notReached = "not_reached"
    }

    /// A value with its name.
    public struct Fact: Hashable, Sendable {
        /// Such as `compose hash`.
        public let name: String
        /// The value; text that may come from strangers.
        public let value: String
    }

    /// Stable name, such as `hardware_root`.
    public let name: String
    /// What it is, in a few words.
    public let title: String
    /// What became of its checks.
    public let outcome: Outcome
    /// Who or what it is.
    public let subject: String
    /// What belongs to it.
    public let facts: [Fact]

    /// Facts without a value are left out.
    init(name: String, title: String, outcome: Outcome, subject: String, facts: [(String, String?)]) {
        self.name = name
        self.title = title
        self.outcome = outcome
        self.subject = subject
        self.facts = facts.compactMap { name, value in value.map { Fact(name: name, value: $0) } }
    }

    /// The link without what it would only prove as a part of the chain.
    private init(unproven link: ChainLink) {
        name = link.name
        title = link.title
        outcome = .unproven
        subject = link.subject
        facts = link.facts.filter { $0.name != "signed" }
    }

    /// The links, in which nothing passes below what failed or was not reached.
    static func hanging(_ links: [ChainLink]) -> [ChainLink] {
        var isBroken = false
        return links.map { link in
            defer { isBroken = isBroken || link.outcome == .failed || link.outcome == .notReached }
            return isBroken && link.outcome == .passed ? ChainLink(unproven: link) : link
        }
    }
}
