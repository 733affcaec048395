import DstackSystem

/// The manual page of a program, made from the declarations of its commands; in the macros of man(7).
struct ManualPage {
    private let root: Command
    private let version: String

    init(_ root: Command, version: String) {
        self.root = root
        self.version = version
    }

    var text: String {
        var page = Roff()
        page.macro("TH", root.name.uppercased(), "1", "", "dstack \(version)", "dstack in Swift")
        page.section("NAME")
        page.text("\(root.name) - \(root.summary)")
        page.section("SYNOPSIS")
        page.calls(usage([root]))
        let notes = root.allNotes
        if !notes.isEmpty { page.section("DESCRIPTION") }
        for (index, note) in notes.enumerated() {
            if index > 0 { page.macro("PP") }
            page.text(note)
        }
        page.section("OPTIONS")
        write(root.arguments + root.shared, [root], to: &page)
        for (name, meaning) in [
            ("-q, --quiet", Flag.quiet.specification.help), ("-h, --help", "show help"),
            ("--version", BuiltInCommand.version.summary),
        ] {
            page.item(name, meaning)
        }
        page.section("COMMANDS")
        for subcommand in root.subcommands { write(subcommand, [root], to: &page) }
        for builtIn in BuiltInCommand.of(root) {
            page.macro("SS", builtIn.rawValue)
            page.text(builtIn.summary)
        }
        write(environment: &page)
        page.section("EXIT STATUS")
        for (status, meaning) in root.exitStatuses { page.item(status, meaning) }
        page.section("EXAMPLES")
        page.calls(root.examples.map { $0.split(separator: " ").map(String.init) })
        return page.text
    }

    private func write(_ command: Command, _ above: [Command], to page: inout Roff) {
        let path = above + [command]
        page.macro("SS", path.dropFirst().map(\.name).joined(separator: " "))
        page.text(command.summary)
        page.calls(usage(path))
        write(command.arguments + command.shared, path, to: &page)
        for note in command.allNotes {
            page.macro("PP")
            page.text(note)
        }
        let special = command.exitStatuses.filter { own in !root.exitStatuses.contains { $0 == own } }
        if command.action != nil, !special.isEmpty {
            page.macro("PP")
            page.text("Exit status: " + special.map { "\($0) \($1)" }.joined(separator: "; ") + ".")
        }
        page.calls(command.examples.map { $0.split(separator: " ").map(String.init) })
        for subcommand in command.subcommands { write(subcommand, path, to: &page) }
    }

    private func write(_ arguments: [ArgumentSpecification], _ path: [Command], to page: inout Roff) {
        let help = Help(path: path, terminal: .plain)
        for argument in arguments {
            let (name, meaning) = help.row(argument)
            page.item(name, meaning)
        }
    }

    private func usage(_ path: [Command]) -> [[String]] { Help(path: path, terminal: .plain).calls }

    private func write(environment page: inout Roff) {
        var variables: [(name: String, users: [String])] = []
        for (title, command) in root.allCommands {
            for argument in command.arguments + command.shared {
                guard let variable = argument.environment else { continue }
                let user = "\(argument.label) of `\(title)`"
                if let index = variables.firstIndex(where: { $0.name == variable }) {
                    variables[index].users.append(user)
                } else {
                    variables.append((variable, [user]))
                }
            }
        }
        page.section("ENVIRONMENT")
        for variable in variables.sorted(by: { $0.name < $1.name }) {
            page.item(variable.name, "in place of " + variable.users.joined(separator: " and "))
        }
        page.item("NO_COLOR", "if set, nothing is coloured")
        page.item("DSTACK_LOG", "what is logged, such as `info` or `warn,verifier=debug`")
    }
}

/// Text in roff, in which nothing that is written can be taken for a request.
private struct Roff {
    private(set) var text = ""

    mutating func macro(_ name: String, _ arguments: String...) {
        text += "." + name + arguments.map { " \"" + Self.escape($0) + "\"" }.joined() + "\n"
    }

    mutating func section(_ title: String) { macro("SH", title) }

    mutating func text(_ line: String) {
        text += Self.escape(line) + "\n"
    }

    /// Command lines, each a paragraph that the reader's terminal breaks where it must, and only between words and alternatives;
    /// what goes on is indented.
    mutating func calls(_ calls: [[String]]) {
        guard !calls.isEmpty else { return }
        // Requests of roff, whose arguments are not quoted: no hyphens, nothing stretched to the margin.
        text += ".nh\n.ad l\n"
        for call in calls {
            macro("HP", "6")
            let words = call.map {
                Self.escape($0).replacing(" ", with: "\\ ").replacing("|", with: "|\\:")
            }
            text += words.joined(separator: " ") + "\n"
        }
        text += ".ad\n.hy\n"
    }

    mutating func item(_ name: String, _ meaning: String) {
        macro("TP")
        text += "\\fB" + Self.escape(name) + "\\fR\n"
        text(meaning)
    }

    /// Printable ASCII with `\` and `-` escaped, and marks that roff would change; words in back quotes become bold. What
    /// begins like a request does not stand at the beginning of the line.
    private static func escape(_ line: String) -> String {
        var result = line.hasPrefix(".") || line.hasPrefix("'") ? "\\&" : ""
        var isCode = false
        for scalar in line.unicodeScalars {
            switch scalar {
            case "\\": result += "\\e"
            case "-": result += "\\-"
            case "\"": result += "\\(dq"
            case "'": result += "\\(aq"
            case "~": result += "\\(ti"
            case "^": result += "\\(ha"
            case "`":
                isCode.toggle()
                result += isCode ? "\\fB" : "\\fR"
            case "\n": result += " "
            case _ where scalar.isASCII: result.unicodeScalars.append(scalar)
            default: result += "\\[u" + hexadecimal(scalar.value) + "]"
            }
        }
        return isCode ? result + "\\fR" : result
    }

    private static func hexadecimal(_ value: UInt32) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 4 - digits.count)) + digits
    }
}
