internal import DstackEncoding
package import DstackMeasurement

/// Verifies an OS image on TDX without the image: from the measurement document that its build made.
///
/// MRTD and RTMR0 to RTMR2 are recomputed from the document, the VM's memory size and QEMU version, and the three ACPI
/// digests of the event log. A quote with these registers was made by a VM that booted the image which
/// `os_image_hash` names – if that value is one the verifier's owner trusts, because document, checksum file and hash
/// prove no more than that they belong together.
package enum LiteImageVerifier {
    /// - Parameters:
    ///   - configuration: the VM's shape as its host states it.
    ///   - eventLog: the log of the boot; its three `ACPI DATA` events in RTMR0 are needed, with their names.
    ///   - quoted: registers of a quote that has been verified.
    /// - Returns: findings for every check, also for those that could not be made. A configuration whose
    ///   `tdx_attestation_variant` is not `lite` is not verified: that needs the image.
    package static func verify(
        _ configuration: VMConfiguration, eventLog: EventLog, quoted: ImageRegisters
    ) -> ImageVerification {
        let acpi: Result<ACPIDigests, MeasurementFailure>
        do {
            acpi = .success(try ACPIDigests(eventLog))
        } catch {
            acpi = .failure(error)
        }
        return verify(configuration, acpi: acpi, quoted: quoted)
    }

    /// The same for ACPI digests that are at hand, or the reason why there are none.
    package static func verify(
        _ configuration: VMConfiguration, acpi: Result<ACPIDigests, MeasurementFailure>, quoted: ImageRegisters
    ) -> ImageVerification {
        var run = LiteRun(configuration: configuration, acpi: acpi, quoted: quoted)
        run.verify()
        return run.result
    }

    /// Memory sizes for which the document's kernel digest holds: 2 GiB, and all from 2816 MiB on.
    package static func isVerifiable(memorySize: UInt64) -> Bool {
        memorySize == TDHOB.lowMemoryEnd || memorySize >= TDHOB.splitThreshold
    }
}

/// One verification under way: the findings so far.
private struct LiteRun {
    let configuration: VMConfiguration
    let acpi: Result<ACPIDigests, MeasurementFailure>
    let quoted: ImageRegisters

    var findings: [ImageFinding] = []
    var rtmr0: PredictedRegister?
    var rtmr1: PredictedRegister?
    var rtmr2: PredictedRegister?

    init(
        configuration: VMConfiguration, acpi: Result<ACPIDigests, MeasurementFailure>, quoted: ImageRegisters
    ) {
        self.configuration = configuration
        self.acpi = acpi
        self.quoted = quoted
    }

    /// What a step needs to go on is what the step before it returns; nil ends the run.
    mutating func verify() {
        guard checkVariant(), let document = checkMaterial(), let image = decode(document) else {
            return skipRest()
        }
        let firmwareIsRight = checkFirmware(image)
        let order = checkQEMU()
        let memoryIsRight = checkMemory()
        let acpi = checkACPI()
        compareMRTD(image, order)
        predictRTMR0(image, firmwareIsRight && memoryIsRight ? acpi : nil)
        predictKernel(image, memoryIsRight)
        findings.append(
            ImageFinding(
                .acpiTables,
                .unverified(
                    "the digests are the event log's own: the content of the ACPI tables, which the guest kernel runs, "
                        + "was not compared with tables of this VM's shape")))
    }

    var result: ImageVerification {
        ImageVerification(
            findings: findings, osImageHash: configuration.osImageHash, predictedRTMR0: rtmr0,
            predictedRTMR1: rtmr1, predictedRTMR2: rtmr2,
            notVerified: [
                "where os_image_hash comes from: the measurement document and the checksum file only agree with it",
                "ACPI tables: their digests are taken from the event log",
                "the numbers of vCPUs, GPUs and other devices, which only the ACPI tables show",
                "the other files that the checksum file lists",
                "that the kernel command line names one root file system hash only",
                "the image's version and whether it is a development image",
            ])
    }

    private mutating func pass(_ check: ImageFinding.Check, expected: String? = nil, found: String? = nil) {
        findings.append(ImageFinding(check, .passed, expected: expected, found: found))
    }

