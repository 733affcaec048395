import DstackEncoding
import DstackGuest
import DstackSystem
import Foundation
import TestKit
import Testing

@Suite("Container logs as bytes")
struct ContainersLogTests {
    private static func frame(_ channel: UInt8, _ text: String) -> [UInt8] {
        let bytes = Array(text.utf8)
        return [channel, 0, 0, 0] + withUnsafeBytes(of: UInt32(bytes.count).bigEndian) { Array($0) } + bytes
    }

    private static let stream = frame(1, "out\n") + frame(2, "err\n") + frame(0, "") + frame(1, "日本") + frame(3, "no")

    private static func parse(_ bytes: [UInt8], pieces: Int) throws -> [LogFrameParser.Frame] {
        var parser = LogFrameParser()
        var frames: [LogFrameParser.Frame] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            parser.append(Array(rest.prefix(pieces)))
            rest = rest.dropFirst(pieces)
            while let frame = try parser.next() { frames.append(frame) }
        }
        try parser.expectEnd()
        return frames
    }

    @Test("frames come out the same however the stream was cut", arguments: [1, 2, 3, 7, 8, 9, 1_000])
    func cuts(pieces: Int) throws {
        let frames = try Self.parse(Self.stream, pieces: pieces)
        #expect(
            frames == [
                .output(LogFrame(.stdout, Array("out\n".utf8))), .output(LogFrame(.stderr, Array("err\n".utf8))),
                .output(LogFrame(.stdin, [])), .output(LogFrame(.stdout, Array("日本".utf8))), .failure(Array("no".utf8)),
            ])
    }

    @Test("a stream that ends inside a frame is noticed at every place")
    func truncations() throws {
        // Where a frame ends, the stream may end.
        let ends = [0, 12, 24, 32, 46, 56]
        for length in 0...Self.stream.count {
            let result = Result { try Self.parse(Array(Self.stream.prefix(length)), pieces: 5) }
            if ends.contains(length) {
                #expect(throws: Never.self) { try result.get() }
            } else {
                #expect(throws: DecodingFailure.self, "\(length) bytes") { try result.get() }
            }
        }
    }

    @Test(
        "another form than the engine's is refused",
        arguments: [[4, 0, 0, 0, 0, 0, 0, 1, 65], [1, 1, 0, 0, 0, 0, 0, 0]] as [[UInt8]])
    func malformed(bytes: [UInt8]) {
        #expect(throws: DecodingFailure.self) { try Self.parse(bytes, pieces: 100) }
    }

    @Test("a length beyond all bounds is refused at once, not waited for")
    func hugeLength() {
        let error = #expect(throws: DecodingFailure.self) {
            try Self.parse([1, 0, 0, 0, 255, 255, 255, 255], pieces: 8)
        }
        #expect(error?.code == .tooLarge)
    }

    @Test("damaged streams are refused or read, never trap, and never yield more than came in")
    func mutations() {
        var random = SeededGenerator(seed: 3)
        var refused = 0
        for _ in 0..<5_000 {
            var bytes = Self.stream
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: .min ... .max, using: &random)
            }
            guard let frames = try? Self.parse(bytes, pieces: Int.random(in: 1...20, using: &random)) else {
                refused += 1
                continue
            }
            let total = frames.reduce(0) { sum, frame in
                switch frame {
                case .output(let frame): sum + 8 + frame.bytes.count
                case .failure(let bytes): sum + 8 + bytes.count
                }
            }
            #expect(total == bytes.count)
        }
        #expect(refused > 1_000)
    }

    // MARK: Output

    private func encode(_ format: LogForm, _ frames: [LogFrame]) -> String {
        var encoder = LogEncoder(format)
        return String(decoding: frames.flatMap { encoder.encode($0) }, as: UTF8.self)
    }

    private static let frames = [
        LogFrame(.stdout, Array("a\tb\u{1B}[31mred\u{1B}[0m\r\n".utf8)), LogFrame(.stderr, Array("\"q\"\n".utf8)),
    ]

    @Test(
        "the four forms of a log",
        arguments: [
            (
                LogForm(), #"{"channel":"stdout","message":"YQliG1szMW1yZWQbWzBtDQo="}"#,
                #"{"channel":"stderr","message":"InEiCg=="}"#
            ),
            (
                LogForm(isText: true), #"{"channel":"stdout","message":"a\tb\u001b[31mred\u001b[0m\r\n"}"#,
                #"{"channel":"stderr","message":"\"q\"\n"}"#
            ),
            (LogForm(isBare: true), "YQliG1szMW1yZWQbWzBtDQo=", "InEiCg=="),
            (LogForm(isText: true, isBare: true), "a\tbred", "\"q\""),
            (LogForm(isText: true, isBare: true, keepsEscapes: true), "a\tb\u{1B}[31mred\u{1B}[0m\r", "\"q\""),
        ])
    func forms(form: LogForm, first: String, second: String) {
        let expected = [first, second, ""].joined(separator: "\n")
        #expect(encode(form, Self.frames) == expected)
    }

    @Test("a character that is cut between two frames stays whole, each channel for itself")
    func cutCharacters() {
        let bytes = Array("日😀é".utf8)
        for cut in 0...bytes.count {
            let frames = [
                LogFrame(.stdout, Array(bytes[..<cut])), LogFrame(.stderr, [0xE6]),
                LogFrame(.stdout, Array(bytes[cut...])), LogFrame(.stderr, [0x97, 0xA5]),
            ]
            #expect(encode(LogForm(isText: true, isBare: true), frames) == "日😀é日")
        }
        #expect(encode(LogForm(isText: true, isBare: true), [LogFrame(.stdout, [0xFF, 0x41])]) == "\u{FFFD}A")
    }

    @Test(
        "escape sequences go, and what only looks like one takes nothing with it",
        arguments: [
            ("\u{1B}[1;31mx\u{1B}[0m", "x"), ("\u{1B}]0;title\u{07}x", "x"), ("\u{1B}]8;;http://e\u{1B}\\x", "x"),
            ("\u{1B}(Bx", "x"), ("\u{1B}Px\u{1B}\\y", "y"), ("\u{1B}]never ends\nnext", "\nnext"),
            ("\u{9B}31mx", "x"), ("a\u{08}b\u{07}c\u{7F}d", "abcd"), ("\u{1B}\u{1B}[mx", "x"), ("\r\n", "\n"),
        ])
    func escapes(raw: String, plain: String) {
        let frames = [LogFrame(.stdout, Array(raw.utf8))]
        #expect(encode(LogForm(isText: true, isBare: true), frames) == plain)
        // The same byte by byte.
        let pieces = raw.utf8.map { LogFrame(.stdout, [$0]) }
        #expect(encode(LogForm(isText: true, isBare: true), pieces) == plain)
    }

    @Test("an escape sequence without end gives up after some thousand characters")
    func endlessEscape() {
        let text = "\u{1B}]" + String(repeating: "x", count: 10_000)
        #expect(encode(LogForm(isText: true, isBare: true), [LogFrame(.stdout, Array(text.utf8))]).count > 5_000)
    }

    // MARK: Parameters

    private func parameters(_ items: [(String, String)]) throws -> LogParameters {
        try LogParameters(items.map { (name: $0.0, value: $0.1) }, now: 1_760_000_000)
    }

    @Test(
        "times are absolute or so long ago",
        arguments: [
            ("", 0), ("0", 0), ("120", 120), ("1760000000", 1_760_000_000), ("30s", 1_759_999_970),
            ("5m", 1_759_999_700), ("2h", 1_759_992_800), ("1d", 1_759_913_600), ("999999999999s", 0),
            ("99999999999999999999999d", 0), ("9223372036854775807", .max),
        ] as [(String, Int64)])
    func times(text: String, seconds: Int64) throws {
        #expect(try parameters([("since", text)]).query.since == seconds)
        #expect(try parameters([("until", text)]).query.until == seconds)
    }

    @Test(
        "other times are refused by name",
        arguments: ["30x", "h", "abc", "-5m", "1.5h", "5 m", "５m", "1s ", "9223372036854775808", "5ms", "0x10"])
    func badTimes(text: String) {
        #expect(throws: LogParameters.Refusal(status: 400, reason: "Invalid since")) {
            try parameters([("since", text)])
        }
        #expect(throws: LogParameters.Refusal(status: 400, reason: "Invalid until")) {
            try parameters([("until", text)])
        }
    }

    @Test("flags: absent is no, empty is yes, words as people write them, anything else 422")
    func flags() throws {
        #expect(try parameters([]) == LogParameters())
        for text in ["", "true", "on", "YES", "True"] {
            let all = try parameters(["follow", "text", "bare", "timestamps", "ansi"].map { ($0, text) })
            #expect(all.query.follows && all.query.hasTimestamps)
            #expect(all.format == LogForm(isText: true, isBare: true, keepsEscapes: true))
        }
        for text in ["false", "off", "No"] { #expect(try parameters([("follow", text)]).query.follows == false) }
        for text in ["1", "0", "maybe", " true"] {
            #expect(throws: LogParameters.Refusal(status: 422, reason: "Invalid follow")) {
                try parameters([("follow", text)])
            }
        }
    }

    @Test("tail is a number of lines or all of them; a thousand unless said")
    func tails() throws {
        #expect(try parameters([]).query.tail == .last(1_000))
        #expect(try parameters([("tail", "all")]).query.tail == .all)
        #expect(try parameters([("tail", "20")]).query.tail == .last(20))
        for text in ["-1", "x", "20 ", "99999999999999999999"] {
            #expect(throws: LogParameters.Refusal(status: 400, reason: "Invalid tail")) {
                try parameters([("tail", text)])
            }
        }
    }

    @Test("names that could leave their place in a path are no names")
    func names() {
        for name in ["web", "a", "A1_b.c-d", String(repeating: "x", count: 255)] {
            #expect(ContainerName(name)?.text == name)
        }
        for name in [
            "", ".", "..", "../info", "a/b", "a?all=1", "a#b", "-a", "_a", ".a", "a b", "a\n", "a%2f", "é", "a\u{0}",
            String(repeating: "x", count: 256),
        ] { #expect(ContainerName(name) == nil, "\(name.debugDescription)") }
    }

    @Test("DOCKER_HOST names a Unix socket or a TCP port; anything else is refused, not ignored")
    func dockerHost() throws {
        let endpoint = { (text: String?) throws in
            try DockerEndpoint.fromEnvironment(.init(text.map { ["DOCKER_HOST": $0] } ?? [:]))
        }
        #expect(try endpoint(nil) == .unix(path: "/var/run/docker.sock"))
        #expect(try endpoint("") == .standard)
        #expect(try endpoint("unix:///run/user/1000/docker.sock") == .unix(path: "/run/user/1000/docker.sock"))
        #expect(try endpoint("tcp://127.0.0.1:2375") == .tcp(host: "127.0.0.1", port: 2375))
        #expect(try endpoint("tcp://[::1]:2375/") == .tcp(host: "[::1]", port: 2375))
        for text in ["ssh://host", "unix://relative", "tcp://host", "tcp://:1", "tcp://h:70000", "tcp://u@h:1/x", "x"] {
            #expect(throws: GuestError(.invalidConfiguration, subject: "", reason: "")) { try endpoint(text) }
        }
    }
}
