import DstackSystem

/// Both scripts have the same shape: a function walks over the words before the cursor to learn the command and
/// whether a value is expected, then offers what fits. It needs nothing but the shell itself.
func bashCompletions(_ tree: CompletionTree) -> String {
    let name = "_\(tree.identifier)"
    let options = tree.nodes.map { node in
        "            \(ShellWord.quoted(node.path))) words="
            + ShellWord.quoted(node.options.map(\.label).joined(separator: " ")) + " ;;"
    }
    let commands = tree.nodes.filter { !$0.subcommands.isEmpty }.map { node in
        "            \(ShellWord.quoted(node.path))) expected="
            + ShellWord.quoted("words " + node.subcommands.map(\.name).joined(separator: " ")) + " ;;"
    }
    return """
        # bash completions for \(tree.program). To load them: source <(\(tree.program) completions bash)

        \(kindFunction(tree))

        \(name)() {
            local word kind words index count=0 command="" expected="" only="" prefix=""
            local current="${COMP_WORDS[COMP_CWORD]}"
            local -a parts
            COMPREPLY=()
            for ((index = 1; index < COMP_CWORD; index++)); do
                word="${COMP_WORDS[index]}"
        \(walk(tree))
            done
            # bash makes `=` a word of its own.
            if [[ $current == "=" ]]; then current=""; fi
            if [[ -z $expected && $current == --*=* ]] && \(name)_kind "$command:${current%%=*}"; then
                expected="$kind"
                prefix="${current%%=*}="
                current="${current#*=}"
            fi
            if [[ -z $expected && -z $only && $current == -* ]]; then
                case "$command" in
        \(options.joined(separator: "\n"))
                esac
                mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
                return
            fi
            if [[ -z $expected ]]; then
                case "$command" in
        \(commands.joined(separator: "\n"))
                    *) if \(name)_kind "$command:#$count"; then expected="$kind"; fi ;;
                esac
            fi
            read -r -a parts <<< "$expected"
            case "${parts[0]}" in
                files) compopt -o filenames 2> /dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
                directories) compopt -o filenames 2> /dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
            esac
            mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "${parts[*]:1}" -- "$current")
            if [[ -n $prefix ]]; then COMPREPLY=("${COMPREPLY[@]/#/$prefix}"); fi
        }

        complete -F \(name) \(tree.program)

        """
}

func zshCompletions(_ tree: CompletionTree) -> String {
    let name = "_\(tree.identifier)"
    let options = tree.nodes.map { node in
        "            \(ShellWord.quoted(node.path))) offers=("
            + node.options.map { described($0.label, $0.help) }.joined(separator: " ") + ") ;;"
    }
    let commands = tree.nodes.filter { !$0.subcommands.isEmpty }.map { node in
        "            \(ShellWord.quoted(node.path))) offers=("
            + node.subcommands.map { described($0.name, $0.summary) }.joined(separator: " ") + ") ;;"
    }
    return """
        #compdef \(tree.program)
        # zsh completions for \(tree.program). To load them: source <(\(tree.program) completions zsh)

        \(kindFunction(tree))

        \(name)() {
            local word kind command="" expected="" only="" current="$PREFIX"
            local -i index count=0
            local -a parts offers
            for ((index = 2; index < CURRENT; index++)); do
                word="${words[index]}"
        \(walk(tree))
            done
            if [[ -z $expected && $current == --*=* ]] && \(name)_kind "$command:${current%%=*}"; then
                expected="$kind"
                compset -P '*='
            fi
            if [[ -z $expected && -z $only && $current == -* ]]; then
                case "$command" in
        \(options.joined(separator: "\n"))
                esac
                _describe -o option offers
                return
            fi
            if [[ -z $expected ]]; then
                case "$command" in
        \(commands.joined(separator: "\n"))
                    *) if \(name)_kind "$command:#$count"; then expected="$kind"; fi ;;
                esac
                if (( $#offers > 0 )); then _describe command offers; return; fi
            fi
            parts=(${=expected})
            if (( $#parts > 1 )); then compadd -- "${(@)parts[2,-1]}"; fi
            case "${parts[1]}" in
                files) _files ;;
                directories) _files -/ ;;
            esac
        }

        if [[ ${zsh_eval_context[-1]} == loadautofunc ]]; then \(name) "$@"; else compdef \(name) \(tree.program); fi

        """
}

/// A function that puts into `kind` what a key takes, or fails.
private func kindFunction(_ tree: CompletionTree) -> String {
    let cases = tree.values.map { keys, completion in
        // A repeated positional's key ends in a pattern, which must stay outside the quotes.
        let patterns = keys.map {
            $0.hasSuffix("#*") ? ShellWord.quoted(String($0.dropLast())) + "*" : ShellWord.quoted($0)
        }
        return "        \(patterns.joined(separator: " | "))) kind=\(ShellWord.quoted(completion.name)) ;;"
    }
    return """
        _\(tree.identifier)_kind() {
            case "$1" in
        \(cases.joined(separator: "\n"))
                *) return 1 ;;
            esac
        }
        """
}

/// What is done with one word before the cursor.
private func walk(_ tree: CompletionTree) -> String {
    """
            if [[ $word == "=" ]]; then continue; fi
            if [[ -n $expected ]]; then expected=""; continue; fi
            if [[ -n $only ]]; then count=$((count + 1)); continue; fi
            case "$command:$word" in
                *:--) only=1 ;;
                \(tree.steps.map(ShellWord.quoted).joined(separator: " | "))) command="${command:+$command }$word" ;;
                *:-*) if _\(tree.identifier)_kind "$command:$word"; then expected="$kind"; fi ;;
                *) count=$((count + 1)) ;;
            esac
    """
}

/// `name:description` for zsh's `_describe`.
private func described(_ name: String, _ description: String) -> String {
    ShellWord.quoted(name + ":" + description)
}
