/// A value of a configuration, with the place it comes from.
struct ConfigurationNode: Sendable {
    indirect enum Value: Sendable {
        case table([String: ConfigurationNode])
        case array([ConfigurationNode])
        case string(String)
        case integer(Int64)
        case number(Double)
        case boolean(Bool)
        /// A date, a time or both, as TOML writes it.
        case time(String)
        /// JSON's `null`: most keys take it for not being there.
        case null
    }

    var value: Value
    var origin: ConfigurationOrigin
    /// The text of an environment variable, which may be meant as text although it looks like a number.
    var raw: String?
    /// Where an upper layer has `null` for this value.
    var nullOrigin: ConfigurationOrigin?

    init(_ value: Value, _ origin: ConfigurationOrigin, raw: String? = nil) {
        self.value = value
        self.origin = origin
        self.raw = raw
    }

    var table: [String: ConfigurationNode]? {
        if case .table(let members) = value { members } else { nil }
    }

    /// Tables are merged key by key; anything else, arrays too, replaces what was there.
    /// Null is like nothing: the lower value stays, and who reads it can tell.
    func overlaid(with upper: ConfigurationNode) -> ConfigurationNode {
        if case .null = upper.value {
            var node = self
            node.nullOrigin = upper.origin
            return node
        }
        guard let lowerMembers = table, let upperMembers = upper.table else { return upper }
        let members = lowerMembers.merging(upperMembers) { lower, upper in lower.overlaid(with: upper) }
        // What is missing in the merged table is missing in the file that an operator edits.
        let isUpper = upper.origin.isDocument || !origin.isDocument
        return ConfigurationNode(.table(members), isUpper ? upper.origin : origin)
    }

    /// "an integer", for messages.
    var kind: String {
        switch value {
        case .table: "a table"
        case .array: "an array"
        case .string: "a string"
        case .integer: "an integer"
        case .number: "a number"
        case .boolean: "a boolean"
        case .time: "a date or time"
        case .null: "null"
        }
    }
}

/// Where a value stands.
package struct ConfigurationOrigin: Sendable, Equatable, CustomStringConvertible {
    /// The path of a file, or words such as "the environment variable DSTACK_X".
    package let source: String
    /// Both count from 1; nil where there are no lines or the place is not known.
    package let line: Int?
    package let column: Int?
    /// Whether an operator can write into it what is missing.
    let isDocument: Bool

    package init(source: String, line: Int? = nil, column: Int? = nil) {
        self.init(source: source, isDocument: false, line: line, column: column)
    }

    init(source: String, isDocument: Bool, line: Int? = nil, column: Int? = nil) {
        self.source = source
        self.isDocument = isDocument
        self.line = line
        self.column = column
    }

    /// `kms.toml:3:7`, as editors understand it.
    package var description: String {
        guard let line, let column else { return source }
        return "\(source):\(line):\(column)"
    }
}
