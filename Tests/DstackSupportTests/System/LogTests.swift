import DstackEncoding
import DstackSystem
import Foundation
import TestKit
import Testing

@Suite("Logs")
struct LogTests {
    private static let clock = FixedWallClock(unixSeconds: 1_740_830_400)
    /// Everything a peer could use to break a line, colour it, turn it around or hide something in it.
    private static let hostile =
        "a\nlevel=error \u{1b}[31m\"q\\\u{202e}\u{0}\u{7f}\u{9b}\u{2028}\u{200b}\u{e0041}\u{feff}é😀"

    @Test("an event is one line with its fields in a fixed order")
    func textLine() {
        let sink = MemorySink()
        let log = Log("gateway", to: LogOutput(sink: sink, clock: Self.clock))
        log.info("listening", ["address": "127.0.0.1:443", "port": 443, "tls": true, "name": "a b", "empty": ""])
        log.warn("peer \"x\" left", ["after": Duration.milliseconds(1_500), "code": Int?.none, "ratio": 0.5])
        #expect(
            sink.text == """
                time=2025-03-01T12:00:00.000Z level=info component=gateway message="listening" \
                address=127.0.0.1:443 port=443 tls=true name="a b" empty=""
                time=2025-03-01T12:00:00.000Z level=warn component=gateway message="peer \\"x\\" left" \
                after=1s500ms code=null ratio=0.5

                """)
    }

    @Test("in JSON an event is one object on one line, with numbers as numbers")
    func jsonLine() throws {
        let sink = MemorySink()
        let log = Log("gateway", to: LogOutput(format: .json, sink: sink, clock: Self.clock))
        log.error(
            "failed",
            [
                "text": Self.hostile, "big": UInt64.max, "small": Int64.min, "no": Double.infinity, "nil": String?.none,
                "id": FixedBytes<2>(hex: "0aFF"),
            ])
        let line = sink.text
        #expect(line.hasSuffix("}\n") && line.filter { $0 == "\n" }.count == 1)
        #expect(
            line.hasPrefix(
                #"{"time":"2025-03-01T12:00:00.000Z","level":"error","component":"gateway","message":"failed","#))
        let object = try #require(try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        #expect(object["text"] as? String == Self.hostile)
        #expect(object["big"] as? String == "18446744073709551615")
        #expect(object["small"] as? Int64 == Int64.min)
        #expect(object["no"] as? String == "inf")
        #expect(object["nil"] is NSNull)
        #expect(object["id"] as? String == "0aff")
        #expect(line.unicodeScalars.dropLast().allSatisfy { SafeText.isPlain($0) })
    }

    @Test("hostile text stays in its field, in every format", arguments: LogFormat.allCases)
    func hostileText(format: LogFormat) {
        let sink = MemorySink()
        let log = Log("proxy", to: LogOutput(format: format, sink: sink, clock: Self.clock))
        log.info("request \(Self.hostile)", ["host": Self.hostile])
        let own = format == .terminal ? 2 : 0
        #expect(sink.text.unicodeScalars.filter { $0 == "\u{1b}" }.count == own)
        #expect(sink.text.filter { $0 == "\n" }.count == 1)
        for scalar in sink.text.unicodeScalars where scalar != "\n" && scalar != "\u{1b}" {
            #expect(SafeText.isPlain(scalar))
        }
        if format == .text {
            #expect(
                sink.text.contains(
                    #"host="a\nlevel=error \u{1b}[31m\"q\\\u{202e}\u{0}\u{7f}\u{9b}\u{2028}\u{200b}\u{e0041}\u{feff}é😀""#
                ))
        }
    }

    @Test("an endless value is cut, and the line says by how much", arguments: LogFormat.allCases)
    func longText(format: LogFormat) {
        let sink = MemorySink()
        let log = Log("proxy", to: LogOutput(format: format, sink: sink, clock: Self.clock))
        log.info(String(repeating: "m", count: 100_000), ["host": String(repeating: "h", count: 5_000)])
        #expect(sink.text.utf8.count < 9_000)
        #expect(sink.text.contains("… (95904 characters more)"))
        #expect(sink.text.contains("… (904 characters more)"))
    }

    @Test("for a person a line has the time of day and colour")
    func terminalLine() {
        let sink = MemorySink()
        Log("kms", to: LogOutput(format: .terminal, sink: sink, clock: Self.clock)).warn("slow", ["ms": 7])
        #expect(sink.text == "12:00:00.000 \u{1b}[33mwarn \u{1b}[0m kms: slow ms=7\n")
    }

    @Test(
        "a filter decides by level and component, the longest name first",
        arguments: [
            ("info", "gateway", LogLevel.info), ("debug", "gateway", .debug), ("WARNING", "x", .warn),
            ("off", "gateway", nil), ("", "gateway", .info), ("gateway=debug", "gateway", .debug),
            ("gateway=debug", "kms", .info), ("gateway=debug", "gateway.acme", .debug),
            ("gateway=debug", "gatewayx", .info), ("gateway=debug,gateway.acme=error", "gateway.acme.dns", .error),
            ("gateway=off, warn", "gateway", nil), ("gateway=off, warn", "kms", .warn),
            ("error,trace", "x", .trace),
        ] as [(String, String, LogLevel?)])
    func filter(text: String, component: String, threshold: LogLevel?) throws {
        #expect(try LogFilter(parsing: text).threshold(of: component) == threshold)
    }

    @Test(
        "a filter that is not understood is refused by its wrong part",
        arguments: ["loud", "=info", "a=", "a=b=c", "info=x"])
    func invalidFilter(text: String) {
        let failure = #expect(throws: InvalidLogFilter.self) { try LogFilter(parsing: "debug," + text) }
        #expect(failure?.part == text)
    }

    @Test("what is filtered out is not even computed")
    func lazy() {
        let sink = MemorySink()
        let output = LogOutput(filter: LogFilter(from: .warn), sink: sink, clock: Self.clock)
        let log = Log("gateway", to: output)
        var evaluated = 0
        func count() -> Int {
            evaluated += 1
            return evaluated
        }
        log.info("\(count())", ["n": count()])
        #expect(evaluated == 0 && sink.text == "")
        output.configure(filter: LogFilter(from: .info))
        log.info("\(count())", ["n": count()])
        #expect(evaluated == 2 && sink.text.contains("message=\"1\" n=2"))
        output.configure(filter: LogFilter(from: nil))
        log.error("\(count())")
        #expect(evaluated == 2)
        #expect(!log.isEnabled(.error))
    }

    @Test("the environment sets filter and format, and a mistake in it is a warning, not an end")
    func environment() {
        func lines(_ variables: [String: String], terminal: Terminal = .plain) -> String {
            let sink = MemorySink()
            let output = LogOutput(
                environment: Environment(variables), sink: sink, terminal: terminal, clock: Self.clock)
            Log("kms", to: output).debug("d")
            Log("kms", to: output).info("i")
            return sink.text
        }
        let info = "time=2025-03-01T12:00:00.000Z level=info component=kms message=\"i\"\n"
        #expect(lines([:]) == info)
        #expect(lines(["DSTACK_LOG": "kms=off"]) == "")
        #expect(lines(["DSTACK_LOG": "kms=debug"]).hasSuffix(info) && lines(["DSTACK_LOG": "debug"]) != info)
        #expect(lines(["DSTACK_LOG_FORMAT": "json"]).hasPrefix("{"))
        #expect(lines([:], terminal: Terminal(isInteractive: true, usesColor: true)).hasPrefix("12:00:00.000 "))
        let warned = lines(["DSTACK_LOG": "loud\u{1b}", "DSTACK_LOG_FORMAT": "xml"])
        #expect(warned.hasSuffix(info))
        #expect(warned.contains(#"DSTACK_LOG is ignored: \"loud\\u{1b}\" is no log filter"#))
        #expect(warned.contains("DSTACK_LOG_FORMAT is ignored: it needs one of text, json, terminal"))
    }
}

