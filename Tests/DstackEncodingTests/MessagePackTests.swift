import DstackEncoding
import TestKit
import Testing

@Suite("MessagePack")
struct MessagePackTests {
    @Test(
        "unsigned integers take their shortest form",
        arguments: [
            (0, "00"), (127, "7f"), (128, "cc80"), (255, "ccff"), (256, "cd0100"), (65535, "cdffff"),
            (65536, "ce00010000"), (0xFFFF_FFFF, "ceffffffff"), (0x1_0000_0000, "cf0000000100000000"),
            (.max, "cfffffffffffffffff"),
        ] as [(UInt64, String)])
    func unsigned(value: UInt64, hex: String) throws {
        var writer = MessagePackWriter()
        writer.unsigned(value)
        #expect(Hex.encode(writer.bytes) == hex)
        let bytes = writer.bytes
        var reader = MessagePackReader(ByteReader(bytes.span.bytes))
        #expect(try reader.unsigned("n") == value)
        try reader.expectEnd(of: "n")
    }

    @Test(
        "heads are read in all their forms",
        arguments: [
            ("c0", .null), ("c2", .bool(false)), ("c3", .bool(true)), ("ff", .negative(-1)), ("e0", .negative(-32)),
            ("d080", .negative(-128)), ("d1ff7f", .negative(-129)), ("d2ffff7fff", .negative(-32769)),
            ("d3ffffffff7fffffff", .negative(-2_147_483_649)), ("d005", .unsigned(5)), ("d10005", .unsigned(5)),
            ("cd0005", .unsigned(5)), ("ca3fc00000", .float(1.5)), ("cb3ff8000000000000", .float(1.5)),
            ("a0", .string(0)), ("d900", .string(0)), ("da0000", .string(0)), ("db00000000", .string(0)),
            ("c400", .binary(0)), ("c50000", .binary(0)), ("c600000000", .binary(0)), ("90", .array(0)),
            ("dc0000", .array(0)), ("dd00000000", .array(0)), ("80", .map(0)), ("de0000", .map(0)),
            ("df00000000", .map(0)), ("c70001", .extended(type: 1, 0)), ("c80000ff", .extended(type: -1, 0)),
            ("c90000000002", .extended(type: 2, 0)),
        ] as [(String, MessagePackHead)])
    func heads(hex: String, expected: MessagePackHead) throws {
        let bytes = try Hex.decode(hex, subject: "test")
        var reader = MessagePackReader(ByteReader(bytes.span.bytes))
        #expect(try reader.head("value") == expected)
        try reader.expectEnd(of: "value")
        for count in 0..<bytes.count {
            let short = Array(bytes[..<count])
            var reader = MessagePackReader(ByteReader(short.span.bytes))
            #expect(throws: DecodingFailure.self) { try reader.head("value") }
        }
    }

    @Test(
        "lengths at the ends of each form are written and read back",
        arguments: [0, 15, 16, 31, 32, 255, 256, 65535, 65536])
    func lengths(count: Int) throws {
        var writer = MessagePackWriter()
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
        writer.binary(bytes)
        writer.string(String(repeating: "x", count: count))
        writer.integers(bytes)
        writer.map(count)
        for _ in 0..<count {
            writer.null()
            writer.bool(true)
        }
        let written = writer.bytes
        var reader = MessagePackReader(ByteReader(written.span.bytes))
        #expect(try reader.bytes("b") == bytes)
        #expect(try reader.string("s").utf8.count == count)
        #expect(try reader.bytes("b") == bytes)
        try reader.skipValue("map")
        try reader.expectEnd(of: "test")
    }

    @Test(
        "a length or count over what is left is refused at its head",
        arguments: [
            "a161a1", "a2ff", "c4ff00", "c6ffffffff00", "92c0", "ddffffffff00", "81c0", "dfffffffff0000",
            "c9ffffffff0100", "d801", "dbffffffff61",
        ])
    func tooLong(hex: String) throws {
        let bytes = try Hex.decode(hex, subject: "test")
        var reader = MessagePackReader(ByteReader(bytes.span.bytes))
        #expect(throws: DecodingFailure.self) {
            while !reader.isAtEnd { try reader.skipValue("value") }
        }
    }

    @Test("nesting beyond the limit is refused, not followed")
    func depth() throws {
        func skip(_ depth: Int) throws(DecodingFailure) {
            let bytes = [UInt8](repeating: 0x91, count: depth) + [0xC0]
            var reader = MessagePackReader(ByteReader(bytes.span.bytes))
            try reader.skipValue("value")
            try reader.expectEnd(of: "value")
        }
        #expect(throws: Never.self) { try skip(MessagePackReader.maximumSkippedDepth) }
        #expect(throws: DecodingFailure.self) { try skip(MessagePackReader.maximumSkippedDepth + 1) }
        #expect(throws: DecodingFailure.self) { try skip(1_000_000) }
    }

    private func structure(_ hex: String) throws -> (UInt64?, String?) {
        let bytes = try Hex.decode(hex, subject: "test")
        var reader = MessagePackReader(ByteReader(bytes.span.bytes))
        var number: UInt64?
        var text: String?
        try reader.structure(["n", "t"], "struct") { (reader, index) throws(DecodingFailure) in
            if index == 0 { number = try reader.unsigned("n") } else { text = try reader.string("t") }
        }
        try reader.expectEnd(of: "struct")
        return (number, text)
    }

    @Test("a structure is a map in any order or a positional array; unknown members are moved past")
    func structures() throws {
        for hex in [
            "82a16e05a174a178", "82a174a178a16e05", "83a16e05a17a93c0c081a16101a174a178", "9205a178", "9305a17880",
        ] {
            let (number, text) = try structure(hex)
            #expect(number == 5 && text == "x", "\(hex)")
        }
        #expect(try structure("9105").1 == nil)
    }

    @Test("a structure with a member twice, a name that is no string or no structure at all is refused")
    func badStructures() {
        for hex in ["82a16e05a16e05", "820505a16e05", "a178", "c0", "81a16ea178", "81a16eff", "81a16eca3fc00000"] {
            #expect(throws: DecodingFailure.self, "\(hex)") { try structure(hex) }
        }
    }

    @Test("an array of integers over 255 is not a byte string")
    func notBytes() throws {
        for hex in ["91cd0100", "91ff", "91c0", "a161", "05"] {
            let bytes = try Hex.decode(hex, subject: "test")
            var reader = MessagePackReader(ByteReader(bytes.span.bytes))
            #expect(throws: DecodingFailure.self, "\(hex)") { try reader.bytes("quote") }
        }
    }

    @Test("random bytes never trap")
    func random() {
        var generator = SeededGenerator(seed: 13)
        var skipped = 0
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 1...40, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            var reader = MessagePackReader(ByteReader(bytes.span.bytes))
            while !reader.isAtEnd, (try? reader.skipValue("value")) != nil { skipped += 1 }
        }
        #expect(skipped > 1000)
    }
}
