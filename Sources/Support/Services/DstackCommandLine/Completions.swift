/// The shells for which completions are written.
package enum CompletionShell: String, CaseIterable, Sendable {
    case bash
    case zsh
    case fish

    /// A script that completes the commands, options and values of a program.
    package func script(for root: Command) -> String {
        let tree = CompletionTree(root)
        return switch self {
        case .bash: bashCompletions(tree)
        case .zsh: zshCompletions(tree)
        case .fish: fishCompletions(tree)
        }
    }
}

/// The commands of a program, flattened, with what each understands at its place.
struct CompletionTree {
    struct Node {
        /// The words that lead to it, without the program's: `vm start`; empty for the program itself.
        let path: String
        let options: [ArgumentSpecification]
        let positionals: [ArgumentSpecification]
        let subcommands: [(name: String, summary: String)]
    }

    let program: String
    /// The program's name as a part of a shell function's name.
    let identifier: String
    private(set) var nodes = [Node]()

    init(_ root: Command) {
        program = root.name
        identifier = String(root.name.map { $0.isLetter || $0.isNumber ? $0 : "_" })
        add(root, path: [], shared: [])
        for command in BuiltInCommand.of(root) {
            nodes.append(
                Node(
                    path: command.rawValue,
                    options: (command == .version ? [Flag.json.specification] : []) + Self.builtIn,
                    positionals: Self.positionals(of: command, root), subcommands: []))
        }
    }

    private mutating func add(_ command: Command, path: [String], shared: [ArgumentSpecification]) {
        let shared = shared + command.shared
        var subcommands = command.subcommands.map { ($0.name, $0.summary) }
        if path.isEmpty { subcommands += BuiltInCommand.of(command).map { ($0.rawValue, $0.summary) } }
        nodes.append(
            Node(
                path: path.joined(separator: " "),
                options: command.arguments.filter { $0.kind != .positional } + shared + Self.builtIn,
                positionals: command.positionals, subcommands: subcommands))
        for subcommand in command.subcommands {
            add(subcommand, path: path + [subcommand.name], shared: shared)
        }
    }

    private static func positionals(of command: BuiltInCommand, _ root: Command) -> [ArgumentSpecification] {
        switch command {
        case .version, .man: []
        case .completions:
            [Positional(required: .choice(CompletionShell.allCases.map(\.rawValue)), "the shell").specification]
        case .help:
            // The words of the second floor follow those of the first.
            [root.subcommands, root.subcommands.flatMap(\.subcommands)].filter { !$0.isEmpty }
                .map { Positional(.choice($0.map(\.name)), "the command").specification }
        }
    }

    private static let builtIn = [
        Flag.quiet.specification,
        Flag("help", short: "h", "show help").specification,
        Flag("version", "show the version").specification,
    ]

    /// `verify` below the program, `start` below `vm`: pairs of a path and the word that leads one deeper.
    var steps: [String] {
        nodes.flatMap { node in node.subcommands.map { "\(node.path):\($0.name)" } }
    }

    /// For every option and positional that takes a value, its keys (`verify:--quote`, `parse:#0`) and what it takes.
    var values: [(keys: [String], completion: ArgumentCompletion)] {
        nodes.flatMap { node in
            let options = node.options.filter { $0.kind == .option }.map { option in
                let short = option.short.map { ["\(node.path):-\($0)"] } ?? []
                return (keys: ["\(node.path):--\(option.name)"] + short, completion: option.completion)
            }
            let positionals = node.positionals.enumerated().map { index, positional in
                (
                    keys: ["\(node.path):#" + (positional.isRepeated ? "*" : "\(index)")],
                    completion: positional.completion
                )
            }
            return options + positionals
        }
    }
}

extension ArgumentCompletion {
    /// `files`, `directories`, `nothing` or `words`, then the fixed words: how the scripts name it.
    var name: String {
        switch self {
        case .nothing: "nothing"
        case .files: "files"
        case .directories: "directories"
        case .words(let words): (["words"] + words).joined(separator: " ")
        case .wordsOrFiles(let words): (["files"] + words).joined(separator: " ")
        }
    }
}
