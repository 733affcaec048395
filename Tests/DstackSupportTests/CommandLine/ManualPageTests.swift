import DstackCommandLine
import DstackSystem
import Foundation
import TestKit
import Testing

@Suite("Manual pages")
struct ManualPageTests {
    @Test("the page has every command, option and variable of the declarations, and what is odd in them is escaped")
    func content() async {
        let odd = Command(
            "odd", ".br of \\ and 'quotes' — `code`", examples: [".sp odd"],
            notes: ["'tis a note.", ".PP is no request"], arguments: [Flag("a-b", ".x")]
        ) { _, _ in .done }
        let output = MemorySink()
        let shell = Shell(
            odd, build: BuildInfo(version: "1.2", commit: nil), console: Console(output: output, errors: MemorySink()))
        #expect(await shell.run(["man"]) == .done)
        #expect(output.text.contains("odd \\- .br of \\e and \\(aqquotes\\(aq \\[u2014] \\fBcode\\fR\n"))
        #expect(output.text.contains("\n\\&\\(aqtis a note.\n"))
        #expect(output.text.contains("\n\\&.PP is no request\n"))
        #expect(output.text.contains("\\fB\\-\\-a\\-b\\fR\n\\&.x\n"))

        let page = await SampleShell.run("man").output
        for word in ["verify\"", "cache clear\"", "\\-\\-event\\-log FILE", "DSTACK_AT", "Exit status: 0 accepted"] {
            #expect(page.contains(word), "\(word)")
        }
    }

    @Test(
        "the page is rendered without complaint",
        arguments: [
            ["groff", "-man", "-ww", "-Tutf8", "-rLL=60n", "-P-cbou"], ["mandoc", "-T", "lint", "-W", "warning"],
        ])
    func rendering(_ program: [String]) async throws {
        let directory = try ScratchDirectory()
        let path = try directory.write(await SampleShell.run("man").output, "page.1")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/\(program[0])")
        guard FileManager.default.isExecutableFile(atPath: "/usr/bin/\(program[0])") else {
            // Minimal images have neither; the page is text all the same.
            return
        }
        process.arguments = Array(program.dropFirst()) + [path]
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let complaints = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        #expect(complaints == "")
        // mandoc's complaints are its output. It would have a date, which no build can repeat.
        if program[0] == "mandoc" {
            #expect(text.split(separator: "\n").allSatisfy { $0.contains("missing date") }, "\(text)")
        } else {
            #expect(text.contains("fetch-collateral"))
            for line in text.split(separator: "\n") { #expect(line.count <= 60, "\(line)") }
        }
    }
}
