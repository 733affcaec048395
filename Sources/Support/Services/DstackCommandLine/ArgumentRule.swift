/// What must hold between several arguments of a command.
package struct ArgumentRule: Sendable {
    enum Kind: Sendable {
        case exactlyOne
        case atMostOne
        case atLeastOne
        /// The first needs all others.
        case requires
    }

    let kind: Kind
    let members: [ArgumentSpecification]

    private init(_ kind: Kind, _ members: [any ArgumentDeclaration]) {
        self.kind = kind
        self.members = members.map(\.specification)
    }

    /// One of them must be given, and no more.
    package static func exactlyOne(of members: any ArgumentDeclaration...) -> ArgumentRule {
        ArgumentRule(.exactlyOne, members)
    }

    /// They exclude each other.
    package static func atMostOne(of members: any ArgumentDeclaration...) -> ArgumentRule {
        ArgumentRule(.atMostOne, members)
    }

    /// One of them must be given.
    package static func atLeastOne(of members: any ArgumentDeclaration...) -> ArgumentRule {
        ArgumentRule(.atLeastOne, members)
    }

    /// The first means nothing without the others.
    package static func argument(
        _ argument: any ArgumentDeclaration, requires others: any ArgumentDeclaration...
    ) -> ArgumentRule {
        ArgumentRule(.requires, [argument] + others)
    }

    /// Why the rule is broken by these names; nil where it holds.
    ///
    /// - Parameter written: those that the command line gave itself. What the environment offers to every command needs
    ///   nothing else.
    func complaint(given: Set<String>, written: Set<String>) -> String? {
        let present = members.filter { given.contains($0.name) }
        switch kind {
        case .exactlyOne, .atLeastOne:
            if present.isEmpty { return "one of \(list(members, "or")) is needed" }
            guard kind == .exactlyOne, present.count > 1 else { return nil }
            return "\(list(present, "and")) exclude each other"
        case .atMostOne:
            return present.count > 1 ? "\(list(present, "and")) exclude each other" : nil
        case .requires:
            guard let first = members.first, written.contains(first.name) else { return nil }
            let missing = members.dropFirst().filter { !given.contains($0.name) }
            return missing.isEmpty ? nil : "\(first.label) needs \(list(missing, "and")) as well"
        }
    }

    private func list(_ members: [ArgumentSpecification], _ conjunction: String) -> String {
        let labels = members.map(\.label)
        guard let last = labels.last, labels.count > 1 else { return labels.joined() }
        return labels.dropLast().joined(separator: ", ") + " \(conjunction) \(last)"
    }
}
