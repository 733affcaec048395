/// Commands that every program has without declaring them.
enum BuiltInCommand: String, CaseIterable, Sendable {
    case help
    case version
    case man
    case completions

    var summary: String {
        switch self {
        case .help: "show help, of the program or of a command"
        case .version: "show the version and the commit it was built from"
        case .man: "print the manual page, to be read with `man -l -`"
        case .completions: "print completions for bash, zsh or fish"
        }
    }

    /// Those of a program. One that needs an argument without a name in front has none: they could be meant. Where it may be
    /// left out, they come first, and a file with such a name is written `./man`.
    static func of(_ root: Command) -> [BuiltInCommand] {
        root.positionals.contains(where: \.isRequired) ? [] : allCases
    }
}
