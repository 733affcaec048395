import DstackSystem
import Foundation
import Testing

@Suite("Quantities")
struct QuantityTests {
    @Test(
        "durations are read and written",
        arguments: [
            ("30s", Duration.seconds(30), "30s"), ("5m", .seconds(300), "5m"), ("1h30m", .seconds(5_400), "1h30m"),
            ("250ms", .milliseconds(250), "250ms"), ("90m", .seconds(5_400), "1h30m"), ("1d", .seconds(86_400), "1d"),
            ("0s", .zero, "0s"), ("1500us", .microseconds(1_500), "1500us"),
            ("365250d", .seconds(365_250 * 86_400), "365250d"),
        ])
    func durations(text: String, duration: Duration, shortest: String) {
        #expect(DurationText.parse(text) == duration)
        #expect(DurationText.format(duration) == shortest)
    }

    @Test(
        "other durations are refused",
        arguments: [
            "", "30", "s", "30 s", "-1s", "+1s", "1.5h", "1w", "1S", "9223372036854775807d", "99999999999999999999s",
            "365251d", "1s ", "٣s", "1\u{301}s",
        ])
    func invalidDurations(text: String) {
        #expect(DurationText.parse(text) == nil)
    }

    @Test("sub-microsecond and negative durations are written without trapping")
    func oddDurations() {
        #expect(DurationText.format(.nanoseconds(1)) == "0s")
        #expect(DurationText.format(.seconds(-90)) == "-1m30s")
        #expect(DurationText.format(.seconds(Int64.min)).hasPrefix("-"))
    }

    @Test(
        "sizes are read and written",
        arguments: [
            ("0", 0, "0"), ("4096", 4_096, "4KiB"), ("0x1000", 4_096, "4KiB"), ("512K", 524_288, "512KiB"),
            ("10MiB", 10_485_760, "10MiB"), ("4m", 4_194_304, "4MiB"), ("2G", 2_147_483_648, "2GiB"),
            ("1TiB", 1_099_511_627_776, "1TiB"), ("1500", 1_500, "1500"), ("7B", 7, "7"),
        ])
    func sizes(text: String, count: Int, shortest: String) {
        #expect(ByteCountText.parse(text) == count)
        #expect(ByteCountText.format(count) == shortest)
    }

    @Test(
        "other sizes are refused, among them the ambiguous MB",
        arguments: [
            "", "M", "64MB", "1kB", "-1", "+1", "1.5G", "0x", "0x-1", "0x+1", "0xg", "9223372036854775808", "8388608T",
            "1 K",
        ])
    func invalidSizes(text: String) {
        #expect(ByteCountText.parse(text) == nil)
    }
}

@Suite("Suggestions")
struct SuggestionTests {
    @Test(
        "a near miss finds what was meant, anything else finds nothing",
        arguments: [
            ("colateral", "collateral"), ("qoute", "quote"), ("Quote", "quote"), ("jsn", "json"),
            ("event_log", "event-log"),
            ("xyz", nil), ("", nil), ("a", nil), ("frobnicate", nil),
            (String(repeating: "q", count: 100_000), nil),
        ] as [(String, String?)])
    func closest(word: String, candidate: String?) {
        #expect(Suggestion.closest(to: word, among: ["collateral", "quote", "json", "event-log"]) == candidate)
    }
}

@Suite("Facts about the surroundings")
struct SurroundingsTests {
    @Test("the environment is this process's, and empty variables count as unset")
    func environment() {
        #expect(Environment.process["PATH"] == ProcessInfo.processInfo.environment["PATH"])
        #expect(Environment(["X": ""])["X"] == nil)
        #expect(Environment([:])["X"] == nil)
    }

    @Test(
        "colour needs a terminal that can show it and nobody who objects",
        arguments: [
            (["TERM": "xterm"], true), (["TERM": "xterm", "NO_COLOR": "1"], false), (["TERM": "dumb"], false),
            ([:], false),
            (["TERM": "xterm", "NO_COLOR": ""], true),
        ])
    func color(variables: [String: String], expected: Bool) throws {
        var (primary, secondary): (Int32, Int32) = (-1, -1)
        var size = winsize(ws_row: 24, ws_col: 132, ws_xpixel: 0, ws_ypixel: 0)
        try #require(openpty(&primary, &secondary, nil, nil, &size) == 0)
        defer {
            close(primary)
            close(secondary)
        }
        let terminal = Terminal(descriptor: secondary, environment: Environment(variables))
        #expect(terminal == Terminal(isInteractive: true, width: 132, usesColor: expected))
    }

    @Test(
        "a locale of another encoding than UTF-8 gets ASCII, and no locale what terminals of today can show",
        arguments: [
            (["LC_ALL": "C"], false), (["LANG": "POSIX"], false), (["LANG": "de_DE.ISO-8859-1"], false),
            (["LC_ALL": "C", "LANG": "C.UTF-8"], false), (["LC_CTYPE": "C", "LANG": "C.UTF-8"], false), ([:], true),
            (["LANG": "C.UTF-8"], true), (["LC_ALL": "en_US.utf8", "LANG": "C"], true), (["LC_ALL": ""], true),
        ])
    func encoding(variables: [String: String], expected: Bool) {
        #expect(Terminal(descriptor: -1, environment: Environment(variables)).isUnicode == expected)
    }

    @Test("a file is no terminal, and its width is what COLUMNS says, within reason")
    func file() throws {
        let null = try FileDescriptor(opening: "/dev/null", flags: O_RDWR)
        let number = null.number
        for (columns, width) in [("132", 132), ("0", 80), ("1000000", 80), ("x", 80)] {
            let terminal = Terminal(
                descriptor: number, environment: Environment(["TERM": "xterm", "COLUMNS": columns]))
            #expect(terminal == Terminal(isInteractive: false, width: width, usesColor: false))
        }
    }

    @Test("clocks count whole seconds down, also before 1970, and never trap")
    func clocks() {
        let clock = FixedWallClock(unixSeconds: -1)
        #expect(clock.unixSeconds == -1)
        clock.advance(bySeconds: 2)
        #expect(clock.unixSeconds == 1)
        clock.set(unixSeconds: .max)
        clock.advance(bySeconds: .max)
        #expect(clock.unixMilliseconds == .max)
        clock.set(unixSeconds: .min)
        #expect(clock.unixSeconds < -9_000_000_000_000_000)
        let now = SystemWallClock().unixSeconds
        #expect(abs(now - Int64(Date().timeIntervalSince1970)) <= 60)
    }
}
