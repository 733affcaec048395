import DstackSystem
import Foundation
import Glibc
import TestKit
import Testing

@Suite("Programs that are run")
struct RunningProgramTests {
    private func shell(_ script: String, limit: Int = 1 << 20, patience: Duration = .seconds(60))
        async throws(ProgramOutput.Failure) -> ProgramOutput
    {
        try await ProgramOutput.of("sh", ["-c", script], limit: limit, patience: patience)
    }

    private func failure(_ body: () async throws(ProgramOutput.Failure) -> ProgramOutput) async -> ProgramOutput
        .Failure?
    {
        do {
            _ = try await body()
            return nil
        } catch {
            return error
        }
    }

    @Test("what a program writes comes back, each pipe apart")
    func output() async throws {
        let written = try await shell("printf 'a b'; printf c >&2; printf d")
        #expect(String(decoding: written.output, as: UTF8.self) == "a bd")
        #expect(String(decoding: written.errors, as: UTF8.self) == "c")
    }

    @Test("arguments reach the program as they are")
    func arguments() async throws {
        let written = try await ProgramOutput.of(
            "printf", ["%s|", "a b", "", "$HOME", "--x", "ü"], limit: 100, patience: .seconds(60))
        #expect(String(decoding: written.output, as: UTF8.self) == "a b||$HOME|--x|ü|")
    }