@Suite("Safe text")
struct SafeTextTests {
    @Test(
        "plain text of any language stays as it is",
        arguments: ["", "plain", "naïve café", "日本語", "עברית", "👩🏽 x", "a\\b\"c"])
    func plain(text: String) {
        // A joined emoji would lose its joiner, which is a format character.
        #expect(SafeText.line(text) == text)
    }

    @Test("line breaks stay only where lines are wanted")
    func lines() {
        #expect(SafeText.line("a\r\n\tb") == "a\\r\\n\\tb")
        #expect(SafeText.lines("a\r\n\tb\u{85}") == "a\\r\n\\tb\\u{85}")
    }

    @Test("bytes that are not UTF-8 are shown as what they are")
    func invalidBytes() {
        #expect(SafeText.line(bytes: [0x61, 0xFF, 0xC3, 0xA9, 0xE2, 0x82, 0x0A] as [UInt8]) == "a\\xffé\\xe2\\x82\\n")
        #expect(SafeText.line(bytes: [0xED, 0xA0, 0x80] as [UInt8]) == "\\xed\\xa0\\x80")
        #expect(SafeText.line(bytes: [UInt8](repeating: 0x61, count: 10), limit: 4) == "aaaa… (6 bytes more)")
    }

    @Test("whatever the bytes, the result is one plain line")
    func anyBytes() {
        var random = SeededGenerator(seed: 7)
        for _ in 0..<2_000 {
            let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            #expect(SafeText.line(bytes: bytes).unicodeScalars.allSatisfy { SafeText.isPlain($0) })
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(SafeText.line(text).unicodeScalars.allSatisfy { SafeText.isPlain($0) })
            let quoted = SafeText.quoted(text).dropFirst().dropLast()
            #expect(quoted.replacing("\\\\", with: "").replacing("\\\"", with: "").contains("\"") == false)
        }
    }
}
