package import DstackSystem
import Glibc
import Synchronization

/// What a command says: results to standard output, everything else to standard error.
package final class Console: Sendable {
    /// What standard output can show; decides between steps for a person and lines for a program.
    package let outputTerminal: Terminal
    package let errorTerminal: Terminal
    private let output: any ByteSink
    private let errors: any ByteSink
    private struct State {
        var hasPrinted = false
        var failure: SystemError?
        var isQuiet = false
    }

    private let state = Mutex(State())

    package init(
        output: any ByteSink, errors: any ByteSink, outputTerminal: Terminal = .plain, errorTerminal: Terminal = .plain
    ) {
        self.output = output
        self.errors = errors
        self.outputTerminal = outputTerminal
        self.errorTerminal = errorTerminal
    }

    /// The console of this process.
    package static func standard(environment: Environment = .process) -> Console {
        Console(
            output: DescriptorSink.standardOutput, errors: DescriptorSink.standardError,
            outputTerminal: Terminal(descriptor: STDOUT_FILENO, environment: environment),
            errorTerminal: Terminal(descriptor: STDERR_FILENO, environment: environment))
    }

    /// Styles for results.
    package var style: TextStyle { TextStyle(usesColor: outputTerminal.usesColor) }

    // MARK: Results

    /// A line (or several) of the result. What comes from elsewhere must have gone through ``SafeText`` or an encoder.
    package func print(_ text: String = "") {
        write(Array(text.utf8) + [UInt8(ascii: "\n")])
    }

    /// A heading with what there is to say about it, in lines that the terminal has room for. Beyond a hundred columns lines are
    /// no easier to read.
    package func heading(_ title: String, _ text: String) {
        let lines = Lines.wrapped(
            text, first: title + "  ", rest: String(repeating: " ", count: title.count + 2),
            width: min(outputTerminal.width, 100))
        print(([style.bold(title) + lines[0].dropFirst(title.count)] + lines.dropFirst()).joined(separator: "\n"))
    }

    /// Bytes of the result as they are.
    package func write(_ bytes: [UInt8]) {
        state.withLock { state in
            guard state.failure == nil else { return }
            state.hasPrinted = true
            do throws(SystemError) { try output.write(bytes) } catch { state.failure = error }
        }
    }

    /// The first failure to write a result; what is printed after it is dropped. A stream of results should end then.
    package var outputFailure: SystemError? { state.withLock { $0.failure } }

    /// Whether any result was printed.
    package var hasPrinted: Bool { state.withLock { $0.hasPrinted } }

    // MARK: Everything else

    /// Progress, for people; not where `--quiet` was given.
    package func note(_ text: String) { if !isQuiet { say(SafeText.lines(text)) } }

    /// What to do next, as the last line of a command that answered.
    package func hint(_ text: String) { say(errorStyle.cyan("hint:") + " " + SafeText.lines(text)) }

    /// Whether only results, warnings and errors are wanted.
    package var isQuiet: Bool { state.withLock { $0.isQuiet } }

    func beQuiet() { state.withLock { $0.isQuiet = true } }

    package func warn(_ text: String) {
        say(errorStyle.yellow("warning:") + " " + SafeText.lines(text))
    }

    /// What was wrong, and as the last line what to do next.
    package func fail(_ message: String, hint: String? = nil) {
        say(errorStyle.red("error:") + " " + SafeText.lines(message))
        if let hint { self.hint(hint) }
    }

    private var errorStyle: TextStyle { TextStyle(usesColor: errorTerminal.usesColor) }

    private func say(_ text: String) {
        // Where nobody listens to standard error there is nobody to tell.
        try? errors.write(Array(text.utf8) + [UInt8(ascii: "\n")])
    }
}