    @Test("a program that fails is an error with what it said, one line and safe")
    func failing() async throws {
        let said = await failure { () throws(ProgramOutput.Failure) in
            try await shell("echo out; printf 'no \\033[31mdisk\\n' >&2; exit 7")
        }
        #expect(said?.kind == .failed)
        #expect(said.map { "\($0)" } == #"sh: no \u{1b}[31mdisk"#)
        #expect(said.map { String(decoding: $0.output.output, as: UTF8.self) } == "out\n")
        #expect(
            await failure { () throws(ProgramOutput.Failure) in try await shell("exit 7") }?.reason
                == "it ended with status 7")
        #expect(
            await failure { () throws(ProgramOutput.Failure) in try await shell("kill -9 $$") }?.reason
                == "it was ended by signal 9")
    }

    @Test("a program that is not there, or cannot be named, is an error that says so")
    func absent() async throws {
        for name in ["dstack-no-such-program", "/nonexistent/program", ""] {
            let error = await failure { () throws(ProgramOutput.Failure) in
                try await ProgramOutput.of(name, limit: 10, patience: .seconds(60))
            }
            #expect(error?.kind == .notStarted, "\(name)")
        }
        let error = await failure { () throws(ProgramOutput.Failure) in
            try await ProgramOutput.of("echo", ["a\0b"], limit: 10, patience: .seconds(60))
        }
        #expect(error?.kind == .notStarted)
    }

    @Test("a program that writes more than it may is ended")
    func tooMuch() async throws {
        let error = await failure { () throws(ProgramOutput.Failure) in try await shell("yes", limit: 100_000) }
        #expect(error?.kind == .stopped)
        #expect(error?.reason == "it wrote more than 100000 bytes")
        #expect(try await shell("head -c 100000 /dev/zero", limit: 100_000).output.count == 100_000)
    }

    @Test("a program that takes too long is ended, with the programs that it started")
    func tooLong() async throws {
        let path = NSTemporaryDirectory() + "dstack-program-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let error = await failure { () throws(ProgramOutput.Failure) in
            try await shell("trap '' TERM; sleep 1000 & echo $$ $! > \(path); wait", patience: .seconds(1))
        }
        #expect(error?.reason == "it took longer than 1s")
        let numbers = try String(contentsOfFile: path, encoding: .utf8).split { $0.isWhitespace }.compactMap {
            pid_t($0)
        }
        #expect(numbers.count == 2)
        // The program itself before the error comes; its orphans belong to whoever collects orphans.
        #expect(kill(numbers.first ?? 0, 0) == -1)
        for number in numbers { #expect(try await isGone(number)) }
    }

    /// Waits for a process's end; one that nobody has asked for yet (a zombie) has ended too.
    private func isGone(_ process: pid_t) async throws -> Bool {
        for _ in 0..<1_000 {
            let status = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
            guard let status, !status.contains(") Z ") else { return true }
            try await Task.sleep(for: .milliseconds(10))
        }
        return false
    }

    @Test("a program gets nothing to read, no descriptor of ours and no blocked signal")
    func surroundings() async throws {
        let file = open("/dev/null", O_RDONLY)
        defer { close(file) }
        let written = try await shell("cat; ls /proc/self/fd | tr '\\n' ' '; grep -E 'Sig(Blk|Ign)' /proc/self/status")
        let text = String(decoding: written.output, as: UTF8.self)
        // The fourth is the directory that is being listed.
        #expect(text.hasPrefix("0 1 2 3 SigBlk"))
        #expect(text.contains("SigBlk:\t0000000000000000"))
        // But for the two that glibc keeps for itself, 32 and 33.
        let ignored = text.split(separator: "SigIgn:").last.flatMap { UInt64($0.trimmed, radix: 16) }
        #expect(ignored.map { $0 & ~(3 << 31) } == 0)
    }

    @Test("output is read as it comes, and the end comes with the last of it")
    func streaming() async throws {
        let program = try RunningProgram("sh", ["-c", "echo one; read -r x < \"$0\"; echo two >&2; exit 3", fifo])
        defer { unlink(fifo) }
        let first = try await program.read(within: .seconds(60))
        #expect(String(decoding: first.output, as: UTF8.self) == "one\n")
        #expect(first.ending == nil)
        #expect(try await program.read(within: .milliseconds(50)).isEmpty)
        try Data("go\n".utf8).write(to: URL(fileURLWithPath: fifo))
        var errors: [UInt8] = []
        var ending: ProgramEnding?
        while ending == nil {
            let piece = try await program.read(within: .seconds(60))
            errors += piece.errors
            ending = piece.ending
        }
        #expect(String(decoding: errors, as: UTF8.self) == "two\n")
        #expect(ending == .exit(code: 3))
        #expect(try await program.read(within: .seconds(60)).ending == .exit(code: 3))
    }

    private let fifo: String = {
        let path = Scratch.path("fifo")
        mkfifo(path, 0o600)
        return path
    }()

    @Test("who does not read holds the program up")
    func backPressure() async throws {
        let program = try RunningProgram("sh", ["-c", "head -c 1000000 /dev/zero; echo done >&2"])
        try await Task.sleep(for: .milliseconds(200))
        var (count, errors, pieces) = (0, 0, 0)
        while true {
            let piece = try await program.read(within: .seconds(60))
            #expect(piece.output.count <= 80 << 10)
            count += piece.output.count
            errors += piece.errors.count
            // Nothing is said to be done before the last pipeful.
            if errors > 0 { #expect(count >= 1_000_000 - 64 << 10) }
            pieces += 1
            if piece.ending != nil { break }
        }
        #expect(count == 1_000_000 && errors == 5 && pieces > 10)
    }

    @Test("letting go of a program ends it")
    func lettingGo() async throws {
        var program: RunningProgram? = try RunningProgram("sh", ["-c", "echo $$; exec sleep 1000"])
        let piece = try await program?.read(within: .seconds(60))
        let number = try #require(piece.flatMap { pid_t(String(decoding: $0.output, as: UTF8.self).dropLast()) })
        #expect(kill(number, 0) == 0)
        program = nil
        #expect(try await isGone(number))
    }

    @Test("a reader that is cancelled stops waiting at once, and for good")
    func cancellation() async throws {
        let program = try RunningProgram("sleep", ["1000"])
        let task = Task { try await program.read(within: .seconds(1_000)) }
        try await Task.sleep(for: .milliseconds(50))
        task.cancel()
        let error = await #expect(throws: SystemError.self) { _ = try await task.value }
        #expect(error?.code == ECANCELED)
        #expect(try await program.read(within: .seconds(1_000)).isEmpty)
    }
}
