package import DstackAttestation
package import DstackCommandLine
package import DstackSystem

extension CommandFailure {
    /// An error of the library as the end of a command, with its hint by itself.
    ///
    /// - Parameter arguments: whose options the hint may name; nil for words alone.
    package init(_ status: ExitStatus, _ error: AttestationError, for arguments: Arguments? = nil) {
        let hint = arguments.map { error.remedy?.text(for: $0) } ?? error.remedy?.text
        self.init(status, error.message, hint: hint, code: error.code.rawValue)
    }

    /// An error about a file that the command line names: by its argument and its own name, since the library knows it by its
    /// kind alone.
    package init(
        _ error: AttestationError, about argument: some ArgumentDeclaration, named file: String,
        for arguments: Arguments
    ) {
        let specification = argument.specification
        // What has no name of its own is known by the file's.
        let option = specification.kind == .positional ? "" : "\(specification.label): "
        self.init(
            .wrongRequest, option + error.message(about: file),
            hint: error.remedy?.text(for: arguments), code: error.code.rawValue)
    }

    /// An error of asking services: the world failed, but for a platform that no service in the world knows, and for a policy
    /// that makes no sense.
    package init(fetching error: AttestationError, for arguments: Arguments) {
        let isAboutRequest = [.simulatedPlatform, .invalidPolicy].contains(error.code)
        self.init(isAboutRequest ? .wrongRequest : .worldFailed, error, for: arguments)
    }

    /// Runs a body whose errors are mistakes in the request: an option or a file that makes no sense, not a verdict.
    package static func wrongRequest<Value>(
        _ body: () throws(AttestationError) -> Value
    ) throws(CommandFailure) -> Value {
        do throws(AttestationError) { return try body() } catch { throw CommandFailure(.wrongRequest, error) }
    }

    /// Reads a file that an option names; an error is about that file.
    package static func wrongFile<Value>(
        _ option: Option<String>, _ arguments: Arguments, _ body: () throws(AttestationError) -> Value
    ) throws(CommandFailure) -> Value {
        do throws(AttestationError) { return try body() } catch {
            throw CommandFailure(error, about: option, named: arguments.fileName(option), for: arguments)
        }
    }

    /// The same for an option that may be left out.
    package static func wrongFile<Value>(
        _ option: Option<String?>, _ arguments: Arguments, _ body: () throws(AttestationError) -> Value
    ) throws(CommandFailure) -> Value {
        do throws(AttestationError) { return try body() } catch {
            throw CommandFailure(error, about: option, named: arguments.fileName(option), for: arguments)
        }
    }

    /// The same for an argument without a name.
    package static func wrongFile<Value>(
        _ positional: Positional<String>, _ arguments: Arguments, _ body: () throws(AttestationError) -> Value
    ) throws(CommandFailure) -> Value {
        do throws(AttestationError) { return try body() } catch {
            throw CommandFailure(error, about: positional, named: arguments.fileName(positional), for: arguments)
        }
    }
}
