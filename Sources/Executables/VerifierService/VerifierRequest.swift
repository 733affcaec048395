package import DstackAttestation
internal import DstackEncoding

/// What a client of the verifier service asks.
///
/// The members are those of upstream's service, all optional: `quote` (hexadecimal) with `event_log` and `vm_config`
/// (strings that contain JSON), or `attestation` (hexadecimal), and `debug`. Beside them:
///
/// - `report_data`: what the evidence is for, as the agent's answer has it; it must be the quote's;
/// - `expected_…` and `min_isv_svn`: what the evidence must say, by the names of a policy file;
/// - `policy`: the preset to judge by, in place of the service's own;
/// - `app_compose`: the client's own copy of the compose file, a string with its very text;
/// - `report`: whether the whole report is wanted with the answer.
package struct VerifierRequest: Sendable {
    /// What is to be verified. An attestation is never mixed with parts given beside it.
    package enum Evidence: Sendable, Hashable {
        /// An attestation envelope.
        case attestation([UInt8])
        /// A quote, its event log as JSON, the VM's configuration as JSON. Both texts may be missing.
        case quote([UInt8], eventLog: String?, vmConfig: String)
        /// Nothing.
        case none
    }

    /// What is to be verified.
    package var evidence: Evidence
    /// The client's own copy of app-compose.json, to be compared with the measured one; nil where it has none.
    package var appCompose: [UInt8]?
    /// What the client was told that the quote is for, which must be so; nil where it does not say.
    var reportData: FixedBytes<64>?
    /// Whether mismatched registers are to be explained event by event.
    package var isDebug = false
    /// Whether the answer is to contain the whole report.
    package var wantsReport = false
    /// What the client wants the evidence to be judged by; nil for the service's own policy.
    package var policy: VerificationPolicy?
    /// What the evidence must say.
    package var expected = ExpectedValues()
    /// The names of what is expected, in the order of the request.
    var expectedNames: [String] = []

    /// A request for evidence.
    package init(_ evidence: Evidence) { self.evidence = evidence }

    /// A body that is no request.
    package struct Malformed: Error, Sendable, CustomStringConvertible {
        /// Whether the body is JSON at all.
        package let isJSON: Bool
        /// What is wrong with it.
        package let description: String
    }

    /// Reads the JSON form.
    ///
    /// Clients send what a guest's quote API gave them as it is; the members of that answer may be null, which is as good as
    /// absent. Every other member must be known here, and what restricts must not be null: who mistypes one, has no value for
    /// one, or states by whatever name what only a policy file has, would believe that it had been checked. There is no list
    /// of all words for that, so that whatever is not read is refused.
    ///
    /// - Throws: ``Malformed`` for anything that is not a JSON object with these members.
    package init(parsingJSON bytes: [UInt8]) throws(Malformed) {
        let root: JSONNode
        do throws(DecodingFailure) {
            root = try JSONDocument(
                parsing: EvidenceRecognition.withoutMark(bytes), subject: "request", maximumDepth: 32
            ).root
        } catch {
            throw Malformed(isJSON: false, description: "\(error)")
        }
        do throws(DecodingFailure) {
            try self.init(root)
        } catch {
            throw Malformed(isJSON: true, description: "\(error)")
        }
    }

    private init(_ root: JSONNode) throws(DecodingFailure) {
        guard root.kind == .object else { throw root.failure("an object expected, found \(root.kindName)") }
        guard root.count <= RestrictionNames.maximumMembers else {
            throw root.failure(RestrictionNames.tooMany, .tooLarge)
        }
        let inner = try Self.statedInside(root)
        // All members are read, whichever counts, so that a mistyped one never passes.
        let quote = try Self.bytes(root.optionalMember("quote"), .quote)
        let eventLog = try root.optionalMember("event_log").map { node throws(DecodingFailure) in try Self.json(node) }
        let vmConfig = try root.optionalMember("vm_config").map { node throws(DecodingFailure) in try Self.json(node) }
        let attestation = try Self.bytes(root.optionalMember("attestation"), .envelope)
        // An empty part beside one that is there is how answers of some platforms and SDKs leave it out.
        if let attestation, !attestation.isEmpty || quote?.isEmpty != false {
            if let quote, !quote.isEmpty {
                do throws(AttestationError) {
                    try AgentAnswer.requireOne(quote: quote, envelope: attestation)
                } catch {
                    throw DecodingFailure(.malformed, error.subject, error.reason)
                }
            }
            evidence = .attestation(attestation)
        } else if let quote {
            evidence = .quote(quote, eventLog: eventLog, vmConfig: vmConfig ?? "")
        } else {
            evidence = .none
        }
        let stated = root["report_data"].flatMap(StatedReportData.init)
        if let stated, let inner, stated != inner {
            throw DecodingFailure(.malformed, "report_data", "it is stated twice, and differs")
        }
        switch stated ?? inner {
        case .bytes(let bytes)?: reportData = bytes
        case .unreadable(let reason)?: throw DecodingFailure(.malformed, "report_data", reason)
        case nil: break
        }
        // A null here would be a comparison that somebody wants and does not get.
        appCompose = try root["app_compose"].map { node throws(DecodingFailure) in Array(try node.string().utf8) }
        isDebug = try root.optionalMember("debug")?.bool() ?? false
        wantsReport = try root.optionalMember("report")?.bool() ?? false
        if let node = try root.restriction("policy") {
            // As a policy file calls itself; a request has the name alone.
            if node.kind == .object {
                throw node.failure(
                    "a preset's name expected, found an object; \(Self.presetForm(try node.optionalMember("name")))",
                    .unsupported)
            }
            let name = try node.string()
            guard let preset = VerificationPolicy.preset(named: name) else {
                let isCapital = VerificationPolicy.preset(named: name.lowercased()) != nil
                throw node.failure(
                    isCapital
                        ? "presets are written in lower case: \(name.lowercased())"
                        : "unknown policy; known are authentic, standard and strict", .unsupported)
            }
            policy = preset
        }
        // A policy file's first member. In a request it would be passed over, and another policy be judged by.
        if let node = root["name"], let text = try? node.string(), VerificationPolicy.preset(named: text) != nil {
            throw node.failure("is not known here: \(Self.presetForm(node))", .unsupported)
        }
        for (name, value) in root.members
        where !Self.members.contains(name) && !AgentAnswer.otherMembers.contains(name) {
            guard !RestrictionNames.isStatedByRequests(name) else {
                expectedNames.append(name)
                continue
            }
            if AgentAnswer.wrappers.contains(where: { "\($0)" == name }) {
                if value.isNull { continue }
                throw value.failure(Self.statedOnce, .unsupported)
            }
            let advice = RestrictionNames.advice(name, inRequestWith: Self.members)
            throw value.failure("is not known here: \(advice)", .unsupported)
        }
        expected = try ExpectedValues(membersOf: root)
    }

    /// Makes sure that nothing is asked where this service does not look: beside evidence that is given as an agent's answer,
    /// in a VM configuration, or in what answers are wrapped in. Whoever asks there believes that it was checked.
    ///
    /// - Returns: the report data that stands in an agent's answer which is given as quote or attestation.
    private static func statedInside(_ root: JSONNode) throws(DecodingFailure) -> StatedReportData? {
        var reportData: StatedReportData?
        var hasAnswers = false
        for name in ["quote", "attestation", "event_log", "vm_config"] + AgentAnswer.wrappers {
            guard let node = root[name], let answer = AgentAnswer(statedIn: node) else { continue }
            hasAnswers = true
            if let (restriction, advice) = answer.restriction {
                throw node.failure(
                    "\(restriction) is not looked at here, but beside the evidence: \(advice)", .unsupported)
            }
            if ["quote", "attestation"].contains("\(name)") {
                reportData = reportData ?? answer.reportData
                if let data = answer.reportData, data != reportData {
                    throw node.failure("its report_data is not that of the other part", .unsupported)
                }
            } else if answer.reportData != nil {
                throw node.failure("report_data is not looked at here, but beside the evidence", .unsupported)
            }
            if AgentAnswer.wrappers.contains(where: { "\($0)" == "\(name)" }), answer.hasEvidence {
                throw node.failure(statedOnce, .unsupported)
            }
            // A VM configuration's own members are the host's business.
            if "\(name)" != "vm_config", let (unknown, advice) = answer.unknown {
                throw node.failure("\(unknown) in it is not known here: \(advice)", .unsupported)
            }
        }
        if hasAnswers, let contradiction = AgentAnswer(request: root).contradiction {
            throw DecodingFailure(.unsupported, contradiction.part, contradiction.reason)
        }
        return reportData
    }

    private static let statedOnce = "a request states its evidence once, and not in here"

    /// How a request names the policy that somebody seems to mean.
    private static func presetForm(_ name: JSONNode?) -> String {
        let text = (try? name?.string()).flatMap { VerificationPolicy.preset(named: $0.lowercased())?.name }
        return text.map { "write \"policy\":\"\($0)\"" }
            ?? "write \"policy\":\"strict\", or another preset; a policy of one's own is the verifier's policy file"
    }

    /// The members that a request has beside what it expects.
    private static let members = [
        "quote", "event_log", "vm_config", "attestation", "report_data", "debug", "report", "app_compose", "policy",
    ]
    /// Evidence in hexadecimal, or in another text form that ``EvidenceFile`` recognises.
    private static func bytes(_ node: JSONNode?, _ kind: EvidenceFile.Kind) throws(DecodingFailure) -> [UInt8]? {
        guard let node else { return nil }
        let reason: String
        do throws(DecodingFailure) {
            return try node.hexBytes()
        } catch {
            reason = error.reason
        }
        let file = EvidenceFile(recognising: AgentAnswer.content(of: node))
        if file.kind == kind { return file.bytes }
        if file.kind == .agentAnswer {
            do throws(AttestationError) {
                return kind == .quote ? try file.quote() : try file.envelope()
            } catch {
                throw node.failure(error.reason)
            }
        }
        let wanted = kind == .quote ? "a quote in hexadecimal" : "an attestation envelope in hexadecimal"
        let isUnknown = file.kind == .text || file.kind == .damagedHexadecimal || file.kind == .binary
        throw node.failure(isUnknown ? reason : file.refusal(.invalidQuote, wanted: wanted).reason)
    }

    /// A string that contains JSON, or the JSON itself.
    private static func json(_ node: JSONNode) throws(DecodingFailure) -> String {
        if node.kind == .array || node.kind == .object { return String(decoding: node.rawBytes, as: UTF8.self) }
        return try node.string()
    }
}
