import DstackCrypto
import DstackEncoding
import Testing

@Suite("PEM")
struct PEMTests {
    @Test("what is encoded decodes to itself, at every length around a line", arguments: 0...200)
    func roundTrip(count: Int) throws {
        let content = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 37 &+ count) }
        let text = PEM.encode("X509 CRL", content)
        #expect(text.hasPrefix("-----BEGIN X509 CRL-----\n"))
        #expect(text.hasSuffix("-----END X509 CRL-----\n"))
        #expect(text.split(separator: "\n").allSatisfy { $0.utf8.count <= 64 })
        let blocks = try PEM.decode([UInt8](text.utf8))
        #expect(blocks == [PEM.Block(label: "X509 CRL", content: content)])
    }

    @Test("every byte value survives")
    func allBytes() throws {
        let content = [UInt8](0...255) + [UInt8](0...255).reversed()
        #expect(try PEM.decode([UInt8](PEM.encode("A", content).utf8), label: "A") == [content])
    }

    @Test("what stands around and between blocks is passed over")
    func tolerance() throws {
        let a = PEM.encode("CERTIFICATE", [1, 2, 3])
        let b = PEM.encode("CERTIFICATE", [4, 5])
        let crlf = a.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "\r\n")
        var text = [UInt8]("subject=/CN=Ünicode\n".utf8) + [0xFF, 0xFE, 0x80, 0x0A]
        text += [UInt8](crlf.utf8) + [UInt8]("# comment -- with dashes ---\r\n".utf8)
        text += [UInt8](b.utf8) + [UInt8](b.dropLast().utf8) + [UInt8](a.utf8) + [0, 0, 0]
        #expect(try PEM.decode(text, label: "CERTIFICATE") == [[1, 2, 3], [4, 5], [4, 5], [1, 2, 3]])
        #expect(try PEM.decode(text, label: "X509 CRL").isEmpty)
        #expect(try PEM.decode([]).isEmpty)
        #expect(try PEM.decode([UInt8]("no block".utf8)).isEmpty)
    }

    @Test("lines may be broken anyhow")
    func lines() throws {
        let text = "-----BEGIN A-----A Q\tI\rD\n\n-----END A-----"
        #expect(try PEM.decode([UInt8](text.utf8), label: "A") == [[1, 2, 3]])
    }

    @Test(
        "damage inside a block is refused",
        arguments: [
            "-----BEGIN A-----\nAQID\n",
            "-----BEGIN A-----\nAQID\n-----END B-----\n",
            "-----BEGIN A-----\nAQID\n-----BEGIN A-----\nAQID\n-----END A-----\n",
            "-----BEGIN A-----\nAQI\n-----END A-----\n",
            "-----BEGIN A-----\nAQIDA\n-----END A-----\n",
            "-----BEGIN A-----\nAQ=D\n-----END A-----\n",
            "-----BEGIN A-----\nA===\n-----END A-----\n",
            "-----BEGIN A-----\n====\n-----END A-----\n",
            "-----BEGIN A-----\nAR==\n-----END A-----\n",
            "-----BEGIN A-----\nAQJ=\n-----END A-----\n",
            "-----BEGIN A-----\nAQ#D\n-----END A-----\n",
            "-----BEGIN A-----\nAQ\u{0}D\n-----END A-----\n",
            "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nAQID\n-----END A-----\n",
            "-----BEGIN A\n-----\nAQID\n-----END A-----\n",
            "-----BEGIN ",
            "-----BEGIN A-----",
            "-----BEGIN A-----\nAQID\n-----END A----",
        ])
    func damage(text: String) {
        #expect(throws: DecodingFailure.self) { try PEM.decode([UInt8](text.utf8)) }
    }

    @Test("the number of blocks is bounded")
    func limit() throws {
        let text = [UInt8](String(repeating: PEM.encode("A", [1]), count: 4).utf8)
        #expect(try PEM.decode(text, limit: 4).count == 4)
        #expect(throws: DecodingFailure.self) { try PEM.decode(text, limit: 3) }
    }

    @Test("truncations and flipped bytes never do worse than an error")
    func mutation() throws {
        let text = [UInt8](PEM.encode("CERTIFICATE", [UInt8](0..<100)).utf8)
        for end in 0..<text.count - 1 where end > 11 {
            #expect(throws: DecodingFailure.self) { try PEM.decode([UInt8](text[..<end])) }
        }
        var generator = SystemRandomNumberGenerator()
        for position in text.indices {
            var changed = text
            changed[position] = UInt8.random(in: 0...255, using: &generator)
            let blocks = (try? PEM.decode(changed)) ?? []
            #expect(blocks.count <= 1)
        }
    }

    @Test("a secret block decodes and encodes in memory for secrets")
    func secrets() throws {
        let text = [UInt8]((PEM.encode("CERTIFICATE", [9]) + PEM.encode("PRIVATE KEY", [1, 2, 3])).utf8)
        let block = try PEM.decodeSecret(text.span.bytes, labels: ["PRIVATE KEY"])
        if let block {
            #expect(block.label == "PRIVATE KEY")
            #expect(block.content.hexForTest() == "010203")
            let encoded = PEM.encodeSecret("PRIVATE KEY", block.content)
            #expect(encoded.copiedToUnprotectedMemory() == [UInt8](PEM.encode("PRIVATE KEY", [1, 2, 3]).utf8))
        } else {
            Issue.record("no block found")
        }
        let isMissing = try PEM.decodeSecret(text.span.bytes, labels: ["EC PRIVATE KEY"]) == nil
        #expect(isMissing)
    }
}
