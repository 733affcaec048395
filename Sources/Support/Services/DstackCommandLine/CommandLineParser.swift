import DstackSystem

/// What a command line asks for.
enum Invocation: Sendable {
    case run(path: [Command], Arguments)
    case help(path: [Command])
    case version(isJSON: Bool)
    case manual
    case completions(CompletionShell)
}

/// Reads a command line by the declarations of its commands.
///
/// `--name value`, `--name=value`, `-n value`, `-nvalue`, `-ab` for flags; `--` ends options; `-` is an ordinary
/// argument. Options may stand before or after the command that knows them. Abbreviations are not understood, since a
/// new option would break them.
struct CommandLineParser {
    private let environment: Environment
    private var path: [Command]
    /// What was given so far, by name, in order.
    private var texts = [String: [String]]()
    private var positionals = [String]()
    private var words: ArraySlice<String>

    /// - Parameter words: without the name of the program.
    static func parse(
        _ words: [String], as root: Command, environment: Environment
    ) throws(CommandFailure) -> Invocation {
        var parser = CommandLineParser(environment: environment, path: [root], words: words[...])
        return try parser.parse()
    }

    private init(environment: Environment, path: [Command], words: ArraySlice<String>) {
        self.environment = environment
        self.path = path
        self.words = words
    }

    /// The command reached so far; `path` always has the root.
    private var command: Command { path[path.count - 1] }

    private var title: String { path.map(\.name).joined(separator: " ") }

    private var options: [ArgumentSpecification] {
        path.flatMap(\.shared) + command.arguments.filter { $0.kind != .positional } + [Flag.quiet.specification]
    }

    private mutating func parse() throws(CommandFailure) -> Invocation {
        var onlyPositionals = false
        while let word = words.popFirst() {
            if !onlyPositionals, word == "--" {
                onlyPositionals = true
            } else if !onlyPositionals, word.utf8.count > 1, word.hasPrefix("-") {
                if word == "--help" || word == "-h" { return .help(path: path) }
                if word == "--version" { return .version(isJSON: false) }
                try word.hasPrefix("--") ? long(word) : short(word)
            } else if path.count == 1, let builtIn = BuiltInCommand.of(path[0]).first(where: { $0.rawValue == word }) {
                return try answer(builtIn)
            } else if !command.subcommands.isEmpty {
                if word == BuiltInCommand.help.rawValue, command.subcommand(word) == nil { return try help() }
                try descend(word)
            } else {
                positionals.append(word)
            }
        }
        guard command.action != nil else {
            throw wrong(
                "a command is needed: " + command.subcommands.map(\.name).joined(separator: ", "),
                hint: "`\(title) --help` says what each does")
        }
        return .run(path: path, try arguments())
    }

    private func wrong(_ message: String, hint: String? = nil) -> CommandFailure {
        CommandFailure(.wrongRequest, message, hint: hint ?? "`\(title) --help` shows an example and all options")
    }

    // MARK: Words

    private mutating func descend(_ word: String) throws(CommandFailure) {
        guard let next = command.subcommand(word) else {
            let builtIn = path.count == 1 ? BuiltInCommand.of(path[0]).map(\.rawValue) : []
            let suggestion = Suggestion.closest(to: word, among: command.subcommands.map(\.name) + builtIn)
            throw wrong(
                "unknown command `\(word)`",
                hint: suggestion.map { "did you mean `\(title) \($0)`?" }
                    ?? "`\(title) --help` lists the commands")
        }
        // An option that acts without a command means nothing to the one that follows.
        if let stray = command.arguments.first(where: { texts[$0.name] != nil }) {
            throw wrong("\(stray.label) cannot be used together with the command `\(word)`")
        }
        path.append(next)
    }

    private mutating func long(_ word: String) throws(CommandFailure) {
        let body = word.dropFirst(2)
        let equals = body.firstIndex(of: "=")
        let name = String(body[..<(equals ?? body.endIndex)])
        let value = equals.map { String(body[body.index(after: $0)...]) }
        guard let option = options.first(where: { $0.name == name }) else { throw unknown(name) }
        try take(option, value)
    }

