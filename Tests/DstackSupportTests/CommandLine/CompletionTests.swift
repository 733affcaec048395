import DstackCommandLine
import Foundation
import TestKit
import Testing

@Suite("Completions")
struct CompletionTests {
    @Test(
        "bash completes commands, options and values",
        .enabled(if: isInstalled("bash"), "bash is not installed"),
        arguments: [
            (["v"], ["verify", "version"]),
            ([""], ["verify", "fetch-collateral", "cache", "help", "version", "man", "completions"]),
            (["help", "ver"], ["verify"]),
            (["help", "cache", "cl"], ["clear"]),
            (["version", "--j"], ["--json"]),
            (["version", "--ver"], ["--version"]),
            (["--ver"], ["--verify", "--verify-cert", "--version"]),
            (["--config", "x", "ca"], ["cache"]),
            (["--config=x", "ca"], ["cache"]),
            (["cache", ""], ["show", "clear"]),
            (["cache", "clear", "--"], ["--config", "--quiet", "--help", "--version"]),
            (["verify", "--po"], ["--policy"]),
            (["verify", "--policy", "st"], ["standard", "strict"]),
            (["verify", "--policy", "=", "stri"], ["strict"]),
            (["verify", "--policy", "="], ["quote.bin", "sub dir", "authentic", "standard", "strict"]),
            (["verify", "--policy=str"], ["--policy=strict"]),
            (["verify", "--quote", ""], ["quote.bin", "sub dir"]),
            (["verify", "--json", "--quote", "quo"], ["quote.bin"]),
            (["verify", "--at", ""], []),
            (["verify", "--quote", "verify", "--j"], ["--json"]),
            (["fetch-collateral", "-n", "5", "q"], ["quote.bin"]),
            (["fetch-collateral", "one", "two", "s"], ["sub dir"]),
            (["fetch-collateral", "--", "--"], []),
            (["completions", ""], ["bash", "zsh", "fish"]),
        ])
    func bash(words: [String], expected: [String]) async throws {
        let directory = try ScratchDirectory()
        try directory.write("", "quote.bin")
        try FileManager.default.createDirectory(atPath: directory.path("sub dir"), withIntermediateDirectories: false)
        let script = await SampleShell.run("completions bash").output
        let driver = """
            set -eu
            \(script)
            COMP_WORDS=(dstack-verifier "$@")
            COMP_CWORD=$#
            _dstack_verifier || true
            if (( ${#COMPREPLY[@]} > 0 )); then printf '%s\\n' "${COMPREPLY[@]}"; fi
            """
        let result = try run("bash", ["-c", driver, "bash"] + words, in: directory.path)
        #expect(result.errors == "")
        #expect(result.output.split(separator: "\n").map(String.init).sorted() == expected.sorted())
    }

    @Test(
        "each shell reads its script without complaint",
        arguments: [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")])
    func syntax(shell: String, check: String) async throws {
        guard isInstalled(shell) else {
            // Debian's minimal images have only bash; the scripts are text all the same.
            #expect(await SampleShell.run("completions \(shell)").output.contains("fetch-collateral"))
            return
        }
        let directory = try ScratchDirectory()
        let path = try directory.write(await SampleShell.run("completions \(shell)").output, "script")
        let result = try run(shell, [check, path], in: directory.path)
        #expect(result.errors == "")
        #expect(result.status == 0)
    }

    /// zsh's completion system only runs at a terminal; its functions are replaced with ones that print what they get.
    @Test(
        "zsh completes commands, options and values", .enabled(if: isInstalled("zsh"), "zsh is not installed"),
        arguments: [
            (["v"], "command:verify fetch-collateral cache help version man completions"),
            (["--config=x", "cache", ""], "command:show clear"),
            (["cache", "clear", "--"], "-o:--config --quiet --help --version"),
            (["verify", "--policy", ""], "add:authentic standard strict files"),
            (["verify", "--policy=st"], "set add:authentic standard strict files"),
            (["verify", "--quote", ""], "files"),
            (["verify", "--at", ""], ""),
            (["fetch-collateral", "-n", "5", "one", ""], "files"),
            (["completions", ""], "add:bash zsh fish"),
        ])
    func zsh(words: [String], expected: String) async throws {
        let directory = try ScratchDirectory()
        let script = await SampleShell.run("completions zsh").output
        let driver = """
            compdef() { }
            compset() { print -n 'set ' }
            compadd() { shift; print -n "add:$* " }
            _files() { print -n files }
            _describe() { print -rn -- "$1:${offers[@]%%:*}" }
            \(script)
            words=(dstack-verifier "$@")
            CURRENT=$(( $# + 1 ))
            PREFIX="${words[-1]}"
            _dstack_verifier
            """
        let result = try run("zsh", ["-f", "-c", driver, "zsh"] + words, in: directory.path)
        #expect(result.errors == "")
        #expect(result.output.trimmingCharacters(in: .whitespaces) == expected)
    }

    @Test("fish completes commands, options and values", .enabled(if: isInstalled("fish"), "fish is not installed"))
    func fish() async throws {
        let directory = try ScratchDirectory()
        let path = try directory.write(await SampleShell.run("completions fish").output, "script")
        func complete(_ line: String) throws -> [String] {
            let result = try run(
                "fish", ["--no-config", "-c", "source \(path); complete -C '\(line)'"], in: directory.path)
            return result.output.split(separator: "\n").map { String($0.prefix { $0 != "\t" }) }
        }
        #expect(try complete("dstack-verifier verify --policy str") == ["strict"])
        #expect(try complete("dstack-verifier cache ").sorted() == ["clear", "show"])
        #expect(try complete("dstack-verifier v") == ["verify", "version"])
        #expect(try complete("dstack-verifier --config x verify --j") == ["--json"])
    }
}

private func isInstalled(_ program: String) -> Bool {
    (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains {
        FileManager.default.isExecutableFile(atPath: "\($0)/\(program)")
    }
}

private func run(
    _ program: String, _ arguments: [String], in directory: String
) throws -> (status: Int32, output: String, errors: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program] + arguments
    process.currentDirectoryURL = URL(fileURLWithPath: directory)
    let (output, errors) = (Pipe(), Pipe())
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = errors
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    let complaints = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, text, complaints)
}
