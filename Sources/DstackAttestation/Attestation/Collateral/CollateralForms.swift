internal import DstackEncoding
internal import DstackHTTP

/// How tools write collateral. Only what is not signed as text may have more than one form: of a revocation list and of a
/// certificate DER is what counts, however it is written down.
enum CollateralForms {
    /// The object with the members of collateral.
    static func root(_ bytes: [UInt8]) throws(DecodingFailure) -> JSONNode {
        var text = bytes
        if bytes.first != UInt8(ascii: "{") {
            let file = EvidenceFile(recognising: bytes)
            // What looks like collateral and cannot be read, the reader tells better.
            let begins = bytes.first { !EvidenceRecognition.isSpace($0) }.map { "{\"[".utf8.contains($0) } ?? false
            guard [.collateral, .agentAnswer, .object].contains(file.kind) || file.kind == .text && begins else {
                throw failure(file)
            }
            text = file.kind == .text ? EvidenceRecognition.withoutMark(bytes) : file.bytes
        }
        let root = try JSONDocument(parsing: text, subject: "collateral").root
        let isCollateral = root["pck_crl"] != nil || root["tcb_info_signature"] != nil
        if isCollateral, let inner = root["collateral"], !inner.isNull {
            throw inner.failure(
                "the object itself is collateral, and has another in this member: leave out one of them")
        }
        if isCollateral || root["tcb_info"] != nil && root["collateral"] == nil { return root }
        if let inner = root["collateral"] {
            guard inner.kind == .string else { return inner }
            return try JSONDocument(parsing: try inner.string(), subject: "collateral").root
        }
        let file = EvidenceFile(recognising: text)
        throw file.kind == .collateral ? try missing(root) : failure(file)
    }

    private static func missing(_ root: JSONNode) throws(DecodingFailure) -> DecodingFailure {
        _ = try root.member("tcb_info")
        return root.failure("a member is missing")
    }

    private static func failure(_ file: EvidenceFile) -> DecodingFailure {
        let refusal = file.refusal(.invalidCollateral, wanted: "collateral", subject: "collateral")
        return DecodingFailure(.malformed, refusal.subject, refusal.reason)
    }

    /// The DER of a revocation list. Whether it is one, verification finds out.
    static func revocationList(_ node: JSONNode) throws(DecodingFailure) -> [UInt8] {
        // The digits of a DER sequence, as nearly all tools write it.
        if let range = node.plainStringRange, node.document.bytes[range].starts(with: "30".utf8),
            let der = try? node.hexBytes()
        {
            return der
        }
        let content = try node.kind == .array ? node.rawBytes : Array(node.string().utf8)
        do throws(DecodingFailure) { return try RevocationListForm.der(content) } catch {
            // Digits that lead to no list are for verification, which says what is wrong with them.
            if let range = node.plainStringRange, Hex.value(of: node.document.bytes[range].first ?? 0) != nil {
                return try node.hexBytes()
            }
            throw node.failure(error.reason)
        }
    }

    /// A PEM chain; percent-encoded as it stands in a header, it is decoded.
    static func chain(_ node: JSONNode) throws(DecodingFailure) -> String {
        let text = try node.string()
        guard !text.utf8.starts(with: "-----BEGIN%20".utf8) else {
            guard let decoded = HTTPSyntax.percentDecoded(text) else {
                throw node.failure("percent-encoded text expected")
            }
            return decoded
        }
        return text
    }

    /// A signed document: the exact text that is signed, and the signature.
    ///
    /// Intel's service answers with both in one object. Where that whole answer stands in the place of the text, the text is
    /// the very bytes of its document, and its signature must be the one that stands beside it, if one does.
    ///
    /// - Parameter name: of the document within Intel's answer.
    static func signedDocument(
        _ root: JSONNode, _ member: StaticString, _ signature: StaticString, in name: StaticString
    ) throws(DecodingFailure) -> (text: String, signature: [UInt8]) {
        let node = try root.member(member)
        let isAnswer = node.kind == .object && node[name] != nil
        guard node.kind != .object else {
            throw node.failure(
                (isAnswer ? "Intel's answer as an object" : "an object")
                    + " where its signed text is needed: a string with the very bytes that Intel sent, since the signature is "
                    + "over them")
        }
        let text = try node.string()
        guard let answer = wholeAnswer(text, name) else { return (text, try root.member(signature).hexBytes()) }
        let own = try answer.member("signature").hexBytes()
        if let beside = try root.optionalMember(signature)?.hexBytes(), !beside.isEmpty, beside != own {
            throw node.failure("Intel's whole answer, whose signature differs from \(signature): leave out one of them")
        }
        return (String(decoding: try answer.member(name).rawBytes, as: UTF8.self), own)
    }

    /// Intel's answer, where a text is one; nil for the document itself, which has no such members.
    private static func wholeAnswer(_ text: String, _ name: StaticString) -> JSONNode? {
        // By bytes, and at the beginning alone: all collateral that is read comes by here, and nearly none is an answer.
        let start = Array(text.utf8.prefix(256))
        guard start.contains(name) || start.contains("\"signature\""),
            let root = try? JSONDocument(parsing: text, subject: "\(name)").root, root.kind == .object,
            root[name]?.kind == .object, root["signature"] != nil
        else { return nil }
        return root
    }
}

extension [UInt8] {
    /// Whether a short text stands somewhere in these few bytes.
    fileprivate func contains(_ text: StaticString) -> Bool {
        text.withUTF8Buffer { text in
            guard let first = text.first, count >= text.count else { return false }
            return (0...count - text.count).contains { start in
                self[start] == first && self[start..<start + text.count].elementsEqual(text)
            }
        }
    }
}
