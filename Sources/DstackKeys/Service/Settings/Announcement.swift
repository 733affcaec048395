import DstackAuthorization

/// What a service says about itself at every start, as a warning: what its settings leave open that others close.
package struct Announcement: Sendable, Hashable, CustomStringConvertible {
    /// The key by which it is so.
    package let setting: String
    /// One line.
    package let text: String

    package init(_ setting: String, _ text: String) {
        self.setting = setting
        self.text = text
    }

    package var description: String { "\(setting): \(text)" }
}

extension KMSSettings {
    /// What is insecure by these settings; none of a service that keeps all its promises.
    package var announcements: [Announcement] {
        var list: [Announcement] = []
        func announce(_ isSo: Bool, _ setting: String, _ text: String) {
            if isSo { list.append(Announcement(setting, text)) }
        }
        announceAuthorizer(announce)
        announce(
            !enforcesSelfAuthorization, "core.enforce_self_authorization",
            "it does not ask whether it may run itself: revoking it has no effect on it")
        announce(
            !attestsRPCCertificate, "core.attest_rpc_cert",
            "its certificate carries no evidence: nobody can tell which code has the keys, and no other KMS onboards from it"
        )
        announce(
            !image.verifies, "core.image.verify",
            "operating system images are not verified: their hashes are what machines claim")
        announce(
            attestation.trustRoot != nil, "core.attestation.root_ca.tdx",
            "evidence is verified by another root than Intel's, simulated evidence if that is a simulator's")
        announce(
            admin.isEnabled && admin.token == nil && admin.passwordFile == nil && admin.allowsEveryone,
            "core.admin.insecure_no_auth", "the admin listener lets everybody in")
        announce(
            admin.isEnabled && !Self.isLoopback(admin.address), "core.admin.address",
            "the admin listener is not for this machine alone, and credentials are sent to it in plain text")
        announce(
            onboarding.isEnabled && onboarding.autoBootstrapDomain.isEmpty && onboarding.listener.token == nil
                && onboarding.listener.allowsEveryone, "core.onboard.insecure_no_auth",
            "as long as there are no keys, whoever comes first decides how they come into being")
        return list
    }

    private func announceAuthorizer(_ announce: (Bool, String, String) -> Void) {
        switch authorization {
        case .development(let gateway):
            announce(
                true, "core.auth_api.type",
                "development mode: every machine with genuine evidence gets keys, for whichever application it names")
            announce(
                gateway == "any", "core.auth_api.dev.gateway_app_id",
                "applications are told to trust any gateway")
        case .ethereum(let chain):
            announce(
                chain.chainID == nil, "core.auth_api.ethereum.chain_id",
                "no chain is named: that of the first answer after a start will do")
            announce(
                chain.maximumBlockAge == nil, "core.auth_api.ethereum.max_block_age",
                "blocks of any age count: a node that has stopped still allows what was revoked since")
        case .webhook, .file, .policy: break
        }
    }

    private static func isLoopback(_ address: String) -> Bool { address.hasPrefix("127.") || address == "::1" }
}
