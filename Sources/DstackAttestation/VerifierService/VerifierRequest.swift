internal import DstackEncoding

/// What a client of the verifier service asks.
///
/// The members are those of upstream's service, all optional: `quote` (hexadecimal) with `event_log` and `vm_config`
/// (strings that contain JSON), or `attestation` (hexadecimal), and `debug`. Beside them:
///
/// - `expected_…` and `min_isv_svn`: what the evidence must say, by the names of a policy file;
/// - `policy`: the preset to judge by, in place of the service's own;
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
            root = try JSONDocument(parsing: bytes, subject: "request", maximumDepth: 32).root
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
        let quote = try root.optionalMember("quote")?.hexBytes()
        let eventLog = try root.optionalMember("event_log")?.string()
        let vmConfig = try root.optionalMember("vm_config")?.string()
        if let attestation = try root.optionalMember("attestation")?.hexBytes() {
            evidence = .attestation(attestation)
        } else if let quote {
            evidence = .quote(quote, eventLog: eventLog, vmConfig: vmConfig ?? "")
        } else {
            evidence = .none
        }
        isDebug = try root.optionalMember("debug")?.bool() ?? false
        wantsReport = try root.optionalMember("report")?.bool() ?? false
        if let node = try root.restriction("policy") {
            guard let preset = VerificationPolicy.preset(named: try node.string()) else {
                throw node.failure("unknown policy; known are authentic, standard and strict", .unsupported)
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
}
