internal import DstackCrypto
package import DstackEncoding

/// RTMR1: the kernel that the firmware starts, and how it leaves the boot services.
package enum RTMR1 {
    /// - Parameter kernelAuthenticode: Authenticode SHA-384 of the kernel as the VMM hands it over.
    package static func predict(kernelAuthenticode: FixedBytes<48>) -> PredictedRegister {
        func action(_ name: String, _ text: String) -> PredictedEvent {
            // Without terminator.
            PredictedEvent(name: name, type: .efiAction, digest: SHA384.hash(Array(text.utf8)))
        }
        return PredictedRegister(events: [
            PredictedEvent(name: "kernel", type: .efiBootServicesApplication, digest: kernelAuthenticode),
            action("calling_efi_application", "Calling EFI Application from Boot Option"),
            PredictedEvent(name: "separator", type: .separator, digest: SHA384.hash([0, 0, 0, 0])),
            action("exit_boot_services_invocation", "Exit Boot Services Invocation"),
            action("exit_boot_services_success", "Exit Boot Services Returned with Success"),
        ])
    }
}

/// RTMR2: what the kernel's EFI stub measures.
package enum RTMR2 {
    package static func predict(commandLine: FixedBytes<48>, initrd: FixedBytes<48>) -> PredictedRegister {
        PredictedRegister(events: [
            PredictedEvent(name: "cmdline", type: .eventTag, digest: commandLine),
            PredictedEvent(name: "initrd", type: .eventTag, digest: initrd),
        ])
    }

    /// The digest of the kernel's command line: of UTF-16 with a terminating zero, after the firmware has appended
    /// ` initrd=initrd` to the image's own.
    package static func commandLineDigest(_ commandLine: String) -> FixedBytes<48> {
        var writer = ByteWriter()
        for unit in "\(commandLine) initrd=initrd".utf16 { writer.littleEndian(unit) }
        writer.littleEndian(UInt16(0))
        return SHA384.hash(writer.bytes)
    }

    package static func initrdDigest(_ initrd: [UInt8]) -> FixedBytes<48> { SHA384.hash(initrd) }
}
