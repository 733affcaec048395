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

        /// The answer that it is read from; nil where it is a log itself.
        var answer: AgentAnswer? {
            if case .file(let file) = self { file.answer } else { nil }
        }

        /// The log itself, which may lie in an answer in place of a log.
        var innermost: Log { answer?.eventLog?.innermost ?? self }

        /// What is logged; nil where it cannot be read.
        var events: EventLog? {
            switch self {
            case .file(let file): try? file.eventLog()
            case .array(let node): try? EventLog(node)
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
    /// The first member that neither evidence is read from nor answers are known to have, also deeper inside. In a file it is
    /// a claim like any other; in a request it may be a condition by whatever name.
    package private(set) var unknown: (name: String, advice: String)?

    /// A part that stands in the answer and once more, otherwise, inside another part, where that is an answer as well. One
    /// of both would be passed over.
    package private(set) var contradiction: Contradiction?

    /// A part, and inside which other one it stands once more.
    package struct Contradiction: Sendable {
        package let part: String
        let place: String

        /// Why it is refused.
        package var reason: String { "there is another \(part) inside the \(place), which would be passed over" }
    }

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
        if let node = root["vm_config"], node.kind == .object {
            // Its own members are the host's business.
            let unknown = unknown
            addRestriction(of: node)
            self.unknown = unknown
        }
        let configuration =
            vmConfig.isEmpty || depth > EvidenceRecognition.maximumDepth
            ? nil : EvidenceRecognition.recognise(Array(vmConfig.utf8), depth: depth)
        let inner = [
            ("quote", parts[.quote]?.answer), ("attestation", parts[.attestation]?.answer),
            ("event_log", eventLog?.answer), ("vm_config", configuration?.answer),
        ]
        for (place, answer) in inner where contradiction == nil {
            if let answer { contradiction = contradiction(with: answer, inside: place) }
        }
    }

    /// A request of the verifier service, as far as it is an answer.
    package init(request root: JSONNode) { self.init(root, depth: 1) }

    /// The part that another answer has otherwise, or that is there once more deeper inside it; nil if there is none.
    private func contradiction(with other: AgentAnswer, inside place: String) -> Contradiction? {
        if let deeper = other.contradiction { return deeper }
        let part =
            if !isQuoteSame(in: other) {
                "quote"
            } else if !isAttestationSame(in: other) {
                "attestation"
            } else if let mine = eventLog, let others = other.eventLog,
                !Self.isSame(mine.innermost.bytes, others.innermost.bytes)
            {
                "event_log"
            } else if !vmConfig.isEmpty, !other.vmConfig.isEmpty,
                !Self.isSame(Array(vmConfig.utf8), Array(other.vmConfig.utf8))
            {
                "vm_config"
            } else {
                place == "attestation" ? other.partBesideEnvelope : nil as String?
            }
        if let part { return Contradiction(part: part, place: place) }
        return [other.parts[.quote]?.answer, other.parts[.attestation]?.answer, other.eventLog?.answer].lazy
            .compactMap { inner in inner.flatMap { self.contradiction(with: $0, inside: place) } }.first
    }

    private func isQuoteSame(in other: AgentAnswer) -> Bool {
        guard let others = other.parts[.quote] else { return true }
        if let mine = parts[.quote] {
            guard let left = try? mine.quote(), let right = try? others.quote() else {
                return (try? mine.quote()) == nil
            }
            return Self.withoutPadding(left) == Self.withoutPadding(right)
        }
        guard let envelope = try? parts[.attestation]?.envelope() else { return true }
        guard let quote = try? others.quote() else { return false }
        return (try? Self.requireOne(quote: quote, envelope: envelope)) != nil
    }

    private func isAttestationSame(in other: AgentAnswer) -> Bool {
        guard let others = other.parts[.attestation] else { return true }
        if let mine = parts[.attestation] {
            guard let envelope = try? mine.envelope() else { return true }
            return (try? others.envelope()) == envelope
        }
        guard let quote = try? parts[.quote]?.quote() else { return true }
        guard let envelope = try? others.envelope() else { return false }
        return (try? Self.requireOne(quote: quote, envelope: envelope)) != nil
    }

    /// The part beside an envelope that is not the one in it: what is judged is in the envelope.
    private var partBesideEnvelope: String? {
        guard eventLog != nil || !vmConfig.isEmpty, let envelope = try? parts[.attestation]?.envelope(),
            let attestation = try? Attestation(decoding: envelope)
        else { return nil }
        if let eventLog, eventLog.events == nil || eventLog.events != attestation.eventLog { return "event_log" }
        let isOther = !vmConfig.isEmpty && !Self.isSame(Array(vmConfig.utf8), Array(attestation.config.utf8))
        return isOther ? "vm_config" : nil
    }

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
        unknown = unknown ?? inner.unknown
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
        if let answer = file.answer {
            self = answer
        } else {
            self = AgentAnswer(root, depth: EvidenceRecognition.maximumDepth)
            // Evidence of its own kind has members of its own.
            unknown = nil
        }
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
        unknown = unknown ?? Self.unknown(in: root)
        for (name, _) in root.members
        where restriction == nil && !Self.members.contains(name) && !Self.otherMembers.contains(name)
            && !Self.wrapperMembers.contains(name)
        {
            guard let reading = RestrictionNames.reading(name, inRequestWith: Self.members), reading.isExplicit else {
                continue
            }
            restriction = (name, reading.advice)
        }
    }

    /// The first member that answers do not have, also in what an answer is wrapped in. Names are not compared with more than
    /// a list, since there may be many.
    private static func unknown(in root: JSONNode) -> (name: String, advice: String)? {
        for (name, value) in root.members where !members.contains(name) && !otherMembers.contains(name) {
            guard wrapperMembers.contains(name) else {
                return (name, RestrictionNames.advice(name, inRequestWith: members))
            }
            guard wrappers.contains(where: { "\($0)" == name }), !value.isNull else { continue }
            guard value.kind == .object else { return (name, "only an object is looked into") }
            if let unknown = unknown(in: value) { return unknown }
        }
        return nil
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

    /// What else stands beside evidence and asks nothing.
    package static let otherMembers = [
        // Agents answer it.
        "hash_algorithm", "prefix", "boottime_gpu_evidence", "public_key",
        // SDKs add the name of the type.
        "__name__",
        // Gateways and agents say what was asked, and which version answers.
        "url", "version",
    ]

    /// What answers are wrapped in.
    package static let wrappers: [StaticString] = ["result", "data", "response"]
    /// What stands around an answer besides: JSON-RPC's.
    private static let wrapperMembers = ["jsonrpc", "id"] + wrappers.map { "\($0)" }

    // MARK: One evidence

    /// Makes sure that there is one piece of evidence in the answer, whichever part is read.
    ///
    /// - Throws: ``AttestationError/Code/invalidEnvelope`` where quote and attestation are not of one piece.
    func requireOneEvidence() throws(AttestationError) {
        if let contradiction {
            throw AttestationError(
                .invalidEnvelope, subject: contradiction.part, reason: contradiction.reason,
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
        guard let other, withoutPadding(other) == withoutPadding(quote) else {
            throw AttestationError(
                .invalidEnvelope, subject: "quote and attestation",
                reason: "both are given, and the quote is not the one in the attestation", hint: "leave out one of them"
            )
        }
    }

    private static func withoutPadding(_ bytes: [UInt8]) -> ArraySlice<UInt8> {
        bytes[..<((bytes.lastIndex { $0 != 0 } ?? -1) + 1)]
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
