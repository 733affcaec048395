import DstackAttestation
import DstackEncoding
import DstackMeasurement
import TestKit
import Testing

@Suite("vm_config")
struct MeasurementConfigurationTests {
    private func decode(_ json: String) throws -> VMConfiguration {
        try VMConfiguration(decoding: Array(json.utf8))
    }

    static let complete = """
        {"spec_version": 1, "os_image_hash": "\(String(repeating: "0a", count: 32))", "cpu_count": 16,
         "memory_size": 68719476736, "qemu_single_pass_add_pages": true, "pic": false, "qemu_version": "9.2.1",
         "pci_hole64_size": 17592186044416, "hugepages": true, "num_gpus": 1, "num_nvswitches": 2, "num_nics": 3,
         "num_verity_volumes": 4, "swtpm": true, "hotplug_off": true, "image": "dstack-0.6.0",
         "host_share_mode": "9p", "ovmf_variant": "pre202505", "tdx_attestation_variant": "lite",
         "tdx_measurement": {"checksum_file": "YQ==", "measurement": "Yg=="},
         "gcp_measurement": {"checksum_file": "Yw==", "measurement": "ZA=="},
         "aws_measurement": {"checksum_file": "ZQ==", "measurement": "Zg==", "more": 1}, "unknown": [{}]}
        """

    private func checkComplete(_ configuration: VMConfiguration) throws {
        var expected = VMConfiguration()
        expected.osImageHash = FixedBytes(repeating: 0x0A)
        expected.cpuCount = 16
        expected.memorySize = 64 << 30
        expected.twoPassAddPages = true
        expected.pic = false
        expected.qemuVersion = "9.2.1"
        expected.pciHole64Size = 1 << 44
        expected.usesHugepages = true
        expected.gpuCount = 1
        expected.nvSwitchCount = 2
        expected.nicCount = 3
        expected.verityVolumeCount = 4
        expected.hasSoftwareTPM = true
        expected.isHotplugOff = true
        expected.image = "dstack-0.6.0"
        expected.hostShareMode = "9p"
        expected.ovmfVariant = "pre202505"
        expected.attestationVariant = .lite
        expected.tdxMeasurement = MeasurementDocument(checksumFile: Array("a".utf8), measurement: Array("b".utf8))
        expected.gcpMeasurement = MeasurementDocument(checksumFile: Array("c".utf8), measurement: Array("d".utf8))
        expected.awsMeasurement = MeasurementDocument(checksumFile: Array("e".utf8), measurement: Array("f".utf8))
        #expect(configuration == expected)
    }

    @Test("every member is read, unknown ones are ignored")
    func members() throws {
        try checkComplete(decode(Self.complete))
    }

    @Test("an empty object has every default, and null is as good as absent")
    func defaults() throws {
        #expect(try decode("{}") == VMConfiguration())
        #expect(try decode("{}").nicCount == 1)
        #expect(try decode("{}").attestationVariant == .legacy)
        #expect(try decode(#"{"os_image_hash": "", "pic": null, "qemu_version": null}"#) == VMConfiguration())
    }

    @Test("a system configuration gives the vm_config that it holds as a string")
    func nested() throws {
        let escaped = Self.complete.replacing("\n", with: " ").replacing("\"", with: "\\\"")
        try checkComplete(decode("{\"kms_urls\": [], \"vm_config\": \"\(escaped)\", \"docker_registry\": \"\"}"))
    }

    @Test(
        "the configurations of the vectors are read",
        .needsVectors("measurement/tdhob.json"))
    func vectors() throws {
        let simulator = try VMConfiguration(
            decoding: Vectors.read("guest-agent/sys-config.json"))
        #expect(simulator.memorySize == 2 << 30)
        #expect(simulator.cpuCount == 1)
        #expect(simulator.osImageHash?.hex.hasPrefix("64f0d1545cd5") == true)

        let hardware = try Vectors.json("measurement/tdx-hardware.json").member("cases").array()
        var orders: [MRTDPageOrder] = []
        for example in hardware {
            guard let node = example["vm_config"] else { continue }
            let configuration = try VMConfiguration(decoding: node.rawBytes)
            let order = try configuration.mrtdPageOrder()
            #expect(order.rawValue == (try example.member("mrtd_order").string()))
            orders.append(order)
        }
        #expect(orders == [.twoPass, .singlePass])

        let snp = try Vectors.json("measurement/image-identity.json").member("snp_cbor").member("vm_config")
        #expect(try VMConfiguration(decoding: snp.rawBytes).attestationVariant == .legacy)
    }

