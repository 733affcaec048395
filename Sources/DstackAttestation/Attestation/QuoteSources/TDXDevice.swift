public import DstackEncoding
import DstackSystem
import Glibc

/// What a trust domain asks of its TDX module: a report about itself, and to extend a register.
public protocol TDXDevice: Sendable {
    /// The TDREPORT of this trust domain, 1024 bytes. Only quoting enclaves of the same machine can tell whether it is
    /// genuine.
    func report(reportData: ReportData) throws(AttestationError) -> [UInt8]

    /// Extends a measurement register with a digest. Not every kernel can.
    func extend(_ register: RTMR, with digest: Measurement384) throws(AttestationError)
}

/// The device of Linux guests, `/dev/tdx_guest` (Documentation/virt/coco/tdx-guest.rst). Extending registers through it is
/// not in mainline kernels; those have ``RuntimeRegister``'s file in sysfs.
public struct TDXGuestDevice: TDXDevice {
    /// Where it is.
    public let path: String

    /// - Parameter path: the device.
    public init(path: String = "/dev/tdx_guest") { self.path = path }

    /// `_IOWR('T', 1, struct tdx_report_req)`: 64 bytes of report data, 1024 of report.
    private static let getReport: UInt = 0xC440_5401
    /// `_IOR('T', 3, struct tdx_extend_rtmr_req)`: 48 bytes of digest, a byte for the register.
    private static let extendRegister: UInt = 0x8031_5403

    /// TDX_CMD_GET_REPORT0.
    public func report(reportData: ReportData) throws(AttestationError) -> [UInt8] {
        var request = reportData.bytes.bytes + [UInt8](repeating: 0, count: TDXReport.byteCount)
        do throws(SystemError) {
            try call(Self.getReport, &request, "get a report from")
        } catch {
            throw AttestationError(.quoteUnavailable, subject: path, reason: error.description)
        }
        let report = Array(request[64...])
        _ = try TDXReport(report, reportData: reportData)
        return report
    }

    /// TDX_CMD_EXTEND_RTMR.
    public func extend(_ register: RTMR, with digest: Measurement384) throws(AttestationError) {
        var request = digest.bytes + [register.rawValue]
        do throws(SystemError) {
            try call(Self.extendRegister, &request, "extend \(register) through")
        } catch {
            throw AttestationError(.measurementFailed, subject: path, reason: error.description)
        }
    }

    private func call(_ number: UInt, _ request: inout [UInt8], _ operation: String) throws(SystemError) {
        let device = try FileDescriptor(opening: path, flags: O_RDWR)
        // Not repeated when interrupted: the kernel may have extended the register before.
        let status = request.withUnsafeMutableBytes { buffer in
            buffer.baseAddress.map { ioctl(device.number, number, $0) } ?? -1
        }
        guard status == 0 else { throw .last(operation, path) }
    }
}

/// The parts of a TDREPORT that are looked at here (Intel TDX Module ABI specification, TDREPORT_STRUCT): 256 bytes of
/// REPORTMACSTRUCT with the report data at 128, and from 512 on TDINFO_STRUCT.
struct TDXReport {
    static let byteCount = 1024
    private static let reportDataOffset = 128
    /// Behind attributes, XFAM, MRTD, MRCONFIGID, MROWNER, MROWNERCONFIG.
    private static let registerOffset = 512 + 8 + 8 + 4 * 48

    let registers: RTMRValues

    /// - Parameter reportData: what was asked for.
    init(_ bytes: [UInt8], reportData: ReportData) throws(AttestationError) {
        guard bytes.count == Self.byteCount else {
            throw Self.failure("\(bytes.count) bytes, \(Self.byteCount) are needed")
        }
        let found = bytes[Self.reportDataOffset..<(Self.reportDataOffset + 64)]
        guard found.elementsEqual(reportData.bytes.bytes) else {
            throw Self.failure("its report data is not what was asked for")
        }
        var registers = RTMRValues()
        for register in RTMR.allCases {
            let start = Self.registerOffset + 48 * Int(register.rawValue)
            registers[register] = Measurement384(bytes[start..<(start + 48)]) ?? Measurement384()
        }
        self.registers = registers
    }

    private static func failure(_ reason: String) -> AttestationError {
        AttestationError(.quoteUnavailable, subject: "TDREPORT", reason: reason)
    }
}
