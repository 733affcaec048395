import DstackEncoding

/// A well-formed PEM block found in a text: where its base64 stands, not yet decoded.
struct PEMLocation {
    let label: String
    /// The characters between the two dashed lines.
    let body: Range<Int>
    /// First byte after the block.
    let end: Int
    let decodedCount: Int

    private static let begin = [UInt8]("-----BEGIN ".utf8)
    private static let finish = [UInt8]("-----END ".utf8)
    private static let dashes = [UInt8]("-----".utf8)
    /// Longest label accepted; the longest in use has 25 characters.
    private static let longestLabel = 64

    /// The first block that begins at `start` or later; nil if there is none. Dashes are looked for rather than lines,
    /// so that any line end will do and blocks glued together without one are read too.
    static func next(in text: RawSpan, from start: Int) throws(DecodingFailure) -> PEMLocation? {
        guard let opening = find(begin, in: text, from: start) else { return nil }
        let labelStart = opening + begin.count
        let labelEnd = find(dashes, in: text, from: labelStart, to: labelStart + longestLabel + dashes.count)
        guard let labelEnd, let label = label(in: text, labelStart..<labelEnd) else {
            throw DecodingFailure(.malformed, "PEM text", at: opening, "a BEGIN line without a label and five dashes")
        }
        let bodyStart = labelEnd + dashes.count
        guard let bodyEnd = find(dashes, in: text, from: bodyStart) else {
            throw DecodingFailure(.truncated, "PEM text", at: opening, "the block has no END line")
        }
        let closing = finish + label.utf8 + dashes
        guard matches(closing, in: text, at: bodyEnd) else {
            throw DecodingFailure(.malformed, "PEM text", at: bodyEnd, "the block must end as it began, with its label")
        }
        let body = bodyStart..<bodyEnd
        return PEMLocation(
            label: label, body: body, end: bodyEnd + closing.count, decodedCount: try measure(text, body))
    }

    /// Writes the content and returns how many bytes there are.
    func decode(_ text: RawSpan, into buffer: UnsafeMutableRawBufferPointer) -> Int {
        var written = 0
        var bits: UInt32 = 0
        var held = 0
        for index in body {
            let value = PEM.value(of: text.unsafeLoad(fromByteOffset: index, as: UInt8.self))
            guard value >= 0 else { continue }  // white space and padding; nothing else is left
            bits = (bits << 6 | UInt32(value)) & 0xFFFF
            held += 6
            if held >= 8, written < buffer.count {
                held -= 8
                buffer[written] = UInt8(truncatingIfNeeded: bits >> UInt32(held))
                written += 1
            }
        }
        return written
    }

    /// Checks that the body is base64 with exact padding, broken into lines anyhow, and counts the bytes it stands for.
    private static func measure(_ text: RawSpan, _ body: Range<Int>) throws(DecodingFailure) -> Int {
        var digits = 0
        var padding = 0
        var last: Int32 = 0
        for index in body {
            let character = text.unsafeLoad(fromByteOffset: index, as: UInt8.self)
            if isSpace(character) { continue }
            if character == UInt8(ascii: "="), padding < 2 {
                padding += 1
                continue
            }
            let value = PEM.value(of: character)
            guard value >= 0, padding == 0 else {
                throw DecodingFailure(
                    .malformed, "PEM text", at: index,
                    "not base64 at this character (headers of encrypted keys are not supported)")
            }
            digits += 1
            last = value
        }
        // Unused bits that are not zero would give one content several texts.
        let unused: Int32 = padding == 2 ? 15 : padding == 1 ? 3 : 0
        guard (digits + padding).isMultiple(of: 4), last & unused == 0 else {
            throw DecodingFailure(.malformed, "PEM text", at: body.upperBound, "the base64 is cut off or badly padded")
        }
        return digits * 6 / 8
    }

    private static func isSpace(_ character: UInt8) -> Bool {
        character == 0x20 || (0x09...0x0D).contains(character)
    }

    private static func label(in text: RawSpan, _ range: Range<Int>) -> String? {
        let bytes = [UInt8](copying: text.extracting(range))
        let isPlain = bytes.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): true
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: " "): true
            default: false
            }
        }
        return isPlain ? String(decoding: bytes, as: UTF8.self) : nil
    }

    private static func find(_ needle: [UInt8], in text: RawSpan, from start: Int, to end: Int? = nil) -> Int? {
        let last = min(end ?? text.byteCount, text.byteCount) - needle.count
        var position = start
        while position <= last {
            if matches(needle, in: text, at: position) { return position }
            position += 1
        }
        return nil
    }

    private static func matches(_ needle: [UInt8], in text: RawSpan, at start: Int) -> Bool {
        guard start + needle.count <= text.byteCount else { return false }
        for index in needle.indices
        where text.unsafeLoad(fromByteOffset: start + index, as: UInt8.self) != needle[index] {
            return false
        }
        return true
    }
}
