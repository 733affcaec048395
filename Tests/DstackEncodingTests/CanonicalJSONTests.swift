import DstackEncoding
import TestKit
import Testing

@Suite("Canonical JSON")
struct CanonicalJSONTests {
    func text(_ json: String, _ form: CanonicalJSON.Form) throws -> String {
        let root = try JSONDocument(parsing: json, subject: "text").root
        return String(decoding: try CanonicalJSON.encode(root, as: form), as: UTF8.self)
    }

    /// What Node's `JSON.stringify(JSON.parse(…))` gives.
    static let numbers = [
        ("0", "0"), ("-0", "0"), ("1", "1"), ("-1", "-1"), ("10", "10"), ("1e10", "10000000000"),
        ("1E10", "10000000000"), ("1e20", "100000000000000000000"), ("1e21", "1e+21"),
        ("123456789012345680000", "123456789012345680000"), ("1234567890123456789012", "1.2345678901234568e+21"),
        ("0.1", "0.1"), ("0.5", "0.5"), ("-0.5", "-0.5"), ("1e-6", "0.000001"), ("0.000001", "0.000001"),
        ("1e-7", "1e-7"), ("1.5e-7", "1.5e-7"), ("123e-7", "0.0000123"), ("0.00001234", "0.00001234"),
        ("5e-324", "5e-324"), ("1.7976931348623157e308", "1.7976931348623157e+308"), ("1e400", "null"),
        ("-1e400", "null"), ("1e-400", "0"), ("9007199254740993", "9007199254740992"),
        ("0.30000000000000004", "0.30000000000000004"), ("1.0", "1"), ("100.0", "100"), ("12345.678", "12345.678"),
        ("4.35", "4.35"), ("1e23", "1e+23"), ("2.2250738585072014e-308", "2.2250738585072014e-308"),
        ("3.141592653589793238462643", "3.141592653589793"), ("1e0", "1"), ("1.25e2", "125"),
        ("-1.5E-10", "-1.5e-10"), ("99999999999999999999", "100000000000000000000"),
        ("999999999999999999999", "1e+21"), ("9999999999999999999999", "1e+22"), ("1e15", "1000000000000000"),
        ("1e16", "10000000000000000"), ("1e17", "100000000000000000"), ("123456789.125e3", "123456789125"),
        ("0.1e1", "1"), ("5e-7", "5e-7"), ("18446744073709551615", "18446744073709552000"),
        ("-9223372036854775808", "-9223372036854776000"), ("9.5367431640625e-7", "9.5367431640625e-7"),
        ("295147905179352830000", "295147905179352830000"), ("0.000009999999999999999", "0.000009999999999999999"),
    ]

    @Test("numbers are written as ECMAScript writes them", arguments: numbers)
    func number(input: String, expected: String) throws {
        #expect(try text(input, .ecmaScript) == expected)
        if expected == "null" {
            #expect(throws: DecodingFailure.self) { try text(input, .rfc8785) }
        } else {
            #expect(try text(input, .rfc8785) == expected)
        }
    }

    /// RFC 8785 appendix B, the bits of a number and its text.
    static let samples: [(UInt64, String?)] = [
        (0x0000_0000_0000_0000, "0"), (0x8000_0000_0000_0000, "0"), (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"), (0x7FEF_FFFF_FFFF_FFFF, "1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"), (0xC340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"), (0x7FFF_FFFF_FFFF_FFFF, nil), (0x7FF0_0000_0000_0000, nil),
        (0x44B5_2D02_C7E1_4AF5, "9.999999999999997e+22"), (0x44B5_2D02_C7E1_4AF6, "1e+23"),
        (0x44B5_2D02_C7E1_4AF7, "1.0000000000000001e+23"), (0x444B_1AE4_D6E2_EF4E, "999999999999999700000"),
        (0x444B_1AE4_D6E2_EF4F, "999999999999999900000"), (0x444B_1AE4_D6E2_EF50, "1e+21"),
        (0x3EB0_C6F7_A0B5_ED8C, "9.999999999999997e-7"), (0x3EB0_C6F7_A0B5_ED8D, "0.000001"),
        (0x41B3_DE43_5555_5553, "333333333.3333332"), (0x41B3_DE43_5555_5556, "333333333.3333334"),
        (0x41B3_DE43_5555_5557, "333333333.33333343"),
        (0xBECB_F647_612F_3696, "-0.0000033333333333333333"), (0x4314_3FF3_C1CB_0959, "1424953923781206.2"),
    ]

