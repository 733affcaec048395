func fishCompletions(_ tree: CompletionTree) -> String {
    let function = "__\(tree.identifier)_at"
    var lines = [String]()
    for node in tree.nodes {
        let condition = "complete -c \(tree.program) -n \(fishQuoted("\(function) \(fishQuoted(node.path))"))"
        for subcommand in node.subcommands {
            lines.append("\(condition) -a \(fishQuoted(subcommand.name)) -d \(fishQuoted(subcommand.summary))")
        }
        for positional in node.positionals where positional.completion != .nothing {
            lines.append("\(condition)\(fishArguments(positional.completion, isOption: false))")
        }
        for option in node.options {
            let short = option.short.map { " -s \(fishQuoted(String($0)))" } ?? ""
            let value = option.kind == .option ? fishArguments(option.completion, isOption: true) : ""
            lines.append("\(condition) -l \(option.name)\(short)\(value) -d \(fishQuoted(option.help))")
        }
    }
    let options = tree.values.flatMap(\.keys).filter { !$0.contains("#") }
    return """
        # fish completions for \(tree.program). To load them: \(tree.program) completions fish | source

        # Whether the words before the cursor lead to this command.
        function \(function)
            set -l command ""
            set -l state program
            for word in (commandline -opc)
                switch $state
                    case program value
                        set state word
                        continue
                end
                switch "$command:$word"
                    case \(tree.steps.map(fishQuoted).joined(separator: " "))
                        set command (string trim "$command $word")
                    case \(options.isEmpty ? "''" : options.map(fishQuoted).joined(separator: " "))
                        set state value
                end
            end
            test "$command" = "$argv[1]"
        end

        complete -c \(tree.program) -f
        \(lines.joined(separator: "\n"))

        """
}

private func fishArguments(_ completion: ArgumentCompletion, isOption: Bool) -> String {
    let required = isOption ? " -r" : ""
    return switch completion {
    case .nothing: isOption ? " -x" : ""
    case .files: "\(required) -F"
    case .directories: "\(isOption ? " -x" : "") -a '(__fish_complete_directories)'"
    case .words(let words): "\(isOption ? " -x" : "") -a \(fishQuoted(words.joined(separator: " ")))"
    case .wordsOrFiles(let words): "\(required) -F -a \(fishQuoted(words.joined(separator: " ")))"
    }
}

/// A text in single quotes, as fish reads it.
private func fishQuoted(_ text: String) -> String {
    var quoted = "'"
    for character in text {
        if character == "'" || character == "\\" { quoted.append("\\") }
        quoted.append(character)
    }
    return quoted + "'"
}
