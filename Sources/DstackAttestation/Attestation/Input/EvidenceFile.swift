internal import DstackEncoding
internal import DstackMeasurement

/// A file of evidence as people have it: what it is, whichever text form it came in.
///
/// Quotes, envelopes and event logs are handed on as bytes, as hexadecimal (with or without `0x`, white space or colons), as
/// base64, as JSON strings or arrays of numbers, or inside the saved answer of the agent that made them. What is unambiguous
/// is taken; anything else is refused by the name of what it is. This is the one place that decides it, for programs,
/// services and libraries alike.
///
/// ```swift
/// let quote = try Quote(parsing: EvidenceFile(recognising: bytes).quote())
/// ```
///
/// To be recognised is not to be believed: what comes out is as unverified as what went in. Time and memory are in proportion
/// to the bytes: text forms are undone four deep at most, and none of them yields more than it has.
public struct EvidenceFile: Sendable {
    /// What the file is.
    public let kind: Kind
    /// What lies beneath the text forms: binary data, or a text without its byte-order mark.
    public let bytes: [UInt8]
    /// What more there is to say of this one, as it follows the kind's description; may be empty.
    let detail: String
    /// The JSON object, for the kinds that are one.
    let object: JSONNode?
    /// What an agent's answer brings; only with that kind.
    private(set) var answer: AgentAnswer?

    /// The most bytes that a file of evidence can sensibly have: the largest envelope, ten MiB, in hexadecimal and with what
    /// stands around it.
    public static let maximumByteCount = 32 << 20

    /// Finds out what a file is. There is no file that it fails for.
    public init(recognising content: [UInt8]) {
        self = EvidenceRecognition.recognise(content, depth: 0)
    }

    init(
        _ kind: Kind, _ bytes: [UInt8], detail: String = "", object: JSONNode? = nil, answer: AgentAnswer? = nil
    ) {
        self.kind = kind
        self.bytes = bytes
        self.detail = detail
        self.object = object
        self.answer = answer
    }

    /// What a file can be. Later versions may know more kinds, so a `switch` needs a default.
    public enum Kind: String, Sendable, Hashable, CaseIterable {
        /// A DCAP quote.
        case quote = "a quote"
        /// An attestation envelope of version 0 or 1.
        case envelope = "an attestation envelope"
        /// What GetQuote, Attest or TdxQuote answered, or a request of the verifier service.
        case agentAnswer = "an agent's answer with evidence"
        /// What Info answered, or the `tcb_info` in it.
        case agentInfo = "an agent's Info answer"
        /// An error in place of an answer.
        case agentError = "an agent's error"
        /// dstack's event log: a JSON array.
        case eventLog = "an event log (JSON)"
        /// A firmware's event log.
        case binaryEventLog = "an event log (CCEL)"
        /// A JSON array of something else than events, or of nothing.
        case array = "a JSON array of another kind"
        /// One JSON object a line: what a guest keeps of its runtime events, or a log written that way.
        case eventRecord = "a record of events, one a line"
        /// Collateral, the JSON object.
        case collateral = "collateral"
        /// A document as Intel's service answers it, with its signature.
        case signedDocument = "one of the documents that collateral is made of"
        /// A VM configuration.
        case vmConfiguration = "a VM configuration"
        /// An app-compose.json.
        case composeFile = "a compose file"
        /// What a verification ended with.
        case report = "a verifier's answer"
        /// A JSON object with several pieces of evidence that differ.
        case ambiguous = "an object with several pieces of evidence"
        /// A docker-compose.yaml.
        case dockerCompose = "a docker-compose file"
        /// Another JSON object.
        case object = "a JSON object of another kind"
        /// A revocation list; the bytes are DER.
        case revocationList = "a revocation list"
        /// A certificate or several.
        case certificate = "a certificate"
        /// Another PEM text.
        case pem = "a PEM text"
        /// What the CPU reports to the quoting enclave.
        case tdReport = "a TD report, which is not signed"
        /// A report of an AMD SEV-SNP guest.
        case snpReport = "a report of AMD SEV-SNP"
        /// A document of an AWS Nitro Enclave.
        case nitroDocument = "an attestation document of AWS Nitro"
        /// A quote of a TPM.
        case tpmQuote = "a TPM's quote"
        /// A page.
        case markup = "an HTML or XML page"
        /// A text in two or four bytes a character.
        case utf16 = "UTF-16 text"
        /// A compressed file.
        case compressed = "a compressed file"
        /// A dump with addresses, as `xxd` writes it.
        case hexDump = "a hexadecimal dump with addresses"
        /// Hexadecimal digits, and something wrong with them.
        case damagedHexadecimal = "hexadecimal text with a mistake"
        /// JSON `null`.
        case null = "null"
        /// Nothing, or nothing but white space.
        case empty = "empty"
        /// Zeros.
        case zeros = "nothing but zeros"
        /// Another text.
        case text = "a text of another kind"
        /// Other bytes.
        case binary = "binary data of an unknown kind"
    }
}

