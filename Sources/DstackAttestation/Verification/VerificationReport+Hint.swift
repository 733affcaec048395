extension VerificationReport {
    /// What to do about a rejection; nil where it is accepted, or there is nothing to be done.
    public var hint: String? { failure.flatMap { hint(for: $0) } }

    private func hint(for failure: Failure) -> String? {
        if isSimulated, !trustAnchor.isSimulated {
            return
                "to develop with a simulated TEE, name its own root: --trust-root root.pem, which lies beside its evidence"
        }
        if let hint = list.hint(for: failure.check) { return hint }
        switch failure.code {
        case .expired: return expiryHint(failure.check)
        case .unknownIssuer where trustAnchor.isSimulated:
            return "evidence, collateral and root must be of one simulated TEE: take all from the same directory"
        case .unknownIssuer:
            return "what was given does not lead to \(trustAnchor.name); another root is named with --trust-root"
        case .notYetValid:
            return "check this machine's clock, or say with --at for which time the answer is wanted"
        default: break
        }
        switch failure.check {
        case .policyTCBStatus, .policyPlatformGrace, .policyQEGrace: return statusHint
        case .policyAdvisories:
            return
                "Intel describes each advisory under https://www.intel.com/content/www/us/en/security-center; a policy "
                + "file says which are accepted"
        case .policyDynamicPlatform, .policyCachedKeys, .policySMT:
            return "--policy standard accepts it and says so in the report"
        case .policyCollateralAge, .policyEvaluationDataNumber, .collateralFloor: return Self.fetchHint
        case .clockFloor: return "set this machine's clock, or say with --at for which time the answer is wanted"
        case .fmspc, .pceID, .tcbInfoType, .qeIdentityType, .pckCertificateSource:
            return "this collateral is for another platform or TEE; for this one: dstack-verifier fetch-collateral"
        case .tcbLevel, .currentTCBLevel, .qeTCBLevel, .tdxModuleIdentity: return Self.fetchHint
        case .expectedReportData where binding == nil:
            return "the quote is for somebody else, or old: have a new one made for your challenge"
        case .composeHash where failure.code == .mismatch:
            return "every byte of the file counts; `dstack-verifier compose-hash FILE` prints its hash"
        case .composeHash, .expectedApplication:
            return failure.code == .missing
                ? "give the event log: --event-log FILE, or the whole --attestation FILE" : nil
        case .osImage where failure.code == .missing:
            return
                "give event log and VM configuration (event_log and vm_config in the agent's answer): --event-log and "
                + "--vm-config; or judge without an OS image: --policy standard"
        default: return nil
        }
    }

    /// What raises the components that fall short, each once.
    private var neededUpdates: String {
        var advice: [String] = []
        for shortfall in tcbShortfalls where !advice.contains(shortfall.remedy.advice) {
            advice.append(shortfall.remedy.advice)
        }
        return advice.isEmpty ? "updates" : advice.joined(separator: ", and ")
    }

    private static let fetchHint =
        "get collateral anew: dstack-verifier fetch-collateral, or verify with --fetch"

    private func expiryHint(_ check: CheckID) -> String {
        switch check {
        case .pckChainValidity:
            return "the platform needs a new certificate; or say with --at for which time the answer is wanted"
        default: return Self.fetchHint + "; or say with --at for which time the answer is wanted"
        }
    }

    private var statusHint: String {
        switch status {
        case .outOfDate, .outOfDateConfigurationNeeded:
            return
                "the host needs \(neededUpdates); until then a policy file can "
                + "accept the status (allowed_statuses), and --policy authentic accepts and reports any"
        case .tdRelaunchAdvised, .tdRelaunchAdvisedConfigurationNeeded:
            return "the host has been updated since: start the virtual machine again"
        default:
            return
                "a policy file can accept the status (allowed_statuses), and --policy authentic accepts and reports any"
        }
    }
}

extension EndpointReport {
    /// What to do where there is no yes; nil where there is one, or nothing to be done.
    public var hint: String? {
        guard let failure else { return nil }
        if !failure.hint.isEmpty { return failure.hint }
        switch Check(rawValue: failure.check) {
        case .codeExpected: return "give your own copy of the compose file: --app-compose FILE"
        case .certificateEvidence: return "a service with evidence has a certificate made by the guest agent (RA-TLS)"
        case .sessionEvidence:
            return failure.code == .missing
                ? "without --session-bound, evidence about the certificate's key is accepted too" : nil
        case .certificateValidity:
            return failure.code == .expired || failure.code == .notYetValid
                ? "the service needs a new certificate; or check this machine's clock, or --at" : nil
        default: return evidence?.hint
        }
    }
}
