import DstackCrypto
import DstackEncoding

/// The links of a chain of trust that evidence makes: from the hardware's root to the application.
struct EvidenceChain {
    /// The verification; nil where it did not come to one.
    let report: VerificationReport?
    let trustAnchor: TrustAnchor
    /// Why there is no collateral, where a no did not need it.
    var collateralAbsence: String?
    /// Whether nothing was given that says which code this should be, so that the application stays open.
    var isUndecided = false

    init(_ report: VerificationReport?, trustAnchor: TrustAnchor) {
        self.report = report
        self.trustAnchor = trustAnchor
    }

    /// Whether a key and a connection hang on the quote: then what its report data must say is for the key to show.
    var isOfConnection = false

    /// Which link a check belongs to; every check belongs to exactly one.
    func link(of check: CheckID) -> String {
        switch check {
        case .trustAnchor, .rootCRLFormat, .rootCRLSignature, .rootCRLValidity, .rootRevocation: "hardware_root"
        case .envelopeFormat, .quoteFormat, .qeVendor, .quoteVersion, .attestationKeyType, .quoteLayout,
            .quoteSignature, .serviceTD, .debug, .tdProfiling, .tdReservedAttributes, .tdMigration,
            .tdServiceTDExtension, .tdSeptVEDisable, .expectedMeasurements:
            "quote"
        case .eventLogFormat, .eventLogReplay, .envelopeRuntimeEvents, .osImage: "event_log"
        case .applicationIdentity, .composeHash, .configurationID, .expectedApplication: "application"
        case .expectedReportData, .envelopeReportData: isOfConnection ? "certificate_key" : "quote"
        default: "platform"
        }
    }

    func outcome(of link: String) -> ChainLink.Outcome {
        guard let report else { return .notReached }
        if collateralAbsence != nil, link == "hardware_root" || link == "platform" {
            // Both fail for want of collateral alone, unless it is the platform that does not lead to the root.
            let isBroken = report.failureToReachAnchor.map { self.link(of: $0.check) == link } ?? false
            return isBroken ? .failed : .notReached
        }
        let outcomes = report.checks.filter { self.link(of: $0.id) == link }.map(\.outcome)
        if outcomes.contains(where: { if case .failed = $0 { true } else { false } }) { return .failed }
        if outcomes.contains(.notReached) { return .notReached }
        return outcomes.contains(.passed) ? .passed : .notCompared
    }

    func link(
        _ name: String, _ title: String, _ subject: String, _ facts: [(String, String?)],
        outcome: ChainLink.Outcome? = nil, failure: String? = nil
    ) -> ChainLink {
        let outcome = outcome ?? self.outcome(of: name)
        var facts = facts
        if outcome == .failed { facts.append(("failure", firstFailure(of: name) ?? failure)) }
        return ChainLink(name: name, title: title, outcome: outcome, subject: subject, facts: facts)
    }

    private func firstFailure(of link: String) -> String? {
        // Without collateral its checks fail for want of it; what counts is that nothing leads to the anchor.
        if collateralAbsence != nil, link == "platform" { return report?.failureToReachAnchor?.message }
        for check in report?.checks ?? [] where self.link(of: check.id) == link {
            if case .failed = check.outcome { return check.message }
        }
        return nil
    }

    var root: ChainLink {
        let nature: String
        if trustAnchor.isIntel {
            nature = "Intel's own"
        } else if trustAnchor.isSimulated {
            nature = "simulated: made by software, not by Intel"
        } else {
            nature = "not Intel's: the one that was given"
        }
        return link(
            "hardware_root", "hardware root", trustAnchor.name,
            [
                ("root", nature), ("key sha256", trustAnchor.publicKeyDigest.hex),
                ("no collateral", collateralAbsence),
            ])
    }

