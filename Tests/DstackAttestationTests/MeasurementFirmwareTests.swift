import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMeasurement
import Foundation
import TestKit
import Testing

@Suite("TDX firmware")
struct MeasurementFirmwareTests {

    private func firmware(_ file: [UInt8]) throws -> TDXFirmware { try TDXFirmware(decoding: file) }

    private func check(_ firmware: TDXFirmware, equals vector: JSONNode) throws {
        var sections = 0
        for (section, expected) in zip(firmware.sections, try vector.member("sections").array()) {
            #expect(section.dataOffset == (try expected.member("data_offset").integer()))
            #expect(section.dataSize == (try expected.member("raw_data_size").integer()))
            #expect(section.address == (try expected.member("memory_address").integer()))
            #expect(section.memorySize == (try expected.member("memory_data_size").integer()))
            #expect(section.kind.rawValue == (try expected.member("type").integer()))
            let attributes = try expected.member("attributes").integer(Int.self)
            #expect(section.isMeasured == (attributes & 1 != 0))
            #expect(section.isAugmented == (attributes & 2 != 0))
            sections += 1
        }
        #expect(sections == firmware.sections.count)
        #expect(sections == (try vector.member("sections").count))
        #expect(firmware.mrtd(.twoPass) == (try vector.member("mrtd_two_pass").fixedHex()))
        #expect(firmware.mrtd(.singlePass) == (try vector.member("mrtd_single_pass").fixedHex()))
        #expect(try firmware.hobLayout().witness == vector.member("td_hob_witness").hexBytes())
    }

    @Test(
        "sections, both MRTDs and the witness of the synthetic firmware equal the vector",
        .needsVectors("measurement/tdhob.json"))
    func synthetic() throws {
        let vector = try Vectors.json("measurement/tdvf.json").member("synthetic")
        let firmware = try firmware(Vectors.read("measurement/tdvf-synthetic.fd"))
        try check(firmware, equals: vector)
        #expect(!firmware.variableStoreIsPristine)
    }

    @Test(
        "each mutation that must fail is refused",
        .needsVectors("measurement/tdhob.json"))
    func mustFail() throws {
        let file = try Vectors.read("measurement/tdvf-synthetic.fd")
        let entries = try Vectors.json("measurement/tdvf.json").member("must_fail")
        #expect(entries.count >= 14)
        for entry in try entries.array() {
            let offset: Int = try entry.member("at").integer()
            var mutated = file
            if let mask = entry["xor"] {
                for (index, byte) in try mask.hexBytes().enumerated() { mutated[offset + index] ^= byte }
            } else {
                for (index, byte) in try entry.member("set").hexBytes().enumerated() { mutated[offset + index] = byte }
            }
            let why = try entry.member("why").string()
            #expect(throws: DecodingFailure.self, "\(why)") { try firmware(mutated) }
        }
    }

    /// Firmware of public packages, where it is installed; `DSTACK_OVMF` names another directory.
    static let installed: [String] = {
        let directory = ProcessInfo.processInfo.environment["DSTACK_OVMF"] ?? "/usr/share/ovmf"
        return ["OVMF.fd", "OVMF.inteltdx.ms.fd", "OVMF.amdsev.fd"].map { "\(directory)/\($0)" }
            .filter { FileManager.default.fileExists(atPath: $0) }
    }()

