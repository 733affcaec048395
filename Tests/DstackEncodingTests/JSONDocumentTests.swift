import DstackEncoding
import TestKit
import Testing

@Suite("JSON documents")
struct JSONDocumentTests {
    func parse(_ text: String) throws(DecodingFailure) -> JSONNode {
        try JSONDocument(parsing: text, subject: "text").root
    }

    @Test("values, escapes and raw ranges are read as they stand")
    func values() throws {
        let root = try parse(#" {"a":[1,-2,3.5e1],"b" : {"c":"x\u00e9\n\ud83d\ude00"},"d":null,"e":true} "#)
        #expect(root.kind == .object && root.count == 4)
        #expect(try root.member("a").elements.map { $0.numberText } == ["1", "-2", "3.5e1"])
        #expect(try root.member("b").member("c").string() == "xé\n😀")
        #expect(String(decoding: try root.member("b").rawBytes, as: UTF8.self) == #"{"c":"x\u00e9\n\ud83d\ude00"}"#)
        #expect(try root.optionalMember("d") == nil)
        #expect(try root.member("e").bool())
        #expect(root.members.map(\.name) == ["a", "b", "d", "e"])
    }

    @Test(
        "what is not strict JSON is refused",
        arguments: [
            "", " ", "{", "[", "[1", "[1,", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "01", "-", "1.",
            "1.e1", "1e",
            "+1", ".5", "nul", "tru", "nulll", "\"", "\"\\", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\udc00\"",
            "\"\\ud800\\u0041\"", "\"\u{1}\"", "1 2", "{} []", "\u{FEFF}{}", "{\"a\":1,\"a\":2}",
            "{\"a\":1,\"\\u0061\":2}", "NaN", "'a'", "[1 2]", "{\"a\" 1}", "// x\n1",
        ])
    func refused(text: String) {
        #expect(throws: DecodingFailure.self) { try parse(text) }
    }

    @Test(
        "bytes that are not UTF-8 are refused",
        arguments: [
            [0x80], [0xC0, 0x80], [0xC3], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xFF],
            [0xF0, 0x80, 0x80, 0x80], [0xE2, 0x82],
        ] as [[UInt8]])
    func notUTF8(bytes: [UInt8]) {
        #expect(throws: DecodingFailure.self) {
            try JSONDocument(parsing: [0x22] + bytes + [0x22], subject: "text")
        }
    }

    @Test("duplicate members are found among many, without quadratic time")
    func manyMembers() throws {
        let members = (0..<60_000).map { "\"k\($0)\":0" }
        #expect(try parse("{" + members.joined(separator: ",") + "}").count == 60_000)
        #expect(throws: DecodingFailure.self) {
            try parse("{" + (members + ["\"k17\":1"]).joined(separator: ",") + "}")
        }
    }

    @Test("nesting beyond the limit is refused, not followed")
    func depth() throws {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(try parse(nested(64)).kind == .array)
        #expect(throws: DecodingFailure.self) { try parse(nested(65)) }
        #expect(throws: DecodingFailure.self) { try parse(String(repeating: "[", count: 1_000_000)) }
    }

    @Test("integers must be integers within the type")
    func integers() throws {
        #expect(try parse("255").integer(UInt8.self) == 255)
        #expect(try parse("-128").integer(Int8.self) == -128)
        #expect(try parse("18446744073709551615").integer(UInt64.self) == .max)
        for text in ["256", "-1", "1.0", "1e1", "\"1\"", "99999999999999999999"] {
            #expect(throws: DecodingFailure.self) { try parse(text).integer(UInt8.self) }
        }
    }

    @Test("a failure names the path of the value")
    func path() throws {
        let root = try parse(#"{"levels":[{"svn":1},{"svn":"x"}]}"#)
        let failure = #expect(throws: DecodingFailure.self) {
            for level in try root.member("levels").array() { _ = try level.member("svn").integer(Int.self) }
        }
        #expect(failure?.description == "text.levels[1].svn at byte 28: an integer expected, found a string")
        let nameless = #expect(throws: DecodingFailure.self) {
            try parse(#"{"a":{"":{"b":1}}}"#).member("a").expectOnlyMembers(["b"])
        }
        #expect(nameless?.description == #"text.a."" at byte 9: unknown member; known are b"#)
    }

    @Test("hexadecimal takes either case and one prefix where that is allowed, and nothing else")
    func hex() throws {
        for text in ["\"00aBFf\"", "\"0x00aBFf\"", "\"0X00abff\""] {
            #expect(try parse(text).fixedHex(FixedBytes<3>.self).hex == "00abff")
            #expect(try parse(text).hexBytes() == [0, 0xAB, 0xFF])
            guard text.contains("x") || text.contains("X") else { continue }
            #expect(throws: DecodingFailure.self) { try parse(text).fixedHex(FixedBytes<3>.self, prefix: .none) }
            #expect(throws: DecodingFailure.self) { try parse(text).hexBytes(prefix: .none) }
        }
        for text in [
            "\"00abf\"", "\"00abfg\"", "1", "\"0x0x00ab\"", "\"x00abff\"", "\"0x00abf\"", "\"00 abff\"", "\"0x0\"",
            "\"\\u0030x00abff\"", "null", "[0]",
        ] {
            #expect(throws: DecodingFailure.self) { try parse(text).fixedHex(FixedBytes<3>.self) }
            #expect(throws: DecodingFailure.self) { try parse(text).hexBytes() }
        }
        for text in ["\"\"", "\"0x\"", "\"0X\""] { #expect(try parse(text).hexBytes().isEmpty) }
        #expect(throws: DecodingFailure.self) { try parse("\"0x\"").hexBytes(prefix: .none) }
        for text in ["\"00abff00\"", "\"\"", "\"0x\"", "\"0x00abff00\""] {
            #expect(throws: DecodingFailure.self) { try parse(text).fixedHex(FixedBytes<3>.self) }
        }
        let failure = #expect(throws: DecodingFailure.self) { try parse("\"\\u0030\"").hexBytes() }
        #expect(failure?.reason == "a string of hexadecimal digits expected, found escapes among them")
    }

    @Test("mutated and truncated documents never trap")
    func mutations() {
        let seed = Array(#"{"a":[1,-2,3.5e1,{"b":"\u00e9\ud83d\ude00 é"}],"c":{"d":null,"e":[true,false]}}"#.utf8)
        var generator = SeededGenerator(seed: 7)
        for length in 0..<seed.count {
            #expect(throws: DecodingFailure.self) { try JSONDocument(parsing: Array(seed[..<length]), subject: "t") }
        }
        for _ in 0..<20_000 {
            var bytes = seed
            for _ in 0...Int.random(in: 0..<4, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            if let document = try? JSONDocument(parsing: bytes, subject: "t") {
                for (_, value) in document.root.members { _ = value.subject }
                #expect(document.root.range.upperBound <= bytes.count)
            }
        }
    }
}
