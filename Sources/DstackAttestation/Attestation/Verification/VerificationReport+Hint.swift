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
        if let remedy = simulationRemedy(for: failure) { return remedy }
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
        case .policyTCBStatus, .policyPlatformGrace, .policyQEGrace: return statusRemedy(failure.check)
        case .policyAdvisories:
            return Remedy(
                "Intel describes each advisory under https://www.intel.com/content/www/us/en/security-center; a policy "
                    + "says which are accepted")
        case .policyDynamicPlatform: return standardRemedy(by: #""allow_dynamic_platform": true"#)
        case .policyCachedKeys: return standardRemedy(by: #""allow_cached_keys": true"#)
        case .policySMT: return standardRemedy(by: #""allow_smt": true"#)
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
        case .osImage where failure.code == .missing: return imageRemedy
        default: return nil
        }
    }

    // MARK: Policies

    /// Whether it was judged by a preset, whatever is expected beside it.
    private var isJudgedByPreset: Bool { VerificationPolicy.preset(named: policy.shownName) != nil }

    /// A preset in words that say that what is expected stays: whoever takes the preset alone asks for less than before.
    private func preset(_ name: String) -> String {
        policy.expected == ExpectedValues() ? "`\(name)`" : "`\(name)`, with the same expected values,"
    }

    /// What `standard` accepts and this policy does not. Presets are proposed in place of presets alone: any other policy asks
    /// for things that a preset would drop, so that only the one member is named.
    private func standardRemedy(by member: String) -> Remedy {
        guard isJudgedByPreset else {
            return Remedy(
                "the policy accepts it with \(member), and the report then says so", [.amendPolicy],
                policyMember: member)
        }
        return Remedy(
            "the policy \(preset("standard")) accepts it, and the report then says so; it also accepts SWHardeningNeeded, and "
                + "evidence without an OS image", [.useStandardPolicy], policyMember: member)
    }

    private var imageRemedy: Remedy {
        let gift = "give event log and VM configuration (event_log and vm_config in the agent's answer)"
        // Without it what is expected of the image would not be asked any more.
        let isExpected = Expectation.osImageHash.isStated(in: policy.expected)
        guard policy.osImage == .required, !isExpected else {
            return Remedy(gift, .giveEventLog, .giveConfiguration)
        }
        let member = #""require_os_image": "if_named""#
        guard isJudgedByPreset else {
            return Remedy(
                "\(gift), or judge without an OS image: the policy accepts that with \(member)",
                [.giveEventLog, .giveConfiguration, .amendPolicy], policyMember: member)
        }
        return Remedy(
            "\(gift), or judge without an OS image by the policy \(preset("standard")) which also accepts SWHardeningNeeded",
            [.giveEventLog, .giveConfiguration, .useStandardPolicy], policyMember: member)
    }

    // MARK: Simulated TEEs

    /// Roots of simulated TEEs all have the same name: which part is of another one is told by what does not lead where.
    private func simulationRemedy(for failure: Failure) -> Remedy? {
        guard isSimulated, trustAnchor.isSimulated else { return nil }
        func isForeign(_ code: FailureCode) -> Bool { code == .unknownIssuer || code == .badSignature }
        if let origin = failureToReachAnchor, origin.check == .pckChain, isForeign(origin.code) {
            return Remedy(
                "this root (key sha256 \(trustAnchor.publicKeyDigest.hex)) is another simulation's: name the root.pem that "
                    + "lies beside this evidence", .nameRoot)
        }
        let isOfRoot = [.rootCRLSignature, .pckCRLSignature, .tcbInfoSigner, .qeIdentitySigner].contains(failure.check)
        guard list.hasPassed(.pckChain), failure.code == .unknownIssuer || isForeign(failure.code) && isOfRoot else {
            return nil
        }
        return Remedy(
            "this collateral is another simulation's: give the collateral.json that lies beside this evidence",
            .giveCollateral)
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

    private func statusRemedy(_ check: CheckID) -> Remedy {
        let member = memberAccepting(check)
        let policies =
            isJudgedByPreset
            ? "a policy can accept the status (allowed_statuses), and \(preset("authentic")) accepts and reports any, without "
                + "asking for an OS image" : "the policy accepts it with \(member)"
        let action = isJudgedByPreset ? Remedy.Action.useAuthenticPolicy : .amendPolicy
        switch status {
        case .outOfDate, .outOfDateConfigurationNeeded:
            return Remedy(
                "the host needs \(neededUpdates); until then \(policies)", [action], policyMember: member)
        case .tdRelaunchAdvised, .tdRelaunchAdvisedConfigurationNeeded:
            return Remedy("the host has been updated since: start the virtual machine again")
        default: return Remedy(policies, [action], policyMember: member)
        }
    }

    /// What in a policy file accepts this status, beside those that are accepted already.
    private func memberAccepting(_ check: CheckID) -> String {
        switch check {
        case .policyPlatformGrace: return #""platform_grace_period_secs": "unlimited""#
        case .policyQEGrace: return #""qe_grace_period_secs": "unlimited""#
        default:
            let statuses = TCBStatus.allCases.filter { policy.allowedStatuses.contains($0) || $0 == status }
            return #""allowed_statuses": [\#(statuses.map { "\"\($0.rawValue)\"" }.joined(separator: ", "))]"#
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
