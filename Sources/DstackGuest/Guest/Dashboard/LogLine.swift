/// One line of a log, as people read it.
struct LogLine: Sendable, Hashable {
    var channel: LogFrame.Channel
    /// RFC 3339, as the engine gave it.
    var time: String?
    /// Without control characters.
    var text: String
}

/// Puts the pieces of a log with timestamps together to lines.
struct LogLineCollector: Sendable {
    private var lines: [LogLine] = []
    private var pending: [LogFrame.Channel: String] = [:]
    private var texts: [LogFrame.Channel: LossyText] = [:]
    private var filters: [LogFrame.Channel: TerminalFilter] = [:]

    mutating func add(_ frame: LogFrame) {
        let decoded = texts[frame.channel, default: LossyText()].decode(frame.bytes)
        let plain = filters[frame.channel, default: TerminalFilter()].plain(decoded)
        var rest = pending.removeValue(forKey: frame.channel).map { $0 + plain } ?? plain
        while let end = rest.firstIndex(of: "\n") {
            lines.append(Self.line(frame.channel, rest[..<end]))
            rest = String(rest[rest.index(after: end)...])
        }
        if !rest.isEmpty { pending[frame.channel] = rest }
    }

    mutating func finish() -> [LogLine] {
        for (channel, rest) in pending { lines.append(Self.line(channel, rest[...])) }
        pending = [:]
        return lines
    }

    private static func line(_ channel: LogFrame.Channel, _ text: Substring) -> LogLine {
        guard let space = text.firstIndex(of: " "), isTime(text[..<space]) else {
            // The engine puts a space after the time also where the line is empty.
            return isTime(text)
                ? LogLine(channel: channel, time: String(text), text: "")
                : LogLine(channel: channel, time: nil, text: String(text))
        }
        return LogLine(channel: channel, time: String(text[..<space]), text: String(text[text.index(after: space)...]))
    }

    /// Whether a word looks like `2026-11-21T16:44:27.949138893Z`.
    private static func isTime(_ word: Substring) -> Bool {
        let bytes = Array(word.utf8)
        guard 20...35 ~= bytes.count, bytes[4] == 0x2D, bytes[7] == 0x2D, bytes[10] == 0x54, bytes[13] == 0x3A else {
            return false
        }
        return bytes[..<4].allSatisfy { 0x30...0x39 ~= $0 }
    }
}
