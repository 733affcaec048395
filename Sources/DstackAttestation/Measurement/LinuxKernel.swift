package import DstackEncoding

/// A Linux kernel (bzImage) as QEMU loads it: before the guest starts, QEMU fills in its setup header (Linux x86 boot
/// protocol), so that the measured kernel is not the file.
package struct LinuxKernel: Sendable {
    private static let subject = "kernel"
    /// What QEMU keeps free below the end of low memory for ACPI data.
    private static let acpiDataSize: UInt64 = 0x28000
    /// Where old kernels want the initial RAM disk to end at the latest.
    private static let defaultInitrdLimit: UInt64 = 0x37FF_FFFF

    package let file: [UInt8]
    /// Version of the boot protocol, major in the high byte.
    package let protocolVersion: UInt16

    /// - Throws: if the file is too short to have a setup header.
    package init(decoding file: [UInt8]) throws(DecodingFailure) {
        guard file.count >= 0x1000 else {
            throw DecodingFailure(.truncated, Self.subject, "the kernel image is too short: \(file.count) bytes")
        }
        self.file = file
        protocolVersion = UInt16(file[0x206]) | UInt16(file[0x207]) << 8
    }

    /// The kernel with its header filled in.
    ///
    /// - Parameters:
    ///   - initrdLength: in bytes; its content does not matter.
    ///   - memorySize: the VM's memory in bytes. 2 GiB, and all sizes from 2816 MiB on, give the same kernel.
    /// - Throws: ``MeasurementFailure`` if the initial RAM disk does not fit, where QEMU would not start the VM.
    package func patched(initrdLength: Int, memorySize: UInt64) throws(MeasurementFailure) -> [UInt8] {
        var kernel = file
        func write(_ value: UInt64, _ bytes: Int, at offset: Int) {
            for index in 0..<bytes { kernel[offset + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) }
        }
        // Bit 0 of the load flags: the kernel's protected-mode part is loaded high.
        let isLoadedLow = protocolVersion < 0x200 || file[0x211] & 1 == 0
        let realAddress: UInt64 = isLoadedLow ? 0x90000 : 0x10000
        let commandLineAddress: UInt64 = isLoadedLow ? 0x9A000 : 0x20000
        if protocolVersion >= 0x200 {
            // The type of the boot loader: QEMU.
            write(0xB0, 1, at: 0x210)
        }
        if protocolVersion >= 0x201 {
            // The heap may be used, up to this end.
            kernel[0x211] |= 0x80
            write(commandLineAddress - realAddress - 0x200, 4, at: 0x224)
        }
        if protocolVersion >= 0x202 {
            write(commandLineAddress, 4, at: 0x228)
        } else {
            // The magic number and offset of the older way to pass a command line.
            write(0xA33F, 2, at: 0x20)
            write(commandLineAddress - realAddress, 2, at: 0x22)
        }
        if initrdLength != 0 {
            let address = try initrdAddress(length: initrdLength, memorySize: memorySize)
            write(address, 4, at: 0x218)
            write(UInt64(initrdLength), 4, at: 0x21C)
        }
        return kernel
    }

    private func initrdAddress(length: Int, memorySize: UInt64) throws(MeasurementFailure) -> UInt64 {
        guard protocolVersion >= 0x200 else {
            throw MeasurementFailure(Self.subject, "the kernel image is too old for ramdisk")
        }
        let lowMemory = memorySize < TDHOB.splitThreshold ? TDHOB.splitThreshold : TDHOB.lowMemoryEnd
        let below4GiB = min(memorySize, lowMemory)
        // One more than the ACPI data, so that the limit below stays a number.
        guard below4GiB > Self.acpiDataSize else {
            throw MeasurementFailure(
                "memory_size",
                "ACPI data size (\(Self.acpiDataSize)) exceeds available memory (\(below4GiB))")
        }
        let limit = min(headerInitrdLimit, below4GiB - Self.acpiDataSize - 1)
        guard length > 0, UInt64(length) < limit else {
            throw MeasurementFailure("initrd", "initrd is too large: \(length) bytes, less than \(limit) fit")
        }
        return (limit - UInt64(length)) & ~4095
    }

    /// The highest address that the kernel takes for its initial RAM disk.
    private var headerInitrdLimit: UInt64 {
        // Bit 6 of the extended load flags. Kernels that anyone boots today have all of the flags' low bits set.
        if protocolVersion >= 0x20C {
            return file[0x236] & 0x40 != 0 ? 0xFFFF_FFFF : Self.defaultInitrdLimit
        }
        guard protocolVersion >= 0x203 else { return Self.defaultInitrdLimit }
        var limit: UInt64 = 0
        for index in 0..<4 { limit |= UInt64(file[0x22C + index]) << UInt64(8 * index) }
        return limit == 0 ? Self.defaultInitrdLimit : limit
    }
}

extension LinuxKernel {
    /// The Authenticode digest that the firmware measures into RTMR1.
    ///
    /// - Parameter qemu: from ``QEMUVersion/firstUnpatchedKernel`` on, confidential guests get the file as it is.
    /// - Throws: ``MeasurementFailure`` if the initial RAM disk does not fit or the kernel is no PE image.
    package func authenticode(
        initrdLength: Int, memorySize: UInt64, qemu: QEMUVersion
    ) throws(MeasurementFailure) -> FixedBytes<48> {
        let measured =
            qemu < .firstUnpatchedKernel ? try patched(initrdLength: initrdLength, memorySize: memorySize) : file
        do {
            return try PEImage(decoding: measured).authenticodeSHA384
        } catch {
            throw MeasurementFailure(Self.subject, "\(error)")
        }
    }
}
