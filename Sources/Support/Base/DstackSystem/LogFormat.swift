import DstackEncoding

/// How a log line is written. All forms carry the same fields in the same order: time, level, component, message, then
/// those of the event.
package enum LogFormat: String, Sendable, CaseIterable {
    /// `time=2025-03-01T12:00:00.000Z level=info component=gateway message="listening" port=443`
    case text
    /// One object: `{"time":"…","level":"info","component":"gateway","message":"listening","port":443}`
    case json
    /// For a person: `12:00:00.000 info  gateway: listening port=443`, in colour.
    case terminal
}

/// An event, as it goes into a line.
struct LogEvent {
    let unixMilliseconds: Int64
    let level: LogLevel
    let component: String
    let message: String
    let fields: [(key: String, value: LogValue)]

    func line(_ format: LogFormat) -> String {
        switch format {
        case .text: textLine
        case .json: jsonLine
        case .terminal: terminalLine
        }
    }

    private var time: String {
        let part = unixMilliseconds % 1_000
        return RFC3339.format(wholeSeconds(unixMilliseconds), milliseconds: Int(part < 0 ? part + 1_000 : part))
    }

    private var textLine: String {
        var line = "time=\(time) level=\(level.name) component=\(Self.bare(component)) message="
        line += SafeText.quoted(message)
        appendFields(to: &line)
        return line + "\n"
    }

    private var terminalLine: String {
        let color =
            switch level {
            case .trace, .debug: "2"
            case .info: "32"
            case .warn: "33"
            case .error: "31"
            }
        let padded = level.name + String(repeating: " ", count: 5 - level.name.count)
        let clock = time.dropFirst(time.utf8.count - 13).dropLast()
        var line = "\(clock) \u{1b}[\(color)m\(padded)\u{1b}[0m \(SafeText.line(component)): \(SafeText.line(message))"
        appendFields(to: &line)
        return line + "\n"
    }

    private var jsonLine: String {
        var line = "{\"time\":\"\(time)\",\"level\":\"\(level.name)\",\"component\":"
        line += Self.jsonText(component)
        line += ",\"message\":"
        line += Self.jsonText(message)
        for (key, value) in fields {
            line += ","
            line += Self.jsonText(key)
            line += ":"
            line += Self.json(value)
        }
        return line + "}\n"
    }

    private func appendFields(to line: inout String) {
        for (key, value) in fields {
            line += " \(key)="
            switch value {
            case .text(let text): line += Self.bare(text)
            case .integer(let number): line += "\(number)"
            case .number(let number): line += "\(number)"
            case .boolean(let flag): line += "\(flag)"
            case .null: line += "null"
            }
        }
    }

    /// As it is, where that cannot be misread; else in quotes.
    private static func bare(_ text: String) -> String {
        let isBare = text.utf8.allSatisfy { 0x21..<0x7F ~= $0 && $0 != 0x22 && $0 != 0x3D && $0 != 0x5C }
        return isBare && !text.isEmpty && text.utf8.count <= 4_096 ? text : SafeText.quoted(text)
    }

    private static func json(_ value: LogValue) -> String {
        switch value {
        case .text(let text): jsonText(text)
        case .integer(let number): "\(number)"
        // JSON has no infinities.
        case .number(let number): number.isFinite ? "\(number)" : "\"\(number)\""
        case .boolean(let flag): "\(flag)"
        case .null: "null"
        }
    }

    /// The same characters are escaped as in text, in JSON's way, so that showing a line on a terminal is safe too.
    private static func jsonText(_ text: String) -> String {
        var result = "\""
        var shown = 0
        for scalar in text.unicodeScalars {
            guard shown < 4_096 else {
                result += "… (\(text.unicodeScalars.count - shown) characters more)"
                break
            }
            shown += 1
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where SafeText.isPlain(scalar): result.unicodeScalars.append(scalar)
            default:
                for unit in UTF16.encode(scalar) ?? UTF16.encodedReplacementCharacter {
                    let digits = String(unit, radix: 16)
                    result += "\\u" + String(repeating: "0", count: 4 - digits.utf8.count) + digits
                }
            }
        }
        return result + "\""
    }
}
