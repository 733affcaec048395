/// Text from elsewhere, made fit for a terminal or a log line.
///
/// A peer chooses its host name, its headers and the fields of its quote. Shown as they are, they could move the
/// cursor, recolour the screen, start a new log line or run from right to left. Everything that is not plainly visible
/// becomes an escape sequence that shows what was there.
package enum SafeText {
    /// One line: line breaks are escaped too.
    ///
    /// - Parameter limit: the most characters that are shown; of what is longer only the number is told.
    package static func line(_ text: String, limit: Int = 4_096) -> String {
        escape(text, keepingLineBreaks: false, limit: limit)
    }

    /// Line feeds stay, everything else as in ``line(_:limit:)``.
    package static func lines(_ text: String, limit: Int = 65_536) -> String {
        escape(text, keepingLineBreaks: true, limit: limit)
    }

    /// Bytes that should be UTF-8 text; those that are not become `\x` and two digits.
    package static func line(bytes: some Collection<UInt8>, limit: Int = 4_096) -> String {
        var result = ""
        var shown = 0
        var decoder = UTF8.ForwardParser()
        var source = bytes.makeIterator()
        var position = 0
        decoding: while true {
            guard shown < limit else {
                result += "… (\(bytes.count - position) bytes more)"
                break
            }
            switch decoder.parseScalar(from: &source) {
            case .valid(let encoded):
                let scalar = UTF8.decode(encoded)
                append(scalar, to: &result, keepingLineBreaks: false)
                position += encoded.count
            case .error(let length):
                // The parser says how many bytes it skipped, not which: the collection still has them.
                for byte in bytes.dropFirst(position).prefix(length) { result += "\\x" + hex(UInt32(byte), 2) }
                position += length
            case .emptyInput:
                break decoding
            }
            shown += 1
        }
        return result
    }

    /// One line in double quotes, in which quotes and backslashes are escaped too: it can be read back exactly, and
    /// nothing inside can look like its end.
    package static func quoted(_ text: String, limit: Int = 4_096) -> String {
        var result = "\""
        var shown = 0
        for scalar in text.unicodeScalars {
            guard shown < limit else {
                result += "… (\(text.unicodeScalars.count - shown) characters more)"
                break
            }
            if scalar == "\"" || scalar == "\\" { result += "\\" }
            append(scalar, to: &result, keepingLineBreaks: false)
            shown += 1
        }
        return result + "\""
    }

    /// Whether a character may be shown as it is: letters, marks, digits, punctuation, symbols and the plain space.
    ///
    /// Not: controls, other separators, format characters (among them all that change the direction of text), private
    /// use, unassigned.
    package static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        if scalar.isASCII { return scalar.value >= 0x20 && scalar.value != 0x7F }
        switch scalar.properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator,
            .spaceSeparator:
            return false
        default:
            return true
        }
    }

    private static func escape(_ text: String, keepingLineBreaks: Bool, limit: Int) -> String {
        // Almost all text is short and plain ASCII, and then there is nothing to do.
        if text.utf8.count <= limit, text.utf8.allSatisfy({ 0x20..<0x7F ~= $0 }) { return text }
        var result = ""
        var shown = 0
        for scalar in text.unicodeScalars {
            guard shown < limit else {
                result += "… (\(text.unicodeScalars.count - shown) characters more)"
                break
            }
            append(scalar, to: &result, keepingLineBreaks: keepingLineBreaks)
            shown += 1
        }
        return result
    }

    private static func append(_ scalar: Unicode.Scalar, to result: inout String, keepingLineBreaks: Bool) {
        switch scalar {
        case "\n" where keepingLineBreaks: result.unicodeScalars.append(scalar)
        case "\n": result += "\\n"
        case "\r": result += "\\r"
        case "\t": result += "\\t"
        case _ where isPlain(scalar): result.unicodeScalars.append(scalar)
        default: result += "\\u{" + hex(scalar.value, 1) + "}"
        }
    }

    private static func hex(_ value: UInt32, _ width: Int) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}

extension StringProtocol {
    /// Without white space at both ends.
    package var trimmed: String {
        let start = drop { $0.isWhitespace }
        guard let end = start.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(start[...end])
    }
}
