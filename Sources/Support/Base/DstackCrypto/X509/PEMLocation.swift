import DstackEncoding
import Glibc

/// A PEM block found in a text: where its base64 stands, not yet decoded.
struct PEMLocation {
    let label: String
    /// The characters between the two dashed lines.
    let body: Range<Int>
    /// First byte after the block.
    let end: Int

    private static let begin: StaticString = "-----BEGIN "
    private static let finish: StaticString = "-----END "
    private static let dashes: StaticString = "-----"
    /// Longest label accepted; the longest in use has 25 characters.
    private static let longestLabel = 64

    /// The first block that begins at `start` or later; nil if there is none. Dashes are looked for rather than lines,
    /// so that any line end will do and blocks glued together without one are read too.
    static func next(in text: RawSpan, from start: Int) throws(DecodingFailure) -> PEMLocation? {
        guard let opening = find(begin, in: text, from: start) else { return nil }
        let labelStart = opening + begin.utf8CodeUnitCount
        let furthest = labelStart + longestLabel + dashes.utf8CodeUnitCount
        let labelEnd = find(dashes, in: text, from: labelStart, to: furthest)
        guard let labelEnd, let label = label(in: text, labelStart..<labelEnd) else {
            throw DecodingFailure(.malformed, "PEM text", at: opening, "a BEGIN line without a label and five dashes")
        }
        let bodyStart = labelEnd + dashes.utf8CodeUnitCount
        guard let bodyEnd = find(dashes, in: text, from: bodyStart) else {
            throw DecodingFailure(.truncated, "PEM text", at: opening, "the block has no END line")
        }
        // The closing line has the label and the dashes of the opening one.
        let closingLabel = bodyEnd + finish.utf8CodeUnitCount
        let end = closingLabel + (bodyStart - labelStart)
        guard end <= text.byteCount, find(finish, in: text, from: bodyEnd, to: closingLabel) != nil,
            text.extracting(closingLabel..<end).hasSameBytes(as: text.extracting(labelStart..<bodyStart))
        else {
            throw DecodingFailure(.malformed, "PEM text", at: bodyEnd, "the block must end as it began, with its label")
        }
        return PEMLocation(label: label, body: bodyStart..<bodyEnd, end: end)
    }

    private static func label(in text: RawSpan, _ range: Range<Int>) -> String? {
        for index in range {
            switch text.unsafeLoad(fromByteOffset: index, as: UInt8.self) {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"): continue
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: " "): continue
            default: return nil
            }
        }
        return text.extracting(range).withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
    }

    private static func find(_ needle: StaticString, in text: RawSpan, from start: Int, to end: Int? = nil) -> Int? {
        let end = min(end ?? text.byteCount, text.byteCount)
        let count = needle.utf8CodeUnitCount
        return text.withUnsafeBytes { text in
            guard let base = text.baseAddress else { return nil }
            var position = start
            while position + count <= end {
                let room = end - count + 1 - position
                guard let hit = memchr(base + position, Int32(needle.utf8Start[0]), room) else { return nil }
                position = base.distance(to: UnsafeRawPointer(hit))
                if memcmp(hit, needle.utf8Start, count) == 0 { return position }
                position += 1
            }
            return nil
        }
    }
}

// MARK: - Base64

extension PEMLocation {
    /// More bytes than the body can stand for.
    var longestContent: Int { body.count / 4 * 3 + 3 }

    /// How decoding a body ended: how many bytes it gave, and what was wrong with it if anything was.
    struct DecodedEnd {
        let count: Int
        let failure: DecodingFailure?

        func check() throws(DecodingFailure) {
            if let failure { throw failure }
        }
    }

    /// Writes the content: base64 with exact padding, broken into lines anyhow.
    ///
    /// - Parameter buffer: at least ``longestContent`` bytes.
    func decode(_ text: RawSpan, into buffer: UnsafeMutableRawBufferPointer) -> DecodedEnd {
        text.extracting(body).withUnsafeBytes { text in decode(text, into: buffer) { PEM.value(of: $0) } }
    }

    /// The same for what is no secret: certificates come by the thousand, and a table is several times as fast as
    /// arithmetic that tells nothing by its time.
    func decodePublic(_ text: RawSpan, into buffer: UnsafeMutableRawBufferPointer) -> DecodedEnd {
        Self.digitValues.withUnsafeBufferPointer { values in
            text.extracting(body).withUnsafeBytes { text in
                // In bounds: there is a value for each byte.
                decode(text, into: buffer) { Int32(values[Int($0)]) }
            }
        }
    }

    /// ``PEM/value(of:)`` of each byte.
    private static let digitValues: [Int8] = (0...255).map { Int8(truncatingIfNeeded: PEM.value(of: UInt8($0))) }

    @inline(__always)
    private func decode(
        _ text: UnsafeRawBufferPointer, into buffer: UnsafeMutableRawBufferPointer, value: (UInt8) -> Int32
    ) -> DecodedEnd {
        var written = 0
        var position = 0
        var digits = 0
        var padding = 0
        var bits: Int32 = 0
        while position < text.count {
            // Four digits at a time, as long as they come; `|` keeps the sign of whichever is none.
            while digits == 0, padding == 0, position + 4 <= text.count, written + 3 <= buffer.count {
                let values = (
                    value(text[position]), value(text[position + 1]),
                    value(text[position + 2]), value(text[position + 3])
                )
                guard values.0 | values.1 | values.2 | values.3 >= 0 else { break }
                let group = values.0 << 18 | values.1 << 12 | values.2 << 6 | values.3
                buffer[written] = UInt8(truncatingIfNeeded: group >> 16)
                buffer[written + 1] = UInt8(truncatingIfNeeded: group >> 8)
                buffer[written + 2] = UInt8(truncatingIfNeeded: group)
                written += 3
                position += 4
            }
            guard position < text.count else { break }
            let character = text[position]
            position += 1
            if character == 0x20 || (0x09...0x0D).contains(character) { continue }
            if character == UInt8(ascii: "="), padding < 2, digits + padding >= 2 {
                padding += 1
                continue
            }
            let digit = value(character)
            guard digit >= 0, padding == 0 else {
                return end(written, position - 1, "not base64 at this character (headers are not supported)")
            }
            bits = bits << 6 | digit
            digits += 1
            if digits == 4, written + 3 <= buffer.count {
                for shift: Int32 in [16, 8, 0] {
                    buffer[written] = UInt8(truncatingIfNeeded: bits >> shift)
                    written += 1
                }
                digits = 0
                bits = 0
            }
        }
        guard digits + padding == (digits == 0 ? 0 : 4) else {
            return end(written, text.count, "the base64 is cut off or badly padded")
        }
        if digits > 0 {
            // Two digits carry one byte and four bits, three carry two bytes and two bits. Unused bits that are not zero
            // would give one content several texts.
            let unused: Int32 = digits == 2 ? 4 : 2
            guard bits & (1 << unused - 1) == 0 else {
                return end(written, text.count, "the last base64 digit has bits that mean nothing")
            }
            for index in (0..<Int32(digits - 1)).reversed() where written < buffer.count {
                buffer[written] = UInt8(truncatingIfNeeded: bits >> (unused + 8 * index))
                written += 1
            }
        }
        return DecodedEnd(count: written, failure: nil)
    }

    private func end(_ count: Int, _ position: Int, _ reason: String) -> DecodedEnd {
        DecodedEnd(
            count: count, failure: DecodingFailure(.malformed, "PEM text", at: body.lowerBound + position, reason))
    }
}
