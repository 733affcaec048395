import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMeasurement
import TestKit
import Testing

@Suite("Predicted registers")
struct MeasurementRegisterTests {
    private func layout() throws -> TDHOBLayout {
        try TDHOBLayout(witness: try Hex.decode(MeasurementTDHOBTests.current, subject: "witness"))
    }

    private static func digest(_ node: JSONNode) throws -> FixedBytes<48> { try node.fixedHex() }

    @Test(
        "the constant events equal the vectors",
        .needsVectors("measurement/tdhob.json"))
    func constants() throws {
        let vectors = try Vectors.json("measurement/rtmr0-constants.json")
        let zero = FixedBytes<48>()
        let acpi = ACPIDigests(loader: zero, rsdp: zero, tables: zero)
        let register = try RTMR0.predict(variant: .pre202505, layout: layout(), memorySize: 2 << 30, acpi: acpi)
        func event(_ name: String, of register: PredictedRegister) throws -> FixedBytes<48> {
            try #require(register.events.first { $0.name == name }).digest
        }
        #expect(try event("cfv", of: register) == Self.digest(vectors.member("cfv_edk2_4mib_empty")))
        #expect(try event("Boot0000", of: register) == Self.digest(vectors.member("boot0000_uiapp")))
        #expect(try event("separator", of: register) == Self.digest(vectors.member("separator")))
        #expect(try event("BootOrder", of: register) == Self.digest(vectors.member("boot_order")))
        var variables = 0
        for variable in try vectors.member("variables").array() {
            let name = try variable.member("name").string()
            #expect(try event(name, of: register) == Self.digest(variable.member("sha384")))
            variables += 1
        }
        #expect(variables == 5)

        let stable = try RTMR0.predict(
            variant: .stable202505, layout: layout(), memorySize: 2 << 30, acpi: acpi, smbios: zero)
        let expected = try vectors.member("stable202505")
        for (ours, theirs) in [
            ("BootMenu", "QEMU FW CFG BootMenu"), ("bootorder", "QEMU FW CFG bootorder"), ("BootOrder", "BootOrder"),
            ("Boot0000", "Boot0000"), ("Boot0001", "Boot0001"),
        ] {
            #expect(try event(ours, of: stable) == Self.digest(#require(expected.member(named: theirs))))
        }

        let fixed = try vectors.member("rtmr1_fixed").array().map { try Self.digest($0) }
        #expect(RTMR1.predict(kernelAuthenticode: zero).events.map(\.digest) == [zero] + fixed)
    }