    private mutating func fail(
        _ check: ImageFinding.Check, _ reason: String, expected: String? = nil, found: String? = nil,
        hint: String? = nil
    ) {
        findings.append(ImageFinding(check, .failed(reason), expected: expected, found: found, hint: hint))
    }

    /// Every check that has no finding yet did not come about.
    private mutating func skipRest() {
        let because = findings.last.map { "not reached: \($0.check.rawValue) did not pass" } ?? "not reached"
        for check in ImageFinding.Check.allCases where !findings.contains(where: { $0.check == check }) {
            findings.append(ImageFinding(check, .skipped(because)))
        }
    }
}

// MARK: - The document

extension LiteRun {
    private mutating func checkVariant() -> Bool {
        let found = configuration.attestationVariant.rawValue
        guard configuration.attestationVariant == .lite else {
            fail(
                .attestationVariant,
                "tdx_attestation_variant is \(found): its registers must be recomputed from the image's files, "
                    + "which is not possible from a measurement document",
                expected: "lite", found: found)
            return false
        }
        pass(.attestationVariant, expected: "lite", found: found)
        return true
    }

    private mutating func checkMaterial() -> MeasurementDocument? {
        guard let document = configuration.tdxMeasurement else {
            fail(.measurementPresent, "tdx lite attestation requires vm_config.tdx_measurement")
            return nil
        }
        pass(.measurementPresent)
        let mismatch = "tdx lite measurement material does not match os_image_hash"
        let imageHash = document.imageHash
        guard let claimed = configuration.osImageHash else {
            fail(.imageHash, "\(mismatch): os_image_hash is missing", found: imageHash.hex)
            return nil
        }
        guard claimed == imageHash else {
            fail(
                .imageHash,
                "\(mismatch): os_image_hash mismatch: expected sha256(sha256sum.txt)=\(claimed), actual=\(imageHash)",
                expected: claimed.hex, found: imageHash.hex)
            return nil
        }
        pass(.imageHash, expected: claimed.hex, found: imageHash.hex)

        let name = TDXImageMeasurement.fileName
        let measured = document.measurementHash
        do {
            let listed = try ChecksumFile(decoding: document.checksumFile).hash(of: name)
            guard listed == measured else {
                fail(
                    .measurementHash,
                    "\(mismatch): \(name) hash mismatch: sha256sum.txt=\(listed), actual=\(measured)",
                    expected: listed.hex, found: measured.hex)
                return nil
            }
            pass(.measurementHash, expected: listed.hex, found: measured.hex)
        } catch {
            fail(.measurementHash, "\(mismatch): \(error)", found: measured.hex)
            return nil
        }
        return document
    }

    private mutating func decode(_ document: MeasurementDocument) -> TDXImageMeasurement? {
        do {
            let image = try TDXImageMeasurement(decoding: document.measurement)
            pass(.measurementDocument)
            return image
        } catch {
            fail(.measurementDocument, "\(error)")
            return nil
        }
    }
}

// MARK: - The VM's shape

extension LiteRun {
    private mutating func checkFirmware(_ image: TDXImageMeasurement) -> Bool {
        let expected = image.firmware.rawValue
        guard let stated = configuration.ovmfVariant else {
            pass(.firmwareVariant, expected: expected)
            return true
        }
        guard stated.utf8.elementsEqual(expected.utf8) else {
            fail(
                .firmwareVariant, "vm_config.ovmf_variant is not the firmware of the measurement document",
                expected: expected, found: stated)
            return false
        }
        pass(.firmwareVariant, expected: expected, found: stated)
        return true
    }

    private mutating func checkQEMU() -> MRTDPageOrder? {
        let found = configuration.qemuVersion ?? "absent, taken as \(QEMUVersion.assumed)"
        do {
            let order = try configuration.mrtdPageOrder()
            pass(.qemuVersion, found: found)
            return order
        } catch {
            fail(.qemuVersion, "\(error)", expected: "8.0.0 or later", found: found)
            return nil
        }
    }

