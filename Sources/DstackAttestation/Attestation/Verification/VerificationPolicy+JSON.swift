package import DstackEncoding

extension VerificationPolicy {
    /// The members of a policy file.
    static let members = PolicyMember.all.map { "\($0.name)" } + Expectation.all.map(\.member)

    /// Reads a policy file: a JSON object of known members, all optional. What is absent is as in ``strict``: only
    /// `UpToDate`, no grace, no relaxation, an OS image required.
    ///
    /// What ``json(pretty:)`` writes reads back as the same policy.
    ///
    /// - Throws: ``AttestationError`` with code `invalid_policy` for an unknown member, a null where a restriction stands, or a
    ///   value that makes no sense; a policy that is not fully understood must not be applied.
    public init(parsingJSON bytes: [UInt8]) throws(AttestationError) {
        guard !bytes.isEmpty else {
            throw AttestationError(
                .invalidPolicy, subject: "policy", reason: "empty; a JSON object is needed, {} for the strictest one")
        }
        do throws(DecodingFailure) {
            let text = EvidenceRecognition.withoutMark(bytes)
            if text.first(where: { !EvidenceRecognition.isSpace($0) }) != UInt8(ascii: "{") {
                let file = EvidenceFile(recognising: bytes)
                throw DecodingFailure(.malformed, "policy", "this is \(file.described); a policy is a JSON object")
            }
            let root = try JSONDocument(parsing: text, subject: "policy", maximumDepth: 4).root
            // The answer of an agent has members enough for a list of unknown ones.
            let file = EvidenceFile(recognising: text)
            if ![.object, .text].contains(file.kind) {
                throw DecodingFailure(.malformed, "policy", "this is \(file.described); a policy is needed")
            }
            try Self.expectOnlyMembers(of: root)
            try self.init(root)
        } catch {
            throw AttestationError(.invalidPolicy, error)
        }
    }

    private static func expectOnlyMembers(of root: JSONNode) throws(DecodingFailure) {
        guard root.kind == .object else { throw root.failure("an object expected, found \(root.kindName)") }
        for (name, value) in root.members where !members.contains(name) {
            let meant = RestrictionNames.policyMember(meantBy: name)
            throw value.failure(
                "unknown member; "
                    + (meant.map { "did you mean \($0)?" } ?? "known are \(members.joined(separator: ", "))"),
                .unsupported)
        }
    }

    private init(_ root: JSONNode) throws(DecodingFailure) {
        self.init(allowedStatuses: [.upToDate])
        for member in PolicyMember.all {
            guard let node = try member.isNullable ? root.optionalMember(member.name) : root.restriction(member.name)
            else { continue }
            try member.read(node, &self)
        }
        expected = try ExpectedValues(membersOf: root)
        // A preset's name says something about all the others.
        if let preset = Self.preset(named: name), !hasValues(of: preset) {
            throw (root["name"] ?? root).failure(
                "the name of a preset whose values these are not; choose another name")
        }
    }

    /// The policy as a file that ``init(parsingJSON:)`` reads.
    ///
    /// - Parameter pretty: whether to indent.
    public func json(pretty: Bool = false) -> [UInt8] {
        var writer = JSONWriter(pretty: pretty)
        writer.object { write(to: &$0) }
        return writer.bytes
    }

    /// The policy as a JSON object with the members of a policy file. Restrictions that are not set are absent; one whose
    /// value is lost is null, which no reader takes.
    package func write(to object: inout JSONWriter.Object) {
        for member in PolicyMember.all { member.write(self, to: &object) }
        for expectation in Expectation.all where !expectation.isLost(in: expected) {
            if let json = expectation.json(in: expected) { object.raw(expectation.member, json.utf8) }
        }
        for restriction in lostRestrictions where !restriction.isNullable { object.null(restriction.name) }
    }

    /// The restrictions whose value is lost (``Restriction``), with the check that each fails.
    var lostRestrictions: [(name: String, check: CheckID, isNullable: Bool)] {
        // Asked by every verification, and nearly always empty.
        var lost: [(name: String, check: CheckID, isNullable: Bool)] = []
        for member in PolicyMember.losable {
            if let check = member.lost?(self) { lost.append(("\(member.name)", check, member.isNullable)) }
        }
        for expectation in Expectation.all where expectation.isLost(in: expected) {
            lost.append((expectation.member, expectation.check, false))
        }
        return lost
    }
}
