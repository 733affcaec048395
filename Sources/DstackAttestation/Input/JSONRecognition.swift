internal import DstackEncoding
internal import DstackRPC

/// What a JSON text is, among those that evidence comes in.
enum JSONRecognition {
    /// The most values of an object that are looked at: a log of a hundred thousand events has fewer.
    private static let maximumValues = 1 << 20

    // MARK: Bytes in JSON

    /// The content of a JSON string, or the bytes of an array of numbers below 256; nil for anything else.
    static func bytes(_ text: [UInt8]) -> [UInt8]? {
        if let numbers = octets(text) { return numbers }
        guard let root = try? JSONDocument(parsing: text, subject: "string", maximumDepth: 1, maximumValues: 2).root
        else { return nil }
        return (try? root.string()).map { Array($0.utf8) }
    }

    /// `[4, 0, 2, …]`, read without a value for each number.
    private static func octets(_ text: [UInt8]) -> [UInt8]? {
        var rest = text[...].drop(while: EvidenceRecognition.isSpace)
        guard rest.popFirst() == UInt8(ascii: "[") else { return nil }
        var bytes: [UInt8] = []
        var number: UInt16?
        var isNumberOver = false
        while let character = rest.popFirst() {
            switch character {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                guard !isNumberOver else { return nil }
                let value = (number ?? 0) * 10 + UInt16(character - UInt8(ascii: "0"))
                guard value <= 255 else { return nil }
                number = value
            case UInt8(ascii: ","), UInt8(ascii: "]"):
                guard let octet = number else { return nil }
                bytes.append(UInt8(truncatingIfNeeded: octet))
                (number, isNumberOver) = (nil, false)
                if character == UInt8(ascii: "]") {
                    return rest.allSatisfy(EvidenceRecognition.isSpace) ? bytes : nil
                }
            default:
                guard EvidenceRecognition.isSpace(character) else { return nil }
                isNumberOver = number != nil
            }
        }
        return nil
    }

    // MARK: Objects

    /// What a text is that begins with a brace: an object, or one object a line.
    static func object(_ text: [UInt8], depth: Int) -> EvidenceFile {
        let root: JSONNode
        do throws(DecodingFailure) {
            root = try JSONDocument(parsing: text, subject: "answer", maximumValues: maximumValues).root
        } catch {
            // Two objects are one text of a record of events, and no JSON.
            if error.code == .trailing, isRecord(text) { return EvidenceFile(.eventRecord, text) }
            return EvidenceFile(.text, text, detail: "which is not quite JSON: \(error)")
        }
        return recognise(root, text, depth: depth)
    }

    private static func isRecord(_ text: [UInt8]) -> Bool {
        guard let line = text.split(separator: 0x0A).first,
            let root = try? JSONDocument(parsing: Array(line), subject: "line", maximumDepth: 8).root
        else { return false }
        return isEvent(root)
    }

    private static func isEvent(_ root: JSONNode) -> Bool {
        root["event"] != nil && (root["payload"] != nil || root["event_payload"] != nil)
    }

    private static func recognise(_ root: JSONNode, _ text: [UInt8], depth: Int) -> EvidenceFile {
        func has(_ names: StaticString...) -> Bool { names.allSatisfy { root[$0] != nil } }
        func file(_ kind: EvidenceFile.Kind, _ answer: AgentAnswer? = nil) -> EvidenceFile {
            EvidenceFile(kind, text, object: root, answer: answer)
        }
        if isEvent(root) { return file(.eventRecord) }
        if has("quote") || has("attestation") { return file(.agentAnswer, AgentAnswer(root, depth: depth + 1)) }
        if has("tcb_info_signature") || has("pck_crl") || root["collateral"]?.kind == .object {
            return file(.collateral)
        }
        if has("app_id", "instance_id") || has("rtmr0", "rtmr3") || has("tcb_info") {
            return file(.agentInfo, AgentAnswer(root, depth: depth + 1))
        }
        if has("event_log") { return file(.agentAnswer, AgentAnswer(root, depth: depth + 1)) }
        if has("signature"), has("tcbInfo") || has("enclaveIdentity") { return file(.signedDocument) }
        if has("manifest_version") || has("docker_compose_file") { return file(.composeFile) }
        if has("os_image_hash") || has("spec_version") || has("cpu_count", "memory_size") {
            return file(.vmConfiguration)
        }
        if has("verdict") || has("is_valid") { return file(.report) }
        if let error = root["error"] {
            let words = (try? error.string()) ?? (try? error.member("message").string()) ?? ""
            return EvidenceFile(.agentError, text, detail: words.isEmpty ? "" : "`\(words.prefix(200))`", object: root)
        }
        // As Node prints a Buffer.
        if root["type"]?.equals("Buffer") == true, let data = root["data"], depth < EvidenceRecognition.maximumDepth,
            let bytes = octets(data.rawBytes)
        {
            return EvidenceRecognition.recognise(bytes, depth: depth + 1)
        }
        // Where a result is wrapped, as JSON-RPC and some gateways do.
        for name in ["result", "data", "response"] as [StaticString] {
            guard let inner = root[name], inner.kind == .object, depth < EvidenceRecognition.maximumDepth else {
                continue
            }
            let found = recognise(inner, inner.rawBytes, depth: depth + 1)
            if found.kind != .object { return found }
        }
        let names = root.members.prefix(4).map { String($0.name.prefix(24)) }.joined(separator: ", ")
        return EvidenceFile(.object, text, detail: names.isEmpty ? "with no members" : "with \(names)", object: root)
    }
}

/// What an agent's answer brings, as far as it is evidence. Each part is recognised by itself, since answers are saved by
/// programs that write bytes in their own way.
struct AgentAnswer: Sendable {
    indirect enum Log: Sendable {
        case file(EvidenceFile)
        /// An array in place of a string with one.
        case array(JSONNode)
    }

    private(set) var parts: [Part: EvidenceFile] = [:]
    private(set) var eventLog: Log?
    private(set) var vmConfig = ""

    enum Part: String, Sendable { case quote, attestation }

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
        case (0, 0...4), (0x80...0x8F, 0xA0...0xBF):
            guard let answer = try? AgentRPC.AttestResponse(protobuf: bytes) else { return nil }
            parts[.attestation] = EvidenceFile(.envelope, answer.attestation)
        default: return nil
        }
    }

    private static func isEmpty(_ node: JSONNode) -> Bool { node.isNull || node.equals("") || node.equals("0x") }

    /// A string's content; of anything else the JSON text, to be recognised as such.
    private static func content(of node: JSONNode) -> [UInt8] {
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
