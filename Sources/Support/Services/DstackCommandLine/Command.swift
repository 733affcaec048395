package import DstackSystem

/// A command of a shell, or the shell itself: what it is called, what it takes, what it does.
///
/// ```swift
/// let quote = Option(required: "quote", .file, "the quote, binary or hexadecimal")
/// let json = Flag("json", "print one JSON object")
///
/// let parse = Command(
///     "parse", "show the fields of a quote", examples: ["dstack-verifier parse --quote q.bin"],
///     arguments: [quote, json]
/// ) { arguments, console in
///     let bytes = try File.read(arguments[quote], limit: 1 << 20)
///     …
///     return .done
/// }
/// ```
package struct Command: Sendable {
    package typealias Action = @Sendable (Arguments, Console) async throws -> ExitStatus

    package let name: String
    /// One line, lower-case, without a full stop.
    package let summary: String
    /// Whole command lines that work; help shows them first.
    package let examples: [String]
    /// More to know, as paragraphs; shown at the end of help.
    package let notes: [String]
    /// Arguments of this command alone.
    package let arguments: [ArgumentSpecification]
    /// Options that are understood by this command and all below it.
    package let shared: [ArgumentSpecification]
    /// What its exit statuses mean, where that can be said better than ``ExitStatus`` does.
    package let statuses: [ExitStatus: String]
    package let rules: [ArgumentRule]
    package let subcommands: [Command]
    let action: Action?

    /// A command that does something.
    package init(
        _ name: String, _ summary: String, examples: [String], notes: [String] = [],
        arguments: [any ArgumentDeclaration] = [], shared: [any ArgumentDeclaration] = [],
        rules: [ArgumentRule] = [], statuses: [ExitStatus: String] = [:], subcommands: [Command] = [],
        run action: @escaping Action
    ) {
        self.init(name, summary, examples, notes, arguments, shared, rules, statuses, subcommands, action)
    }

    /// A command that only groups others.
    package init(
        _ name: String, _ summary: String, examples: [String], notes: [String] = [],
        shared: [any ArgumentDeclaration] = [], subcommands: [Command]
    ) {
        self.init(name, summary, examples, notes, [], shared, [], [:], subcommands, nil)
    }

    private init(
        _ name: String, _ summary: String, _ examples: [String], _ notes: [String],
        _ arguments: [any ArgumentDeclaration], _ shared: [any ArgumentDeclaration], _ rules: [ArgumentRule],
        _ statuses: [ExitStatus: String], _ subcommands: [Command], _ action: Action?
    ) {
        self.name = name
        self.summary = summary
        self.examples = examples
        self.notes = notes
        self.arguments = arguments.map(\.specification)
        self.shared = shared.map(\.specification)
        self.rules = rules
        self.statuses = statuses
        self.subcommands = subcommands
        self.action = action
    }

    var positionals: [ArgumentSpecification] { arguments.filter { $0.kind == .positional } }

    func subcommand(_ name: String) -> Command? { subcommands.first { $0.name == name } }

    /// Mistakes in the declarations, of this command and all below; a shell's tests expect none.
    package var mistakes: [String] { mistakes(path: [], inherited: []) }

    private func mistakes(path: [String], inherited: [ArgumentSpecification]) -> [String] {
        let path = path + [name]
        let title = path.joined(separator: " ")
        let scope = inherited + shared
        let all = scope + arguments
        var mistakes = [String]()
        if examples.isEmpty { mistakes.append("\(title): has no example") }
        var names = Set<String>()
        for specification in all where !names.insert(specification.name).inserted {
            mistakes.append("\(title): \(specification.label) is declared twice")
        }
        var letters: Set<Character> = ["h", "q"]
        for letter in all.compactMap(\.short) where !letters.insert(letter).inserted {
            mistakes.append("\(title): -\(letter) is declared twice")
        }
        for reserved in ["help", "version", "quiet"] where names.contains(reserved) {
            mistakes.append("\(title): --\(reserved) is built in")
        }
        if shared.contains(where: { $0.kind == .positional }) {
            mistakes.append("\(title): a positional argument cannot be shared with commands below")
        }
        if !subcommands.isEmpty, !positionals.isEmpty {
            mistakes.append("\(title): has both commands and positional arguments")
        }
        for (earlier, later) in zip(positionals, positionals.dropFirst())
        where earlier.isRepeated || (!earlier.isRequired && later.isRequired) {
            mistakes.append("\(title): \(later.label) can never be reached after \(earlier.label)")
        }
        for member in rules.flatMap(\.members) where !names.contains(member.name) {
            mistakes.append("\(title): a rule names \(member.label), which is not declared")
        }
        for reserved in BuiltInCommand.allCases where path.count == 1 && subcommand(reserved.rawValue) != nil {
            mistakes.append("\(title): `\(reserved.rawValue)` is built in")
        }
        if Set(subcommands.map(\.name)).count != subcommands.count {
            mistakes.append("\(title): two commands have the same name")
        }
        return mistakes + subcommands.flatMap { $0.mistakes(path: path, inherited: scope) }
    }
}
