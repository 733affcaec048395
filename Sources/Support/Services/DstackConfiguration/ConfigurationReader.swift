import DstackSystem

/// Takes the values of one table by their keys, and knows in the end which keys nobody took.
///
/// No method throws: what is wrong is noted and a stand-in returned, so that one run finds everything. That is why a
/// reader only exists inside ``Configuration/read(unknownKeys:_:)``.
package struct ConfigurationReader {
    private let members: [String: ConfigurationNode]
    private let origin: ConfigurationOrigin?
    /// Dotted, empty for the whole configuration.
    private let path: String
    private let record: Record

    init(_ root: ConfigurationNode) {
        self.init(root, path: "", record: Record())
    }

    private init(_ node: ConfigurationNode?, path: String, record: Record) {
        members = node?.table ?? [:]
        origin = node?.origin
        self.path = path
        self.record = record
        record.tables.append((path, members))
    }

    // MARK: Values

    /// The value of a key that must be there.
    package func value<Value>(_ key: String, _ type: ConfigurationType<Value>) -> Value {
        guard let node = take(key) else {
            complainMissing(key, type.expectation)
            return type.standIn
        }
        return decode(node, type, path(of: key)) ?? type.standIn
    }

    /// The value of a key, or another one where the key is not there.
    package func value<Value>(_ key: String, _ type: ConfigurationType<Value>, default other: Value) -> Value {
        guard let node = take(key) else { return other }
        return decode(node, type, path(of: key)) ?? other
    }

    /// The value of a key, if it is there.
    package func optional<Value>(_ key: String, _ type: ConfigurationType<Value>) -> Value? {
        take(key).flatMap { decode($0, type, path(of: key)) }
    }

    /// The elements of an array; none where the key is not there.
    package func values<Value>(_ key: String, _ type: ConfigurationType<Value>) -> [Value] {
        elements(key, of: "an array, each element being \(type.expectation)").compactMap { path, node in
            decode(node, type, path)
        }
    }

    /// The elements of an array, which must have some, or a single value in place of an array of one; none where the key is
    /// not there.
    package func oneOrMore<Value>(_ key: String, _ type: ConfigurationType<Value>) -> [Value] {
        guard let node = take(key) else { return [] }
        guard case .array(let elements) = node.value else {
            return decode(node, type, path(of: key)).map { [$0] } ?? []
        }
        if elements.isEmpty {
            add(node.origin, path(of: key), "an empty list names nothing: expected \(type.expectation), one at least")
        }
        return values(key, type)
    }

    /// The keys and values of a table whose keys are free; empty where it is not there.
    package func dictionary<Value>(_ key: String, _ type: ConfigurationType<Value>) -> [String: Value] {
        guard let node = take(key) else { return [:] }
        guard let entries = node.table else {
            complain(node, path(of: key), "a table, each value being \(type.expectation)", isSecret: true)
            return [:]
        }
        var values = [String: Value]()
        for (name, entry) in entries {
            values[name] = decode(entry, type, "\(path(of: key)).\(Self.written(name))")
        }
        return values
    }

    // MARK: Tables

    /// A nested table. Where it is not there, its required keys are missing and the others have their defaults.
    package func table<Result>(_ key: String, _ make: (ConfigurationReader) -> Result) -> Result {
        make(ConfigurationReader(takeTable(key), path: path(of: key), record: record))
    }

    /// A nested table, if it is there.
    package func optionalTable<Result>(_ key: String, _ make: (ConfigurationReader) -> Result) -> Result? {
        guard let node = takeTable(key) else { return nil }
        return make(ConfigurationReader(node, path: path(of: key), record: record))
    }

    /// The tables of an array (`[[peer]]`), in order; none where the key is not there.
    package func tables<Result>(_ key: String, _ make: (ConfigurationReader) -> Result) -> [Result] {
        elements(key, of: "an array of tables").compactMap { path, node in
            guard node.table != nil else {
                complain(node, path, "a table", isSecret: true)
                return nil
            }
            return make(ConfigurationReader(node, path: path, record: record))
        }
    }

    // MARK: Keys

    /// Whether a key is there. To ask is not to take it.
    package func has(_ key: String) -> Bool {
        record.known[path, default: []].insert(key)
        return present(key) != nil
    }

    /// Refuses null for keys that restrict something: whoever wrote it may have meant a restriction, and taking it for
    /// nothing would lift that.
    package func refuseNull(_ keys: String...) {
        for key in keys {
            guard let node = members[key] else { continue }
            let origin: ConfigurationOrigin?
            if case .null = node.value { origin = node.origin } else { origin = node.nullOrigin }
            guard let origin else { continue }
            record.known[path, default: []].insert(key)
            add(origin, path(of: key), "null restricts nothing: give a value, or leave the key out")
        }
    }

    /// Says that keys of this table restrict something: an unknown key that is most like one of them is a problem even
    /// where unknown keys are reported, because what was meant would not be in force.
    package func restricting(_ keys: String...) {
        record.restricting[path, default: []].formUnion(keys)
    }

    /// Says that this table restricts something: every unknown key in it is a problem even where unknown keys are
    /// reported.
    package func restrictsByAllKeys() {
        record.closed.insert(path)
    }

    /// Says which names restrict something wherever they stand: an unknown key of such a name, or with one in it, is a
    /// problem even where unknown keys are reported. It is a restriction in a wrong or mistyped table.
    package func restrictingAnywhere(_ names: String...) {
        record.restrictingAnywhere.formUnion(names)
    }

    /// Takes the elements of an array that restricts something: if it is there, it must not be empty.
    package func restriction<Value>(_ key: String, _ type: ConfigurationType<Value>) -> [Value] {
        restricting(key)
        refuseNull(key)
        guard let node = present(key) else {
            record.known[path, default: []].insert(key)
            return []
        }
        if case .array(let elements) = node.value, elements.isEmpty {
            add(
                node.origin, path(of: key),
                "an empty list restricts nothing: name what is allowed, or leave the key out")
        }
        return values(key, type)
    }

    /// The keys of this table that are there, with their places; for a warning. To ask is not to take them.
    package var presentKeys: [(key: String, problem: (String) -> ConfigurationProblem)] {
        members.keys.filter { present($0) != nil }.sorted().map { key in
            (
                key,
                { message in ConfigurationProblem(origin: members[key]?.origin, path: path(of: key), message: message) }
            )
        }
    }

    /// The first of some names for the same thing that is there, else the first; two at once are a problem.
    package func name(_ names: String...) -> String {
        let present = names.filter { has($0) }
        if present.count > 1, let last = present.last, let node = take(last) {
            add(node.origin, path(of: last), "is another name for \(path(of: present[0])): keep one of them")
        }
        return present.first ?? names.first ?? ""
    }

    /// Keys that have no effect here but are no mistakes either (settings of other implementations).
    ///
    /// - Returns: those that are there, for a warning.
    @discardableResult
    package func ignore(_ keys: String...) -> [ConfigurationOrigin] {
        keys.compactMap { take($0)?.origin }
    }

    /// Notes what is wrong between several values ("admin.port is the same as port").
    package func reject(_ key: String, _ message: String) {
        add(members[key]?.origin ?? origin, path(of: key), message)
    }

    /// Notes what is wrong with an environment variable that is no layer of the configuration, but stands in for a key.
    package func rejectVariable(_ name: String, _ message: String) {
        add(ConfigurationOrigin(source: "the environment variable \(name)"), "", message)
    }

    // MARK: Ending

    /// - Throws: everything that is wrong, unknown keys among it if they are refused.
    func finish(unknownKeys: Configuration.UnknownKeys) throws(ConfigurationError) {
        var problems = record.problems
        let unknown = unknownKeyProblems()
        switch unknownKeys {
        case .refused: problems += unknown.map(\.problem)
        case .reported(let report):
            problems += unknown.filter(\.restricts).map(\.problem)
            Self.sorted(unknown.filter { !$0.restricts }.map(\.problem)).forEach(report)
        }
        guard problems.isEmpty else { throw ConfigurationError(Self.sorted(problems)) }
    }

    /// - Returns: `restricts` where it is, or may well be meant as, a restriction.
    private func unknownKeyProblems() -> [(problem: ConfigurationProblem, restricts: Bool)] {
        record.tables.flatMap { path, members in
            let known = record.known[path, default: []]
            let restricting = record.restricting[path, default: []]
            let isClosed = record.closed.contains(path)
            // Of two that are equally near, the one that restricts is meant.
            let candidates = restricting.sorted() + known.subtracting(restricting).sorted()
            return members.filter { !known.contains($0.key) && $0.value.isThere }.map { key, node in
                let nearest = Suggestion.closest(to: key, among: candidates)
                let suggestion = Suggestion.closest(to: key, among: candidates.filter { members[$0] == nil }) ?? nearest
                let misplaced =
                    record.restrictingAnywhere.contains(key) ? key : node.firstName(among: record.restrictingAnywhere)
                var message = "is not a known key"
                if let suggestion {
                    message += ": did you mean \(Self.written(suggestion))?"
                } else if isClosed {
                    message += ": expected one of \(known.sorted().map(Self.written).joined(separator: ", "))"
                } else if let misplaced {
                    message += ", and \(Self.written(misplaced)) restricts nothing here: move it to the table it is for"
                }
                return (
                    ConfigurationProblem(origin: node.origin, path: Self.join(path, key), message: message),
                    isClosed || misplaced != nil
                        || [nearest, suggestion].contains { $0.map(restricting.contains) ?? false }
                )
            }
        }
    }

    /// By place; what stands nowhere comes last, in the order of reading.
    private static func sorted(_ problems: [ConfigurationProblem]) -> [ConfigurationProblem] {
        func rank(_ problem: ConfigurationProblem) -> (String, Int, Int) {
            guard let origin = problem.origin else { return ("\u{10FFFF}", 0, 0) }
            return (origin.source, origin.line ?? .max, origin.column ?? .max)
        }
        return problems.enumerated().sorted { left, right in
            let (leftRank, rightRank) = (rank(left.element), rank(right.element))
            return leftRank == rightRank ? left.offset < right.offset : leftRank < rightRank
        }.map(\.element)
    }

    // MARK: Parts

    /// What all readers of one configuration share.
    private final class Record {
        var problems = [ConfigurationProblem]()
        /// The tables that were read, with what stands in them.
        var tables = [(path: String, members: [String: ConfigurationNode])]()
        /// The keys that were asked for, by the path of their table.
        var known = [String: Set<String>]()
        /// The keys that restrict something, by the path of their table.
        var restricting = [String: Set<String>]()
        /// The paths of the tables of which every key restricts something.
        var closed = Set<String>()
        /// The names that restrict something in whatever table.
        var restrictingAnywhere = Set<String>()
    }

    private func take(_ key: String) -> ConfigurationNode? {
        record.known[path, default: []].insert(key)
        return present(key)
    }

    /// Null stands for a key that is not there.
    private func present(_ key: String) -> ConfigurationNode? {
        members[key].flatMap { $0.isThere ? $0 : nil }
    }

    private func takeTable(_ key: String) -> ConfigurationNode? {
        guard let node = take(key) else { return nil }
        guard node.table != nil else {
            complain(node, path(of: key), "a table", isSecret: true)
            return nil
        }
        return node
    }

    private func elements(_ key: String, of expectation: String) -> [(String, ConfigurationNode)] {
        guard let node = take(key) else { return [] }
        guard case .array(let elements) = node.value else {
            complain(node, path(of: key), expectation, isSecret: true)
            return []
        }
        return elements.enumerated().map { ("\(path(of: key))[\($0.offset)]", $0.element) }
    }

    private func decode<Value>(_ node: ConfigurationNode, _ type: ConfigurationType<Value>, _ path: String) -> Value? {
        if let value = type.decode(node) { return value }
        complain(node, path, type.expectation, isSecret: type.isSecret)
        return nil
    }

    private func complain(_ node: ConfigurationNode, _ path: String, _ expectation: String, isSecret: Bool) {
        add(node.origin, path, "expected \(expectation), found \(isSecret ? node.kind : node.shown)")
    }

    /// Says also which key in the table looks like the missing one: that it is unknown is the other half of the story.
    private func complainMissing(_ key: String, _ expectation: String) {
        add(origin, path(of: key), "is missing: expected \(expectation)")
    }

    private func add(_ origin: ConfigurationOrigin?, _ path: String, _ message: String) {
        record.problems.append(ConfigurationProblem(origin: origin, path: path, message: message))
    }

    private func path(of key: String) -> String { Self.join(path, key) }

    private static func join(_ path: String, _ key: String) -> String {
        path.isEmpty ? written(key) : "\(path).\(written(key))"
    }

    /// A key as TOML writes it: in quotes where it has other characters than letters, digits, `_` and `-`.
    private static func written(_ key: String) -> String {
        let isBare = key.utf8.allSatisfy { byte in
            switch byte {
            case 48...57, 65...90, 97...122, 45, 95: true
            default: false
            }
        }
        return isBare && !key.isEmpty ? key : SafeText.quoted(key, limit: 100)
    }
}

extension ConfigurationNode {
    fileprivate var isThere: Bool {
        if case .null = value { false } else { true }
    }

    /// The first, in alphabetical order, of some names that is a key in here, however deep.
    fileprivate func firstName(among names: Set<String>) -> String? {
        switch value {
        case .table(let members):
            members.keys.filter(names.contains).min()
                ?? members.values.compactMap { $0.firstName(among: names) }.min()
        case .array(let elements): elements.compactMap { $0.firstName(among: names) }.min()
        default: nil
        }
    }

    /// The kind and, where it is short to say, the value.
    fileprivate var shown: String {
        switch value {
        case .string(let text): "the string " + SafeText.quoted(text, limit: 60)
        case .integer(let number): "the integer \(number)"
        case .number(let number): "the number \(number)"
        case .boolean(let value): "\(value)"
        case .time(let text): "the date or time \(text)"
        case .table, .array, .null: kind
        }
    }
}
