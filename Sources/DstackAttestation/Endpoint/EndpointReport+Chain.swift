import DstackCrypto
import DstackEncoding

extension EndpointReport {
    /// One link of the chain of trust: what is believed because of the link before it.
    public struct Link: Sendable {
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

        fileprivate func with(_ outcome: Outcome) -> Link {
            Link(name: name, title: title, outcome: outcome, subject: subject, facts: facts)
        }
    }

    /// From the hardware's root down to the connection; each link is certified, signed or named by the one before it.
    public var chain: [Link] {
        var isBroken = false
        return [rootLink, platformLink, quoteLink, registersLink, applicationLink, keyLink, connectionLink].map {
            link in
            defer { isBroken = isBroken || link.outcome == .failed || link.outcome == .notReached }
            return isBroken && link.outcome == .passed ? link.with(.unproven) : link
        }
    }

    /// Which link a check of the quote belongs to; every check belongs to exactly one.
    static func link(of check: CheckID) -> String {
        switch check {
        case .trustAnchor, .rootCRLFormat, .rootCRLSignature, .rootCRLValidity, .rootRevocation: "hardware_root"
        case .envelopeFormat, .quoteFormat, .qeVendor, .quoteVersion, .attestationKeyType, .quoteLayout,
            .quoteSignature, .serviceTD, .debug, .tdProfiling, .tdReservedAttributes, .tdMigration,
            .tdServiceTDExtension, .tdSeptVEDisable, .expectedMeasurements:
            "quote"
        case .eventLogFormat, .eventLogReplay, .envelopeRuntimeEvents, .osImage: "event_log"
        case .applicationIdentity, .composeHash, .configurationID, .expectedApplication: "application"
        case .expectedReportData, .envelopeReportData: "certificate_key"
        default: "platform"
        }
    }

    private func outcome(of link: String) -> Link.Outcome {
        guard let evidence else { return .notReached }
        if collateralAbsence != nil, link == "hardware_root" { return .notReached }
        let outcomes = evidence.checks.filter { Self.link(of: $0.id) == link }.map(\.outcome)
        if outcomes.contains(where: { if case .failed = $0 { true } else { false } }) { return .failed }
        if outcomes.contains(.notReached) { return .notReached }
        return outcomes.contains(.passed) ? .passed : .notCompared
    }

    private func link(
        _ name: String, _ title: String, _ subject: String, _ facts: [(String, String?)], outcome: Link.Outcome? = nil
    ) -> Link {
        let outcome = outcome ?? self.outcome(of: name)
        var facts = facts
        if outcome == .failed { facts.append(("fails because", firstFailure(of: name))) }
        return Link(
            name: name, title: title, outcome: outcome, subject: subject,
            facts: facts.compactMap { name, value in value.map { Link.Fact(name: name, value: $0) } })
    }

    private func firstFailure(of link: String) -> String? {
        if collateralAbsence != nil, link == "platform" { return problem?.message }
        for check in evidence?.checks ?? [] where Self.link(of: check.id) == link {
            if case .failed = check.outcome { return check.message }
        }
        return link == "certificate_key" ? validity?.failure : nil
    }

    private var rootLink: Link {
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

    private var platformLink: Link {
        let status = evidence?.status.map { status in
            let advisories = evidence?.advisoryIDs ?? []
            return status.rawValue + (advisories.isEmpty ? "" : ", \(advisories.joined(separator: ", "))")
        }
        return link(
            "platform", "platform", platformName ?? "unknown",
            [
                ("TCB status", status),
                ("FMSPC", evidence?.platform.map { Hex.encodeUppercase($0.fmspc.bytes) }),
            ])
    }

    private var quoteLink: Link {
        let report = evidence?.quote?.body.tdReport
        return link(
            "quote", "quote", evidence?.quote?.encodedDescription ?? "unknown",
            [
                ("signed", outcome(of: "quote") == .passed ? "by the platform" : nil),
                ("firmware", report.map { "mr_td \($0.mrTd.hex)" }),
                ("machine", report.map { "rt_mr0 \($0.rtMr0.hex)" }),
                ("kernel", report.map { "rt_mr1 \($0.rtMr1.hex)" }),
                ("initrd", report.map { "rt_mr2 \($0.rtMr2.hex)" }),
                ("events", report.map { "rt_mr3 \($0.rtMr3.hex)" }),
            ])
    }

    private var registersLink: Link {
        let count = evidence?.evidence?.replayed.runtimeEvents.count
        return link(
            "event_log", "event log", count.map { "\($0) \($0 == 1 ? "event" : "events")" } ?? "unknown",
            [
                ("replay", outcome(of: "event_log") == .passed ? "gives the register of the quote" : nil),
                ("OS image", evidence?.evidence?.osImageHash?.hex),
            ])
    }

    private var applicationLink: Link {
        let identity = evidence?.evidence?.identity
        let own = own(identity)
        var outcome = outcome(of: "application")
        if outcome == .passed, verdict == .undecided { outcome = .notCompared }
        return link(
            "application", "application", identity.map { "app id \($0.appID)" } ?? "unknown",
            [
                ("instance id", identity?.instanceID.map { "\($0)" }),
                ("compose hash", identity.map { "\($0.composeHash)" }), ("compared", own),
                ("key provider", identity?.keyProvider.map { $0.kind.rawValue }),
            ], outcome: outcome)
    }

    /// What came of the comparison with the caller's own file.
    private func own(_ identity: ApplicationIdentity?) -> String? {
        guard identity != nil else { return nil }
        guard comparesCompose else { return "with no compose file: none was given" }
        switch evidence?.checks.first(where: { $0.id == .composeHash })?.outcome {
        case .passed: return "it is the hash of your own app-compose.json"
        case .failed: return "it is NOT the hash of your own app-compose.json"
        default: return nil
        }
    }

    private var keyLink: Link {
        var outcome = outcome(of: "certificate_key")
        if outcome == .passed, validity?.failure != nil { outcome = .failed }
        let naming = binding == .sessionBound ? "named by the quote, with this connection" : "named by the quote"
        return link(
            "certificate_key", "certificate key", outcome == .passed ? naming : "not shown to be what the quote names",
            [("key sha256", certificate.map { SHA256.hash($0.publicKey).hex })], outcome: outcome)
    }

    private var connectionLink: Link {
        let isShown = chainHoldsToKey
        let meaning =
            binding == .sessionBound
            ? "attested code ends this very TLS connection" : "the other end has shown that it has that key"
        return link(
            "connection", "this connection", address.authority + (binding.map { ", \($0.rawValue)" } ?? ""),
            [
                ("meaning", isShown ? meaning : nil),
                ("only the key", isShown && binding == .keyBound ? sessionAbsence : nil),
            ], outcome: isShown ? .passed : .notReached)
    }

    private var chainHoldsToKey: Bool { evidence?.verdict == .accepted && validity?.failure == nil }
}
