internal import DstackEncoding

/// What a JSON text is, among those that evidence comes in.
enum JSONRecognition {
    /// The most values of an object that are looked at: a log of a hundred thousand events has fewer.
    static let maximumValues = 1 << 20

    // MARK: Bytes in JSON

    /// The content of a JSON string, or the bytes of an array of numbers below 256; nil for anything else.
    static func bytes(_ text: [UInt8]) -> [UInt8]? {
        if let numbers = octets(text) { return numbers }
        guard let root = try? JSONDocument(parsing: text, subject: "string", maximumDepth: 1, maximumValues: 2).root
        else { return nil }
        return (try? root.string()).map { Array($0.utf8) }
    }

    /// `[4, 0, 2, …]`, read without a value for each number.
    static func octets(_ text: [UInt8]) -> [UInt8]? {
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
        let own = recogniseMembers(root, text, depth: depth)
        // What a wrapper has in it counts where the object itself is nothing; or is evidence, and must then be the same.
        guard own.kind == .object || own.kind == .agentAnswer else { return own }
        var found = own.kind == .object ? [] : [(name: "the object itself", file: own)]
        // Where a result is wrapped, as JSON-RPC and some gateways do.
        for name in ["result", "data", "response"] as [StaticString] {
            guard let inner = root[name], inner.kind == .object, depth < EvidenceRecognition.maximumDepth else {
                continue
            }
            let file = recognise(inner, inner.rawBytes, depth: depth + 1)
            if file.kind != .object { found.append(("\(name)", file)) }
        }
        guard let first = found.first else { return own }
        // Which of several counts would be a guess, and the next program would guess otherwise.
        if let other = found.dropFirst().first(where: { !$0.file.saysTheSame(as: first.file) }) {
            return EvidenceFile(.ambiguous, text, detail: "in \(first.name) and in \(other.name), which differ")
        }
        return first.file.within(root)
    }

    private static func recogniseMembers(_ root: JSONNode, _ text: [UInt8], depth: Int) -> EvidenceFile {
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
        let names = root.members.prefix(4).map { String($0.name.prefix(24)) }.joined(separator: ", ")
        return EvidenceFile(.object, text, detail: names.isEmpty ? "with no members" : "with \(names)", object: root)
    }
}
