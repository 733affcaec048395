internal import DstackEncoding

/// What a client of the verifier service asks.
///
/// The members are those of upstream's service, all optional: `quote` (hexadecimal) with `event_log` and `vm_config`
/// (strings that contain JSON), or `attestation` (hexadecimal), and `debug`. Beside them:
///
/// - `expected_…` and `min_isv_svn`: what the evidence must say, by the names of a policy file;
/// - `policy`: the preset to judge by, in place of the service's own;
/// - `app_compose`: the client's own copy of the compose file, a string with its very text;
/// - `report`: whether the whole report is wanted with the answer.
public struct VerifierRequest: Sendable {
    /// What is to be verified. An attestation is never mixed with parts given beside it.
    public enum Evidence: Sendable, Hashable {
        /// An attestation envelope.
        case attestation([UInt8])
        /// A quote, its event log as JSON, the VM's configuration as JSON. Both texts may be missing.
        case quote([UInt8], eventLog: String?, vmConfig: String)
        /// Nothing.
        case none
    }

    /// What is to be verified.
    public var evidence: Evidence
    /// The client's own copy of app-compose.json, to be compared with the measured one; nil where it has none.
    public var appCompose: [UInt8]?
    /// Whether mismatched registers are to be explained event by event.
    public var isDebug = false
    /// Whether the answer is to contain the whole report.
    public var wantsReport = false
    /// What the client wants the evidence to be judged by; nil for the service's own policy.
    public var policy: VerificationPolicy?
    /// What the evidence must say.
    public var expected = ExpectedValues()
    /// The names of what is expected, in the order of the request.
    var expectedNames: [String] = []

    /// A request for evidence.
    public init(_ evidence: Evidence) { self.evidence = evidence }

    /// A body that is no request.
    public struct Malformed: Error, Sendable, CustomStringConvertible {
        /// Whether the body is JSON at all.
        public let isJSON: Bool
        /// What is wrong with it.
        public let description: String
    }

    /// Reads the JSON form.
    ///
    /// Members that are not known are ignored, because clients send what a guest's quote API gave them as it is; the members
    /// of that answer may be null, which is as good as absent. What reads like a restriction must be known here and must not
    /// be null: who mistypes one, has no value for one, or states one that only a policy file has, would believe that it had
    /// been checked.
    ///
    /// - Throws: ``Malformed`` for anything that is not a JSON object with these members.
    public init(parsingJSON bytes: [UInt8]) throws(Malformed) {
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
        // All members are read, whichever counts, so that a mistyped one never passes.
        let quote = try Self.bytes(root.optionalMember("quote"), .quote)
        let eventLog = try root.optionalMember("event_log").map { node throws(DecodingFailure) in try Self.json(node) }
        let vmConfig = try root.optionalMember("vm_config").map { node throws(DecodingFailure) in try Self.json(node) }
        if let attestation = try Self.bytes(root.optionalMember("attestation"), .envelope) {
            evidence = .attestation(attestation)
        } else if let quote {
            evidence = .quote(quote, eventLog: eventLog, vmConfig: vmConfig ?? "")
        } else {
            evidence = .none
        }
        // A null here would be a comparison that somebody wants and does not get.
        appCompose = try root["app_compose"].map { node throws(DecodingFailure) in Array(try node.string().utf8) }
        isDebug = try root.optionalMember("debug")?.bool() ?? false
        wantsReport = try root.optionalMember("report")?.bool() ?? false
        if let node = try root.restriction("policy") {
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
        var values: [(name: String, value: JSONNode)] = []
        for (name, value) in root.members where Self.isRestriction(name) {
            guard name.hasPrefix("expected_") || name == "min_isv_svn" else {
                throw value.failure(
                    "a request states expected_… values, min_isv_svn and the policy's name; other restrictions belong into "
                        + "the verifier's policy file", .unsupported)
            }
            guard !value.isNull else { throw value.lostRestriction }
            values.append((name, value))
        }
        expectedNames = values.map(\.name)
        do throws(AttestationError) {
            expected = try ExpectedValues(members: values.map { ($0.name, $0.value.rawBytes) })
        } catch {
            throw DecodingFailure(.malformed, error.subject, error.reason)
        }
    }

    /// Whether a name reads like something that is asked of the evidence, in any spelling. None of the members of a quote
    /// API's answer begins so.
    private static func isRestriction(_ name: String) -> Bool {
        let plain = name.lowercased()
        return ["expect", "min_", "max_", "allow", "accept", "reject", "require"].contains { plain.hasPrefix($0) }
            || VerificationPolicy.members.contains { $0 != "name" && $0.utf8.elementsEqual(plain.utf8) }
    }

    /// Evidence in hexadecimal, or in another text form that ``EvidenceFile`` recognises.
    private static func bytes(_ node: JSONNode?, _ kind: EvidenceFile.Kind) throws(DecodingFailure) -> [UInt8]? {
        guard let node else { return nil }
        let reason: String
        do throws(DecodingFailure) {
            return try node.hexBytes()
        } catch {
            reason = error.reason
        }
        let file = try EvidenceFile(
            recognising: node.kind == .array ? node.rawBytes : Array(node.string().utf8))
        if file.kind == kind { return file.bytes }
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
