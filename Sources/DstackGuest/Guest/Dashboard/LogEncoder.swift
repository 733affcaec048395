import DstackEncoding
import DstackSystem

/// Writes pieces of a log in one of the four forms. Remembers per channel what a piece left unfinished: engines cut
/// output wherever a buffer is full, also inside characters and escape sequences.
package struct LogEncoder: Sendable {
    private let format: LogForm
    private var texts: [LogFrame.Channel: LossyText] = [:]
    private var filters: [LogFrame.Channel: TerminalFilter] = [:]

    package init(_ format: LogForm) { self.format = format }

    package mutating func encode(_ frame: LogFrame) -> [UInt8] {
        guard format.isText else {
            let base64 = Base64.encode(frame.bytes)
            return format.isBare ? Array(base64.utf8) + [0x0A] : object(frame.channel, base64)
        }
        let text = texts[frame.channel, default: LossyText()].decode(frame.bytes)
        guard format.isBare else { return object(frame.channel, text) }
        if format.keepsEscapes { return Array(text.utf8) }
        return Array(filters[frame.channel, default: TerminalFilter()].plain(text).utf8)
    }

    /// Why the log breaks off where it does, in the form of the log; nothing where the form is bare Base64, in which it would
    /// be taken for output.
    package mutating func failure(_ reason: String) -> [UInt8] {
        if format.isText, format.isBare {
            return Array("\n[dstack: the log breaks off here: \(SafeText.line(reason))]\n".utf8)
        }
        guard !format.isBare else { return [] }
        var writer = JSONWriter()
        writer.object { $0.member("error", reason) }
        return writer.bytes + [0x0A]
    }

    private func object(_ channel: LogFrame.Channel, _ message: String) -> [UInt8] {
        var writer = JSONWriter()
        writer.object {
            $0.member("channel", channel.rawValue)
            $0.member("message", message)
        }
        return writer.bytes + [0x0A]
    }
}

/// Decodes UTF-8 that comes in pieces; what is not UTF-8 becomes U+FFFD.
struct LossyText: Sendable {
    /// The beginning of a character, at most three bytes.
    private var pending: [UInt8] = []

    mutating func decode(_ bytes: [UInt8]) -> String {
        var bytes = pending + bytes
        let unfinished = Self.unfinished(bytes)
        pending = Array(bytes.suffix(unfinished))
        bytes.removeLast(unfinished)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// How many bytes at the end begin a character that the next piece may complete.
    private static func unfinished(_ bytes: [UInt8]) -> Int {
        for back in 1...3 where back <= bytes.count {
            let byte = bytes[bytes.count - back]
            switch byte {
            case 0x80...0xBF: continue
            case 0xC2...0xDF: return back < 2 ? back : 0
            case 0xE0...0xEF: return back < 3 ? back : 0
            case 0xF0...0xF4: return back < 4 ? back : 0
            default: return 0
            }
        }
        return 0
    }
}

/// Takes out what would move a terminal's cursor or colour its text: escape sequences (ECMA-48) and all control
/// characters but line feed and tab.
struct TerminalFilter: Sendable {
    private enum State: Sendable {
        case text
        /// After ESC.
        case escape
        /// After ESC and an intermediate character (0x20 to 0x2F), as for character sets.
        case intermediate
        /// After `ESC [`: parameters until a final character.
        case control
        /// After `ESC ]` and its kin: text until BEL or `ESC \`.
        case string
        /// ESC inside such a text.
        case stringEscape
    }

    private var state = State.text
    /// Characters of the sequence so far.
    private var length = 0
    /// A sequence that does not end is not one: a lone byte must not swallow the rest of a log.
    private static let longest = 4_096

    mutating func plain(_ text: String) -> String {
        var result = String.UnicodeScalarView()
        for scalar in text.unicodeScalars where take(scalar) { result.append(scalar) }
        return String(result)
    }

    /// Whether a character is shown.
    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        if state != .text {
            length += 1
            // A line's end ends whatever was left open.
            if length > Self.longest || scalar == "\n" { state = .text }
        }
        switch state {
        case .text: return takeText(scalar)
        case .escape: escape(scalar)
        case .intermediate: if !(0x20...0x2F ~= scalar.value) { state = .text }
        case .control:
            if 0x40...0x7E ~= scalar.value { state = .text }
            if scalar == "\u{1B}" { state = .escape }
        case .string:
            if scalar == "\u{07}" || scalar == "\u{9C}" { state = .text }
            if scalar == "\u{1B}" { state = .stringEscape }
        case .stringEscape: if scalar == "\\" { state = .text } else { escape(scalar) }
        }
        return false
    }

    private mutating func takeText(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar {
        case "\n", "\t": return true
        case "\u{1B}": begin(.escape)
        case "\u{9B}": begin(.control)
        case "\u{90}", "\u{98}", "\u{9D}", "\u{9E}", "\u{9F}": begin(.string)
        default: return scalar.properties.generalCategory != .control
        }
        return false
    }

    private mutating func begin(_ next: State) {
        state = next
        length = 0
    }

    private mutating func escape(_ scalar: Unicode.Scalar) {
        switch scalar {
        case "[": state = .control
        case "]", "P", "X", "^", "_": state = .string
        case "\u{1B}": state = .escape
        case _ where 0x20...0x2F ~= scalar.value: state = .intermediate
        default: state = .text
        }
    }
}
