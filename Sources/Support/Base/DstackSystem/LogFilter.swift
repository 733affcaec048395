/// How much an event matters.
package enum LogLevel: UInt8, Sendable, Comparable, CaseIterable {
    /// Every step, for finding a fault.
    case trace
    /// Decisions and their reasons.
    case debug
    /// What an operator wants to see of a healthy service.
    case info
    /// Something is wrong, and was dealt with.
    case warn
    /// Something is wrong, and somebody was not served.
    case error

    package static func < (left: LogLevel, right: LogLevel) -> Bool { left.rawValue < right.rawValue }

    /// The name in lower case, as filters and log lines have it.
    package var name: String {
        switch self {
        case .trace: "trace"
        case .debug: "debug"
        case .info: "info"
        case .warn: "warn"
        case .error: "error"
        }
    }

    init?(name: some StringProtocol) {
        let name = name.lowercased() == "warning" ? "warn" : name.lowercased()
        guard let level = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = level
    }
}

/// Which events are logged: `info`, or `info,gateway=debug,gateway.acme=trace,http=off`.
///
/// A level alone is for all components; `component=level` is for that one and those below it (`gateway.acme` is below
/// `gateway`), and the longest name wins.
package struct LogFilter: Sendable, Equatable {
    /// The least level that is logged; nil for nothing at all.
    private var general: LogLevel?
    private var components: [String: LogLevel?]

    /// From a level on, for all components.
    package init(from level: LogLevel?) {
        general = level
        components = [:]
    }

    /// Reads a filter. What it does not mention is logged from `info` on.
    ///
    /// - Throws: ``InvalidLogFilter``.
    package init(parsing text: String) throws(InvalidLogFilter) {
        self.init(from: .info)
        for part in text.split(separator: ",").map({ $0.filter { $0 != " " } }) where !part.isEmpty {
            let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let level: LogLevel?
            if sides.last?.lowercased() == "off" {
                level = nil
            } else if let known = sides.last.flatMap({ LogLevel(name: $0) }) {
                level = known
            } else {
                throw InvalidLogFilter(part: part)
            }
            if sides.count == 1 {
                general = level
            } else if let component = sides.first, !component.isEmpty {
                components[String(component)] = .some(level)
            } else {
                throw InvalidLogFilter(part: part)
            }
        }
    }

    /// The least level that a component logs; nil for none.
    package func threshold(of component: String) -> LogLevel? {
        guard !components.isEmpty else { return general }
        var name = component[...]
        while true {
            if let level = components[String(name)] { return level }
            guard let dot = name.lastIndex(of: ".") else { return general }
            name = name[..<dot]
        }
    }

    /// The least level that any component logs.
    var lowestThreshold: LogLevel? {
        ([general] + components.values).compactMap { $0 }.min()
    }
}

/// A log filter that was not understood.
package struct InvalidLogFilter: Error, Equatable, CustomStringConvertible {
    /// The part between two commas that is wrong.
    package let part: String

    package var description: String {
        "\(SafeText.quoted(part, limit: 100)) is no log filter: it needs a level (trace, debug, info, warn, error, "
            + "off) or component=level"
    }
}