    @Test(
        "the registers of real quotes are reproduced event by event",
        .needsVectors("measurement/tdhob.json"))
    func hardware() throws {
        let vectors = try Vectors.json("measurement/tdx-hardware.json")
        var reproduced = 0
        for example in try vectors.member("cases").array() {
            guard let expected = example["rtmr0_events"], let quote = example["quote"] else { continue }
            let memorySize: UInt64 = try example.member("vm_config").member("memory_size").integer()
            let rtmr0 = try RTMR0.predict(
                variant: .pre202505, layout: layout(), memorySize: memorySize,
                acpi: ACPIDigests(
                    loader: expected.member("acpi_loader").fixedHex(), rsdp: expected.member("acpi_rsdp").fixedHex(),
                    tables: expected.member("acpi_tables").fixedHex()))
            #expect(rtmr0.events.map(\.name) == expected.members.map(\.name))
            #expect(rtmr0.events.map(\.digest) == (try expected.members.map { try Self.digest($0.value) }))
            #expect(rtmr0.value == (try Self.digest(quote.member("rtmr0"))))

            let boot = try example.member("rtmr1_events").array().map { try Self.digest($0) }
            let rtmr1 = RTMR1.predict(kernelAuthenticode: boot[0])
            #expect(rtmr1.firstDifference(from: boot) == nil)
            #expect(rtmr1.value == (try Self.digest(quote.member("rtmr1"))))

            let kernel = try example.member("rtmr2_events").array().map { try Self.digest($0) }
            #expect(
                RTMR2.predict(commandLine: kernel[0], initrd: kernel[1]).value
                    == (try Self.digest(quote.member("rtmr2"))))
            reproduced += 1
        }
        #expect(reproduced == 2)
    }

    @Test(
        "the 17 events of a 0.5.10 boot are reproduced, its SMBIOS digest given",
        .needsVectors("measurement/tdhob.json"))
    func stableFirmware() throws {
        let vectors = try Vectors.json("guest-agent/attestation.decoded.json")
        let logged = try vectors.member("event_log").array().filter { try $0.member("imr").integer(Int.self) == 0 }
        #expect(logged.count == 17)
        let digests = try logged.map { try Self.digest($0.member("digest")) }
        // The TD HOB is the one of 16 GiB, whatever this fixture's vm_config says.
        let register = try RTMR0.predict(
            variant: .stable202505, layout: layout(), memorySize: 16 << 30,
            acpi: ACPIDigests(loader: digests[10], rsdp: digests[11], tables: digests[12]), smbios: digests[13])
        #expect(register.firstDifference(from: digests) == nil)
        #expect(register.events.map(\.type.rawValue) == (try logged.map { try $0.member("event_type").integer() }))
        #expect(register.value == (try Self.digest(vectors.member("measurements").member("rtmr0"))))

        // A step too many or another digest is found where it is.
        let oneMore = try #require(register.firstDifference(from: digests + [FixedBytes()]))
        #expect(oneMore.index == 17 && oneMore.predicted == nil)
        let oneLess = try #require(register.firstDifference(from: digests.dropLast()))
        #expect(oneLess.index == 16 && oneLess.logged == nil && oneLess.predicted?.name == "Boot0001")
        var changed = digests
        changed[1] = FixedBytes()
        #expect(register.firstDifference(from: changed)?.predicted?.name == "cfv")
    }

    @Test("a firmware that measures SMBIOS is not predicted without that digest")
    func smbiosMissing() throws {
        let zero = FixedBytes<48>()
        #expect(throws: MeasurementFailure.self) {
            try RTMR0.predict(
                variant: .stable202505, layout: layout(), memorySize: 2 << 30,
                acpi: ACPIDigests(loader: zero, rsdp: zero, tables: zero))
        }
    }

    @Test(
        "command lines and initrd equal the vectors, also beyond the basic plane",
        .needsVectors("measurement/tdhob.json"))
    func rtmr2() throws {
        let vectors = try Vectors.json("measurement/rtmr2.json")
        var stream: [UInt8] = []
        var counter: UInt32 = 0
        while stream.count < 70000 {
            var block = Array("initrd".utf8)
            withUnsafeBytes(of: counter.littleEndian) { block.append(contentsOf: $0) }
            stream += SHA256.hash(block).bytes
            counter += 1
        }
        let initrd = RTMR2.initrdDigest(Array(stream.prefix(70000)))
        #expect(initrd == (try Self.digest(vectors.member("initrd_sha384"))))
        #expect(try vectors.member("cases").count == 3)
        for example in try vectors.member("cases").array() {
            let digest = RTMR2.commandLineDigest(try example.member("cmdline").string())
            #expect(digest == (try Self.digest(example.member("cmdline_sha384"))))
            #expect(
                RTMR2.predict(commandLine: digest, initrd: initrd).value
                    == (try Self.digest(example.member("rtmr2"))))
        }
    }

    @Test(
        "the page order follows the QEMU release",
        arguments: [
            ("8.0.0", MRTDPageOrder.twoPass), ("8.2.2", .twoPass), ("8.99.99", .twoPass), ("9.0.0", .singlePass),
            ("9.1.0", .singlePass), ("10.2.0", .singlePass), ("4294967295.0.0", .singlePass),
        ])
    func pageOrder(_ version: String, _ order: MRTDPageOrder) throws {
        #expect(try MRTDPageOrder(qemu: QEMUVersion(parsing: version)) == order)
    }

    @Test("a QEMU release before 8 is refused", arguments: ["7.2.99", "0.0.0"])
    func oldQEMU(_ version: String) throws {
        #expect(throws: MeasurementFailure.self) { try MRTDPageOrder(qemu: QEMUVersion(parsing: version)) }
    }

    @Test(
        "what is not three decimal numbers is no QEMU version",
        arguments: [
            "", ".", "..", "8", "8.2", "8.2.2.1", "8.2.", ".2.2", "8..2", "8.2.x", "10.2.0-rc1", "8.2.2+ds", " 8.2.2",
            "8.2.2 ", "-8.2.2", "+8.2.2", "8.2.4294967296", "8.2.99999999999999999999", "٨.2.2", "8.2.2\n",
        ])
    func badVersion(_ text: String) {
        #expect(throws: DecodingFailure.self) { try QEMUVersion(parsing: text) }
    }
}
