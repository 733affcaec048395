import DstackEncoding
import TestKit
import Testing

@Suite("CBOR")
struct CBORTests {
    /// Values and encodings of RFC 8949 appendix A, those of the kinds that this codec has, and the edges of each
    /// length form.
    static let examples: [(CBOR, String)] = [
        (.unsigned(0), "00"), (.unsigned(1), "01"), (.unsigned(10), "0a"), (.unsigned(23), "17"),
        (.unsigned(24), "1818"), (.unsigned(25), "1819"), (.unsigned(100), "1864"), (.unsigned(255), "18ff"),
        (.unsigned(256), "190100"), (.unsigned(1000), "1903e8"), (.unsigned(0xFFFF), "19ffff"),
        (.unsigned(0x10000), "1a00010000"), (.unsigned(1_000_000), "1a000f4240"),
        (.unsigned(0xFFFF_FFFF), "1affffffff"), (.unsigned(0x1_0000_0000), "1b0000000100000000"),
        (.unsigned(1_000_000_000_000), "1b000000e8d4a51000"), (.unsigned(.max), "1bffffffffffffffff"),
        (.negative(.max), "3bffffffffffffffff"), (.negative(0), "20"), (.negative(9), "29"), (.negative(99), "3863"),
        (.negative(999), "3903e7"),
        (.bool(false), "f4"), (.bool(true), "f5"), (.null, "f6"),
        (.bytes([]), "40"), (.bytes([1, 2, 3, 4]), "4401020304"),
        (.bytes(Array(repeating: 7, count: 24)), "5818" + String(repeating: "07", count: 24)),
        (.text(""), "60"), (.text("a"), "6161"), (.text("IETF"), "6449455446"), (.text("\"\\"), "62225c"),
        (.text("\u{00fc}"), "62c3bc"), (.text("\u{6c34}"), "63e6b0b4"), (.text("\u{10151}"), "64f0908591"),
        (.array([]), "80"), (.array([.unsigned(1), .unsigned(2), .unsigned(3)]), "83010203"),
        (
            .array([.unsigned(1), .array([.unsigned(2), .unsigned(3)]), .array([.unsigned(4), .unsigned(5)])]),
            "8301820203820405"
        ),
        (
            .array((1...25).map { .unsigned(UInt64($0)) }),
            "98190102030405060708090a0b0c0d0e0f101112131415161718181819"
        ),
        (.map([]), "a0"),
        (
            .map([.init("a", .unsigned(1)), .init("b", .array([.unsigned(2), .unsigned(3)]))]),
            "a26161016162820203"
        ),
        (.array([.text("a"), .map([.init("b", .text("c"))])]), "826161a161626163"),
        // Members keep the order in which they stand, here not the sorted one.
        (.map([.init("bb", .null), .init("a", .null)]), "a2626262f66161f6"),
    ]

    @Test("each example encodes to its bytes and back", arguments: examples)
    func example(_ item: CBOR, _ hex: String) throws {
        #expect(Hex.encode(item.encoded()) == hex)
        #expect(try decode(hex) == item)
    }

    static let refused: [(String, DecodingFailure.Code, Int, String)] = [
        ("", .truncated, 0, "an empty document"),
        ("0000", .trailing, 1, "a second item"),
        ("a0f6", .trailing, 1, "a byte after a map"),
        ("1817", .malformed, 0, "23 in two bytes"),
        ("190017", .malformed, 0, "23 in three bytes"),
        ("1900ff", .malformed, 0, "255 in three bytes"),
        ("1a0000ffff", .malformed, 0, "65535 in five bytes"),
        ("1b00000000ffffffff", .malformed, 0, "2^32 − 1 in nine bytes"),
        ("5803010203", .malformed, 0, "a long form of a short length"),
        ("780161", .malformed, 0, "a long form of a short text length"),
        ("980100", .malformed, 0, "a long form of a short array"),
        ("18", .truncated, 1, "a number cut short"),
        ("1b00000000", .truncated, 1, "a long number cut short"),
        ("42ff", .truncated, 0, "a byte string cut short"),
        ("5bffffffffffffffff", .truncated, 0, "a byte string of 2^64 − 1 bytes"),
        ("9bffffffffffffffff00", .truncated, 0, "an array of 2^64 − 1 elements"),
        ("bbffffffffffffffff6000", .truncated, 0, "a map of 2^64 − 1 members"),
        ("bb7fffffffffffffff6000", .truncated, 0, "a map of 2^63 − 1 members"),
        ("8200", .truncated, 0, "an array with an element missing"),
        ("a16161", .truncated, 3, "a map with a value missing"),
        ("a2616101", .truncated, 0, "a map with a member missing"),
        ("a20000", .truncated, 0, "a map of two with one entry"),
        ("a10001", .unsupported, 1, "an integer key"),
        ("a1410001", .unsupported, 1, "a byte-string key"),
        ("a2616101616102", .malformed, 4, "a duplicate key"),
        ("62c328", .malformed, 0, "text that is not UTF-8"),
        ("63eda080", .malformed, 0, "a surrogate in text"),
        ("5f41004100ff", .unsupported, 0, "an indefinite byte string"),
        ("7f6161ff", .unsupported, 0, "an indefinite text"),
        ("9f00ff", .unsupported, 0, "an indefinite array"),
        ("bf616100ff", .unsupported, 0, "an indefinite map"),
        ("ff", .malformed, 0, "a break"),
        ("1c", .malformed, 0, "reserved additional information"),
        ("c000", .unsupported, 0, "a tag"),
        ("d9d9f7a0", .unsupported, 0, "the self-described tag"),
        ("f93c00", .unsupported, 0, "a half float"),
        ("fa47c35000", .unsupported, 0, "a float"),
        ("fb3ff199999999999a", .unsupported, 0, "a double"),
        ("f7", .unsupported, 0, "undefined"),
        ("f8ff", .unsupported, 0, "a simple value"),
        ("818181818181818180", .tooLarge, 8, "nine levels"),
        ("a16161a16161a16161a16161a16161a16161a16161a16161a0", .tooLarge, 24, "nine levels of maps"),
    ]

