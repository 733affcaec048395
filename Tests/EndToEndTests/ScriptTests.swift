import Foundation
import TestKit
import Testing

/// The scripts that a person meets first and last: setting up, and the test command's count.
@Suite("Scripts", .enabled(if: Program.path("/usr/bin/python3") != nil, "python3 is missing"))
struct ScriptTests {
    private static func script(_ name: String) -> String {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        return root.appendingPathComponent("Scripts/\(name)").path
    }

    /// A record of the runner's stream of events about a test.
    private static func event(_ kind: String, _ test: String, _ symbol: String = "", _ text: String = "") -> String {
        #"{"kind":"event","payload":{"kind":"\#(kind)","testID":"\#(test)","messages":["#
            + #"{"symbol":"\#(symbol)","text":"\#(text)"}]},"version":0}"#
    }

    private static func declared(_ kind: String, _ test: String) -> String {
        #"{"kind":"test","payload":{"kind":"\#(kind)","id":"\#(test)","name":"\#(test)"},"version":0}"#
    }

    /// What a run of one target's tests with these events prints, and how it ends.
    private func count(_ events: [String], status: Int = 0, leaving: String = "") async throws -> Program.Output {
        let scratch = try ScratchDirectory()
        try scratch.write(events.map { $0 + "\n" }.joined(), "events")
        let leave = leaving.isEmpty ? "" : "echo > \"$TMPDIR/\(leaving)\""
        try scratch.write(
            """
            #!/bin/sh
            [ "$3" = --list-tests ] && { echo "Target.Suite/test()"; exit; }
            while [ "$1" != --event-stream-output-path ]; do shift; done
            cp \(scratch.path("events")) "$2"
            \(leave)
            echo the runner
            exit \(status)
            """, "tests")
        chmod(scratch.path("tests"), 0o755)
        return try await Program.run(Self.script("test"), ["--binary", scratch.path("tests")])
    }

    @Test("the last line counts, what was skipped is told with its reason, and the slowest suites are named")
    func counting() async throws {
        let reason = #"skipped: \"needs vectors: set DSTACK_VECTORS\""#
        let result = try await count(
            [Self.declared("suite", "S")] + ["a", "b", "c"].map { Self.declared("function", $0) } + [
                Self.event("testStarted", "S"), Self.event("testStarted", "a"), Self.event("testEnded", "a", "pass"),
                Self.event("testSkipped", "S", "skip", #"Suite \"S\" \#(reason)"#),
                Self.event("testSkipped", "c", "skip", #"Test \"c: d\" \#(reason)"#),
                Self.event("testStarted", "b"), Self.event("testEnded", "b", "passWithKnownIssue"),
                Self.event("testEnded", "S", "pass"), Self.end,
            ])
        #expect(result.status == 0, "\(result)")
        #expect(result.output.hasPrefix("Target: the runner\n"), "\(result)")
        #expect(
            result.output.hasSuffix(
                "slowest suites:\n     0.0 s  Target: S\nskipped:\n  1: needs vectors: set DSTACK_VECTORS\n"
                    + "2 passed, 0 failed, 1 skipped\n"),
            "\(result)")
    }

    private static let end = #"{"kind":"event","payload":{"kind":"runEnded"},"version":0}"#

    @Test("a run that failed, was cut off, or left files behind is no success, and the runner's status is kept")
    func failing() async throws {
        let begun = [Self.declared("function", "a"), Self.event("testStarted", "a")]
        let passed = begun + [Self.event("testEnded", "a", "pass")]
        let cut = "did not come to their end: Target"
        for (events, status, expected, last) in [
            (passed + [Self.end], 7, 7, "1 passed, 0 failed, 0 skipped"),
            (passed, 0, 1, "\(cut)\n1 passed, 0 failed, 0 skipped"),
            (begun + [#"{"kind":"#], 0, 1, "  Target: a (cut off)\n\(cut)\n0 passed, 1 failed, 0 skipped"),
            (
                begun + [Self.event("testEnded", "a", "fail"), Self.end], 1, 1,
                "failed:\n  Target: a\n0 passed, 1 failed, 0 skipped"
            ),
            ([], 0, 1, "\(cut)\n0 passed, 0 failed, 0 skipped"),
        ] as [([String], Int, Int32, String)] {
            let result = try await count(events, status: status)
            #expect(result.status == expected && result.output.hasSuffix("\n\(last)\n"), "\(result)")
        }
        let left = try await count(passed + [Self.end], leaving: "forgotten")
        #expect(left.status == 1, "\(left)")
        #expect(left.output.hasSuffix("\nleft in the temporary directory: forgotten\n1 passed, 0 failed, 0 skipped\n"))
    }

    @Test("setup looks at the toolchain before it installs anything")
    func toolchain() async throws {
        let scratch = try ScratchDirectory()
        for (version, reason) in [
            (
                "echo Swift version 5.10.1 '(swift-5.10.1-RELEASE)'",
                "is Swift 5.10.1, and this package needs 6.2 or later"
            ),
            ("echo nonsense", "cannot tell the version"),
        ] {
            try scratch.write("#!/bin/sh\n\(version)\n", "swift")
            chmod(scratch.path("swift"), 0o755)
            let result = try await Program.run(
                "/bin/bash", [Self.script("setup"), "build"], environment: ["SWIFT": scratch.path("swift")])
            #expect(result.status == 3 && result.errors.contains(reason), "\(result)")
            #expect(!result.errors.contains("installing"))
        }
        let none = try await Program.run(
            "/bin/bash", [Self.script("setup"), "build"], environment: ["SWIFT": scratch.path("no-swift")])
        #expect(none.status == 3 && none.errors.contains("no Swift toolchain found; install Swift 6.2"), "\(none)")
    }
}
