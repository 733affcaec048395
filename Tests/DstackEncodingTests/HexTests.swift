import DstackEncoding
import Testing

@Suite("Hexadecimal text")
struct HexTests {
    private static let all = [UInt8](0...255)

    @Test("every byte has its two digits, however they are written")
    func digits() throws {
        let expected = Self.all.map { byte in
            let text = String(byte, radix: 16)
            return text.count == 1 ? "0" + text : text
        }.joined()
        #expect(Hex.encode(Self.all) == expected)
        #expect(Hex.encodeUppercase(Self.all) == expected.uppercased())
        #expect(try Hex.decode(expected, subject: "test") == Self.all)
        #expect(try Hex.decode("0x" + expected, prefix: .optional, subject: "test") == Self.all)
        #expect(try Hex.decode("0X" + expected, prefix: .optional, subject: "test") == Self.all)
        #expect(throws: DecodingFailure.self) { try Hex.decode("0x" + expected, subject: "test") }
        #expect(FixedBytes<2>(hex: "0xAbcd") == FixedBytes<2>(hex: "abcd") && FixedBytes<2>(hex: "0x0xabcd") == nil)
        var writer = ByteWriter()
        writer.append("<".utf8)
        writer.hex(Self.all)
        writer.hex([])
        writer.append(">".utf8)
        #expect(String(decoding: writer.bytes, as: UTF8.self) == "<\(expected)>")
        var room = [UInt8](repeating: 0x2E, count: 2 * 256 + 1)
        room.withUnsafeMutableBytes { room in Self.all.withUnsafeBytes { Hex.encode($0, into: room) } }
        #expect(String(decoding: room, as: UTF8.self) == expected + ".")
    }
}
