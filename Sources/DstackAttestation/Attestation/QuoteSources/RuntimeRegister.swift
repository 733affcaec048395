import DstackEncoding
import DstackSystem
import Glibc

/// The measurement register for runtime events, RTMR3. Calls block.
package protocol RuntimeRegister: Sendable {
    /// Its value now.
    func value() throws(AttestationError) -> Measurement384

    /// Extends it. An error does not say whether the register was extended; its value does.
    func extend(with digest: Measurement384) throws(AttestationError)
}

/// The register as a file of the kernel (Linux 6.16 and later, Documentation/ABI/testing/sysfs-devices-virtual-misc-
/// tdx_guest): reading gives its value, writing a digest extends it.
package struct SysfsRegister: RuntimeRegister {
    package let path: String
    private let files: any PseudoFiles

    package init(path: String, files: any PseudoFiles = SystemPseudoFiles()) {
        self.path = path
        self.files = files
    }

    package func value() throws(AttestationError) -> Measurement384 {
        let bytes: [UInt8]
        do {
            bytes = try files.readAll(path, limit: 4096)
        } catch {
            throw failure(error.description)
        }
        guard let value = Measurement384(bytes) else {
            throw failure("\(bytes.count) bytes, the register has 48")
        }
        return value
    }

    package func extend(with digest: Measurement384) throws(AttestationError) {
        do throws(SystemError) {
            let file = try files.open(path, flags: O_WRONLY)
            // One write, never repeated: each extends the register.
            let count = try files.write(digest.bytes, to: file, path)
            guard count == 48 else {
                throw SystemError("write to", path, code: EIO, reason: "\(count) of 48 bytes were taken")
            }
        } catch {
            throw failure(error.description)
        }
    }

    private func failure(_ reason: String) -> AttestationError {
        AttestationError(.measurementFailed, subject: "RTMR3", reason: reason)
    }
}

/// The register through the TDX module: extended by a command of the device, read from a report.
package struct DeviceRegister: RuntimeRegister {
    private let device: any TDXDevice

    package init(_ device: any TDXDevice) { self.device = device }

    package func value() throws(AttestationError) -> Measurement384 {
        let none = ReportData(FixedBytes())
        do throws(AttestationError) {
            return try TDXReport(device.report(reportData: none), reportData: none).registers.rtmr3
        } catch {
            throw AttestationError(.measurementFailed, subject: "RTMR3", reason: "it cannot be read: \(error)")
        }
    }

    package func extend(with digest: Measurement384) throws(AttestationError) {
        try device.extend(.rtmr3, with: digest)
    }
}
