import DstackEncoding
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

/// A whole command-line program: reads its arguments, answers `help`, `version`, `man` and `completions`, runs the command
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
    private let root: Command
    private let build: BuildInfo
    private let console: Console
    private let environment: Environment
    private let standardInput: StandardInput

    package init(
        _ root: Command, build: BuildInfo, console: Console? = nil, environment: Environment = .process,
        standardInput: StandardInput = .process
    ) {
        self.root = root
        self.build = build
        self.console = console ?? .standard(environment: environment)
        self.environment = environment
        self.standardInput = standardInput
    }

    /// Runs with the arguments of this process and ends it.
    package func main() async -> Never {
        // A reader that goes away shows up as EPIPE in a write, not as the end of the process in the middle of work.
        signal(SIGPIPE, SIG_IGN)
        Self.reserveStandardDescriptors()
        let status = await run(Array(CommandLine.arguments.dropFirst()))
        // Not exit(): what libraries tear down there, threads that still run use.
        fflush(nil)
        _exit(status.rawValue)
    }

    /// Runs with some arguments, without the program's name.
    package func run(_ words: [String]) async -> ExitStatus {
        var status: ExitStatus
        do {
            status = try await perform(
                CommandLineParser.parse(words, as: root, environment: environment))
        } catch {
            let error: any Error = (error as? any ModuleError).map { CommandFailure($0) } ?? error
            let explained = error as? any ExplainedFailure
            status = explained?.exitStatus ?? .worldFailed
            let isJSON = words.prefix { $0 != "--" }.contains {
                $0 == Flag.json.label || $0.hasPrefix(Flag.json.label + "=")
            }
            if isJSON, !console.hasPrinted { console.print(Self.json(error, status)) }
            console.fail("\(error)", hint: explained?.hint)
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
        case .version(isJSON: false):
            console.print("\(root.name) \(build.version) (commit \(build.commit ?? "unknown"))")
        case .version(isJSON: true):
            var writer = JSONWriter()
            writer.object { object in
                object.member("name", root.name)
                object.member("version", build.version)
                object.member("commit", build.commit)
            }
            console.print(writer.text)
        case .manual:
            console.write(Array(ManualPage(root, version: build.version).text.utf8))
        case .completions(let shell):
            console.write(Array(shell.script(for: root).utf8))
        case .run(let path, var arguments):
            arguments.standardInput = standardInput
            if arguments[Flag.quiet] { console.beQuiet() }
            guard let action = path.last?.action else { return .done }
            return try await action(arguments, console)
        }
        return .done
    }

    /// A program that asked for JSON gets an object for every outcome, wrong arguments included. It begins as reports do.
    private static func json(_ error: any Error, _ status: ExitStatus) -> String {
        let general =
            switch status {
            case .done, .no: "rejected"
            case .wrongRequest: "wrong_request"
            case .worldFailed: "world_failed"
            }
        var writer = JSONWriter()
        writer.object { object in
            object.answer(
                status == .no ? "rejected" : "error",
                Reason(
                    code: (error as? CommandFailure)?.code ?? general, message: "\(error)",
                    hint: (error as? any ExplainedFailure)?.hint))
        }
        return writer.text
    }

    /// Opens what was closed (`>&-`), so that no file that is opened later gets the number of an output stream, and a result
    /// is written into it. Writing and reading fail as they would have.
    private static func reserveStandardDescriptors() {
        for number in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO] where fcntl(number, F_GETFD) == -1 {
            _ = open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
    }
}