    private mutating func checkMemory() -> Bool {
        let size = configuration.memorySize
        let low = TDHOB.lowMemoryEnd
        let high = TDHOB.splitThreshold
        guard LiteImageVerifier.isVerifiable(memorySize: size) else {
            fail(
                .memorySize,
                "TDX lite attestation without image download requires memory_size == \(low) bytes (2048 MiB) or "
                    + ">= \(high) bytes (2816 MiB); got \(size) bytes",
                expected: "\(low), or \(high) and more", found: "\(size)")
            return false
        }
        pass(.memorySize, expected: "\(low), or \(high) and more", found: "\(size)")
        return true
    }

    private mutating func checkACPI() -> ACPIDigests? {
        let names = "acpi-loader, acpi-rsdp, acpi-tables"
        switch acpi {
        case .success(let digests):
            pass(.acpiEvents, expected: names)
            return digests
        case .failure(let failure):
            fail(.acpiEvents, failure.reason, expected: names)
            return nil
        }
    }
}

// MARK: - The registers

extension LiteRun {
    private mutating func compare(
        _ check: ImageFinding.Check, expected: FixedBytes<48>, found: FixedBytes<48>, hint: String
    ) {
        guard expected == found else {
            fail(
                check,
                "MRs do not match: \(check.rawValue.uppercased()) mismatch: expected=\(expected), actual=\(found)",
                expected: expected.hex, found: found.hex, hint: hint)
            return
        }
        pass(check, expected: expected.hex, found: found.hex)
    }

    private mutating func skip(_ check: ImageFinding.Check, found: FixedBytes<48>, because: String) {
        findings.append(ImageFinding(check, .skipped(because), found: found.hex))
    }

    private mutating func compareMRTD(_ image: TDXImageMeasurement, _ order: MRTDPageOrder?) {
        guard let order else {
            return skip(.mrtd, found: quoted.mrtd, because: "not computed: the order of page operations is unknown")
        }
        let other: MRTDPageOrder = order == .singlePass ? .twoPass : .singlePass
        let hint =
            image.mrtd(other) == quoted.mrtd
            ? "the quoted value is the document's \(other.rawValue), while vm_config means \(order.rawValue)"
            : "MRTD depends on the firmware file and on the order of page operations (\(order.rawValue))"
        compare(.mrtd, expected: image.mrtd(order), found: quoted.mrtd, hint: hint)
    }

    private mutating func predictRTMR0(_ image: TDXImageMeasurement, _ acpi: ACPIDigests?) {
        guard let acpi else {
            return skip(
                .rtmr0, found: quoted.rtmr0,
                because: "not computed: ovmf_variant, memory_size or acpi_events did not pass")
        }
        do {
            let register = try RTMR0.predict(
                variant: image.firmware, layout: image.hobLayout, memorySize: configuration.memorySize, acpi: acpi)
            rtmr0 = register
            compare(
                .rtmr0, expected: register.value, found: quoted.rtmr0,
                hint: "RTMR0 depends on the firmware's variables and memory ranges, memory_size and the ACPI tables")
        } catch {
            fail(.rtmr0, "\(error)", found: quoted.rtmr0.hex)
        }
    }

    private mutating func predictKernel(_ image: TDXImageMeasurement, _ memoryIsRight: Bool) {
        let kernel = RTMR1.predict(kernelAuthenticode: image.kernelAuthenticode)
        let commandLine = RTMR2.predict(commandLine: image.commandLine, initrd: image.initrd)
        rtmr2 = commandLine
        if memoryIsRight {
            rtmr1 = kernel
            compare(.rtmr1, expected: kernel.value, found: quoted.rtmr1, hint: kernelHint)
        } else {
            skip(.rtmr1, found: quoted.rtmr1, because: "not computed: memory_size did not pass")
        }
        compare(
            .rtmr2, expected: commandLine.value, found: quoted.rtmr2,
            hint: "RTMR2 depends on the kernel command line and the initial RAM disk")
    }

    private var kernelHint: String {
        if let version = try? configuration.parsedQEMUVersion(), version >= .firstUnpatchedKernel {
            return
                "QEMU \(QEMUVersion.firstUnpatchedKernel) and later hand the kernel over without filling in its "
                + "header, while the document's digest is of a filled-in header"
        }
        return "RTMR1 depends on the kernel, the length of the initial RAM disk and memory_size"
    }
}
