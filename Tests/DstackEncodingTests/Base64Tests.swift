import DstackEncoding
import TestKit
import Testing

@Suite("Base64")
struct Base64Tests {
    /// RFC 4648 section 10, and one text that uses both special characters.
    static let rfc4648: [(bytes: [UInt8], text: String)] = [
        ([], ""), (Array("f".utf8), "Zg=="), (Array("fo".utf8), "Zm8="), (Array("foo".utf8), "Zm9v"),
        (Array("foob".utf8), "Zm9vYg=="), (Array("fooba".utf8), "Zm9vYmE="), (Array("foobar".utf8), "Zm9vYmFy"),
        ([0xFB, 0xEF, 0xBE, 0xFF, 0xFF], "++++//8="),
    ]

    @Test("bytes and texts correspond", arguments: Self.rfc4648)
    func table(bytes: [UInt8], text: String) throws {
        #expect(Base64.encode(bytes) == text)
        #expect(try Base64.decode(text, subject: "payload") == bytes)
        let short = String(text.filter { $0 != "=" }.map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 })
        #expect(Base64.encode(bytes, alphabet: .urlSafe, padding: false) == short)
        #expect(try Base64.decode(short, alphabet: .urlSafe, padding: false, subject: "payload") == bytes)
    }

    @Test(
        "texts that another text stands for, and foreign characters, are refused",
        arguments: [
            "Zg", "Zg=", "Zg===", "Z===", "====", "=", "Zh==", "Zm9=", "Zm9v\n", " Zm9", "Zm9-", "Zm9_", "Zg==Zg==",
            "Zm=v", "Zé==", "A", "Zm9vA",
        ])
    func refused(text: String) {
        #expect(throws: DecodingFailure.self) { try Base64.decode(text, subject: "payload") }
    }

    @Test("padding is refused where there must be none", arguments: ["Zg==", "Zm8=", "+A", "Z", "Zh"])
    func unpadded(text: String) {
        #expect(throws: DecodingFailure.self) {
            try Base64.decode(text, alphabet: .urlSafe, padding: false, subject: "key")
        }
    }

    @Test("random bytes go round in both alphabets")
    func random() throws {
        var generator = SeededGenerator(seed: 64)
        for count in 0..<200 {
            let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
            #expect(try Base64.decode(Base64.encode(bytes), subject: "b") == bytes)
            let text = Base64.encode(bytes, alphabet: .urlSafe, padding: false)
            #expect(try Base64.decode(text, alphabet: .urlSafe, padding: false, subject: "b") == bytes)
        }
    }
}
