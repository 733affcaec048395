package import DstackAttestation
package import DstackCommandLine

extension Remedy {
    /// The remedy for somebody at this command: its words, and the command's own options that they are done with. Options that
    /// the command does not declare are never named.
    package func text(for arguments: Arguments) -> String {
        let ways = actions.compactMap { Self.way($0, arguments) }
        return ways.isEmpty ? text : "\(text) (\(ways.joined(separator: ", ")))"
    }

    private static func way(_ action: Action, _ arguments: Arguments) -> String? {
        switch action {
        case .nameRoot: arguments.usage(of: "trust-root")
        case .chooseTime: arguments.usage(of: "at")
        case .renewCollateral: renewal(arguments)
        case .useStandardPolicy: arguments.label(of: "policy").map { "\($0) standard" }
        case .useAuthenticPolicy: arguments.label(of: "policy").map { "\($0) authentic" }
        case .giveEventLog: arguments.usage(of: "event-log")
        case .giveAttestation: arguments.usage(of: "attestation")
        case .giveConfiguration: arguments.usage(of: "vm-config")
        case .giveComposeFile: arguments.usage(of: "app-compose")
        case .hashComposeFile: "`dstack-verifier compose-hash FILE` prints it"
        case .trustService: arguments.usage(of: "ca")
        case .acceptKeyBinding: arguments.label(of: "session-bound").map { "without \($0)" }
        }
    }

    /// Nothing where it was fetched just now.
    private static func renewal(_ arguments: Arguments) -> String? {
        guard arguments.has("collateral") else { return nil }
        if let fetch = arguments.label(of: "fetch") { return "\(fetch), or `dstack-verifier fetch-collateral`" }
        return arguments.label(of: "collateral").map { "without \($0) it is fetched" }
    }
}
