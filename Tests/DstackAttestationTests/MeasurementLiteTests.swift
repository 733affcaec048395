import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMeasurement
import TestKit
import Testing

@Suite("Lite image verification")
struct MeasurementLiteTests {
    /// A VM that boots a made-up image, and the registers that its quote would have.
    struct Scene {
        var image: TDXImageMeasurement
        var configuration: VMConfiguration
        var acpi: ACPIDigests?
        var quoted: ImageRegisters

        init(memorySize: UInt64 = 2 << 30, qemuVersion: String? = "8.2.2") throws {
            image = try MeasurementDocumentTests.sample()
            configuration = VMConfiguration()
            configuration.memorySize = memorySize
            configuration.qemuVersion = qemuVersion
            configuration.attestationVariant = .lite
            let acpi = ACPIDigests(
                loader: FixedBytes(repeating: 6), rsdp: FixedBytes(repeating: 7), tables: FixedBytes(repeating: 8))
            self.acpi = acpi
            quoted = ImageRegisters(
                mrtd: image.mrtd(try configuration.mrtdPageOrder()),
                rtmr0: try RTMR0.predict(
                    variant: .pre202505, layout: image.hobLayout, memorySize: memorySize, acpi: acpi
                ).value,
                rtmr1: RTMR1.predict(kernelAuthenticode: image.kernelAuthenticode).value,
                rtmr2: RTMR2.predict(commandLine: image.commandLine, initrd: image.initrd).value)
            attach(image.encoded())
        }

        /// Puts a document into the configuration, with a checksum file and the image hash that fit.
        mutating func attach(_ measurement: [UInt8], checksums: String? = nil) {
            let text = checksums ?? "\(SHA256.hash(measurement))  measurement.tdx.cbor\n"
            configuration.tdxMeasurement = MeasurementDocument(
                checksumFile: Array(text.utf8), measurement: measurement)
            configuration.osImageHash = SHA256.hash(Array(text.utf8))
        }

        func verify() -> ImageVerification {
            guard let acpi else {
                return LiteImageVerifier.verify(configuration, eventLog: EventLog(), quoted: quoted)
            }
            return LiteImageVerifier.verify(configuration, acpi: .success(acpi), quoted: quoted)
        }
    }

