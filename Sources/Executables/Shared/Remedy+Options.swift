package import DstackAttestation
package import DstackCommandLine

extension Remedy {
    /// The remedy for somebody at this command: its words, and the command's own options that they are done with. Options that
    /// the command does not declare are never named.
    package func text(for arguments: Arguments) -> String {
        let ways = actions.compactMap { way($0, arguments) }
        return ways.isEmpty ? text : "\(text) (\(ways.joined(separator: ", ")))"
    }

    private func way(_ action: Action, _ arguments: Arguments) -> String? {
        switch action {
        case .nameRoot: arguments.usage(of: "trust-root")
        case .chooseTime: arguments.usage(of: "at")
        case .renewCollateral: Self.renewal(arguments)
        case .giveCollateral: arguments.usage(of: "collateral")
        case .useStandardPolicy: preset("standard", arguments)
        case .useAuthenticPolicy: preset("authentic", arguments)
        case .amendPolicy: JudgementOptions.policyFile(arguments).map { "in \($0)" }
        case .giveEventLog: arguments.usage(of: "event-log")
        case .giveAttestation: arguments.usage(of: "attestation")
        case .giveConfiguration: arguments.usage(of: "vm-config")
        case .giveComposeFile: arguments.usage(of: "app-compose")
        case .hashComposeFile: "`dstack-verifier compose-hash FILE` prints it"
        case .trustService: arguments.usage(of: "ca")
        case .acceptKeyBinding: arguments.label(of: "session-bound").map { "without \($0)" }
        }
    }

    /// A preset in place of a preset. In place of a file it would drop what else that asks for: there the member is named.
    private func preset(_ name: String, _ arguments: Arguments) -> String? {
        guard let file = JudgementOptions.policyFile(arguments) else {
            return arguments.label(of: "policy").map { "\($0) \(name)" }
        }
        return policyMember.map { "\($0) in \(file)" }
    }

    /// Nothing where it was fetched just now.
    private static func renewal(_ arguments: Arguments) -> String? {
        guard arguments.has("collateral") else { return nil }
        if let fetch = arguments.label(of: "fetch") { return "\(fetch), or `dstack-verifier fetch-collateral`" }
        return arguments.label(of: "collateral").map { "without \($0) it is fetched" }
    }
}
