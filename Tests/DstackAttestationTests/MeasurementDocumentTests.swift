import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMeasurement
import TestKit
import Testing

@Suite("Measurement documents")
struct MeasurementDocumentTests {
    @Test(
        "both TDX documents of the vectors decode, keep their values and encode to the same bytes",
        .needsVectors("measurement/tdhob.json"))
    func vectors() throws {
        let vectors = try Vectors.json("measurement/image-identity.json")
        let real = try vectors.member("tdx_cbor")
        let bytes = try real.member("hex").hexBytes()
        let image = try TDXImageMeasurement(decoding: bytes)
        #expect(image.encoded() == bytes)
        #expect(SHA256.hash(bytes) == (try real.member("sha256").fixedHex()))
        #expect(image.firmware == .pre202505)
        #expect(Hex.encode(image.hobLayout.witness) == MeasurementTDHOBTests.current)
        #expect(image.commandLine.hex.hasPrefix("786280842b73"))
        #expect(image.kernelAuthenticode.hex.hasPrefix("ac7e632dcf5c"))
        #expect(image.initrd.hex.hasPrefix("4fe4f7710134"))
        #expect(image.mrtd(.twoPass).hex.hasPrefix("fd685522ce79"))
        #expect(image.mrtd(.singlePass).hex.hasPrefix("a6f2ac945181"))

        let checksums = try ChecksumFile(decoding: Array(real.member("checksum_file").string().utf8))
        #expect(try checksums.hash(of: TDXImageMeasurement.fileName) == SHA256.hash(bytes))
        #expect(checksums.imageHash == (try real.member("os_image_hash").fixedHex()))

        let synthetic = try vectors.member("synthetic_image_tdx_cbor").member("hex").hexBytes()
        #expect(try TDXImageMeasurement(decoding: synthetic).encoded() == synthetic)
    }

    @Test(
        "the codec reproduces the documents of the other platforms too",
        .needsVectors("measurement/tdhob.json"))
    func otherPlatforms() throws {
        let vectors = try Vectors.json("measurement/image-identity.json")
        for name in ["snp_cbor", "gcp_cbor", "aws_cbor"] {
            let bytes = try #require(vectors.member(named: name)).member("hex").hexBytes()
            #expect(try CBORDecoder.decode(bytes, subject: "document").encoded() == bytes, "\(name)")
            // None of them passes for a TDX document.
            #expect(throws: DecodingFailure.self, "\(name)") { try TDXImageMeasurement(decoding: bytes) }
        }
    }

