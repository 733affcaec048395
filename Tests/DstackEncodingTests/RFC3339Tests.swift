import DstackEncoding
import Foundation
import TestKit
import Testing

@Suite("RFC 3339 timestamps")
struct RFC3339Tests {
    @Test(
        "a timestamp is the count of seconds that its calendar date says",
        arguments: [
            ("1970-01-01T00:00:00Z", 0),
            ("2025-03-01T12:00:00Z", 1_740_830_400),
            ("2024-02-29T23:59:59Z", 1_709_251_199),
            ("2000-02-29T00:00:00Z", 951_782_400),
            ("2038-01-19T03:14:08Z", 2_147_483_648),
            ("1969-12-31T23:59:59Z", -1),
            ("1900-03-01T00:00:00Z", -2_203_891_200),
            ("0000-01-01T00:00:00Z", -62_167_219_200),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
            ("2025-03-01t12:00:00z", 1_740_830_400),
            ("2025-03-01 12:00:00Z", 1_740_830_400),
            ("2025-03-01T12:00:00+00:00", 1_740_830_400),
            ("2025-03-01T12:00:00-00:00", 1_740_830_400),
            ("2025-03-01T14:30:00+02:30", 1_740_830_400),
            ("2025-02-28T12:01:00-23:59", 1_740_830_400),
            ("0000-01-01T00:00:00+23:59", -62_167_305_540),
        ] as [(String, Int64)])
    func parses(text: String, seconds: Int64) throws {
        #expect(try RFC3339.parse(text) == seconds)
        #expect(try RFC3339.parse(text, rounding: .up) == seconds)
    }

    @Test(
        "a fraction rounds as asked, also before 1970 and under an offset",
        arguments: [
            ("2025-03-01T12:00:00.0Z", 1_740_830_400, 1_740_830_400),
            ("2025-03-01T12:00:00.000000000000000001Z", 1_740_830_400, 1_740_830_401),
            ("2025-03-01T12:00:00.999999999999999999+00:00", 1_740_830_400, 1_740_830_401),
            ("1969-12-31T23:59:59.5Z", -1, 0),
            ("2016-12-31T23:59:60Z", 1_483_228_799, 1_483_228_800),
            ("2017-01-01T00:59:60.5+01:00", 1_483_228_799, 1_483_228_800),
        ] as [(String, Int64, Int64)])
    func rounds(text: String, down: Int64, up: Int64) throws {
        #expect(try RFC3339.parse(text, rounding: .down) == down)
        #expect(try RFC3339.parse(text, rounding: .up) == up)
    }

    @Test(
        "anything else is refused where it goes wrong",
        arguments: [
            ("", 0), ("2025", 4), ("2025-03-01", 10), ("2025-03-01T", 11), ("2025-03-01T12:00:00", 19),
            ("2025-03-01T12:00Z", 16), ("25-03-01T12:00:00Z", 0), ("+2025-03-01T12:00:00Z", 0),
            ("2025-3-01T12:00:00Z", 5), ("2025/03/01T12:00:00Z", 4), ("2025-00-01T12:00:00Z", 5),
            ("2025-13-01T12:00:00Z", 5), ("2025-03-00T12:00:00Z", 8), ("2025-04-31T12:00:00Z", 8),
            ("2025-02-29T12:00:00Z", 8), ("1900-02-29T12:00:00Z", 8), ("2025-03-01_12:00:00Z", 10),
            ("2025-03-01T24:00:00Z", 11), ("2025-03-01T12:60:00Z", 14), ("2025-03-01T12:00:61Z", 17),
            ("2025-03-01T12:00:00.Z", 20), ("2025-03-01T12:00:00,5Z", 19), ("2025-03-01T12:00:00+24:00", 19),
            ("2025-03-01T12:00:00+01:60", 19), ("2025-03-01T12:00:00+0100", 22), ("2025-03-01T12:00:00+1:00", 20),
            ("2025-03-01T12:00:00Z ", 20), (" 2025-03-01T12:00:00Z", 0), ("2025-03-01T12:00:00ZZ", 20),
            ("2025-03-01T12:00:00\u{2212}01:00", 19), ("２025-03-01T12:00:00Z", 0), ("2025-03-01T12:00:00Zx", 20),
            ("2025-03-01T-1:00:00Z", 11),
        ])
    func refuses(text: String, offset: Int) {
        let failure = #expect(throws: DecodingFailure.self) { try RFC3339.parse(text, subject: "issueDate") }
        #expect(failure?.offset == offset)
        #expect(failure?.subject == "issueDate")
    }

