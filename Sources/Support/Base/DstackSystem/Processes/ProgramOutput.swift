import Glibc

/// What a small program wrote until its end.
///
/// ```swift
/// let output = try await ProgramOutput.of("wg", limit: 1 << 20, patience: .seconds(5))
/// ```
package struct ProgramOutput: Sendable {
    package var output: [UInt8]
    package var errors: [UInt8]

    /// Why there is no output to rely on.
    package struct Failure: Error, Sendable, CustomStringConvertible {
        package enum Kind: Sendable, Hashable {
            /// It could not be started.
            case notStarted
            /// It took longer than allowed, or wrote more.
            case stopped
            /// It said itself that it failed, or was ended by a signal.
            case failed
            /// The task that asked was cancelled.
            case cancelled
        }

        package let program: String
        package let kind: Kind
        package let reason: String
        /// What it wrote.
        package var output: ProgramOutput

        package var description: String { "\(program): \(reason)" }
    }

    /// Runs a program to its end.
    ///
    /// - Parameters:
    ///   - program: a path, or a name to be found by `PATH`.
    ///   - limit: the most bytes that it may write to either pipe.
    ///   - patience: after it the program is killed.
    /// - Throws: if it cannot be started, takes too long, writes too much, or does not end with status 0.
    package static func of(
        _ program: String, _ arguments: [String] = [], limit: Int, patience: Duration
    ) async throws(Failure) -> ProgramOutput {
        var written = ProgramOutput(output: [], errors: [])
        func failure(_ kind: Failure.Kind, _ reason: String) -> Failure {
            Failure(program: program, kind: kind, reason: reason, output: written)
        }
        let running: RunningProgram
        do {
            running = try RunningProgram(program, arguments)
        } catch {
            throw failure(.notStarted, error.reason)
        }
        let ending: ProgramEnding
        do throws(Failure) {
            ending = try await read(running, limit: limit, patience: patience)
        } catch {
            // Who may start it again must not meet the one before.
            await running.end()
            throw error
        }
        guard ending != .success else { return written }
        let text = written.errors.isEmpty ? written.output : written.errors
        let said = SafeText.line(String(decoding: text, as: UTF8.self).trimmed, limit: 300)
        throw failure(.failed, said.isEmpty ? "it \(ending)" : said)

        /// Reads until the end.
        func read(
            _ running: RunningProgram, limit: Int, patience: Duration
        ) async throws(Failure) -> ProgramEnding {
            let deadline = ContinuousClock.now + patience
            while true {
                let piece: RunningProgram.Piece
                do {
                    piece = try await running.read(within: ContinuousClock.now.duration(to: deadline))
                } catch {
                    throw failure(error.code == ECANCELED ? .cancelled : .stopped, error.reason)
                }
                guard !piece.isEmpty else {
                    throw failure(.stopped, "it took longer than \(DurationText.format(patience))")
                }
                written.output += piece.output
                written.errors += piece.errors
                guard max(written.output.count, written.errors.count) <= limit else {
                    throw failure(.stopped, "it wrote more than \(limit) bytes")
                }
                if let ending = piece.ending { return ending }
            }
        }
    }
}
