internal import DstackEncoding

/// What would have to change in the form of a compose file, and in nothing else, for it to have another hash.
///
/// It only names what tools and editors do to files: a line feed at the end, other line ends, other spacing, a byte-order
/// mark, the canonical text. No other form of a file ever counts in its place: what is measured is its bytes, and a guest
/// that was given others runs something that its verifier has not seen.
public struct ComposeForm: Sendable, Hashable, CustomStringConvertible {
    /// As it follows "this file": `without the line break at its end`.
    public let description: String

    /// The change after which a file has a hash; nil if no change of form leads there.
    ///
    /// Takes some thirty times as long as hashing the file, and up to five times its memory, so it is looked for only in files of at
    /// most ``maximumByteCount``.
    ///
    /// - Parameters:
    ///   - hash: what the file is hoped to have, as it was measured.
    ///   - bytes: the file.
    public init?(of bytes: [UInt8], reaching hash: ComposeHash) {
        guard let description = Self.search(bytes, hash) else { return nil }
        self.description = description
    }

    /// 2 MiB. What people and editors write is far smaller; larger files carry a payload that programs put there. Without it,
    /// a stranger's 50 MiB would keep a verifier's core for seconds to make one sentence of a refusal better.
    public static let maximumByteCount = 2 << 20

    private static func search(_ bytes: [UInt8], _ hash: ComposeHash) -> String? {
        guard bytes.count <= maximumByteCount, ComposeHash(ofFile: bytes) != hash else { return nil }
        func reaches(_ candidate: [UInt8]) -> Bool { candidate != bytes && ComposeHash(ofFile: candidate) == hash }

        let text = EvidenceRecognition.withoutMark(bytes)
        let mark = text.count == bytes.count ? [] : ["without the byte-order mark"]
        for lines in LineEnds.allCases {
            let lined = lines.apply(text)
            for end in FileEnd.allCases where reaches(end.apply(lined)) {
                return join(mark + [lines.words, end.words])
            }
        }
        if mark.isEmpty, reaches([0xEF, 0xBB, 0xBF] + text) { return "with a byte-order mark before it" }

        // Only what can be read has spacing, and a canonical text.
        guard let compose = try? AppCompose(parsing: text) else { return nil }
        for isNormalized in [false, true] {
            let canonical = Array(compose.canonicalText(isNormalized: isNormalized).utf8)
            for end in [FileEnd.none, .lineFeed] where reaches(end.apply(canonical)) {
                let words =
                    isNormalized ? "in the normalised form of deploy tools" : "in the canonical form of deploy tools"
                return end == .none ? words : "\(words), with a line feed at its end"
            }
        }
        for spacing in JSONSpacing.allCases {
            guard let spaced = spacing.apply(text, limit: 4 * maximumByteCount) else { continue }
            for end in [FileEnd.none, .lineFeed] where reaches(end.apply(spaced)) {
                return end == .none ? spacing.words : "\(spacing.words), with a line feed at its end"
            }
            guard spacing.hasLines else { continue }
            let crlf = LineEnds.crlf.apply(spaced)
            for end in [FileEnd.none, .crlf] where reaches(end.apply(crlf)) {
                return "\(spacing.words), with CRLF at the ends of its lines"
            }
        }
        return nil
    }

    private static func join(_ words: [String?]) -> String { words.compactMap(\.self).joined(separator: " and ") }

    private enum LineEnds: CaseIterable {
        case unchanged, lineFeed, crlf

        var words: String? {
            switch self {
            case .unchanged: nil
            case .lineFeed: "with LF in place of CRLF"
            case .crlf: "with CRLF in place of LF"
            }
        }

        func apply(_ text: [UInt8]) -> [UInt8] {
            guard self != .unchanged else { return text }
            var result: [UInt8] = []
            result.reserveCapacity(text.count + (self == .crlf ? text.count / 16 : 0))
            for (index, byte) in text.enumerated() {
                if byte == 0x0D, index + 1 < text.count, text[index + 1] == 0x0A { continue }
                if byte == 0x0A, self == .crlf { result.append(0x0D) }
                result.append(byte)
            }
            return result
        }
    }

    private enum FileEnd: CaseIterable {
        case unchanged, none, lineFeed, crlf

        var words: String? {
            switch self {
            case .unchanged: nil
            case .none: "without the line break at its end"
            case .lineFeed: "with one line feed at its end"
            case .crlf: "with CRLF at its end"
            }
        }

        func apply(_ text: [UInt8]) -> [UInt8] {
            guard self != .unchanged else { return text }
            let end = text.lastIndex { !EvidenceRecognition.isSpace($0) } ?? -1
            let trimmed = Array(text[...end])
            switch self {
            case .unchanged, .none: return trimmed
            case .lineFeed: return trimmed + [0x0A]
            case .crlf: return trimmed + [0x0D, 0x0A]
            }
        }
    }
}

/// How JSON is spaced, values and order untouched.
enum JSONSpacing: CaseIterable {
    /// Nothing between the values, as `JSON.stringify(x)` and `jq -c` write it.
    case compact
    /// A space behind comma and colon, as Python's `json.dumps(x)` writes it.
    case spaced
    /// One value a line, as `JSON.stringify(x, null, 2)` and jq write it.
    case twoSpaces
    /// The same with four spaces.
    case fourSpaces
    /// The same with tabs.
    case tabs

    var words: String {
        switch self {
        case .compact: "without spaces between its values"
        case .spaced: "with a space behind each comma and colon, on one line"
        case .twoSpaces: "indented by two spaces"
        case .fourSpaces: "indented by four spaces"
        case .tabs: "indented by tabs"
        }
    }

    var hasLines: Bool { indentation != nil }

    private var indentation: [UInt8]? {
        switch self {
        case .compact, .spaced: nil
        case .twoSpaces: [0x20, 0x20]
        case .fourSpaces: [0x20, 0x20, 0x20, 0x20]
        case .tabs: [0x09]
        }
    }

    /// A text with this spacing; nil if that has more than `limit` bytes.
    ///
    /// - Parameter text: JSON that was parsed, so that it nests no deeper than its reader allows.
    func apply(_ text: [UInt8], limit: Int) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(min(limit, text.count + text.count / 4))
        var depth = 0
        func breakLine() {
            guard let indentation else { return }
            result.append(0x0A)
            for _ in 0..<depth { result.append(contentsOf: indentation) }
        }
        var index = 0
        while index < text.count {
            guard result.count <= limit else { return nil }
            let byte = text[index]
            index += 1
            switch byte {
            case UInt8(ascii: "\""):
                result.append(byte)
                while index < text.count {
                    let character = text[index]
                    result.append(character)
                    index += 1
                    if character == UInt8(ascii: "\"") { break }
                    guard character == UInt8(ascii: "\\"), index < text.count else { continue }
                    result.append(text[index])
                    index += 1
                }
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                result.append(byte)
                let next = text[index...].firstIndex { !EvidenceRecognition.isSpace($0) } ?? text.count
                // Nothing stands in an empty pair.
                if next < text.count, text[next] == byte + 2 {
                    result.append(text[next])
                    index = next + 1
                } else {
                    depth += 1
                    breakLine()
                }
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                depth = max(0, depth - 1)
                breakLine()
                result.append(byte)
            case UInt8(ascii: ","):
                result.append(byte)
                if self == .spaced { result.append(0x20) }
                breakLine()
            case UInt8(ascii: ":"):
                result.append(byte)
                if self != .compact { result.append(0x20) }
            default:
                if !EvidenceRecognition.isSpace(byte) { result.append(byte) }
            }
        }
        return result
    }
}
