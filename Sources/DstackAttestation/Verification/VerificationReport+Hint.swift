extension VerificationReport {
    /// What to do about a rejection; nil where it is accepted, or there is nothing to be done.
    public var remedy: Remedy? { failure.flatMap { remedy(for: $0) } }

    /// The words of ``remedy``.
    public var hint: String? { remedy?.text }

    private func remedy(for failure: Failure) -> Remedy? {
        if isSimulated, !trustAnchor.isSimulated {
            return Remedy(
                "to develop with a simulated TEE, name its own root, the root.pem which lies beside its evidence",
                .nameRoot)
        }
        if let hint = list.hint(for: failure.check) { return Remedy(hint) }
        switch failure.code {
        case .expired: return expiryRemedy(failure.check)
        case .unknownIssuer where trustAnchor.isSimulated:
            return Remedy(
                "evidence, collateral and root must be of one simulated TEE: take all from the same directory")
        case .unknownIssuer:
            return Remedy(
                "what was given does not lead to \(trustAnchor.name); if it has another root, name that", .nameRoot)
        case .notYetValid:
            return Remedy("check this machine's clock, or say for which time the answer is wanted", .chooseTime)
        default: break
        }
        switch failure.check {
        case .policyTCBStatus, .policyPlatformGrace, .policyQEGrace: return statusRemedy
        case .policyAdvisories:
            return Remedy(
                "Intel describes each advisory under https://www.intel.com/content/www/us/en/security-center; a policy "
                    + "says which are accepted")
        case .policyDynamicPlatform, .policyCachedKeys, .policySMT:
            return Remedy("the policy `standard` accepts it, and the report then says so", .useStandardPolicy)
        case .policyCollateralAge, .policyEvaluationDataNumber, .collateralFloor: return Self.renewal
        case .clockFloor:
            return Remedy("set this machine's clock, or say for which time the answer is wanted", .chooseTime)
        case .fmspc, .pceID, .tcbInfoType, .qeIdentityType, .pckCertificateSource:
            return Remedy("this collateral is for another platform or TEE; get that of this one", .renewCollateral)
        case .tcbLevel, .currentTCBLevel, .qeTCBLevel, .tdxModuleIdentity:
            // Newer collateral only demands more; it helps where it does not know something at all.
            return tcbShortfalls.isEmpty ? Self.renewal : Remedy("the host needs \(neededUpdates)")
        case .expectedReportData where binding == nil:
            return Remedy("the quote is for somebody else, or old: have a new one made for your challenge")
        case .composeHash where failure.code == .mismatch:
            return Remedy("every byte of the file counts: compare its hash", .hashComposeFile)
        case .composeHash, .expectedApplication:
            return failure.code == .missing
                ? Remedy("give the event log, or the whole attestation", .giveEventLog, .giveAttestation) : nil
        case .osImage where failure.code == .missing:
            return Remedy(
                "give event log and VM configuration (event_log and vm_config in the agent's answer), or judge without an "
                    + "OS image by the policy `standard`", .giveEventLog, .giveConfiguration, .useStandardPolicy)
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

    private static let renewal = Remedy("get collateral anew", .renewCollateral)

    private func expiryRemedy(_ check: CheckID) -> Remedy {
        switch check {
        case .pckChainValidity:
            return Remedy(
                "the platform needs a new certificate; or say for which time the answer is wanted", .chooseTime)
        default:
            return Remedy(
                "get collateral anew, or say for which time the answer is wanted", .renewCollateral, .chooseTime)
        }
    }

    private var statusRemedy: Remedy {
        let policies = "a policy can accept the status (allowed_statuses), and `authentic` accepts and reports any"
        switch status {
        case .outOfDate, .outOfDateConfigurationNeeded:
            return Remedy("the host needs \(neededUpdates); until then \(policies)", .useAuthenticPolicy)
        case .tdRelaunchAdvised, .tdRelaunchAdvisedConfigurationNeeded:
            return Remedy("the host has been updated since: start the virtual machine again")
        default: return Remedy(policies, .useAuthenticPolicy)
        }
    }
}

extension EndpointReport {
    /// What to do where there is no yes; nil where there is one, or nothing to be done.
    public var remedy: Remedy? {
        guard let failure else { return nil }
        if !failure.hint.isEmpty { return Remedy(failure.hint) }
        switch Check(rawValue: failure.check) {
        case .codeExpected: return Remedy("give your own copy of the compose file", .giveComposeFile)
        case .certificateEvidence:
            return Remedy("a service with evidence has a certificate made by the guest agent (RA-TLS)")
        case .sessionEvidence:
            return failure.code == .missing
                ? Remedy("evidence about the certificate's key can be accepted too", .acceptKeyBinding) : nil
        case .certificateValidity:
            return failure.code == .expired || failure.code == .notYetValid
                ? Remedy(
                    "the service needs a new certificate; or check this machine's clock, or say for which time the answer "
                        + "is wanted", .chooseTime) : nil
        default: return evidence?.remedy
        }
    }

    /// The words of ``remedy``.
    public var hint: String? { remedy?.text }
}