    @Test(
        "an installed distribution firmware that the vectors know has their values",
        .enabled(
            if: Vectors.contain("measurement/tdhob.json") && !installed.isEmpty,
            "no ovmf package is installed, and DSTACK_OVMF names no directory with one"))
    func distribution() throws {
        let known = try Vectors.json("measurement/tdvf.json").member("debian_packages")
        for path in Self.installed {
            let file = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
            let firmware = try firmware(file)
            #expect(!firmware.sections.isEmpty)
            let hash = SHA256.hash(file).hex
            guard let vector = try known.array().first(where: { try $0.member("sha256").string() == hash }) else {
                continue
            }
            try check(firmware, equals: vector)
            #expect(firmware.variableStoreDigest == (try vector.member("cfv_sha384").fixedHex()))
            #expect(
                firmware.variableStoreIsPristine == (try vector.member("cfv_is_pristine_4mib_store").bool()))
        }
    }

    /// A small firmware: data, a descriptor, and the table at the end.
    static func build(_ sections: [(UInt32, UInt32, UInt64, UInt64, UInt32, UInt32)], entryLength: UInt16 = 22)
        -> [UInt8]
    {
        var writer = ByteWriter()
        for index in 0..<8192 { writer.u8(UInt8(truncatingIfNeeded: index &* 37)) }
        writer.append("TDVF".utf8)
        writer.littleEndian(UInt32(16 + 32 * sections.count))
        writer.littleEndian(UInt32(1))
        writer.littleEndian(UInt32(sections.count))
        for section in sections {
            writer.littleEndian(section.0)
            writer.littleEndian(section.1)
            writer.littleEndian(section.2)
            writer.littleEndian(section.3)
            writer.littleEndian(section.4)
            writer.littleEndian(section.5)
        }
        let tail = 22 + 18 + 32
        writer.littleEndian(UInt32(16 + 32 * sections.count + tail))
        writer.littleEndian(entryLength)
        writer.append([
            0x35, 0x65, 0x7A, 0xE4, 0x4A, 0x98, 0x98, 0x47, 0x86, 0x5E, 0x46, 0x85, 0xA7, 0xBF, 0x8E, 0xC2,
        ])
        writer.littleEndian(UInt16(40))
        writer.append([
            0xDE, 0x82, 0xB5, 0x96, 0xB2, 0x1F, 0xF7, 0x45, 0xBA, 0xEA, 0xA3, 0x66, 0xC5, 0x5A, 0x08, 0x2D,
        ])
        writer.zeros(32)
        return writer.bytes
    }

    static let good: [(UInt32, UInt32, UInt64, UInt64, UInt32, UInt32)] = [
        (4096, 4096, 0xFFFF_F000, 4096, 0, 1), (0, 4096, 0xFFFF_E000, 4096, 1, 0), (0, 0, 0x80_9000, 0x2000, 2, 0),
        (0, 0, 0x81_0000, 0x1_0000, 3, 0),
    ]

    @Test("a small firmware is read, and every bit of a measured page changes MRTD")
    func small() throws {
        let file = Self.build(Self.good)
        let firmware = try firmware(file)
        #expect(firmware.sections.count == 4)
        #expect(Hex.encode(try firmware.hobLayout().witness) == "8910000200020710")
        // One page: both orders are the same.
        let mrtd = firmware.mrtd(.singlePass)
        #expect(mrtd == firmware.mrtd(.twoPass))
        for offset in [4096, 4097, 5000, 8191] {
            var changed = file
            changed[offset] ^= 0x10
            #expect(try self.firmware(changed).mrtd(.singlePass) != mrtd)
        }
        // The variable store is not part of MRTD, but of RTMR0.
        var changed = file
        changed[100] ^= 1
        #expect(try self.firmware(changed).mrtd(.singlePass) == mrtd)
        #expect(try self.firmware(changed).variableStoreDigest != firmware.variableStoreDigest)
    }

    static let bad: [(String, (UInt32, UInt32, UInt64, UInt64, UInt32, UInt32))] = [
        ("section memory address not aligned", (0, 0, 1, 4096, 3, 0)),
        ("section memory data size not aligned", (0, 0, 0, 4095, 3, 0)),
        ("section memory data size less than raw", (0, 4097, 0, 4096, 0, 0)),
        ("section data past the end of the file", (0xFFFF_F000, 4096, 0, 4096, 0, 1)),
        ("section data past the end of the file", (0xFFFF_FFFF, 0xFFFF_FFFF, 0, 0x1_0000_0000, 0, 0)),
        ("measured section with less data than memory", (0, 4096, 0, 8192, 0, 1)),
        ("section beyond the 52-bit address space", (0, 0, 0xFFFF_FFFF_FFFF_F000, 4096, 3, 0)),
        ("section beyond the 52-bit address space", (0, 0, 4096, 0xFFFF_FFFF_FFFF_F000, 3, 0)),
        ("section of the unknown type 7", (0, 0, 0, 4096, 7, 0)),
        ("section with the unknown attributes 4", (0, 0, 0, 4096, 3, 4)),
        ("32769 pages, at most 8192 are allowed", (0, 0, 0, 0x800_1000, 3, 0)),
    ]

    @Test("a section that cannot be is refused", arguments: bad)
    func badSection(_ reason: String, _ section: (UInt32, UInt32, UInt64, UInt64, UInt32, UInt32)) throws {
        let file = Self.build([section])
        let failure = try #require(throws: DecodingFailure.self) { try firmware(file) }
        #expect(failure.reason == reason)
    }

    @Test("no TD HOB, two of them, or overlapping sections give no layout")
    func badLayouts() throws {
        let hob = Self.good[2]
        for sections in [[Self.good[3]], [hob, (0, 0, 0x90_0000, 4096, 2, 0)], [hob, (0, 0, 0x80_A000, 4096, 3, 0)]] {
            let firmware = try firmware(Self.build(sections))
            #expect(throws: MeasurementFailure.self) { try firmware.hobLayout() }
        }
    }

    @Test("65 sections and tables that are too short or too long are refused")
    func badTables() throws {
        #expect(try firmware(Self.build(Array(repeating: Self.good[3], count: 64))).sections.count == 64)
        #expect(throws: DecodingFailure.self) { try firmware(Self.build(Array(repeating: Self.good[3], count: 65))) }
        for length: UInt16 in [0, 1, 17, 18, 21, 23, 40, 0xFFFF] {
            #expect(throws: DecodingFailure.self, "\(length)") {
                try firmware(Self.build(Self.good, entryLength: length))
            }
        }
        for size in 0..<100 {
            #expect(throws: DecodingFailure.self) { try firmware([UInt8](repeating: 0, count: size)) }
        }
    }

    @Test("mutations of descriptor and table are refused or read, and never trap")
    func mutations() throws {
        let file = Self.build(Self.good)
        var random = SeededGenerator(seed: 0x7DF)
        var (accepted, refused) = (0, 0)
        for _ in 0..<4000 {
            // The data before byte 8192 is not structure.
            let mutated = Array(file[..<8192]) + random.mutated(Array(file[8192...]))
            guard let firmware = try? firmware(mutated) else {
                refused += 1
                continue
            }
            accepted += 1
            if accepted <= 40 { _ = firmware.mrtd(.twoPass) }
            _ = try? firmware.hobLayout()
        }
        #expect(accepted > 0 && refused > 0)
        for length in 0..<file.count where length % 61 == 0 || length > file.count - 220 {
            #expect(throws: DecodingFailure.self) { try firmware(Array(file.prefix(length))) }
        }
    }
}
