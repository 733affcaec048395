import DstackEncoding
import FuzzSupport
import Testing

/// The short form of `make fuzz`, without coverage.
@Suite("Parsers of untrusted bytes")
struct ParserTests {
    private static let parsers = Result { try FuzzedParser.all(Corpus(vectors: nil)) }

    @Test("every parser takes the inputs that its fuzzing starts from")
    func seeds() throws {
        for parser in try Self.parsers.get() {
            #expect(!parser.seeds.isEmpty, "\(parser.name)")
            for (number, seed) in parser.seeds.enumerated() {
                #expect(parser.run(seed) == .taken, "\(parser.name), input \(number)")
            }
        }
    }

    @Test("no changed or truncated input crashes a parser, or reads differently when written again")
    func mutations() throws {
        for parser in try Self.parsers.get() {
            var random = FuzzRandom(seed: 20_261_129, purpose: parser.name)
            var refusals = 0
            for number in 0..<100 {
                let input = parser.mutated(&random)
                let outcome = parser.run(input)
                #expect(outcome != .inconsistent, "\(parser.name), case \(number): \(Hex.encode(input.prefix(4096)))")
                if outcome == .refused { refusals += 1 }
            }
            // Where nothing is ever refused, nothing is parsed. A recogniser names whatever it is given.
            #expect(refusals > 0 || parser.name == "evidence-file", "\(parser.name)")
            for seed in parser.seeds {
                for length in stride(from: 0, to: seed.count, by: max(1, seed.count / 16)) {
                    #expect(parser.run(Array(seed[..<length])) != .inconsistent, "\(parser.name), \(length) bytes")
                }
            }
        }
    }
}