    private func finding(_ check: ImageFinding.Check, of result: ImageVerification) throws -> ImageFinding {
        // Each check has one finding in every result.
        #expect(
            result.findings.map(\.check).sorted { $0.rawValue < $1.rawValue }
                == ImageFinding.Check.allCases.sorted { $0.rawValue < $1.rawValue })
        return try #require(result.findings.first { $0.check == check })
    }

    /// Only these checks failed, the first of them with this reason.
    private func expectFailure(
        _ checks: [ImageFinding.Check], _ reason: String, of result: ImageVerification,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(!result.isVerified, sourceLocation: sourceLocation)
        let failed = result.findings.filter { if case .failed = $0.outcome { true } else { false } }
        #expect(failed.map(\.check) == checks, sourceLocation: sourceLocation)
        #expect(result.failureReason == reason, sourceLocation: sourceLocation)
    }

    @Test(
        "MRTD and RTMR0 to RTMR2 of a real quote are reproduced from its configuration and log",
        .needsVectors("measurement/tdhob.json"))
    func hardware() throws {
        let vector = try Vectors.json("attestation/tdx-lite-getquote.json")
        let configuration = try VMConfiguration(
            decoding: Array(vector.member("vm_config").string().utf8))
        let log = try EventLog(json: vector.member("event_log").string())
        guard case .td10(let report) = try Quote(parsing: vector.member("quote").hexBytes()).body else {
            return #expect(Bool(false), "the quote is a TD's")
        }
        let quoted = ImageRegisters(report)
        let result = LiteImageVerifier.verify(configuration, eventLog: log, quoted: quoted)
        #expect(result.isVerified, "\(result.findings)")
        #expect(result.failureReason == nil)
        #expect(!result.areACPITablesVerified)
        #expect(result.osImageHash?.hex == "e6f5cfec20c02e7b97baa213d0f718020b55e040172d90ccbcb946d56c8b09db")
        #expect(try finding(.mrtd, of: result).expected == quoted.mrtd.hex)
        #expect(try finding(.rtmr0, of: result).expected == quoted.rtmr0.hex)
        #expect(try finding(.rtmr1, of: result).expected == quoted.rtmr1.hex)
        #expect(try finding(.rtmr2, of: result).expected == quoted.rtmr2.hex)
    }

    @Test(
        "a mutated configuration of a real VM never traps, and is verified for its own image only",
        .needsVectors("measurement/tdhob.json"))
    func mutatedConfigurations() throws {
        let vector = try Vectors.json("attestation/tdx-lite-getquote.json")
        let text = Array(try vector.member("vm_config").string().utf8)
        let log = try EventLog(json: vector.member("event_log").string())
        guard case .td10(let report) = try Quote(parsing: vector.member("quote").hexBytes()).body else {
            return #expect(Bool(false), "the quote is a TD's")
        }
        let original = try VMConfiguration(decoding: text)
        var random = SeededGenerator(seed: 0x117E)
        var (verified, refused) = (0, 0)
        for _ in 0..<3000 {
            guard let configuration = try? VMConfiguration(decoding: random.mutated(text)) else { continue }
            let result = LiteImageVerifier.verify(configuration, eventLog: log, quoted: ImageRegisters(report))
            guard result.isVerified else {
                refused += 1
                continue
            }
            verified += 1
            // What the registers do not show may differ, what they show may not.
            #expect(configuration.osImageHash == original.osImageHash)
            #expect(configuration.tdxMeasurement == original.tdxMeasurement)
            #expect(configuration.memorySize == original.memorySize)
            #expect(try configuration.mrtdPageOrder() == .twoPass)
        }
        #expect(verified > 0 && refused > 0)
    }

    @Test("a made-up image is verified at each allowed memory size", arguments: [2 << 30, 0xB000_0000, 1 << 40])
    func accepted(_ memorySize: UInt64) throws {
        let result = try Scene(memorySize: memorySize).verify()
        #expect(result.isVerified)
        #expect(result.failureReason == nil)
        #expect(result.notVerified.contains { $0.contains("ACPI") })
    }

    @Test("the ACPI tables are never said to be verified")
    func acpiContent() throws {
        let result = try Scene().verify()
        #expect(!result.areACPITablesVerified)
        guard case .unverified(let what) = try finding(.acpiTables, of: result).outcome else {
            return #expect(Bool(false), "the finding is unverified")
        }
        #expect(what.contains("not compared"))
    }

    @Test("legacy, or no variant, is not possible without the image, although a document is there")
    func legacy() throws {
        var scene = try Scene()
        scene.configuration.attestationVariant = .legacy
        let result = scene.verify()
        expectFailure(
            [.attestationVariant],
            "tdx_attestation_variant is legacy: its registers must be recomputed from the image's files, which is not "
                + "possible from a measurement document", of: result)
        guard case .skipped = try finding(.rtmr0, of: result).outcome else {
            return #expect(Bool(false), "registers are not judged")
        }
    }

    @Test("a configuration without a document is refused")
    func noDocument() throws {
        var scene = try Scene()
        scene.configuration.tdxMeasurement = nil
        expectFailure(
            [.measurementPresent], "tdx lite attestation requires vm_config.tdx_measurement", of: scene.verify())
    }

    @Test("a checksum file that is not the one of os_image_hash is refused")
    func wrongImageHash() throws {
        var scene = try Scene()
        let actual = try #require(scene.configuration.osImageHash)
        let claimed = FixedBytes<32>(repeating: 9)
        scene.configuration.osImageHash = claimed
        expectFailure(
            [.imageHash],
            "tdx lite measurement material does not match os_image_hash: os_image_hash mismatch: expected "
                + "sha256(sha256sum.txt)=\(claimed), actual=\(actual)", of: scene.verify())
        scene.configuration.osImageHash = nil
        expectFailure(
            [.imageHash],
            "tdx lite measurement material does not match os_image_hash: os_image_hash is missing",
            of: scene.verify())
    }

    @Test("a document that the checksum file does not list, or lists with another hash, is refused")
    func wrongDocumentHash() throws {
        var scene = try Scene()
        let measurement = scene.image.encoded()
        let other = FixedBytes<32>(repeating: 1)
        let prefix = "tdx lite measurement material does not match os_image_hash: "
        scene.attach(measurement, checksums: "\(other)  measurement.tdx.cbor\n")
        expectFailure(
            [.measurementHash],
            prefix + "measurement.tdx.cbor hash mismatch: sha256sum.txt=\(other), actual=\(SHA256.hash(measurement))",
            of: scene.verify())
        scene.attach(measurement, checksums: "\(SHA256.hash(measurement))  measurement.snp.cbor\n")
        expectFailure(
            [.measurementHash], prefix + "sha256sum.txt: is missing measurement.tdx.cbor", of: scene.verify())
    }

    @Test("a document of another version is refused although its hash is listed")
    func wrongVersion() throws {
        var scene = try Scene()
        let item = try CBORDecoder.decode(scene.image.encoded(), subject: "document")
        scene.attach(MeasurementDocumentTests.edited(item, "version", .unsigned(4)).encoded())
        expectFailure(
            [.measurementDocument], "TdxOsImageMeasurement: unsupported version 4, expected 3", of: scene.verify())
    }

    @Test("another firmware generation than the document's is refused, and RTMR0 is not judged")
    func wrongFirmware() throws {
        var scene = try Scene()
        scene.configuration.ovmfVariant = "pre202505"
        #expect(scene.verify().isVerified)
        scene.configuration.ovmfVariant = "stable202505"
        let result = scene.verify()
        expectFailure(
            [.firmwareVariant], "vm_config.ovmf_variant is not the firmware of the measurement document", of: result)
        guard case .skipped = try finding(.rtmr0, of: result).outcome else {
            return #expect(Bool(false), "RTMR0 is not judged")
        }
    }

    @Test("a firmware whose RTMR0 needs an SMBIOS table is refused with that reason")
    func stableFirmware() throws {
        var scene = try Scene()
        scene.image.firmware = .stable202505
        scene.attach(scene.image.encoded())
        let result = scene.verify()
        #expect(!result.isVerified)
        #expect(result.failureReason?.contains("SMBIOS") == true)
    }

    @Test(
        "other memory sizes are refused, with both bounds in the reason",
        arguments: [0, 4096, (2 << 30) - 1, (2 << 30) + 1, 0xB000_0000 - 1])
    func wrongMemory(_ memorySize: UInt64) throws {
        var scene = try Scene()
        scene.configuration.memorySize = memorySize
        let result = scene.verify()
        expectFailure(
            [.memorySize],
            "TDX lite attestation without image download requires memory_size == 2147483648 bytes (2048 MiB) or >= "
                + "2952790016 bytes (2816 MiB); got \(memorySize) bytes", of: result)
    }

    /// The log's three ACPI events, changed.
    static let badLogs: [(String, @Sendable (inout [LoggedEvent]) -> Void)] = [
        ("found 0", { $0 = [] }),
        ("found 2", { $0.removeLast() }),
        ("found 4", { $0.append($0[0]) }),
        ("found 2", { $0[1].payload = Array("ACPI data".utf8) }),
        ("found 2", { $0[1].register = .rtmr1 }),
        ("found 2", { $0[1].type = .separator }),
        ("0 of them are named acpi-loader", { $0[0].name = "" }),
        ("2 of them are named acpi-loader", { $0[1].name = "acpi-loader" }),
        ("0 of them are named acpi-tables", { $0[2].name = "acpi-table" }),
        ("acpi-rsdp has no digest", { $0[1].digest = nil }),
    ]

    @Test(
        "a log without exactly the three ACPI events is refused, and RTMR0 is not judged", arguments: 0..<badLogs.count)
    func badLog(_ index: Int) throws {
        let scene = try Scene()
        let acpi = try #require(scene.acpi)
        var events = [acpi.loader, acpi.rsdp, acpi.tables].map {
            LoggedEvent(
                register: .rtmr0, type: .platformConfigFlags, digest: $0, payload: Array("ACPI DATA".utf8))
        }
        for (position, name) in ["acpi-loader", "acpi-rsdp", "acpi-tables"].enumerated() {
            events[position].name = name
        }
        #expect(try ACPIDigests(EventLog(events)) == acpi)
        // Other events do not matter.
        let more = [LoggedEvent(register: .rtmr0, type: .separator, digest: nil)] + events
        #expect(
            LiteImageVerifier.verify(scene.configuration, eventLog: EventLog(more), quoted: scene.quoted).isVerified)

        let (reason, change) = Self.badLogs[index]
        change(&events)
        let result = LiteImageVerifier.verify(
            scene.configuration, eventLog: EventLog(events), quoted: scene.quoted)
        expectFailure(
            [.acpiEvents], "TDX lite attestation requires exactly 3 RTMR0 ACPI DATA events; \(reason)", of: result)
        guard case .skipped = try finding(.rtmr0, of: result).outcome else {
            return #expect(Bool(false), "RTMR0 is not judged")
        }
    }

    @Test("a QEMU version that is none, or too old, is refused and MRTD is not judged", arguments: ["7.2.0", "8.2"])
    func wrongQEMU(_ version: String) throws {
        var scene = try Scene()
        scene.configuration.qemuVersion = version
        let result = scene.verify()
        #expect(!result.isVerified)
        guard case .failed = try finding(.qemuVersion, of: result).outcome,
            case .skipped = try finding(.mrtd, of: result).outcome
        else { return #expect(Bool(false), "the version fails, MRTD is not judged") }
    }

    @Test("the page order decides which MRTD is right, and the hint says when the other one was quoted")
    func pageOrder() throws {
        var scene = try Scene(qemuVersion: "9.2.1")
        #expect(scene.quoted.mrtd == scene.image.mrtdSinglePass)
        #expect(scene.verify().isVerified)
        scene.configuration.twoPassAddPages = true
        let result = scene.verify()
        expectFailure(
            [.mrtd],
            "MRs do not match: MRTD mismatch: expected=\(scene.image.mrtdTwoPass), "
                + "actual=\(scene.image.mrtdSinglePass)",
            of: result)
        #expect(
            try finding(.mrtd, of: result).hint
                == "the quoted value is the document's single_pass, while vm_config means two_pass")
    }

    @Test("a change of any one register is found there and nowhere else", arguments: 0..<4)
    func oneRegister(_ index: Int) throws {
        var scene = try Scene()
        let other = FixedBytes<48>(repeating: 0xEE)
        let quoted = scene.quoted
        scene.quoted = ImageRegisters(
            mrtd: index == 0 ? other : quoted.mrtd, rtmr0: index == 1 ? other : quoted.rtmr0,
            rtmr1: index == 2 ? other : quoted.rtmr1, rtmr2: index == 3 ? other : quoted.rtmr2)
        let check = [ImageFinding.Check.mrtd, .rtmr0, .rtmr1, .rtmr2][index]
        let expected = [quoted.mrtd, quoted.rtmr0, quoted.rtmr1, quoted.rtmr2][index]
        let result = scene.verify()
        expectFailure(
            [check],
            "MRs do not match: \(check.rawValue.uppercased()) mismatch: expected=\(expected), actual=\(other)",
            of: result)
        #expect(try finding(check, of: result).found == other.hex)
        #expect(try finding(check, of: result).expected == expected.hex)
        #expect(try finding(check, of: result).hint != nil)
    }

    @Test("an RTMR1 mismatch on QEMU 10.2 is explained by the kernel header")
    func kernelHeader() throws {
        var scene = try Scene(qemuVersion: "10.2.0")
        scene.quoted = ImageRegisters(
            mrtd: scene.quoted.mrtd, rtmr0: scene.quoted.rtmr0, rtmr1: FixedBytes(), rtmr2: scene.quoted.rtmr2)
        #expect(try finding(.rtmr1, of: scene.verify()).hint?.contains("header") == true)
    }

    @Test("no single bit of document, checksum file, image hash, digests or memory size can change unnoticed")
    func everyBit() throws {
        let scene = try Scene()
        let document = try #require(scene.configuration.tdxMeasurement)
        var refused = 0
        func expectRefused(_ change: (inout Scene) -> Void, _ what: String) {
            var changed = scene
            change(&changed)
            let isVerified = changed.verify().isVerified
            #expect(!isVerified, "\(what)")
            refused += 1
        }
        for index in document.measurement.indices {
            var bytes = document.measurement
            bytes[index] ^= 1 << UInt8(index % 8)
            expectRefused(
                { $0.configuration.tdxMeasurement = .init(checksumFile: document.checksumFile, measurement: bytes) },
                "document byte \(index)")
            // Also where checksum file and image hash are made to fit: the registers then differ, but for the MRTD of
            // the page order that this VM does not have (the bytes 4), which only changes the image's identity.
            guard document.measurement[index] != 4 else { continue }
            expectRefused({ $0.attach(bytes) }, "document byte \(index), with everything made to fit")
        }
        for index in document.checksumFile.indices {
            var bytes = document.checksumFile
            bytes[index] ^= 1
            expectRefused(
                { $0.configuration.tdxMeasurement = .init(checksumFile: bytes, measurement: document.measurement) },
                "checksum file byte \(index)")
        }
        for index in 0..<48 {
            expectRefused(
                {
                    guard let acpi = $0.acpi else { return }
                    var tables = acpi.tables
                    tables[index] ^= 0x80
                    $0.acpi = ACPIDigests(loader: acpi.loader, rsdp: acpi.rsdp, tables: tables)
                }, "ACPI tables digest byte \(index)")
        }
        for bit in 0..<64 {
            expectRefused({ $0.configuration.memorySize ^= 1 << UInt64(bit) }, "memory size bit \(bit)")
        }
        #expect(refused > 850)
    }
}