    var platform: ChainLink {
        let status = report?.status.map { status in
            let advisories = report?.advisoryIDs ?? []
            return status.rawValue + (advisories.isEmpty ? "" : ", \(advisories.joined(separator: ", "))")
        }
        let collateral = report?.facts.collateral
        let shortfalls = (report?.tcbShortfalls ?? []).map { "\($0.title) \($0.found) of \($0.needed)" }
        return link(
            "platform", "platform", report?.platformName ?? "unknown",
            [
                ("TCB status", status),
                ("outdated", shortfalls.isEmpty ? nil : shortfalls.joined(separator: "; ")),
                ("FMSPC", report?.platform.map { Hex.encodeUppercase($0.fmspc.bytes) }),
                ("PPID", report?.platform.map { $0.ppid.hex }),
                ("enclave", report?.quote.map { "quoting enclave of version \($0.signature.qeReport.isvSvn)" }),
                (
                    "TCB info",
                    collateral?.tcbInfo.map {
                        "evaluation \($0.evaluationDataNumber), until \(RFC3339.format($0.nextUpdate))"
                    }
                ),
                (
                    "QE identity",
                    collateral?.qeIdentity.map {
                        "evaluation \($0.evaluationDataNumber), until \(RFC3339.format($0.nextUpdate))"
                    }
                ),
            ])
    }

    var quote: ChainLink {
        let body = report?.quote?.body
        let report = body?.tdReport
        let enclave = body?.enclaveReport
        return link(
            "quote", "quote", self.report?.quote?.encodedDescription ?? "unknown",
            [
                ("signed", outcome(of: "quote") == .passed ? "by the platform" : nil),
                ("firmware", report.map { "mr_td \($0.mrTd.hex)" }),
                ("machine", report.map { "rt_mr0 \($0.rtMr0.hex)" }),
                ("kernel", report.map { "rt_mr1 \($0.rtMr1.hex)" }),
                ("initrd", report.map { "rt_mr2 \($0.rtMr2.hex)" }),
                ("events", report.map { "rt_mr3 \($0.rtMr3.hex)" }),
                (
                    "launched with",
                    report.flatMap { $0.mrConfigId.isZero ? nil : "mr_config_id \($0.mrConfigId.hex)" }
                ),
                ("code", enclave.map { "mr_enclave \($0.mrEnclave.hex)" }),
                ("signer", enclave.map { "mr_signer \($0.mrSigner.hex)" }),
                ("version", enclave.map { "product \($0.isvProdId), version \($0.isvSvn)" }),
                ("report data", body.map { $0.reportData.hex }),
            ])
    }

    var registers: ChainLink {
        let count = report?.evidence?.replayed.runtimeEvents.count
        return link(
            "event_log", "event log", count.map { "\($0) \($0 == 1 ? "event" : "events")" } ?? "unknown",
            [
                ("replay", outcome(of: "event_log") == .passed ? "gives the register of the quote" : nil),
                ("OS image", report?.evidence?.osImageHash?.hex),
            ])
    }

    var application: ChainLink {
        let identity = report?.evidence?.identity
        var outcome = outcome(of: "application")
        if outcome == .passed, isUndecided { outcome = .notCompared }
        return link(
            "application", "application", identity.map { "app id \($0.appID)" } ?? "unknown",
            [
                ("instance id", identity?.instanceID.map { "\($0)" }),
                ("compose hash", identity.map { "\($0.composeHash)" }), ("compared", own(identity)),
                ("key provider", identity?.keyProvider.map { $0.kind.rawValue }),
            ], outcome: outcome)
    }

    /// What came of the comparison with the caller's own file.
    private func own(_ identity: ApplicationIdentity?) -> String? {
        guard identity != nil else { return nil }
        switch report?.checks.first(where: { $0.id == .composeHash })?.outcome {
        case .passed: return "it is the hash of your own app-compose.json"
        case .failed: return "it is NOT the hash of your own app-compose.json"
        case .notApplicable: return "with no compose file: none was given"
        default: return nil
        }
    }
}

extension VerificationReport {
    /// From the hardware's root down to the application; each link is certified, signed or named by the one before it.
    /// Links about an application are there where there is evidence beside the quote, or where it was to be.
    public var chain: [ChainLink] {
        let links = EvidenceChain(self, trustAnchor: trustAnchor)
        let hasApplication = evidence != nil || [links.registers, links.application].contains { $0.outcome == .failed }
        return ChainLink.hanging(
            [links.root, links.platform, links.quote] + (hasApplication ? [links.registers, links.application] : []))
    }
}