    @Test("the samples of RFC 8785 come out", arguments: samples)
    func sample(bits: UInt64, expected: String?) {
        #expect(ECMAScriptNumber.text(Double(bitPattern: bits)) == expected)
    }

    @Test("twenty thousand random numbers are written as Node writes them")
    func random() {
        // The same generator and checksum (FNV-1a over all texts) were run in Node 18.
        var state: UInt64 = 12345
        var checksum: UInt64 = 0xCBF2_9CE4_8422_2325
        for _ in 0..<20_000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            for byte in (ECMAScriptNumber.text(Double(bitPattern: state)) ?? "null").utf8 {
                checksum = (checksum ^ UInt64(byte)) &* 0x100_0000_01B3
            }
        }
        #expect(String(checksum, radix: 16) == "88222540f240dbdb")
    }

    @Test("members are sorted by UTF-16 units; in ECMAScript array indices come first")
    func order() throws {
        let json =
            #"{"b":1,"4294967294":1,"4294967295":2,"4294967296":3,"01":4,"1":5,"10":6,"9":7,"-1":8,"1.5":9,"":10,"#
            + #""a":[{"z":1,"y":{"2":1,"1":2}}],"\ud83d\ude00":1,"\ufb00":2,"\u00e9":3,"A":4,"+1":1,"1e1":2," 1":3,"0":9}"#
        #expect(
            try text(json, .ecmaScript)
                == #"{"0":9,"1":5,"9":7,"10":6,"4294967294":1,"":10," 1":3,"+1":1,"-1":8,"01":4,"1.5":9,"1e1":2,"#
                + #""4294967295":2,"4294967296":3,"A":4,"a":[{"y":{"1":2,"2":1},"z":1}],"b":1,"é":3,"😀":1,"ﬀ":2}"#)
        #expect(try text(#"{"10":1,"9":{"b":[],"a":{}}}"#, .rfc8785) == #"{"10":1,"9":{"a":{},"b":[]}}"#)
    }

    @Test("only quotes, backslashes and control characters are escaped")
    func strings() throws {
        #expect(
            try text(#""\u0000\u0008\t\n\u000b\f\r\u001F\u007f\u2028\/<>&\"\\é😀""#, .rfc8785)
                == #""\u0000\b\t\n\u000b\f\r\u001f"# + "\u{7F}\u{2028}" + #"/<>&\"\\é😀""#)
    }

    @Test("RFC 8785's example comes out")
    func example() throws {
        let json = #"""
            { "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
              "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false] }
            """#
        #expect(
            try text(json, .rfc8785)
                == #"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#
                + #""string":"€$\u000f\nA'B\"\\\\\"/"}"#)
    }

    @Test("what is written reads back as itself")
    func idempotent() throws {
        var generator = SeededGenerator(seed: 8785)
        let seed = Array(
            #"{"a":[1,-2,3.5e1,{"b":"\u00e9\ud83d\ude00 é"}],"c":{"d":null,"e":[true,false]},"1":1e-9}"#.utf8)
        for _ in 0..<3000 {
            var bytes = seed
            bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 32..<127, using: &generator)
            guard let document = try? JSONDocument(parsing: bytes, subject: "t"),
                let once = try? CanonicalJSON.encode(document.root, as: .rfc8785)
            else { continue }
            #expect(try CanonicalJSON.encode(JSONDocument(parsing: once, subject: "t").root) == once)
        }
    }
}