// MARK: - What is wanted of it

extension EvidenceFile {
    /// The DCAP quote in it: the file itself, an agent's answer's, or an envelope's.
    ///
    /// - Throws: ``AttestationError/Code/invalidQuote``, which says what the file is instead.
    public func quote() throws(AttestationError) -> [UInt8] {
        switch kind {
        case .quote: return bytes
        // Its first field says best what is wrong with it.
        case .binary: return bytes
        case .envelope: return try Self.quote(inEnvelope: bytes)
        case .agentAnswer:
            try answer?.requireOneEvidence()
            if let quote = answer?.quote {
                // Its log and its configuration would be passed over.
                guard quote.kind != .envelope else { throw quote.refusal(.invalidQuote, wanted: "a quote") }
                return try quote.quote()
            }
            if let attestation = answer?.attestation { return try Self.quote(inEnvelope: attestation.envelope()) }
            throw empty([.quote, .attestation], .invalidQuote) ?? refusal(.invalidQuote, wanted: "a quote")
        default: throw refusal(.invalidQuote, wanted: "a quote")
        }
    }

    /// The attestation envelope in it: the file itself, or an agent's answer's.
    ///
    /// - Throws: ``AttestationError/Code/invalidEnvelope``, which says what the file is instead. A quote is not taken for an
    ///   envelope: it would lack all that an envelope has beside it.
    public func envelope() throws(AttestationError) -> [UInt8] {
        switch kind {
        case .envelope, .binary: return bytes
        case .agentAnswer:
            try answer?.requireOneEvidence()
            if let attestation = answer?.attestation { return try attestation.envelope() }
            if let error = empty([.attestation], .invalidEnvelope) { throw error }
        default: break
        }
        throw refusal(.invalidEnvelope, wanted: "an attestation envelope")
    }

    /// The event log in it: the file itself, an answer's, or that of an envelope, which may lie in an answer.
    ///
    /// - Throws: ``AttestationError/Code/invalidEventLog``, which says what is wrong with the log, or what the file is
    ///   instead.
    public func eventLog() throws(AttestationError) -> EventLog {
        switch kind {
        case .eventLog: return try EventLog(json: bytes)
        case .eventRecord: return try EventLog(record: bytes)
        // Its first field says best what is wrong with it.
        case .binaryEventLog, .binary, .zeros: return try EventLog(ccel: bytes)
        // A log of no events, where a log is what somebody means.
        case .array where isEmptyArray: return try EventLog(json: bytes)
        case .envelope:
            guard let log = try Attestation(decoding: bytes).eventLog else { break }
            return log
        case .agentAnswer, .agentInfo:
            try answer?.requireOneEvidence()
            try answer?.requireNoRestriction(.invalidEventLog, "event_log")
            switch answer?.eventLog {
            case .file(let file): return try file.eventLog()
            case .array(let node):
                return try AttestationError.decoding(.invalidEventLog) { () throws(DecodingFailure) in
                    try EventLog(node)
                }
            case nil:
                guard let envelope = answer?.attestation,
                    let log = try Attestation(decoding: envelope.envelope()).eventLog
                else { break }
                return log
            }
        default: break
        }
        throw refusal(.invalidEventLog, wanted: "an event log", subject: "event_log")
    }

    /// The VM configuration in it, as text: the file itself or an answer's. Never one that says nothing: who names a file
    /// wants the OS image verified, and would find it passed over.
    ///
    /// - Throws: ``AttestationError/Code/invalidMeasurement``, which says what the file is instead, or that it has none.
    public func configuration() throws(AttestationError) -> String {
        let text: String
        switch kind {
        case .vmConfiguration, .object: text = String(decoding: bytes, as: UTF8.self)
        case .agentAnswer, .agentInfo:
            try answer?.requireNoRestriction(.invalidMeasurement, "VM configuration")
            text = answer?.vmConfig ?? ""
        default: throw refusal(.invalidMeasurement, wanted: "a VM configuration")
        }
        // What cannot be read is not passed over: whoever verifies the image says what is wrong with it.
        if VMConfiguration.isVacant(text) {
            throw AttestationError(
                .invalidMeasurement, subject: "VM configuration",
                reason: "this is \(described), without a VM configuration",
                hint: "name a file that has one, such as the answer of GetQuote, or leave it out")
        }
        return text
    }