    private mutating func short(_ word: String) throws(CommandFailure) {
        var letters = word.dropFirst()
        while let letter = letters.popFirst() {
            guard let option = options.first(where: { $0.short == letter }) else {
                throw wrong("unknown option -\(letter)")
            }
            if option.kind == .flag {
                try take(option, nil)
            } else {
                try take(option, letters.isEmpty ? nil : String(letters))
                return
            }
        }
    }

    private mutating func take(_ option: ArgumentSpecification, _ attached: String?) throws(CommandFailure) {
        if option.kind == .flag {
            guard attached == nil else { throw wrong("\(option.label) takes no value") }
            texts[option.name] = [""]
            return
        }
        guard option.isRepeated || texts[option.name] == nil else { throw wrong("\(option.label) is given twice") }
        guard let value = attached ?? nextValue() else {
            throw wrong(
                "\(option.label) needs a value: \(option.usage)",
                hint: words.first.map { "to give a value that begins with `-`, write \(option.label)=\($0)" })
        }
        texts[option.name, default: []].append(value)
    }

    /// The next word as a value, unless it looks like an option: a forgotten value must not swallow one. Negative
    /// numbers do not look like options.
    private mutating func nextValue() -> String? {
        guard let next = words.first else { return nil }
        let second = next.dropFirst().first
        if next.hasPrefix("-"), let second, !("0"..."9" ~= second) { return nil }
        return words.popFirst()
    }

    private func unknown(_ name: String) -> CommandFailure {
        let known = options.map(\.name) + ["help", "version"]
        if let suggestion = Suggestion.closest(to: name, among: known) {
            return wrong("unknown option --\(name)", hint: "did you mean --\(suggestion)?")
        }
        // Often the option exists, but belongs to another command.
        // The nearest one is meant: of a command below this one, rather than of any.
        let above = path.dropLast().map(\.name)
        let below = command.allCommands.map {
            (title: (above + [$0.title]).joined(separator: " "), command: $0.command)
        }
        let owners = (below + path[0].allCommands).filter { $0.command.arguments.contains { $0.name == name } }
        return wrong(
            "unknown option --\(name)",
            hint: owners.first.map { "--\(name) belongs to `\($0.title)`: see `\($0.title) --help`" })
    }

    // MARK: Commands that every program has

    private mutating func answer(_ builtIn: BuiltInCommand) throws(CommandFailure) -> Invocation {
        // Such options as `--quiet` change nothing here.
        if words.contains("--help") || words.contains("-h") { return .help(path: path) }
        switch builtIn {
        case .help: return try help()
        case .completions: return try completions()
        case .version, .man:
            let isJSON = builtIn == .version && words.first == "--json"
            if isJSON { words.removeFirst() }
            if let extra = words.first { throw wrong("unexpected argument `\(extra)`") }
            return builtIn == .man ? .manual : .version(isJSON: isJSON)
        }
    }

    /// `help verify` is `verify --help`.
    private mutating func help() throws(CommandFailure) -> Invocation {
        while let word = words.popFirst() {
            let isBuiltIn = path.count == 1 && BuiltInCommand.of(path[0]).contains { $0.rawValue == word }
            if isBuiltIn || word == "-h" || word == "--help" { break }
            guard !command.subcommands.isEmpty, !word.hasPrefix("-") else {
                throw wrong("unexpected argument `\(word)`", hint: "`\(path[0].name) help COMMAND` takes nothing else")
            }
            texts = [:]
            try descend(word)
        }
        return .help(path: path)
    }

