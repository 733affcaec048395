internal import DstackCrypto
internal import DstackEncoding

/// How ``EvidenceFile`` finds out what some bytes are: by what they begin with, undoing one text form after the other.
///
/// The kinds exclude each other by their first bytes. Binary evidence begins with a control character or a byte above 0x7F;
/// text begins with neither.
package enum EvidenceRecognition {
    /// How deep text forms may lie in each other: a JSON string of base64 of hexadecimal text is three.
    static let maximumDepth = 4

    private static let byteOrderMark: [UInt8] = [0xEF, 0xBB, 0xBF]

    /// A text without the mark that some editors put before it.
    package static func withoutMark(_ text: [UInt8]) -> [UInt8] {
        text.starts(with: byteOrderMark) ? Array(text.dropFirst(3)) : text
    }

    static func recognise(_ content: [UInt8], depth: Int) -> EvidenceFile {
        // A log is looked at byte by byte by who reads it.
        if let file = objects(content, from: 0) { return file }
        if let kind = binaryKind(content) { return EvidenceFile(kind, content) }
        if let answer = AgentAnswer(protobuf: content) { return EvidenceFile(.agentAnswer, content, answer: answer) }
        if !content.isEmpty, content.allSatisfy({ $0 == 0 }) { return EvidenceFile(.zeros, content) }
        var text = content
        if content.starts(with: byteOrderMark) { text.removeFirst(3) }
        // Programs in C write the end of their strings along.
        while text.last == 0 { text.removeLast() }
        guard text.allSatisfy(isTextual) else { return EvidenceFile(.binary, content) }
        guard let start = text.firstIndex(where: { !isSpace($0) }) else { return EvidenceFile(.empty, []) }
        switch text[start] {
        case UInt8(ascii: "{"): return JSONRecognition.object(text, depth: depth)
        case UInt8(ascii: "<"): return EvidenceFile(.markup, text)
        case UInt8(ascii: "["), UInt8(ascii: "\""):
            if let file = objects(text, from: start) { return file }
            guard depth < maximumDepth, let inner = JSONRecognition.bytes(text) else { break }
            return recognise(inner, depth: depth + 1)
        default:
            if let file = pem(text) { return file }
            if isDump(text[start...]) { return EvidenceFile(.hexDump, text) }
            if isDockerCompose(text) { return EvidenceFile(.dockerCompose, text) }
            if depth < maximumDepth, let file = digits(text, depth: depth) { return file }
        }
        return other(text, from: start)
    }

    // MARK: Binary

    private static func binaryKind(_ bytes: [UInt8]) -> EvidenceFile.Kind? {
        guard bytes.count >= 4 else { return nil }
        switch (bytes[0], bytes[1]) {
        case (0xFF, 0xFE), (0xFE, 0xFF): return .utf16
        // Text of ASCII characters without a mark, either order.
        case (0x09...0x7E, 0) where bytes[3] == 0, (0, 0x20...0x7E) where bytes[2] == 0: return .utf16
        case (0, 0), (1, 0):
            // TCG PC Client Platform Firmware Profile, table 20: the signature of the first event's data.
            if bytes.count >= 48, bytes[32..<48].elementsEqual("Spec ID Event03\0".utf8) { return .binaryEventLog }
            if bytes[0] == 1 { return .binary }
            if bytes.allSatisfy({ $0 == 0 }) { return .zeros }
            return isSCALEEnvelope(bytes) ? .envelope : .binary
        case (0, _): return isSCALEEnvelope(bytes) ? .envelope : .binary
        // AMD SEV-SNP ABI, table 23: a version in four bytes, signature algorithm 1 at 0x34; its versions are also quotes'.
        case (2...5, 0) where bytes.count == 1184 && bytes[2] == 0 && bytes[3] == 0 && bytes[0x34] == 1:
            return .snpReport
        case (2...8, 0): return .quote
        // REPORTTYPE of a TDX report (Intel TDX module, REPORTMACSTRUCT). As MessagePack, 0 is no member's name.
        case (0x81, 0): return .tdReport
        // A COSE signature with and without its tag. As MessagePack, 0x44 is no member's name.
        case (0x84, 0x44), (0xD2, 0x84): return .nitroDocument
        case (0x80...0x8F, _), (0xDE...0xDF, _): return .envelope
        case (0xFF, 0x54) where bytes[2] == 0x43 && bytes[3] == 0x47: return .tpmQuote
        case (0x1F, 0x8B), (0x28, 0xB5), (0xFD, 0x37): return .compressed
        case (0x50, 0x4B) where bytes[2] == 3: return .compressed
        // A sequence of more than 127 bytes. Shorter ones could be text, and are nothing that matters here.
        case (0x30, 0x81...0x84): return der(bytes)
        default: return nil
        }
    }

    /// Many things begin with 00: an envelope of version 0 goes on with its platform and the length of the platform's evidence,
    /// which on TDX is a quote.
    private static func isSCALEEnvelope(_ bytes: [UInt8]) -> Bool {
        guard bytes.count >= 8, bytes[1] <= 4 else { return false }
        // SCALE's compact integers: the two low bits of the first byte say how long they are.
        let (start, length): (Int, Int) =
            switch bytes[2] & 3 {
            case 0: (3, Int(bytes[2] >> 2))
            case 1: (4, Int(bytes[3]) << 6 | Int(bytes[2] >> 2))
            case 2: (6, Int(bytes[5]) << 22 | Int(bytes[4]) << 14 | Int(bytes[3]) << 6 | Int(bytes[2] >> 2))
            default: (3, 0)
            }
        guard length > 0, start + 2 <= bytes.count else { return false }
        return bytes[1] > 1 || 2...8 ~= bytes[start] && bytes[start + 1] == 0
    }

    private static func der(_ bytes: [UInt8]) -> EvidenceFile.Kind {
        if (try? CertificateRevocationList(der: bytes)) != nil { return .revocationList }
        return (try? Certificate(der: bytes)) != nil ? .certificate : .binary
    }

    // MARK: Text

    /// The members of a log's entry that nothing else has in its place.
    private static let eventMembers = ["imr", "event", "event_type", "event_payload", "digest"]

    /// An array of objects, or an empty one; nil for anything else. It is a log by the members of its first object.
    private static func objects(_ text: [UInt8], from start: Int) -> EvidenceFile? {
        guard start < text.count, text[start] == UInt8(ascii: "["),
            let second = text[(start + 1)...].firstIndex(where: { !isSpace($0) })
        else { return nil }
        switch text[second] {
        case UInt8(ascii: "]"): return EvidenceFile(.array, text, detail: "with nothing in it")
        case UInt8(ascii: "{"):
            // Entries have no objects in them; the names of their members are among the strings.
            let strings = text[second...].prefix { $0 != UInt8(ascii: "}") }.split(separator: UInt8(ascii: "\""))
            let isLog = strings.contains { string in eventMembers.contains { string.elementsEqual($0.utf8) } }
            return EvidenceFile(isLog ? .eventLog : .array, text)
        default: return nil
        }
    }

    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 }

    private static func isTextual(_ byte: UInt8) -> Bool { byte >= 0x20 && byte != 0x7F || isSpace(byte) }

    private static func pem(_ text: [UInt8]) -> EvidenceFile? {
        guard let blocks = try? PEM.decode(text), let first = blocks.first else { return nil }
        let lists = blocks.filter { $0.label == "X509 CRL" }
        if lists.count == 1 { return EvidenceFile(.revocationList, lists[0].content) }
        if lists.count > 1 { return EvidenceFile(.pem, text, detail: "with \(lists.count) revocation lists") }
        if first.label == "CERTIFICATE" { return EvidenceFile(.certificate, text) }
        if first.label.hasSuffix("PRIVATE KEY") { return EvidenceFile(.pem, text, detail: "a private key") }
        return EvidenceFile(.pem, text)
    }

    /// A dump's first line begins with address zero: `00000000:` of xxd, two spaces of hexdump -C, seven digits of hexdump.
    private static func isDump(_ text: ArraySlice<UInt8>) -> Bool {
        ["00000000:", "00000000  ", "0000000 "].contains { text.starts(with: $0.utf8) }
    }

    /// YAML with `services` at its top level, in a line of its own.
    private static func isDockerCompose(_ text: [UInt8]) -> Bool {
        text.prefix(1 << 16).split(separator: 0x0A).contains { $0.starts(with: "services:".utf8) }
    }

    /// Hexadecimal, or else base64 that has something known in it: most short words are base64 of nothing.
    private static func digits(_ text: [UInt8], depth: Int) -> EvidenceFile? {
        switch HexadecimalText.read(text) {
        case .bytes(let bytes): return recognise(bytes, depth: depth + 1)
        case .damaged(let reason):
            if let bytes = Base64Text.read(text) {
                let file = recognise(bytes, depth: depth + 1)
                if ![.binary, .text, .empty].contains(file.kind) { return file }
            }
            return EvidenceFile(.damagedHexadecimal, text, detail: reason)
        case .other:
            guard let bytes = Base64Text.read(text) else { return nil }
            let file = recognise(bytes, depth: depth + 1)
            return [.binary, .text, .empty].contains(file.kind) ? nil : file
        }
    }

    private static func other(_ text: [UInt8], from start: Int) -> EvidenceFile {
        let words = text[start...].prefix(24).prefix { $0 != 0x0A && $0 != 0x0D }
        if text[start...].filter({ !isSpace($0) }).elementsEqual("null".utf8) { return EvidenceFile(.null, text) }
        let shown = String(decoding: words, as: UTF8.self).unicodeScalars.map { scalar in
            scalar.isASCII ? String(scalar) : "?"
        }.joined()
        return EvidenceFile(.text, text, detail: "which begins with `\(shown)`")
    }
}