    @Test("what is not deterministic, or not of these kinds, is refused where it stands", arguments: refused)
    func refusal(_ hex: String, _ code: DecodingFailure.Code, _ offset: Int, _ what: String) throws {
        let failure = try #require(throws: DecodingFailure.self, "\(what)") { try decode(hex) }
        #expect(failure.code == code, "\(what): \(failure)")
        #expect(failure.offset == offset, "\(what): \(failure)")
    }

    @Test("keys that only look alike are different keys")
    func canonicalEquivalence() throws {
        // K and the Kelvin sign; é as one scalar and as two.
        let map = try decode("a4614b0163e284aa0262c3a90363" + "65cc81" + "04")
        let fields = try CBORFields(map, path: "test")
        #expect(try fields.unsigned("K") == 1)
        #expect(try fields.unsigned("\u{212A}") == 2)
        #expect(try fields.unsigned("\u{e9}") == 3)
        #expect(try fields.unsigned("e\u{301}") == 4)
        #expect(CBOR.text("\u{e9}") != CBOR.text("e\u{301}"))
    }

    @Test("fields say which member is missing or of another kind")
    func fields() throws {
        let item = CBOR.map([
            .init("number", .unsigned(3)), .init("digest", .bytes([1, 2, 3])),
            .init("inner", .map([.init("name", .text("x"))])),
        ])
        let fields = try CBORFields(item, path: "document")
        #expect(try fields.unsigned("number") == 3)
        #expect(try fields.bytes("digest") == [1, 2, 3])
        let exact: FixedBytes<3> = try fields.fixed("digest")
        #expect(exact.bytes == [1, 2, 3])
        #expect(try fields.fields("inner").text("name") == "x")
        #expect(fields.optional("absent") == nil)
        #expect(throws: DecodingFailure(.malformed, "document", "member \"absent\" is missing")) {
            try fields.text("absent")
        }
        #expect(
            throws: DecodingFailure(.malformed, "document.number", "a byte string expected, found the number 3")
        ) { try fields.bytes("number") }
        #expect(throws: DecodingFailure(.malformed, "document.digest", "has invalid length 3, expected 2")) {
            let _: FixedBytes<2> = try fields.fixed("digest")
        }
        #expect(
            throws: DecodingFailure(
                .malformed, "document.inner.name", "an unsigned number expected, found a text string")
        ) {
            try fields.fields("inner").unsigned("name")
        }
        #expect(throws: DecodingFailure(.malformed, "document.number", "a map expected, found the number 3")) {
            try fields.fields("number")
        }
    }

    @Test("every truncation of a document is refused")
    func truncations() throws {
        let document = CBOR.map(Self.examples.enumerated().map { .init("\($0.offset)", $0.element.0) }).encoded()
        #expect(try CBORDecoder.decode(document, subject: "test").encoded() == document)
        for length in 0..<document.count {
            #expect(throws: DecodingFailure.self, "at \(length) bytes") {
                try CBORDecoder.decode(Array(document.prefix(length)), subject: "test")
            }
        }
    }

    @Test("mutated documents are refused or are exactly what they encode to")
    func mutations() {
        let document = CBOR.map(Self.examples.enumerated().map { .init("\($0.offset)", $0.element.0) }).encoded()
        var generator = SeededGenerator(seed: 0xC80_2026)
        var accepted = 0
        for _ in 0..<4000 {
            var mutated = document
            for _ in 0...Int(generator.next() % 3) {
                let position = Int(generator.next() % UInt64(mutated.count))
                switch generator.next() % 4 {
                case 0: mutated[position] ^= 1 << UInt8(generator.next() % 8)
                case 1: mutated[position] = UInt8(truncatingIfNeeded: generator.next())
                case 2: mutated.remove(at: position)
                default: mutated.insert(UInt8(truncatingIfNeeded: generator.next()), at: position)
                }
            }
            guard let item = try? CBORDecoder.decode(mutated, subject: "test") else { continue }
            accepted += 1
            #expect(item.encoded() == mutated)
        }
        #expect(accepted > 0)
    }

    @Test("random bytes are refused or are exactly what they encode to")
    func randomBytes() {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<20_000 {
            let bytes = (0..<Int(generator.next() % 24)).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
            guard let item = try? CBORDecoder.decode(bytes, subject: "test") else { continue }
            #expect(item.encoded() == bytes)
        }
    }

    private func decode(_ hex: String) throws -> CBOR {
        try CBORDecoder.decode(try Hex.decode(hex, subject: "example"), subject: "test")
    }

    @Test("a document of nothing but one-byte items does not become many times its size in memory")
    func items() throws {
        func zeros(_ count: UInt16) -> [UInt8] {
            [0x99, UInt8(count >> 8), UInt8(count & 0xFF)] + [UInt8](repeating: 0, count: Int(count))
        }
        _ = try CBORDecoder.decode(zeros(16_000), subject: "document")
        let failure = #expect(throws: DecodingFailure.self) {
            try CBORDecoder.decode(zeros(17_000), subject: "document")
        }
        #expect(failure?.code == .tooLarge)
    }
}
