package import DstackEncoding
internal import DstackRPC

/// What an agent's answer brings, as far as it is evidence. Each part is recognised by itself, since answers are saved by
/// programs that write bytes in their own way.
package struct AgentAnswer: Sendable {
    indirect enum Log: Sendable {
        case file(EvidenceFile)
        /// An array in place of a string with one.
        case array(JSONNode)

        /// Its text, or what a firmware wrote.
        var bytes: [UInt8] {
            switch self {
            case .file(let file): file.bytes
            case .array(let node): node.rawBytes
            }
        }
    }

    private(set) var parts: [Part: EvidenceFile] = [:]
    private(set) var eventLog: Log?
    private(set) var vmConfig = ""

    enum Part: String, Sendable { case quote, attestation }

    /// What the answer says that its evidence is for; nil where it does not say.
    package private(set) var reportData: StatedReportData?
    /// What it asks of its evidence, which only a request does: a name, and what to do about it.
    package private(set) var restriction: (name: String, advice: String)?

    /// What stands beside the quote and once more, otherwise, inside it, where that is an answer as well: a name. One of both
    /// would be passed over.
    private(set) var contradiction: String?

    /// The parts that are named, and have nothing in them.
    private(set) var emptyParts: Set<Part> = []

    var quote: EvidenceFile? { parts[.quote] }
    var attestation: EvidenceFile? { parts[.attestation] }

    /// GetQuote, Attest, TdxQuote, RawQuote, AttestSession; requests of the verifier service have the same members. Info has
    /// the log within its `tcb_info`.
    init(_ root: JSONNode, depth: Int) {
        func file(_ name: StaticString) -> EvidenceFile? {
            guard depth <= EvidenceRecognition.maximumDepth, let node = root[name], !Self.isEmpty(node) else {
                return nil
            }
            return EvidenceRecognition.recognise(Self.content(of: node), depth: depth)
        }
        parts[.quote] = file("quote")
        parts[.attestation] = file("attestation")
        if let node = root["quote"], Self.isEmpty(node) { emptyParts.insert(.quote) }
        if let node = root["attestation"], Self.isEmpty(node) { emptyParts.insert(.attestation) }
        if root["event_log"] == nil {
            eventLog = file("tcb_info")?.answer?.eventLog
        } else {
            readLog(root["event_log"], depth)
        }
        readConfiguration(root["vm_config"])
        if let node = root["report_data"] { reportData = StatedReportData(node) }
        addRestriction(of: root)
        for part in [parts[.quote], parts[.attestation]] { addStatements(of: part) }
        if case .file(let file)? = eventLog { addStatements(of: file) }
        if let node = root["vm_config"], node.kind == .object { addRestriction(of: node) }
        contradiction = parts[.quote]?.answer.flatMap { contradiction(with: $0) }
    }

    /// The part that is there in another answer, too, or deeper inside it, and not the same; nil if there is none.
    private func contradiction(with other: AgentAnswer) -> String? {
        if let deeper = other.contradiction { return deeper }
        if let mine = eventLog, let others = other.eventLog, !Self.isSame(mine.bytes, others.bytes) {
            return "event_log"
        }
        if !vmConfig.isEmpty, !other.vmConfig.isEmpty, !Self.isSame(Array(vmConfig.utf8), Array(other.vmConfig.utf8)) {
            return "vm_config"
        }
        return other.parts[.quote]?.answer.flatMap { contradiction(with: $0) }
    }

    /// The same for an answer that stands in place of a quote, with a log and a configuration beside it.
    package func contradiction(withLog log: JSONNode?, configuration: JSONNode?) -> String? {
        var outer = AgentAnswer()
        outer.readLog(log, 1)
        outer.readConfiguration(configuration)
        return outer.contradiction(with: self)
    }

    private init() {}

    /// Whether two texts are the same JSON, whatever space is in it; of anything else, the same bytes.
    private static func isSame(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        if left == right { return true }
        guard
            let left = try? JSONDocument(parsing: left, subject: "text", maximumValues: JSONRecognition.maximumValues),
            let right = try? JSONDocument(parsing: right, subject: "text", maximumValues: JSONRecognition.maximumValues)
        else { return false }
        return left.root.isSame(as: right.root)
    }

    /// Keeps what is asked, and what is said of the report data, deeper inside: whoever states it there believes as firmly that
    /// it is looked at.
    private mutating func addStatements(of file: EvidenceFile?) {
        guard let inner = file?.answer else { return }
        restriction = restriction ?? inner.restriction
        guard let data = inner.reportData else { return }
        reportData = reportData == nil || reportData == data ? data : .unreadable("it is stated twice, and differs")
    }

    /// What a member of a request says that has an object in it, or the text of one; nil for anything else.
    package init?(statedIn node: JSONNode) {
        let content = Self.content(of: node)
        // Nearly always digits, or a log.
        guard let start = content.first(where: { !EvidenceRecognition.isSpace($0) }), "{\"".utf8.contains(start) else {
            return nil
        }
        let file = EvidenceRecognition.recognise(content, depth: 1)
        guard let root = file.object else { return nil }
        self = file.answer ?? AgentAnswer(root, depth: EvidenceRecognition.maximumDepth)
    }

    /// Whether there is a quote or an envelope in it.
    package var hasEvidence: Bool { !parts.isEmpty }

    /// Keeps what an object asks of the evidence in it. A bare name is what the answer says of itself.
    mutating func addRestriction(of root: JSONNode) {
        // Each name is compared with all that ask for something.
        guard root.count <= RestrictionNames.maximumMembers else {
            restriction = restriction ?? ("a member", RestrictionNames.tooMany)
            return
        }
        for (name, _) in root.members
        where restriction == nil && !Self.members.contains(name) && !Self.otherMembers.contains(name) {
            guard let reading = RestrictionNames.reading(name, inRequestWith: Self.members), reading.isExplicit else {
                continue
            }
            restriction = (name, reading.advice)
        }
    }

    /// Makes sure that nothing is asked of a part that is read for itself, such as a log or a configuration, where nobody would
    /// look at what is asked.
    func requireNoRestriction(_ code: AttestationError.Code, _ subject: String) throws(AttestationError) {
        guard let (name, advice) = restriction else { return }
        throw AttestationError(
            code, subject: subject, reason: "\(name) is not looked at here: \(advice)",
            hint: "state it as an option or in a policy file")
    }

    /// The members that evidence is read from, and those of a request that ask nothing of it.
    private static let members = [
        "quote", "attestation", "event_log", "vm_config", "report_data", "debug", "report",
    ]

    /// What else agents and their SDKs answer, and what answers are wrapped in.
    package static let otherMembers = [
        "hash_algorithm", "prefix", "boottime_gpu_evidence", "public_key", "__name__", "result", "data", "response",
    ]

    // MARK: One evidence

    /// Makes sure that there is one piece of evidence in the answer, whichever part is read.
    ///
    /// - Throws: ``AttestationError/Code/invalidEnvelope`` where quote and attestation are not of one piece.
    func requireOneEvidence() throws(AttestationError) {
        if let contradiction {
            throw AttestationError(
                .invalidEnvelope, subject: contradiction, reason: Self.contradictory(contradiction),
                hint: "keep the one that is meant")
        }
        guard let quote, let attestation else { return }
        do throws(AttestationError) {
            try Self.requireOne(quote: quote.kind == .quote ? quote.bytes : [], envelope: attestation.envelope())
        } catch {
            throw Self.unreadable(error)
        }
    }

    /// Makes sure that a quote is the one in the envelope beside it, as in answers of agents that send both. Which of two
    /// that differ counts would be a guess, and the next program would guess otherwise.
    package static func requireOne(quote: [UInt8], envelope: [UInt8]) throws(AttestationError) {
        let other: [UInt8]?
        do throws(AttestationError) { other = try Attestation(decoding: envelope).quote } catch {
            throw unreadable(error)
        }
        func withoutPadding(_ bytes: [UInt8]) -> ArraySlice<UInt8> {
            bytes[..<((bytes.lastIndex { $0 != 0 } ?? -1) + 1)]
        }
        guard let other, withoutPadding(other) == withoutPadding(quote) else {
            throw AttestationError(
                .invalidEnvelope, subject: "quote and attestation",
                reason: "both are given, and the quote is not the one in the attestation", hint: "leave out one of them"
            )
        }
    }

    /// Why a part that stands beside the quote and inside it is refused.
    package static func contradictory(_ part: String) -> String {
        "there is another \(part) inside the quote, which would be passed over"
    }

    private static func unreadable(_ error: AttestationError) -> AttestationError {
        guard error.subject != "quote and attestation" else { return error }
        return AttestationError(
            .invalidEnvelope, subject: "quote and attestation",
            reason: "both are given, and the attestation cannot be read: \(error.message)",
            hint: "leave out one of them")
    }

    /// GetQuote's or Attest's answer in protobuf; nil for anything else.
    init?(protobuf bytes: [UInt8]) {
        // Field 1 of several hundred bytes, then what evidence begins with.
        guard bytes.count > 512, bytes[0] == 0x0A, bytes[1] >= 0x80 else { return nil }
        guard let content = bytes[1...].prefix(5).firstIndex(where: { $0 < 0x80 }).map({ $0 + 1 }) else { return nil }
        switch (bytes[content], bytes[content + 1]) {
        case (3...5, 0):
            guard let answer = try? AgentRPC.GetQuoteResponse(protobuf: bytes) else { return nil }
            parts[.quote] = EvidenceFile(.quote, answer.quote)
            if !answer.attestation.isEmpty { parts[.attestation] = EvidenceFile(.envelope, answer.attestation) }
            if !answer.eventLog.isEmpty { readLog(Array(answer.eventLog.utf8), EvidenceRecognition.maximumDepth) }
            vmConfig = answer.vmConfig
            if !answer.reportData.isEmpty { reportData = StatedReportData(answer.reportData) }
        case (0, 0...4), (0x80...0x8F, 0xA0...0xBF):
            guard let answer = try? AgentRPC.AttestResponse(protobuf: bytes) else { return nil }
            parts[.attestation] = EvidenceFile(.envelope, answer.attestation)
        default: return nil
        }
    }

    static func isEmpty(_ node: JSONNode) -> Bool { node.isNull || node.equals("") || node.equals("0x") }

    /// A string's content; of anything else the JSON text, to be recognised as such.
    package static func content(of node: JSONNode) -> [UInt8] {
        (try? node.string()).map { Array($0.utf8) } ?? node.rawBytes
    }

    private mutating func readLog(_ node: JSONNode?, _ depth: Int) {
        guard let node, !node.isNull else { return }
        if node.kind == .array {
            if node.count > 0 { eventLog = .array(node) }
        } else {
            readLog(Self.content(of: node), depth)
        }
    }

    /// A log without events explains nothing, so that it is none: agents off TDX send an empty text.
    private mutating func readLog(_ text: [UInt8], _ depth: Int) {
        guard depth <= EvidenceRecognition.maximumDepth else { return }
        let file = EvidenceRecognition.recognise(text, depth: depth)
        let isEmpty = file.kind == .empty || file.bytes.filter { !EvidenceRecognition.isSpace($0) } == Array("[]".utf8)
        if !isEmpty { eventLog = .file(file) }
    }

    private mutating func readConfiguration(_ node: JSONNode?) {
        guard let node, !node.isNull else { return }
        vmConfig = String(decoding: Self.content(of: node), as: UTF8.self)
    }
}

