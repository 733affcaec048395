import DstackEncoding
import Testing

@Suite("DER: object identifiers")
struct ObjectIdentifierTests {
    private func read(_ content: [UInt8]) throws -> ObjectIdentifier {
        let encoded = [0x06, UInt8(content.count)] + content
        var reader = DERReader(encoded.span.bytes)
        return try reader.objectIdentifier("identifier")
    }

    @Test("every identifier in its shortest form is read, however large its arcs are")
    func read() throws {
        for (content, text) in [
            ([0x55, 0x1D, 0x0F], "2.5.29.15"), ([0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01], "1.2.840.10045.2.1"),
            ([0xD5, 0x1D, 0x0E], "2.10829.14"), ([0x00], "0.0"),
            ([0x2A, 0x83, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F], "1.2.137438953471"),
        ] as [([UInt8], String)] {
            let identifier = try read(content)
            #expect(identifier.description == text && identifier.content == content)
        }
    }

    @Test(
        "one identifier has one encoding: padded, cut off and empty ones are refused, and those longer than any in use",
        arguments: [
            [], [0x80, 0x01], [0x2A, 0x80, 0x01], [0x2A, 0x86], [0xD5], [UInt8](repeating: 0x2A, count: 32),
        ] as [[UInt8]])
    func refused(_ content: [UInt8]) {
        #expect(throws: DecodingFailure.self) { try read(content) }
    }
}
