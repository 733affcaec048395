import CZlib
import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMeasurement
import TestKit
import Testing

@Suite("Kernel measurement")
struct MeasurementKernelTests {

    private func check(_ kernel: LinuxKernel, _ cases: JSONNode) throws -> Int {
        var count = 0
        for example in try cases.array() {
            let memorySize: UInt64 = try example.member("memory_size").integer()
            let length: Int = try example.member("initrd_size").integer()
            count += 1
            if try example["error"]?.bool() == true {
                #expect(throws: MeasurementFailure.self) {
                    try kernel.patched(initrdLength: length, memorySize: memorySize)
                }
                continue
            }
            let patched = try kernel.patched(initrdLength: length, memorySize: memorySize)
            #expect(Array(patched[0x200..<0x240]) == (try example.member("patched_header_0x200_0x240").hexBytes()))
            let digest = try kernel.authenticode(initrdLength: length, memorySize: memorySize, qemu: .assumed)
            #expect(digest == (try example.member("authenticode_sha384").fixedHex()))
            #expect(
                RTMR1.predict(kernelAuthenticode: digest).value == (try example.member("rtmr1").fixedHex()))
        }
        return count
    }

    @Test(
        "header, Authenticode digest and RTMR1 of the synthetic kernel equal the vectors",
        .needsVectors("measurement/tdhob.json"))
    func synthetic() throws {
        let vectors = try Vectors.json("measurement/kernel.json")
        let file = try Vectors.read("measurement/kernel-synthetic.bin")
        let kernel = try LinuxKernel(decoding: file)
        #expect(try check(kernel, vectors.member("cases")) >= 10)

        let image = try PEImage(decoding: file)
        #expect(image.authenticodeSHA256 == (try vectors.member("unpatched_authenticode_sha256").fixedHex()))
        #expect(image.authenticodeSHA384 == (try vectors.member("unpatched_authenticode_sha384").fixedHex()))
        // Later releases of QEMU leave the file as it is, whatever memory and initial RAM disk there are.
        let later = QEMUVersion(major: 10, minor: 2, patch: 0)
        #expect(
            try kernel.authenticode(initrdLength: 5, memorySize: 0, qemu: later) == image.authenticodeSHA384)
    }

    @Test(
        "kernels of other boot protocols, and one with certificates, equal the vectors",
        .needsVectors("measurement/tdhob.json"))
    func variants() throws {
        let vectors = try Vectors.json("measurement/kernel.json")
        #expect(try vectors.member("variants").count == 4)
        for variant in try vectors.member("variants").array() {
            let packed = try Base64.decode(variant.member("kernel_zlib_b64").string(), subject: "kernel")
            var result = DSTACK_INFLATE_FAILED
            let file = [UInt8](unsafeUninitializedCapacity: 16 << 20) { buffer, count in
                result = dstack_inflate(
                    DSTACK_INFLATE_ZLIB, packed, packed.count, buffer.baseAddress, buffer.count, &count)
            }
            #expect(result == DSTACK_INFLATE_DONE)
            #expect(SHA256.hash(file) == (try variant.member("kernel_hex_sha256").fixedHex()))
            #expect(try check(LinuxKernel(decoding: file), variant.member("cases")) >= 2)
        }
    }

    @Test(
        "2 GiB and all sizes from 2816 MiB on give one kernel, sizes between give others",
        .needsVectors("measurement/tdhob.json"))
    func memorySizes() throws {
        let kernel = try LinuxKernel(decoding: Vectors.read("measurement/kernel-synthetic.bin"))
        let expected = try kernel.patched(initrdLength: 70000, memorySize: 2 << 30)
        for size: UInt64 in [0xB000_0000, 4 << 30, .max] {
            #expect(try kernel.patched(initrdLength: 70000, memorySize: size) == expected)
        }
        for size: UInt64 in [1 << 30, 0x8010_0000, 0xB000_0000 - 4096] {
            #expect(try kernel.patched(initrdLength: 70000, memorySize: size) != expected)
        }
    }

    @Test(
        "an initial RAM disk that does not fit is refused, and no memory size overflows",
        .needsVectors("measurement/tdhob.json"))
    func badSizes() throws {
        let kernel = try LinuxKernel(decoding: Vectors.read("measurement/kernel-synthetic.bin"))
        for size: UInt64 in [0, 1, 0x28000, 0x28001] {
            #expect(throws: MeasurementFailure.self) { try kernel.patched(initrdLength: 1, memorySize: size) }
        }
        for length in [Int.max, 1 << 32, 0x7FFD_7FFF, -1] {
            #expect(throws: MeasurementFailure.self) { try kernel.patched(initrdLength: length, memorySize: 2 << 30) }
        }
        // Without an initial RAM disk there is nothing to place.
        _ = try kernel.patched(initrdLength: 0, memorySize: 0)
        #expect(throws: DecodingFailure.self) { try LinuxKernel(decoding: [UInt8](repeating: 0, count: 4095)) }
    }

    /// A PE32+ image: headers of 1024 bytes, two sections stored in the reverse order, and certificates.
    static func image(certificates: Int = 0, directories: UInt32 = 16, trailing: Int = 0) -> [UInt8] {
        var file = [UInt8](repeating: 0, count: 4096)
        func write(_ value: UInt64, _ count: Int, _ offset: Int) {
            for index in 0..<count { file[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
        }
        for index in 1024..<4096 { file[index] = UInt8(truncatingIfNeeded: index &* 31) }
        write(0x40, 4, 0x3C)
        write(0x4550, 4, 0x40)
        write(2, 2, 0x46)
        write(240, 2, 0x54)
        let optional = 0x58
        write(0x20B, 2, optional)
        write(1024, 4, optional + 60)
        write(UInt64(directories), 4, optional + 108)
        if certificates > 0 {
            write(4096, 4, optional + 144)
            write(UInt64(certificates), 4, optional + 148)
        }
        let table = optional + 240
        write(1024, 4, table + 16)
        write(3072, 4, table + 20)
        write(2048, 4, table + 56)
        write(1024, 4, table + 60)
        return file + [UInt8](repeating: 0xCC, count: trailing + certificates)
    }

    @Test("checksum, certificate entry and certificates are not part of the digest, all else is")
    func coverage() throws {
        let file = Self.image(certificates: 256)
        let digest = try PEImage(decoding: file).authenticodeSHA384
        let optional = 0x58
        let excluded = [optional + 64..<optional + 68, optional + 144..<optional + 152, 4096..<4352]
        for offset in 0..<file.count {
            var changed = file
            changed[offset] ^= 0x80
            guard let image = try? PEImage(decoding: changed) else {
                #expect(offset < 1024, "byte \(offset) is no structure")
                continue
            }
            let isExcluded = excluded.contains { $0.contains(offset) }
            #expect((image.authenticodeSHA384 == digest) == isExcluded, "byte \(offset)")
        }
    }

    @Test("bytes between sections and certificates are measured, bytes without certificates behind them are refused")
    func trailing() throws {
        let plain = try PEImage(decoding: Self.image(certificates: 256)).authenticodeSHA384
        #expect(try PEImage(decoding: Self.image(certificates: 256, trailing: 8)).authenticodeSHA384 != plain)
        #expect(throws: DecodingFailure.self) { try PEImage(decoding: Self.image(trailing: 8)) }
    }

    @Test("an image without a directory entry for certificates is refused")
    func noDirectory() {
        #expect(throws: DecodingFailure.self) { try PEImage(decoding: Self.image(directories: 4)) }
        #expect(throws: Never.self) { try PEImage(decoding: Self.image(directories: 5)) }
    }

    @Test("truncations are refused, mutations of the headers never trap")
    func mutations() throws {
        let file = Self.image(certificates: 256)
        for length in 0..<file.count where length < 512 || length % 97 == 0 {
            #expect(throws: DecodingFailure.self) { try PEImage(decoding: Array(file.prefix(length))) }
        }
        var random = SeededGenerator(seed: 0x9E)
        var accepted = 0
        for _ in 0..<5000 {
            let mutated = random.mutated(Array(file[..<512])) + file[512...]
            if let image = try? PEImage(decoding: mutated) {
                accepted += 1
                if accepted <= 200 { _ = image.authenticodeSHA384 }
            }
        }
        #expect(accepted > 0)
    }
}