    /// Why an answer that names a part, and has nothing there, is not what was wanted; nil where it names none of them.
    private func empty(
        _ parts: [AgentAnswer.Part], _ code: AttestationError.Code
    ) -> AttestationError? {
        guard let part = parts.first(where: { answer?.emptyParts.contains($0) == true }) else { return nil }
        return AttestationError(
            code, subject: part.rawValue, reason: "this is \(described), whose \(part.rawValue) is empty",
            hint: kind.hint)
    }

    private var isEmptyArray: Bool { kind == .array && bytes.filter { !EvidenceRecognition.isSpace($0) }.count == 2 }

    private static func quote(inEnvelope bytes: [UInt8]) throws(AttestationError) -> [UInt8] {
        let attestation = try Attestation(decoding: bytes)
        guard let quote = attestation.quote else {
            throw AttestationError(
                .invalidEnvelope, subject: "platform",
                reason: "evidence of \(attestation.platform.variant) has no DCAP quote")
        }
        return quote
    }

    /// What was given to a reader of binary data that could not read it, where that can be told; else what the reader says.
    package static func named(_ error: AttestationError, _ bytes: [UInt8], wanted: Kind) -> AttestationError {
        guard error.code == .invalidQuote || error.code == .invalidEnvelope, !bytes.isEmpty else { return error }
        let file = EvidenceFile(recognising: bytes)
        guard file.kind != .binary, file.kind != wanted || file.bytes.count != bytes.count else { return error }
        guard file.kind != wanted else {
            return AttestationError(
                error.code, subject: error.subject, reason: "this is \(wanted.rawValue) as text; the bytes are needed",
                hint: "Evidence(quoteFile:) and Evidence(attestationFile:) take text forms, too")
        }
        guard wanted == .envelope else { return file.refusal(error.code, wanted: wanted.rawValue) }
        // Upstream's words stay, for those who look for them.
        return AttestationError(
            error.code, subject: error.subject, reason: "\(error.reason); this is \(file.described)",
            hint: file.kind.hint)
    }

    /// The file, as one in an object that may ask for something.
    func within(_ wrapper: JSONNode) -> EvidenceFile {
        var file = self
        file.answer?.addRestriction(of: wrapper)
        return file
    }

    /// Whether two files are the same evidence, whatever stands around it.
    func saysTheSame(as other: EvidenceFile) -> Bool {
        guard kind == other.kind else { return false }
        if bytes == other.bytes { return true }
        guard let mine = answer, let others = other.answer, !mine.parts.isEmpty else { return false }
        return mine.parts.mapValues(\.bytes) == others.parts.mapValues(\.bytes)
            && object?["event_log"]?.rawBytes == other.object?["event_log"]?.rawBytes
            && mine.vmConfig == others.vmConfig && mine.reportData == others.reportData
            && mine.restriction?.name == others.restriction?.name
    }

    var described: String { detail.isEmpty ? kind.rawValue : "\(kind.rawValue), \(detail)" }

    /// Why the file is not what was wanted: what it is, and what to do about that.
    package func refusal(_ code: AttestationError.Code, wanted: String, subject: String? = nil) -> AttestationError {
        let subject = subject ?? String(wanted.drop { $0 != " " }.dropFirst())
        guard kind != .empty else {
            return AttestationError(code, subject: subject, reason: "empty", hint: kind.hint)
        }
        return AttestationError(
            code, subject: subject, reason: "this is \(described); \(wanted) is needed", hint: kind.hint)
    }
}

extension EvidenceFile.Kind {
    /// What to do with a file of this kind where it was not wanted; empty if there is nothing to say.
    var hint: String {
        switch self {
        case .quote: "it goes where a quote is asked for, with its event log and its VM configuration beside it"
        case .envelope: "it goes where an attestation is asked for, with nothing beside it"
        case .agentAnswer:
            "ask the agent for what is missing: GetQuote has a quote and its event log, Attest an envelope"
        case .agentInfo: "Info has no quote; GetQuote has one"
        case .ambiguous: "keep the one that is meant, by itself"
        case .dockerCompose: "it is the docker_compose_file in an app-compose.json, and measured with that"
        case .agentError: "ask again, and look at what the agent says"
        case .eventLog, .binaryEventLog, .eventRecord: "an event log goes beside a quote"
        case .collateral: "collateral goes beside a quote"
        case .signedDocument: "`dstack-verifier fetch-collateral` puts all documents into one object"
        case .certificate: "evidence inside a certificate is verified with `dstack-verifier --verify-cert FILE`"
        case .tdReport: "the quoting enclave makes a quote of it: ask the agent with GetQuote"
        case .markup, .empty, .null, .zeros: "look at what should have written it"
        case .utf16: "write it as UTF-8, in PowerShell with `-Encoding utf8`"
        case .compressed: "unpack it first"
        case .hexDump: "write it without addresses: xxd -p FILE"
        case .damagedHexadecimal: "copy it again, whole"
        default: ""
        }
    }
}
