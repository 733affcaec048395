import DstackSystem

/// The help text of a command: an example first, then how it is called, then everything it takes.
struct Help {
    private let path: [Command]
    private let width: Int
    private let ellipsis: String
    private let style: TextStyle

    /// - Parameter path: the command, last, with those above it.
    init(path: [Command], terminal: Terminal) {
        self.path = path
        width = min(terminal.width, 100)
        ellipsis = terminal.isUnicode ? "…" : "..."
        style = TextStyle(usesColor: terminal.usesColor)
    }

    private var command: Command { path[path.count - 1] }

    private var title: String { path.map(\.name).joined(separator: " ") }

    var text: String {
        // Coloured after the lines are known: colours have no width.
        var head = wrap("\(title): \(command.summary)", first: "", rest: "  ")
        if head[0].hasPrefix(title) { head[0] = style.bold(title) + head[0].dropFirst(title.count) }
        var sections = [head]
        if !command.examples.isEmpty {
            sections.append(
                [style.bold(command.examples.count == 1 ? "Example" : "Examples")] + command.examples.map { "  " + $0 })
        }
        sections.append([style.bold("Usage")] + usage)
        if !command.subcommands.isEmpty || !builtInCommands.isEmpty {
            sections.append(
                [style.bold("Commands")] + table(command.subcommands.map { ($0.name, $0.summary) } + builtInCommands))
        }
        let options = command.arguments.filter { $0.kind != .positional }
        if !command.positionals.isEmpty {
            sections.append([style.bold("Arguments")] + table(command.positionals.map(row)))
        }
        if !options.isEmpty {
            sections.append([style.bold("Options")] + table(options.map(row)))
        }
        let shared = path.flatMap(\.shared).map(row) + builtInOptions
        sections.append([style.bold(options.isEmpty ? "Options" : "General options")] + table(shared))
        for note in command.allNotes { sections.append(wrap(note, first: "", rest: "")) }
        sections.append([style.bold("Exit status")] + table(command.exitStatuses))
        return sections.map { $0.joined(separator: "\n") }.joined(separator: "\n\n") + "\n"
    }

    // MARK: Usage

    var usage: [String] { calls.flatMap { wrap(words: $0, first: "  ", rest: "      ") } }

    /// How it is called, each way as the words that no line is broken within.
    var calls: [[String]] {
        var calls = [[String]]()
        if command.action != nil || command.subcommands.isEmpty { calls.append([title] + usageWords) }
        if !command.subcommands.isEmpty {
            calls.append([title] + path.flatMap(\.shared).map { "[\($0.usage)]" } + ["COMMAND", "[options]"])
        }
        return calls
    }

    /// Options first, alternatives together where the first of them stands, then positional arguments.
    private var usageWords: [String] {
        var words = [String]()
        var shown = Set<String>()
        let all = command.arguments.filter { $0.kind != .positional } + command.positionals
        for specification in path.flatMap(\.shared) + all where !shown.contains(specification.name) {
            let rule = command.rules.first { rule in
                (rule.kind == .exactlyOne || rule.kind == .atMostOne)
                    && rule.members.contains { $0.name == specification.name }
                    && !rule.members.contains { shown.contains($0.name) }
            }
            guard let rule else {
                shown.insert(specification.name)
                words.append(usageWord(specification))
                continue
            }
            shown.formUnion(rule.members.map(\.name))
            // Alternatives may stand on several lines.
            let (open, close) = rule.kind == .exactlyOne ? ("(", ")") : ("[", "]")
            for (index, member) in rule.members.enumerated() {
                let isLast = index == rule.members.count - 1
                words.append((index == 0 ? open : "") + member.usage + (isLast ? close : " |"))
            }
        }
        return words
    }

    private func usageWord(_ specification: ArgumentSpecification) -> String {
        let word = specification.usage + (specification.isRepeated ? " \(ellipsis)" : "")
        return specification.isRequired ? word : "[\(word)]"
    }

    // MARK: Rows

    func row(_ specification: ArgumentSpecification) -> (String, String) {
        var left = specification.usage
        if let short = specification.short { left = "-\(short), " + left }
        var facts = [String]()
        if specification.kind != .positional, specification.isRequired { facts.append("required") }
        if specification.isRepeated { facts.append("may be repeated") }
        if let text = specification.defaultText { facts.append("default: \(text)") }
        if let variable = specification.environment { facts.append("or \(variable)") }
        return (left, specification.help + (facts.isEmpty ? "" : " (\(facts.joined(separator: "; ")))"))
    }

    private var builtInOptions: [(String, String)] {
        [
            row(Flag.quiet.specification), ("-h, --help", "show this help"),
            ("--version", BuiltInCommand.version.summary),
        ]
    }

    private var builtInCommands: [(String, String)] {
        guard path.count == 1 else { return [] }
        return BuiltInCommand.of(path[0]).map { ($0.rawValue, $0.summary) }
    }

    /// Two columns; what is too long for the left one gets a line of its own.
    private func table(_ rows: [(left: String, right: String)]) -> [String] {
        let column = min(28, 4 + (rows.map(\.left.count).max() ?? 0))
        let indentation = String(repeating: " ", count: column)
        return rows.flatMap { left, right in
            if left.count + 4 > column {
                return ["  " + left] + wrap(right, first: indentation, rest: indentation)
            }
            let padding = String(repeating: " ", count: column - 2 - left.count)
            return wrap(right, first: "  " + left + padding, rest: indentation)
        }
    }

    private func wrap(_ text: String, first: String, rest: String) -> [String] {
        Lines.wrapped(text, first: first, rest: rest, width: width)
    }

    private func wrap(words: [String], first: String, rest: String) -> [String] {
        Lines.wrapped(words: words, first: first, rest: rest, width: width)
    }
}

extension Command {
    /// The notes, with what follows from the declarations.
    var allNotes: [String] {
        arguments.contains { $0.isInput }
            ? notes + ["`-` in place of a file stands for standard input, for one of them."] : notes
    }

    /// What the exit statuses mean, in order.
    var exitStatuses: [(String, String)] {
        [
            (ExitStatus.done, "yes, or done"), (.no, "no, with the reason"),
            (.wrongRequest, "the request or the configuration is wrong"),
            (.worldFailed, "the world failed (network, disk, peer)"),
        ].map { status, meaning in ("\(status.rawValue)", statuses[status] ?? meaning) }
    }
}