    @Test(
        "checksum files of the vectors are read, the bad ones refused",
        .needsVectors("measurement/tdhob.json"))
    func checksumVectors() throws {
        let vectors = try Vectors.json("measurement/image-identity.json")
        var accepted = 0
        for example in try vectors.member("sha256sum").array() {
            let file = try ChecksumFile(decoding: Array(example.member("text").string().utf8))
            #expect(file.imageHash == (try example.member("os_image_hash").fixedHex()))
            let entry = try example.member("entry").string()
            #expect(try file.hash(of: entry) == example.member("entry_sha256").fixedHex())
            accepted += 1
        }
        #expect(accepted >= 1)
        #expect(try vectors.member("sha256sum_must_fail").count >= 5)
        for example in try vectors.member("sha256sum_must_fail").array() {
            let text = try example.member("text").string()
            let why = try example.member("why").string()
            #expect(throws: DecodingFailure.self, "\(why)") {
                try ChecksumFile(decoding: Array(text.utf8)).hash(of: TDXImageMeasurement.fileName)
            }
        }
    }

    static let hash = String(repeating: "ab", count: 32)

    @Test(
        "a checksum file's lines are trimmed, split at white space and judged by their first two words",
        arguments: [
            "\(hash)  name\n", "\(hash) name", "  \(hash)\tname  \r\n", "\n\n\(hash)  name more words\n\n",
            "short  other\n\(hash)  name\n", "\(hash.uppercased())  name\n", "\u{3000}\(hash)\u{2003}name\u{85}\n",
            "\(hash)  other\n\(hash)  other\n\(hash)  name\n",
        ])
    func checksumLines(_ text: String) throws {
        #expect(try ChecksumFile(decoding: Array(text.utf8)).hash(of: "name").hex == Self.hash)
    }

    @Test(
        "a bad checksum file is refused with what is wrong",
        arguments: [
            ("", "sha256sum.txt: is missing name"),
            ("\(hash)  names\n", "sha256sum.txt: is missing name"),
            ("\(hash)  *name\n", "sha256sum.txt: is missing name"),
            ("\(hash)  n\u{61}me\u{301}\n", "sha256sum.txt: is missing name"),
            ("\(hash)  name\n\nlonely\n", "sha256sum.txt: line 3 is missing filename"),
            ("\(hash)  name\n\(hash)  name\n", "sha256sum.txt: contains duplicate name entries"),
            ("abab  name\n", "sha256sum.txt name hash: has invalid length 2, expected 32"),
            ("\(hash)ab  name\n", "sha256sum.txt name hash: has invalid length 33, expected 32"),
            ("zz  name\n", "sha256sum.txt name hash: not a hexadecimal digit at character 0 or the next"),
            ("abc  name\n", "sha256sum.txt name hash: an odd number of hexadecimal digits (3)"),
        ])
    func badChecksums(_ text: String, _ message: String) throws {
        let failure = try #require(throws: DecodingFailure.self) {
            try ChecksumFile(decoding: Array(text.utf8)).hash(of: "name")
        }
        #expect(failure.description == message)
    }

    @Test("a checksum file that is not UTF-8 is refused")
    func notUTF8() {
        #expect(throws: DecodingFailure(.malformed, "sha256sum.txt", "is not valid UTF-8")) {
            try ChecksumFile(decoding: [0x61, 0xFF, 0x20, 0x62])
        }
    }

    /// A document of no image.
    static func sample() throws -> TDXImageMeasurement {
        TDXImageMeasurement(
            commandLine: FixedBytes(repeating: 1), kernelAuthenticode: FixedBytes(repeating: 2),
            initrd: FixedBytes(repeating: 3), firmware: .pre202505, mrtdSinglePass: FixedBytes(repeating: 4),
            mrtdTwoPass: FixedBytes(repeating: 5),
            hobLayout: try TDHOBLayout(
                witness: Hex.decode(MeasurementTDHOBTests.current, subject: "witness")))
    }

    /// The document with one member replaced, wherever it stands; nil removes it.
    static func edited(_ item: CBOR, _ name: String, _ value: CBOR?) -> CBOR {
        guard case .map(let members) = item else { return item }
        return .map(
            members.compactMap { member in
                guard member.key == name else { return .init(member.key, edited(member.value, name, value)) }
                return value.map { .init(name, $0) }
            })
    }

    static let edits: [(String, CBOR?, String)] = [
        ("version", .unsigned(2), "TdxOsImageMeasurement: unsupported version 2, expected 3"),
        ("version", .unsigned(4), "TdxOsImageMeasurement: unsupported version 4, expected 3"),
        ("version", .text("3"), "tdx.measurement.version: an unsigned number expected, found a text string"),
        ("version", nil, "tdx.measurement: member \"version\" is missing"),
        ("image", nil, "tdx.measurement: member \"image\" is missing"),
        ("tdvf", .null, "tdx.measurement.tdvf: a map expected, found null"),
        (
            "cmdline_sha384", .bytes([UInt8](repeating: 0, count: 47)),
            "tdx.measurement.image.cmdline_sha384: has invalid length 47, expected 48"
        ),
        (
            "two_pass", .bytes([UInt8](repeating: 0, count: 49)),
            "tdx.measurement.tdvf.mrtd.two_pass: has invalid length 49, expected 48"
        ),
        ("single_pass", nil, "tdx.measurement.tdvf.mrtd: member \"single_pass\" is missing"),
        (
            "kernel_authenticode", .text(String(repeating: "a", count: 48)),
            "tdx.measurement.image.kernel_authenticode: a byte string expected, found a text string"
        ),
        (
            "ovmf", .text("pre202506"),
            "tdx.measurement.tdvf.ovmf: unknown firmware variant; known are pre202505, stable202505"
        ),
        ("td_hob", .bytes([]), "TD HOB witness at byte 0: truncated varuint"),
    ]

    @Test("a document with a wrong member is refused by name", arguments: edits)
    func refusal(_ name: String, _ value: CBOR?, _ message: String) throws {
        let item = try CBORDecoder.decode(Self.sample().encoded(), subject: "document")
        let failure = try #require(throws: DecodingFailure.self) {
            try TDXImageMeasurement(decoding: Self.edited(item, name, value).encoded())
        }
        #expect(failure.description == message)
    }

    @Test("members in another order and unknown members are read, bytes after the document are not")
    func leniency() throws {
        let sample = try Self.sample()
        let item = try CBORDecoder.decode(sample.encoded(), subject: "document")
        guard case .map(let members) = item else { return #expect(Bool(false), "the document is a map") }
        let reordered = CBOR.map(members.reversed() + [.init("note", .text("new"))])
        #expect(try TDXImageMeasurement(decoding: reordered.encoded()) == sample)
        #expect(throws: DecodingFailure.self) { try TDXImageMeasurement(decoding: sample.encoded() + [0]) }
    }

    @Test("every truncation of a document is refused, mutations never trap")
    func mutations() throws {
        let bytes = try Self.sample().encoded()
        for length in 0..<bytes.count {
            #expect(throws: DecodingFailure.self) { try TDXImageMeasurement(decoding: Array(bytes.prefix(length))) }
        }
        var random = SeededGenerator(seed: 0xD0C)
        for _ in 0..<5000 {
            let mutated = random.mutated(bytes)
            if let image = try? TDXImageMeasurement(decoding: mutated) {
                // Only names of unknown members may differ from what would be written, and there are none here.
                #expect(image.encoded() == mutated)
            }
        }
    }

    @Test("mutated checksum files never trap")
    func checksumMutations() throws {
        let text = Array("\(Self.hash)  name\n\(Self.hash)  other\n".utf8)
        var random = SeededGenerator(seed: 0x5A)
        var accepted = 0
        for _ in 0..<5000 {
            let mutated = random.mutated(text)
            guard let file = try? ChecksumFile(decoding: mutated), (try? file.hash(of: "name")) != nil else { continue }
            #expect(file.imageHash == SHA256.hash(mutated))
            accepted += 1
        }
        #expect(accepted > 0)
    }
}
