package import DstackEncoding

/// The measured files of an OS image on TDX, and everything that follows from them.
package struct TDXImage: Sendable {
    package let firmware: TDXFirmware
    package let variant: FirmwareVariant
    package let kernel: LinuxKernel
    package let initrd: [UInt8]
    /// The image's own command line, without what the boot appends.
    package let commandLine: String

    /// - Throws: ``MeasurementFailure`` if the command line does not name exactly one root file system hash: the root
    ///   file system is measured through it alone.
    package init(
        firmware: TDXFirmware, variant: FirmwareVariant = .pre202505, kernel: LinuxKernel, initrd: [UInt8],
        commandLine: String
    ) throws(MeasurementFailure) {
        _ = try Self.rootFileSystemHash(in: commandLine)
        self.firmware = firmware
        self.variant = variant
        self.kernel = kernel
        self.initrd = initrd
        self.commandLine = commandLine
    }

    /// The dm-verity root hash that a command line names.
    ///
    /// - Throws: also if it is named twice: the boot takes the last, other measuring tools take the first.
    package static func rootFileSystemHash(in commandLine: String) throws(MeasurementFailure) -> FixedBytes<32> {
        let name = "dstack.rootfs_hash"
        func failure(_ reason: String) -> MeasurementFailure { MeasurementFailure("cmdline", "\(name) \(reason)") }
        let prefix = "\(name)=".unicodeScalars
        let words = commandLine.unicodeScalars.split { $0.properties.isWhitespace }
        guard !words.isEmpty else { throw MeasurementFailure("cmdline", "is required for TDX measurement") }
        let values = words.filter { $0.starts(with: prefix) }.map { String($0.dropFirst(prefix.count)) }
        guard let value = values.first else { throw failure("is required in the measured cmdline") }
        guard values.count == 1 else { throw failure("must be there once, found \(values.count)") }
        guard !value.isEmpty else { throw failure("must not be empty") }
        guard let bytes = try? Hex.decode(value, subject: name) else { throw failure("must be valid hex") }
        guard let hash = FixedBytes<32>(bytes) else { throw failure("must be 32 bytes") }
        return hash
    }

    /// The document that an image build writes as `measurement.tdx.cbor`.
    package func measurement() throws(MeasurementFailure) -> TDXImageMeasurement {
        TDXImageMeasurement(
            commandLine: RTMR2.commandLineDigest(commandLine),
            // For the memory sizes of which a verifier without the image can judge.
            kernelAuthenticode: try kernel.authenticode(
                initrdLength: initrd.count, memorySize: TDHOB.splitThreshold, qemu: .assumed),
            initrd: RTMR2.initrdDigest(initrd),
            firmware: variant,
            mrtdSinglePass: firmware.mrtd(.singlePass),
            mrtdTwoPass: firmware.mrtd(.twoPass),
            hobLayout: try firmware.hobLayout())
    }

    /// The registers of a VM that boots this image.
    ///
    /// - Parameters:
    ///   - configuration: its shape; memory size and QEMU version enter.
    ///   - acpi: the digests of its ACPI tables.
    /// - Throws: for a shape that cannot boot, or a firmware whose variable store is not the predicted one.
    package func registers(
        of configuration: VMConfiguration, acpi: ACPIDigests
    ) throws(MeasurementFailure) -> ImageRegisters {
        guard firmware.variableStoreIsPristine else {
            throw MeasurementFailure("firmware", "its variable store is not the pristine 4 MiB one that is predicted")
        }
        let memorySize = configuration.memorySize
        let kernelDigest = try kernel.authenticode(
            initrdLength: initrd.count, memorySize: memorySize, qemu: try configuration.parsedQEMUVersion())
        return ImageRegisters(
            mrtd: firmware.mrtd(try configuration.mrtdPageOrder()),
            rtmr0: try RTMR0.predict(
                variant: variant, layout: try firmware.hobLayout(), memorySize: memorySize, acpi: acpi
            ).value,
            rtmr1: RTMR1.predict(kernelAuthenticode: kernelDigest).value,
            rtmr2: RTMR2.predict(
                commandLine: RTMR2.commandLineDigest(commandLine), initrd: RTMR2.initrdDigest(initrd)
            ).value)
    }
}
