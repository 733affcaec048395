/// Metrics in Prometheus' text format, version 0.0.4.
package struct PrometheusText: Sendable {
    package enum Kind: String, Sendable {
        case gauge
        case counter
    }

    private(set) package var text = ""

    package init() {}

    /// Begins a family: all its series follow.
    package mutating func family(_ name: StaticString, _ kind: Kind = .gauge, _ help: String) {
        text += "# HELP \(name) \(Self.escapedHelp(help))\n# TYPE \(name) \(kind.rawValue)\n"
    }

    package mutating func series(
        _ name: StaticString, _ labels: [(name: StaticString, value: String)] = [], _ value: some BinaryInteger
    ) {
        line(name, labels, "\(value)")
    }

    package mutating func series(
        _ name: StaticString, _ labels: [(name: StaticString, value: String)] = [], _ value: Double
    ) {
        line(name, labels, Self.number(value))
    }

    private mutating func line(
        _ name: StaticString, _ labels: [(name: StaticString, value: String)], _ value: String
    ) {
        text += "\(name)"
        if !labels.isEmpty {
            text += "{" + labels.map { "\($0.name)=\"\(Self.escapedLabel($0.value))\"" }.joined(separator: ",") + "}"
        }
        text += " \(value)\n"
    }

    /// Backslash, line feed and double quote are escaped.
    package static func escapedLabel(_ value: String) -> String {
        value.replacing("\\", with: "\\\\").replacing("\n", with: "\\n").replacing("\"", with: "\\\"")
    }

    private static func escapedHelp(_ value: String) -> String {
        value.replacing("\\", with: "\\\\").replacing("\n", with: "\\n")
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        return value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
    }
}
