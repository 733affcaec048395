import DstackHTTPServer

/// The query of `/logs/<name>`.
package struct LogParameters: Sendable, Hashable {
    package var query = LogQuery()
    package var format = LogForm()

    package init() {}

    /// Why a query is refused: the status, and the text of `error` in the body.
    package struct Refusal: Error, Hashable {
        package var status: Int
        package var reason: String

        package init(status: Int, reason: String) {
            self.status = status
            self.reason = reason
        }
    }

    /// - Parameters:
    ///   - items: names and decoded values; nil where they cannot be decoded. Of a name that comes twice the last counts;
    ///     unknown names are ignored.
    ///   - now: seconds since 1970, for times that are so long ago.
    package init(_ items: [(name: String, value: String)]?, now: Int64) throws(Refusal) {
        guard let items else { throw Refusal(status: 400, reason: "Invalid query") }
        for (name, value) in items {
            switch name {
            case "since": query.since = try Self.time(value, now, "since")
            case "until": query.until = try Self.time(value, now, "until")
            case "tail": query.tail = try Self.tail(value)
            case "follow": query.follows = try Self.flag(value, name)
            case "timestamps": query.hasTimestamps = try Self.flag(value, name)
            case "text": format.isText = try Self.flag(value, name)
            case "bare": format.isBare = try Self.flag(value, name)
            case "ansi": format.keepsEscapes = try Self.flag(value, name)
            default: break
            }
        }
    }

    /// Seconds since 1970, or so many `s`, `m`, `h` or `d` ago.
    static func time(_ text: String, _ now: Int64, _ name: String) throws(Refusal) -> Int64 {
        if text.isEmpty { return 0 }
        let refusal = Refusal(status: 400, reason: "Invalid \(name)")
        let digits = text.utf8.prefix { 0x30...0x39 ~= $0 }
        guard !digits.isEmpty else { throw refusal }
        let unit = text.utf8.dropFirst(digits.count)
        let number = Int64(Substring(digits))
        if unit.isEmpty {
            guard let number else { throw refusal }
            return number
        }
        let seconds: Int64
        switch Array(unit) {
        case [UInt8(ascii: "s")]: seconds = 1
        case [UInt8(ascii: "m")]: seconds = 60
        case [UInt8(ascii: "h")]: seconds = 3_600
        case [UInt8(ascii: "d")]: seconds = 86_400
        default: throw refusal
        }
        // Longer ago than the beginning is the beginning.
        guard let number, case let (ago, overflow) = number.multipliedReportingOverflow(by: seconds), !overflow else {
            return 0
        }
        return ago >= now ? 0 : now - ago
    }

    /// `all` or a number of lines. Docker would read anything else as `all`, which is not what was meant.
    static func tail(_ text: String) throws(Refusal) -> LogQuery.Tail {
        if text == "all" { return .all }
        if text.isEmpty { return LogQuery().tail }
        guard text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), let count = Int32(text) else {
            throw Refusal(status: 400, reason: "Invalid tail")
        }
        return .last(UInt64(count))
    }

    static func flag(_ text: String, _ name: String) throws(Refusal) -> Bool {
        switch text.lowercased() {
        case "", "true", "on", "yes": return true
        case "false", "off", "no": return false
        default: throw Refusal(status: 422, reason: "Invalid \(name)")
        }
    }
}

/// How a log is written into a response.
package struct LogForm: Sendable, Hashable {
    /// As text rather than Base64.
    package var isText = false
    /// The output alone, rather than an object with its channel.
    package var isBare = false
    /// Whether bare text keeps escape sequences and control characters.
    package var keepsEscapes = false

    package init(isText: Bool = false, isBare: Bool = false, keepsEscapes: Bool = false) {
        self.isText = isText
        self.isBare = isBare
        self.keepsEscapes = keepsEscapes
    }
}