    static let orders: [(String, MRTDPageOrder)] = [
        ("{}", .singlePass),
        (#"{"qemu_version": "8.2.2"}"#, .twoPass),
        (#"{"qemu_version": "9.2.1"}"#, .singlePass),
        (#"{"qemu_version": "8.2.2", "qemu_single_pass_add_pages": false}"#, .singlePass),
        (#"{"qemu_version": "9.2.1", "qemu_single_pass_add_pages": true}"#, .twoPass),
        (#"{"qemu_single_pass_add_pages": true}"#, .twoPass),
    ]

    @Test("qemu_single_pass_add_pages means the opposite of its name and wins over the version", arguments: orders)
    func pageOrder(_ json: String, _ order: MRTDPageOrder) throws {
        #expect(try decode(json).mrtdPageOrder() == order)
    }

    @Test(
        "a QEMU version that is none or too old is refused, also where the order is stated",
        arguments: [#""7.2.0""#, #""8.2""#, #""10.2.0-rc1""#, #""""#])
    func badQEMU(_ version: String) throws {
        for more in ["", #", "qemu_single_pass_add_pages": true"#] {
            let configuration = try decode("{\"qemu_version\": \(version)\(more)}")
            #expect(throws: MeasurementFailure.self) { try configuration.mrtdPageOrder() }
        }
    }

    @Test(
        "a configuration of another form is refused",
        arguments: [
            "", "[]", "null", "\"{}\"", "{} {}", #"{"cpu_count": 1, "cpu_count": 2}"#,
            #"{"cpu_count": 1, "cpu\u005fcount": 1}"#, #"{"cpu_count": -1}"#, #"{"cpu_count": 4294967296}"#,
            #"{"cpu_count": 1.0}"#, #"{"cpu_count": "1"}"#, #"{"memory_size": 18446744073709551616}"#,
            #"{"memory_size": 1e9}"#, #"{"hugepages": 0}"#, #"{"qemu_version": 9}"#, #"{"os_image_hash": "0a"}"#,
            #"{"os_image_hash": "zz"}"#, #"{"tdx_attestation_variant": "Lite"}"#,
            #"{"tdx_attestation_variant": "full"}"#, #"{"tdx_attestation_variant": ""}"#,
            #"{"tdx_measurement": "x"}"#, #"{"tdx_measurement": {"checksum_file": "YQ=="}}"#,
            #"{"tdx_measurement": {"checksum_file": "YQ", "measurement": ""}}"#,
            #"{"tdx_measurement": {"checksum_file": "YR==", "measurement": ""}}"#,
            #"{"vm_config": {}}"#, #"{"vm_config": ""}"#, #"{"vm_config": "[]"}"#, #"{"vm_config": null}"#,
            #"{"vm_config": "{}", "memory_size": 1}"#, #"{"vm_config": "{}", "os_image_hash": ""}"#,
        ])
    func refusal(_ json: String) {
        #expect(throws: DecodingFailure.self) { try decode(json) }
    }

    @Test("a configuration over the size limit or nested too deep is refused before it is read")
    func limits() {
        #expect(throws: DecodingFailure.self) {
            try decode("{\"image\": \"\(String(repeating: "a", count: 256 * 1024))\"}")
        }
        #expect(throws: DecodingFailure.self) {
            try decode("{\"x\": \(String(repeating: "[", count: 40))\(String(repeating: "]", count: 40))}")
        }
    }

    @Test("every truncation is refused, mutations never trap")
    func mutations() throws {
        let bytes = Array(Self.complete.utf8)
        for length in 0..<bytes.count {
            #expect(throws: DecodingFailure.self) { try VMConfiguration(decoding: Array(bytes.prefix(length))) }
        }
        var random = SeededGenerator(seed: 0xC0F)
        var accepted = 0
        for _ in 0..<3000 {
            if let configuration = try? VMConfiguration(decoding: random.mutated(bytes)) {
                _ = try? configuration.mrtdPageOrder()
                accepted += 1
            }
        }
        #expect(accepted > 0)
    }
}
