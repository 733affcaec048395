import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMeasurement
import TestKit
import Testing

@Suite("Image measurement")
struct MeasurementImageTests {

    private func syntheticImage() throws -> TDXImage {
        var initrd: [UInt8] = []
        var counter: UInt32 = 0
        while initrd.count < 70000 {
            var block = Array("initrd".utf8)
            withUnsafeBytes(of: counter.littleEndian) { block.append(contentsOf: $0) }
            initrd += SHA256.hash(block).bytes
            counter += 1
        }
        let lines = try Vectors.json("measurement/rtmr2.json").member("cases").array()
        let commandLine = try Array(lines)[1].member("cmdline").string()
        return try TDXImage(
            firmware: TDXFirmware(decoding: Vectors.read("measurement/tdvf-synthetic.fd")),
            kernel: LinuxKernel(decoding: Vectors.read("measurement/kernel-synthetic.bin")),
            initrd: Array(initrd.prefix(70000)), commandLine: commandLine)
    }

    @Test(
        "the document of the synthetic image is built byte for byte",
        .needsVectors("measurement/tdhob.json"))
    func document() throws {
        let expected = try Vectors.json("measurement/image-identity.json")
            .member("synthetic_image_tdx_cbor").member("hex").hexBytes()
        #expect(try syntheticImage().measurement().encoded() == expected)
    }

    @Test(
        "registers are not predicted for a firmware with another variable store",
        .needsVectors("measurement/tdhob.json"))
    func otherVariableStore() throws {
        var configuration = VMConfiguration()
        configuration.memorySize = 2 << 30
        let zero = FixedBytes<48>()
        let failure = try #require(throws: MeasurementFailure.self) {
            try syntheticImage().registers(
                of: configuration, acpi: ACPIDigests(loader: zero, rsdp: zero, tables: zero))
        }
        #expect(failure.reason.contains("variable store"))
    }

    static let hash = String(repeating: "ab", count: 32)

    @Test(
        "the root file system hash is the one word that names it",
        arguments: [
            "dstack.rootfs_hash=\(hash)", "console=ttyS0 dstack.rootfs_hash=\(hash) dstack.rootfs_size=1",
            "\tdstack.rootfs_hash=\(hash.uppercased())\n", "xdstack.rootfs_hash=no dstack.rootfs_hash=\(hash)",
        ])
    func rootHash(_ commandLine: String) throws {
        #expect(try TDXImage.rootFileSystemHash(in: commandLine) == FixedBytes(repeating: 0xAB))
    }

    @Test(
        "a command line without exactly one root file system hash is refused",
        arguments: [
            ("", "is required for TDX measurement"), (" \t\u{3000}", "is required for TDX measurement"),
            ("console=ttyS0", "dstack.rootfs_hash is required in the measured cmdline"),
            ("dstack.rootfs_hash", "dstack.rootfs_hash is required in the measured cmdline"),
            ("dstack.rootfs_hash=", "dstack.rootfs_hash must not be empty"),
            ("dstack.rootfs_hash=xyz", "dstack.rootfs_hash must be valid hex"),
            ("dstack.rootfs_hash=\"\(hash)\"", "dstack.rootfs_hash must be valid hex"),
            ("dstack.rootfs_hash=abab", "dstack.rootfs_hash must be 32 bytes"),
            (
                "dstack.rootfs_hash=\(hash) dstack.rootfs_hash=\(hash)",
                "dstack.rootfs_hash must be there once, found 2"
            ),
        ])
    func badRootHash(_ commandLine: String, _ reason: String) throws {
        #expect(throws: MeasurementFailure("cmdline", reason)) { try TDXImage.rootFileSystemHash(in: commandLine) }
    }
}
