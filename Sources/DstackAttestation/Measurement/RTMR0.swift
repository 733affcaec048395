internal import DstackCrypto
package import DstackEncoding

/// RTMR0: what the firmware measures before it boots the kernel.
package enum RTMR0 {
    /// - Parameters:
    ///   - variant: the firmware's generation, which decides the list of events.
    ///   - layout: the firmware's TD HOB ranges.
    ///   - memorySize: in bytes.
    ///   - acpi: the digests of the tables of this VM's shape.
    ///   - smbios: digest of the measured SMBIOS table; only ``FirmwareVariant/stable202505`` has such an event.
    /// - Throws: ``MeasurementFailure`` for a memory size that no VM can have with this firmware, or if the variant
    ///   needs an SMBIOS digest and there is none.
    package static func predict(
        variant: FirmwareVariant, layout: TDHOBLayout, memorySize: UInt64, acpi: ACPIDigests,
        smbios: FixedBytes<48>? = nil
    ) throws(MeasurementFailure) -> PredictedRegister {
        var events: [PredictedEvent] = []
        for step in variant.rtmr0Layout {
            let digest: FixedBytes<48>
            switch step.source {
            case .tdHOB: digest = SHA384.hash(try TDHOB.bytes(layout: layout, memorySize: memorySize))
            case .bytes(let bytes): digest = SHA384.hash(bytes)
            case .digest(let value): digest = value
            case .acpi(let blob): digest = acpi[blob]
            case .smbios:
                guard let smbios else {
                    throw MeasurementFailure(
                        "ovmf_variant",
                        "firmware \(variant.rawValue) measures an SMBIOS table, "
                            + "whose digest is not known from the image"
                    )
                }
                digest = smbios
            }
            events.append(PredictedEvent(name: step.name, type: step.eventType, digest: digest))
        }
        return PredictedRegister(events: events)
    }
}
