import DstackEncoding
import TestKit
import Testing

@Suite("SCALE")
struct SCALETests {
    func read<Value>(
        _ bytes: [UInt8], _ body: (inout ByteReader) throws(DecodingFailure) -> Value
    ) throws(DecodingFailure) -> Value {
        var reader = ByteReader(bytes.span.bytes)
        let value = try body(&reader)
        try reader.expectEnd(of: "value")
        return value
    }

    /// From the examples of the specification, and the ends of each mode.
    static let compactTable: [(UInt64, String)] = [
        (0, "00"), (1, "04"), (42, "a8"), (63, "fc"), (64, "0101"), (69, "1501"), (16383, "fdff"), (16384, "02000100"),
        (65535, "feff0300"), (1_073_741_823, "feffffff"), (1_073_741_824, "0300000040"), (4_294_967_295, "03ffffffff"),
        (4_294_967_296, "070000000001"), (100_000_000_000_000, "0b00407a10f35a"), (.max, "13ffffffffffffffff"),
    ]

    @Test("compact integers are written and read in their shortest form", arguments: Self.compactTable)
    func compact(value: UInt64, hex: String) throws {
        var writer = ByteWriter()
        writer.scaleCompact(value)
        #expect(Hex.encode(writer.bytes) == hex)
        #expect(try read(writer.bytes) { reader throws(DecodingFailure) in try reader.scaleCompact("n") } == value)
    }

    @Test(
        "longer forms of a compact integer, and integers over 64 bits, are refused",
        arguments: [
            "0100", "fd00", "02000000", "feff0000", "03ffffff3f", "0fffffffffffff00", "0300000000", "07ffffffff00",
            "0700000000",
            "13ffffffffffffff00", "170000000000000000ff",
            "ff" + String(repeating: "ff", count: 67),
        ])
    func notCanonical(hex: String) throws {
        let bytes = try Hex.decode(hex, subject: "test")
        #expect(throws: DecodingFailure.self) {
            try read(bytes) { reader throws(DecodingFailure) in try reader.scaleCompact("n") }
        }
    }

    @Test("byte strings and texts go round; a length over what is left is refused before it is allocated")
    func strings() throws {
        var writer = ByteWriter()
        writer.scaleString("zfs")
        writer.scaleBytes([UInt8](repeating: 7, count: 100))
        #expect(writer.bytes.prefix(6) == [0x0C, 0x7A, 0x66, 0x73, 0x91, 0x01])
        var reader = ByteReader(writer.bytes.span.bytes)
        #expect(try reader.scaleString("name") == "zfs")
        #expect(try reader.scaleBytes("bytes").count == 100)
        let failure = #expect(throws: DecodingFailure.self) {
            try read([0x03, 0xFF, 0xFF, 0xFF, 0xFF, 1]) { reader throws(DecodingFailure) in
                try reader.scaleBytes("quote")
            }
        }
        #expect(failure?.code == .truncated && failure?.offset == 0 && failure?.subject == "quote")
        // Three items of at least four bytes each do not fit into eleven.
        #expect(throws: DecodingFailure.self) {
            try read([0x0C] + [UInt8](repeating: 0, count: 11)) { reader throws(DecodingFailure) in
                try reader.scaleCount(minimumItemSize: 4, "events")
            }
        }
        #expect(throws: DecodingFailure.self) {
            try read([0x04, 0xFF]) { reader throws(DecodingFailure) in try reader.scaleString("name") }
        }
    }

    @Test("an option begins with 0 or 1")
    func option() throws {
        #expect(try read([1]) { reader throws(DecodingFailure) in try reader.scaleIsPresent("option") })
        #expect(try !read([0]) { reader throws(DecodingFailure) in try reader.scaleIsPresent("option") })
        #expect(throws: DecodingFailure.self) {
            try read([2]) { reader throws(DecodingFailure) in try reader.scaleIsPresent("option") }
        }
    }

    @Test("random bytes never trap, and every integer that is read is written back as the same bytes")
    func random() throws {
        var generator = SeededGenerator(seed: 21)
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0...12, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            var reader = ByteReader(bytes.span.bytes)
            guard let value = try? reader.scaleCompact("n") else { continue }
            var writer = ByteWriter()
            writer.scaleCompact(value)
            #expect(writer.bytes[...] == bytes.prefix(reader.offset))
            _ = try? reader.scaleString("text")
        }
    }
}