    private mutating func completions() throws(CommandFailure) -> Invocation {
        let known = CompletionShell.allCases.map(\.rawValue).joined(separator: "|")
        guard let word = words.popFirst() else {
            throw wrong("the name of a shell is needed: `\(title) completions \(known)`")
        }
        guard let shell = CompletionShell(rawValue: word), words.isEmpty else {
            throw wrong("completions needs the name of one shell: `\(title) completions \(known)`")
        }
        return .completions(shell)
    }

    // MARK: Values

    private mutating func arguments() throws(CommandFailure) -> Arguments {
        try assignPositionals()
        let all = path.flatMap(\.shared) + command.arguments + [Flag.quiet.specification]
        let written = Set(texts.keys)
        try addEnvironment(all)

        let given = Set(texts.keys)
        let missing = all.filter { $0.isRequired && !given.contains($0.name) }
        guard missing.isEmpty else { throw wrong("missing: " + missing.map(\.usage).joined(separator: ", ")) }
        for rule in command.rules {
            if let complaint = rule.complaint(given: given, written: written) { throw wrong(complaint) }
        }

        let fromInput = all.filter { $0.isInput }
            .flatMap { item in (texts[item.name] ?? []).filter { $0 == StandardInput.name }.map { _ in item.label } }
        if let first = fromInput.first, let second = fromInput.dropFirst().first {
            throw wrong(
                "standard input can be read once only, and both \(first) and \(second) are `-`",
                hint: "write one of them to a file, and name that")
        }

        var values = [String: any Sendable]()
        for specification in all {
            let given = texts[specification.name] ?? []
            switch specification.read(given) {
            case .value(let value): values[specification.name] = value
            case .wrong(let index):
                let text = index < given.count ? given[index] : ""
                throw wrong(specification.complaint(about: text), hint: specification.advice(text))
            }
        }
        return Arguments(values: values, given: given, declared: all)
    }

    private mutating func assignPositionals() throws(CommandFailure) {
        var rest = positionals[...]
        for specification in command.positionals where !rest.isEmpty {
            if specification.isRepeated {
                texts[specification.name] = Array(rest)
                rest = []
            } else if let word = rest.popFirst() {
                texts[specification.name] = [word]
            }
        }
        guard let extra = rest.first else { return }
        throw wrong("unexpected argument `\(extra)`")
    }

    /// The environment speaks where the command line is silent, also about the alternatives of what it says. A variable that is
    /// set and empty is a value that got lost, and not taken for unset.
    private mutating func addEnvironment(_ all: [ArgumentSpecification]) throws(CommandFailure) {
        let given = Set(texts.keys)
        let excluded = command.rules.filter { $0.kind == .exactlyOne || $0.kind == .atMostOne }
            .filter { rule in rule.members.contains { given.contains($0.name) } }
            .flatMap { $0.members.map(\.name) }
        for specification in all where texts[specification.name] == nil && !excluded.contains(specification.name) {
            guard let variable = specification.environment, let value = environment.variables[variable] else {
                continue
            }
            guard specification.kind == .flag else {
                if case .wrong = specification.read([value]) {
                    throw wrong(
                        specification.complaint(about: value, in: "the environment variable \(variable)"),
                        hint: "correct or unset \(variable), or give \(specification.usage)")
                }
                texts[specification.name] = [value]
                continue
            }
            switch value.lowercased() {
            case "1", "true", "yes", "on": texts[specification.name] = [""]
            case "0", "false", "no", "off": break
            default:
                throw wrong(
                    "the environment variable \(variable) needs 1 or 0, not `\(value)`",
                    hint: "correct or unset \(variable)")
            }
        }
    }
}

extension ArgumentSpecification {
    fileprivate func complaint(about text: String, in source: String? = nil) -> String {
        "\(source ?? label) needs \(expectation)" + (isSecret ? "" : ", not `\(text)`")
    }
}

extension Command {
    /// This command and all below it, each with the words that lead to it.
    var allCommands: [(title: String, command: Command)] {
        [(name, self)] + subcommands.flatMap { $0.allCommands.map { ("\(name) \($0.title)", $0.command) } }
    }
}
