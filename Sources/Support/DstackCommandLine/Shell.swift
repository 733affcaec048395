package import DstackSystem
import Glibc

/// The version of a shell and the commit it was built from.
package struct BuildInfo: Sendable, Equatable {
    package let version: String
    /// Nil where the build did not know.
    package let commit: String?

    package init(version: String, commit: String?) {
        self.version = version
        self.commit = commit
    }
}

/// A whole command-line program: reads its arguments, answers `--help`, `--version` and `completions`, runs the command
/// and ends with its status.
///
/// ```swift
/// @main
/// enum Main {
///     static func main() async {
///         await Shell(root, build: BuildInfo(version: "0.1.0", commit: nil)).main()
///     }
/// }
/// ```
package struct Shell: Sendable {
    /// Answers an error on standard output where the caller asked for machine-readable results (`--json`); by then
    /// nothing was printed there. It gets the arguments without the program's name, which may be any nonsense.
    package typealias FailureAnswer = @Sendable (_ failure: any Error, _ words: [String], Console) -> Void

    private let root: Command
    private let build: BuildInfo
    private let console: Console
    private let environment: Environment
    private let answerFailure: FailureAnswer?

    package init(
        _ root: Command, build: BuildInfo, console: Console? = nil, environment: Environment = .process,
        answeringFailures answerFailure: FailureAnswer? = nil
    ) {
        self.root = root
        self.build = build
        self.console = console ?? .standard(environment: environment)
        self.environment = environment
        self.answerFailure = answerFailure
    }

    /// Runs with the arguments of this process and ends it.
    package func main() async -> Never {
        // A reader that goes away shows up as EPIPE in a write, not as the end of the process in the middle of work.
        signal(SIGPIPE, SIG_IGN)
        let status = await run(Array(CommandLine.arguments.dropFirst()))
        exit(status.rawValue)
    }

    /// Runs with some arguments, without the program's name.
    package func run(_ words: [String]) async -> ExitStatus {
        var status: ExitStatus
        do {
            status = try await perform(
                CommandLineParser.parse(words, as: root, environment: environment))
        } catch {
            if !console.hasPrinted { answerFailure?(error, words, console) }
            let explained = error as? any ExplainedFailure
            console.fail("\(error)", hint: explained?.hint)
            status = explained?.exitStatus ?? .worldFailed
        }
        // `… | head` is no failure. Anything else that kept the result from being written is: the caller would take a
        // part for the whole.
        if let failure = console.outputFailure, failure.code != EPIPE {
            console.fail(
                failure.description, hint: "the result is incomplete: make room or write elsewhere, and run it again")
            status = .worldFailed
        }
        return status
    }

    private func perform(_ invocation: Invocation) async throws -> ExitStatus {
        switch invocation {
        case .help(let path):
            console.write(Array(Help(path: path, terminal: console.outputTerminal).text.utf8))
        case .version:
            console.print("\(root.name) \(build.version) (commit \(build.commit ?? "unknown"))")
        case .completions(let shell):
            console.write(Array(shell.script(for: root).utf8))
        case .run(let path, let arguments):
            guard let action = path.last?.action else { return .done }
            return try await action(arguments, console)
        }
        return .done
    }
}