    @Test("a mutated timestamp never traps, and what is accepted survives formatting")
    func mutations() throws {
        var random = SeededGenerator(seed: 0x3339)
        let alphabet = Array("0123456789-+:.TtZz 9\u{0}\u{ff}".utf8)
        var accepted = 0
        for _ in 0..<20_000 {
            var bytes = Array("2024-02-29T23:59:59.125+23:59".utf8)
            for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0...2, using: &random) {
                case 0: bytes[index] = alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
                case 1: bytes.remove(at: index)
                default: bytes.removeSubrange(index...)
                }
            }
            guard let seconds = try? bytes.withUnsafeBufferPointer({ try RFC3339.parse($0) }) else { continue }
            accepted += 1
            if seconds >= -62_167_219_200, seconds <= 253_402_300_799 {
                #expect(try RFC3339.parse(RFC3339.format(seconds)) == seconds)
            }
        }
        #expect(accepted > 100)
    }

    @Test("formatting equals Foundation's for days over ten thousand years")
    func formatsAsFoundation() {
        let formatter = ISO8601DateFormatter()
        // Foundation switches to the Julian calendar before 1582; the comparison begins after that.
        for seconds in stride(from: Int64(-12_000_000_000), to: 253_402_300_799, by: 98_765_432) {
            #expect(RFC3339.format(seconds) == formatter.string(from: Date(timeIntervalSince1970: Double(seconds))))
        }
    }

    @Test(
        "formatting pads, writes milliseconds, and has an answer for every number",
        arguments: [
            (0, nil, "1970-01-01T00:00:00Z"),
            (-1, 5, "1969-12-31T23:59:59.005Z"),
            (253_402_300_800, nil, "+10000-01-01T00:00:00Z"),
            (-62_167_219_201, nil, "-0001-12-31T23:59:59Z"),
            (Int64.max, nil, "+292277026596-12-04T15:30:07Z"),
            (Int64.min, nil, "-292277022657-01-27T08:29:52Z"),
        ] as [(Int64, Int?, String)])
    func formats(seconds: Int64, milliseconds: Int?, text: String) {
        #expect(RFC3339.format(seconds, milliseconds: milliseconds) == text)
    }

    @Test("civil time goes both ways for every day of 800 years, and refuses days that do not exist")
    func civilTimeRoundTrip() throws {
        var previous = CivilTime(unixSeconds: -20_000_000_000 / 86_400 * 86_400 - 86_400)
        for seconds in stride(from: Int64(-20_000_000_000) / 86_400 * 86_400, to: 6_000_000_000, by: 86_400) {
            let time = CivilTime(unixSeconds: seconds)
            #expect(time.unixSeconds == seconds)
            #expect(CivilTime(year: time.year, month: time.month, day: time.day) == time)
            let followsInMonth = time.month == previous.month && time.day == previous.day + 1
            let startsMonth = time.day == 1 && previous.day == CivilTime.days(in: previous.month, of: previous.year)
            #expect(followsInMonth || startsMonth)
            previous = time
        }
        #expect(CivilTime(year: 2025, month: 2, day: 29) == nil)
        #expect(CivilTime(year: 2025, month: 0, day: 1) == nil)
        #expect(CivilTime(year: 2025, month: 1, day: 1, hour: 24) == nil)
        #expect(CivilTime(year: Int64.max, month: 1, day: 1) == nil)
    }
}
