import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMeasurement
import TestKit
import Testing

@Suite("TD HOB")
struct MeasurementTDHOBTests {
    /// The layout of the firmware of dstack 0.5 and 0.6.
    static let current = "80100904000609020b021010"

    private func layout(_ witness: String) throws -> TDHOBLayout {
        try TDHOBLayout(witness: try Hex.decode(witness, subject: "witness"))
    }

    @Test(
        "witness, bytes and digests equal the vectors",
        .needsVectors("measurement/tdhob.json"))
    func vectors() throws {
        let vectors = try Vectors.json("measurement/tdhob.json")
        try check(vectors)
        try check(try vectors.member("other_layout"))
        let layout = try layout(Self.current)
        #expect(
            try TDHOB.bytes(layout: layout, memorySize: 2 << 30) == vectors.member("full_hob_2GiB").hexBytes())
        #expect(
            try TDHOB.bytes(layout: layout, memorySize: 4 << 30) == vectors.member("full_hob_4GiB").hexBytes())
    }

    private func check(_ vectors: JSONNode) throws {
        var ranges: [TDHOBLayout.PageRange] = []
        for range in try vectors.member("ranges").array() {
            let numbers = try range.array().map { try $0.integer(UInt64.self) }
            ranges.append(TDHOBLayout.PageRange(start: numbers[0] / 4096, count: numbers[1] / 4096))
        }
        let witness = try vectors.member("witness").hexBytes()
        let built = try TDHOBLayout(
            ranges: ranges, hobPage: try vectors.member("td_hob_base").integer(UInt64.self) / 4096)
        #expect(built.witness == witness)
        #expect(try TDHOBLayout(witness: witness) == built)
        var cases = 0
        for example in try vectors.member("cases").array() {
            let bytes = try TDHOB.bytes(layout: built, memorySize: try example.member("memory_size").integer())
            #expect(SHA384.hash(bytes).hex == (try example.member("sha384").string()))
            if let length = example["hob_length"] { #expect(bytes.count == (try length.integer(Int.self))) }
            cases += 1
        }
        #expect(cases >= 2)
    }

    @Test(
        "each bad witness of the vectors is refused",
        .needsVectors("measurement/tdhob.json"))
    func badWitnesses() throws {
        let bad = try Vectors.json("measurement/tdhob.json").member("bad_witness")
        #expect(bad.count >= 6)
        for witness in try bad.array() {
            let text = try witness.string()
            #expect(throws: DecodingFailure.self, "\(text)") { try layout(text) }
        }
    }

    static let refused: [(String, DecodingFailure.Code, String)] = [
        ("", .truncated, "truncated varuint"),
        ("80", .truncated, "truncated varuint"),
        ("8010090400060902", .truncated, "truncated varuint"),
        ("80100904000609020b02101000", .trailing, "trailing bytes"),
        ("ffffffffffffffffff7f0901", .tooLarge, "varuint is too large"),
        ("ffffffffffffffffff020901", .tooLarge, "varuint is too large"),
        ("ffffffffffffffffff010901", .tooLarge, "base address overflow"),
        ("8080808080200001000100", .tooLarge, "base address overflow"),
        ("8010ffffffffff1f010001", .tooLarge, "TD HOB address overflow"),
        ("80900000010001", .malformed, "varuint is not in its shortest form"),
        ("80100000", .tooLarge, "0 ranges, 1 to 64 are allowed"),
        ("80100041", .tooLarge, "65 ranges, 1 to 64 are allowed"),
        ("801000ffffffffffffffffff010001", .tooLarge, "18446744073709551615 ranges, 1 to 64 are allowed"),
        ("80100001ffffffffffffffffff0101", .tooLarge, "range start overflow"),
        ("8010000100ffffffffffffffffff01", .tooLarge, "range length overflow"),
        ("801000010000", .malformed, "an empty range"),
        ("801000010101", .malformed, "the first range does not start at the base"),
        ("8010000200060502", .malformed, "ranges overlap or are not in order"),
        ("8010000200020001", .malformed, "ranges overlap or are not in order"),
        ("801001010002", .malformed, "no range starts at the TD HOB"),
    ]

    @Test("a bad witness is refused with what is wrong", arguments: refused)
    func refusal(_ witness: String, _ code: DecodingFailure.Code, _ reason: String) throws {
        let failure = try #require(throws: DecodingFailure.self) { try layout(witness) }
        #expect(failure.code == code)
        #expect(failure.reason == reason)
    }

    @Test("64 ranges are read and 65 are not built")
    func rangeLimit() throws {
        let ranges = (0..<65).map { TDHOBLayout.PageRange(start: UInt64($0) * 2 + 2048, count: 1) }
        let most = try TDHOBLayout(ranges: Array(ranges.prefix(64)), hobPage: 2048)
        #expect(try TDHOBLayout(witness: most.witness) == most)
        #expect(throws: MeasurementFailure.self) { try TDHOBLayout(ranges: ranges, hobPage: 2048) }
        #expect(throws: MeasurementFailure.self) { try TDHOBLayout(ranges: [], hobPage: 0) }
        #expect(throws: MeasurementFailure.self) {
            try TDHOBLayout(ranges: [.init(start: .max, count: .max)], hobPage: .max)
        }
    }

    @Test("a memory that ends within the firmware's own is refused, the largest number is not")
    func memorySizes() throws {
        let layout = try layout(Self.current)
        // The highest accepted range ends at 0x820000.
        for size: UInt64 in [0, 4096, 0x81FFFF, 0x820000] {
            #expect(throws: MeasurementFailure.self, "\(size)") { try TDHOB.bytes(layout: layout, memorySize: size) }
        }
        #expect(try TDHOB.bytes(layout: layout, memorySize: 0x821000).count == 440)
        #expect(try TDHOB.bytes(layout: layout, memorySize: .max).count == 488)
    }

    @Test("firmware memory in the gap of a split memory is refused")
    func gap() throws {
        let high = try TDHOBLayout(ranges: [.init(start: 0x80000, count: 1)], hobPage: 0x80000)
        #expect(try TDHOB.bytes(layout: high, memorySize: 0x8000_2000).count == 56 + 3 * 48)
        #expect(throws: MeasurementFailure.self) { try TDHOB.bytes(layout: high, memorySize: 4 << 30) }
        // Up to the edge is allowed, and nothing is then left below it.
        let edge = try TDHOBLayout(ranges: [.init(start: 0x7FFFF, count: 1)], hobPage: 0x7FFFF)
        #expect(try TDHOB.bytes(layout: edge, memorySize: 4 << 30).count == 56 + 3 * 48)
    }

    @Test("mutated witnesses are refused or are exactly what they encode to, and never trap")
    func mutations() throws {
        let witness = try Hex.decode(Self.current, subject: "witness")
        var random = SeededGenerator(seed: 0x7D40B)
        var accepted = 0
        for _ in 0..<20_000 {
            let mutated = random.mutated(witness)
            guard let layout = try? TDHOBLayout(witness: mutated) else { continue }
            #expect(layout.witness == mutated)
            let memorySize = UInt64.random(in: 0 ... .max, using: &random) >> UInt64.random(in: 0..<64, using: &random)
            if let bytes = try? TDHOB.bytes(layout: layout, memorySize: memorySize) {
                #expect((bytes.count - 56).isMultiple(of: 48))
                accepted += 1
            }
        }
        #expect(accepted > 0)
    }
}