/// The report data that stands beside evidence: in an answer of the agent, what it had quoted; in a request, what its sender
/// goes by. It must be the quote's, or whoever reads it there is deceived.
package enum StatedReportData: Sendable, Equatable {
    /// Filled up with zeros, as agents do.
    case bytes(FixedBytes<64>)
    /// Why it is none.
    case unreadable(String)

    /// Bytes from a member, however programs write them; nil where it is null or empty, as older SDKs have it.
    package init?(_ node: JSONNode) {
        guard !AgentAnswer.isEmpty(node) else { return nil }
        if let bytes = try? node.hexBytes() {
            self.init(bytes)
        } else if let bytes = JSONRecognition.octets(node["data"]?.rawBytes ?? node.rawBytes) {
            self.init(bytes)
        } else if let text = try? node.string(), let bytes = Base64Text.read(Array(text.utf8)), bytes.count == 64 {
            self.init(bytes)
        } else {
            self = .unreadable("up to 64 bytes in hexadecimal expected")
        }
    }

    init(_ bytes: [UInt8]) {
        guard let padded = FixedBytes<64>(bytes + [UInt8](repeating: 0, count: max(0, 64 - bytes.count))) else {
            self = .unreadable("up to 64 bytes expected, found \(bytes.count)")
            return
        }
        self = .bytes(padded)
    }
}

extension JSONNode {
    /// Whether another value is the same: strings as they are read, numbers as they are written, members in the same order.
    fileprivate func isSame(as other: JSONNode) -> Bool {
        guard kind == other.kind else { return false }
        switch kind {
        case .null, .boolTrue, .boolFalse: return true
        case .number: return rawBytes.elementsEqual(other.rawBytes)
        case .string:
            guard let text = try? string(), let others = try? other.string() else { return false }
            return text.utf8.elementsEqual(others.utf8)
        case .array:
            guard count == other.count, let elements = try? array(), let others = try? other.array() else {
                return false
            }
            return zip(elements, others).allSatisfy { $0.isSame(as: $1) }
        case .object:
            return count == other.count
                && zip(members, other.members).allSatisfy { mine, others in
                    mine.name.utf8.elementsEqual(others.name.utf8) && mine.value.isSame(as: others.value)
                }
        }
    }
}