/// Hexadecimal text as programs print it: digits of either case, `0x` or `\x` before them, white space between them, a colon
/// between bytes.
enum HexadecimalText {
    enum Reading {
        case bytes([UInt8])
        /// Mostly digits, but not readable; why.
        case damaged(String)
        case other
    }

    /// So many digits are no accident.
    private static let leastDigits = 32

    static func read(_ text: [UInt8]) -> Reading {
        var rest = text[...].drop(while: EvidenceRecognition.isSpace)
        if rest.starts(with: "0x".utf8) || rest.starts(with: "0X".utf8) || rest.starts(with: "\\x".utf8) {
            rest = rest.dropFirst(2)
        }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(rest.count / 2)
        var high: UInt8?
        for (position, character) in rest.enumerated() {
            guard let value = Hex.value(of: character) else {
                if EvidenceRecognition.isSpace(character) { continue }
                if character == UInt8(ascii: ":"), high == nil, !bytes.isEmpty { continue }
                guard 2 * bytes.count >= leastDigits else { return .other }
                return .damaged("character \(text.count - rest.count + position) is no digit")
            }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        if high == nil { return bytes.isEmpty ? .other : .bytes(bytes) }
        return 2 * bytes.count < leastDigits
            ? .other : .damaged("an odd number of digits (\(2 * bytes.count + 1))")
    }
}

/// Base64 text as programs print it: either alphabet, with padding or without, lines of any length.
enum Base64Text {
    static func read(_ text: [UInt8]) -> [UInt8]? {
        var digits = text.filter { !EvidenceRecognition.isSpace($0) }
        if let last = digits.lastIndex(where: { $0 != UInt8(ascii: "=") }) {
            let padding = digits.count - 1 - last
            guard padding == 0 || padding <= 2 && digits.count.isMultiple(of: 4) else { return nil }
            digits.removeLast(padding)
        }
        let isURLSafe = digits.contains { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
        return digits.withUnsafeBufferPointer { digits in
            try? Base64.decode(
                digits, alphabet: isURLSafe ? .urlSafe : .standard, padding: false, subject: "base64"
            ).get()
        }
    }
}
