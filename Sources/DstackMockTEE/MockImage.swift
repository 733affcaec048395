public import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackMeasurement

/// An operating system image that exists only as the measurements of its boot: a measurement document, as image builds
/// write them, and the boot events that such a document predicts.
///
/// A verifier that recomputes the registers from ``vmConfig`` finds those of a ``MockBoot``, so that evidence of a
/// simulated TEE goes through the same check of the OS image as real evidence. It shows that the check works and nothing
/// else: the document's digests are of words such as "simulated kernel", and its `os_image_hash` is nobody's image.
public struct MockImage: Sendable {
    /// What the host states of the VM: its shape, and the image's measurement document. JSON.
    public let vmConfig: String
    /// SHA-256 of the image's checksum file.
    public let osImageHash: FixedBytes<32>
    /// What the boot of the image measures into RTMR0 to RTMR2, complete.
    public let bootLog: EventLog
    /// Measurement of the virtual firmware.
    public let mrTd: Measurement384

    /// 2 GiB, the smallest memory for which registers can be computed from a measurement document alone.
    private static let memorySize: UInt64 = 0x8000_0000
    private static let qemuVersion = "9.2.1"
    private static let firmware = FirmwareVariant.pre202505
    /// Page numbers of the memory ranges that dstack's firmware has accepted when it starts.
    private static let acceptedPages: [(start: UInt64, count: UInt64)] = [
        (0x800, 6), (0x809, 2), (0x80B, 2), (0x810, 16),
    ]
    /// The range with the TD HOB.
    private static let hobPage: UInt64 = 0x809

    /// The only image there is.
    public init() throws(MockTEEError) {
        func digest(_ text: String) -> Measurement384 { SHA384.hash(Array("simulated \(text)".utf8)) }
        let acpi = ACPIDigests(
            loader: digest("ACPI loader"), rsdp: digest("ACPI RSDP"), tables: digest("ACPI tables"))
        mrTd = digest("virtual firmware")
        do throws(MeasurementFailure) {
            let layout = try TDHOBLayout(
                ranges: Self.acceptedPages.map { TDHOBLayout.PageRange(start: $0.start, count: $0.count) },
                hobPage: Self.hobPage)
            let measurement = TDXImageMeasurement(
                commandLine: digest("command line"), kernelAuthenticode: digest("kernel"),
                initrd: digest("initial RAM disk"), firmware: Self.firmware, mrtdSinglePass: mrTd,
                mrtdTwoPass: digest("virtual firmware in two passes"), hobLayout: layout)
            let document = Self.document(measurement)
            osImageHash = document.imageHash
            vmConfig = Self.vmConfig(document)
            bootLog = Self.log([
                (
                    .rtmr0,
                    try RTMR0.predict(
                        variant: Self.firmware, layout: layout, memorySize: Self.memorySize, acpi: acpi)
                ),
                (.rtmr1, RTMR1.predict(kernelAuthenticode: measurement.kernelAuthenticode)),
                (.rtmr2, RTMR2.predict(commandLine: measurement.commandLine, initrd: measurement.initrd)),
            ])
        } catch {
            throw MockTEEError(.register, "simulated image", error.description)
        }
    }

    private static func document(_ measurement: TDXImageMeasurement) -> MeasurementDocument {
        let encoded = measurement.encoded()
        let checksums = "\(SHA256.hash(encoded).hex)  \(TDXImageMeasurement.fileName)\n"
        return MeasurementDocument(checksumFile: Array(checksums.utf8), measurement: encoded)
    }

    private static func vmConfig(_ document: MeasurementDocument) -> String {
        var writer = JSONWriter()
        writer.object { object in
            object.member("spec_version", 1)
            object.member("os_image_hash", document.imageHash.hex)
            object.member("cpu_count", 1)
            object.member("memory_size", memorySize)
            object.member("qemu_version", qemuVersion)
            object.member("pci_hole64_size", 0)
            object.member("hugepages", false)
            object.member("num_gpus", 0)
            object.member("num_nvswitches", 0)
            object.member("hotplug_off", false)
            object.member("image", "simulated")
            object.member("ovmf_variant", firmware.rawValue)
            object.member("tdx_attestation_variant", VMConfiguration.AttestationVariant.lite.rawValue)
            object.object("tdx_measurement") { item in
                item.member("checksum_file", Base64.encode(document.checksumFile))
                item.member("measurement", Base64.encode(document.measurement))
            }
        }
        return writer.text
    }

    private static func log(_ registers: [(RTMR, PredictedRegister)]) -> EventLog {
        var log = EventLog()
        let acpiNames = Set(ACPIBlob.allCases.map(\.rawValue))
        for (register, predicted) in registers {
            for event in predicted.events {
                // Firmware marks ACPI events this way; other events have words for data, so that nobody takes them for
                // real.
                let payload = acpiNames.contains(event.name) ? "ACPI DATA" : "simulated \(event.name)"
                log.events.append(
                    LoggedEvent(
                        register: register, type: event.type, digest: event.digest, payload: Array(payload.utf8)))
            }
        }
        log.nameACPIEvents()
        return log
    }
}
