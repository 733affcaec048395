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

    /// Runs a body whose errors are mistakes in the request: an option or a file that makes no sense, not a verdict.
    package static func wrongRequest<Value>(
        _ body: () throws(AttestationError) -> Value
    ) throws(CommandFailure) -> Value {
        do throws(AttestationError) { return try body() } catch { throw CommandFailure(.wrongRequest, error) }
    }
}
