/// What to do about a no: in words that hold wherever the answer is shown, and as actions that a program can name its own
/// options for.
public struct Remedy: Sendable, Hashable, CustomStringConvertible {
    /// Something that whoever asked can give, leave out or choose.
    public enum Action: Sendable, Hashable, CaseIterable {
        /// Name the root certificate that evidence must lead to.
        case nameRoot
        /// Say for which time the answer is wanted.
        case chooseTime
        /// Fetch collateral, or give newer collateral.
        case renewCollateral
        /// Give the collateral that belongs to the evidence.
        case giveCollateral
        /// Judge by ``VerificationPolicy/standard``.
        case useStandardPolicy
        /// Judge by ``VerificationPolicy/authentic``.
        case useAuthenticPolicy
        /// Say it in the policy that was given. A preset in its place would drop all else that it asks for.
        case amendPolicy
        /// Give the event log.
        case giveEventLog
        /// Give the attestation envelope in place of a quote.
        case giveAttestation
        /// Give the virtual machine's configuration.
        case giveConfiguration
        /// Give one's own copy of the compose file.
        case giveComposeFile
        /// Compute the hash of a compose file.
        case hashComposeFile
        /// Accept evidence about a certificate's key where there is none about the connection.
        case acceptKeyBinding
        /// Give the certificate of the authority that the collateral service's own is from.
        case trustService
    }

    /// In words, without the options of any program.
    public let text: String
    /// What of it is for whoever asked to do, in the order of the words; empty where it is for others.
    public let actions: [Action]
    /// The member of a policy file that accepts it, such as `"allow_smt": true`; nil where no policy does.
    public let policyMember: String?

    /// The words.
    public var description: String { text }

    init(_ text: String, _ actions: Action...) { self.init(text, actions) }

    init(_ text: String, _ actions: [Action], policyMember: String? = nil) {
        self.text = text
        self.actions = actions
        self.policyMember = policyMember
    }
}

extension AttestationError {
    /// What to do about it, where whoever found it knew; else nil.
    package var remedy: Remedy? { hint.isEmpty ? nil : Remedy(hint, actions) }
}
