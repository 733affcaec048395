public import DstackAttestation
import DstackCrypto
import DstackEncoding

/// A simulated trust domain: measurement registers that extend as real ones do, and quotes over them.
///
/// ```swift
/// var domain = MockTrustDomain(on: platform)
/// try domain.extend(3, with: event.digest)
/// let quote = try domain.quote(reportData: challenge)
/// ```
///
/// A value: copies have registers of their own. A service that shares one domain keeps it in an actor or behind a lock.
public struct MockTrustDomain: Sendable {
    /// The forms of TD report that quotes may carry.
    public enum ReportForm: Sendable, CaseIterable {
        /// TDX 1.0.
        case td10
        /// TDX 1.5.
        case td15
        /// TDX 1.5, extended.
        case td15Extended
    }

    /// The machine it runs on.
    public let platform: MockPlatform
    /// Measurement of the virtual firmware.
    public var mrTd: Measurement384
    /// Identity of the application, if the host set it at creation.
    public var mrConfigId: Measurement384 = FixedBytes()
    /// Set by the host at creation.
    public var mrOwner: Measurement384 = FixedBytes()
    /// Set by the host at creation.
    public var mrOwnerConfig: Measurement384 = FixedBytes()
    /// By default only ``TDAttributes/septVEDisable``, as on a production domain.
    public var attributes: TDAttributes = .septVEDisable
    /// Extended features; by default those that dstack's virtual machines have.
    public var xfam: FixedBytes<8> = FixedBytes(hex: "e702060000000000") ?? FixedBytes()
    /// Measurement of the TDX module.
    public var mrSeam: Measurement384
    /// Service TD bound to the domain; zeros for none. Only in TDX 1.5 reports.
    public var mrServiceTd: Measurement384 = FixedBytes()
    /// Form of the reports.
    public var reportForm = ReportForm.td10
    /// RTMR0 to RTMR3.
    public private(set) var registers = [Measurement384](repeating: FixedBytes(), count: 4)

    /// A domain that has just been created: its registers are zeros.
    public init(on platform: MockPlatform) {
        self.platform = platform
        mrTd = SHA384.hash(Array("simulated virtual firmware".utf8))
        mrSeam = SHA384.hash(Array("simulated TDX module".utf8))
    }

    /// Extends a register: its new value is SHA-384(old value ‖ digest).
    ///
    /// - Parameter register: 0 to 3, for RTMR0 to RTMR3.
    public mutating func extend(_ register: Int, with digest: Measurement384) throws(MockTEEError) {
        guard registers.indices.contains(register) else {
            throw MockTEEError(.register, "RTMR\(register)", "there are RTMR0 to RTMR3")
        }
        registers[register] = SHA384.hash(registers[register].bytes + digest.bytes)
    }

    /// The report that a quote over the current state carries.
    public func report(reportData: FixedBytes<64>) -> QuoteBody {
        var base = TDReport()
        base.teeTcbSvn = platform.configuration.teeTcbSvn
        base.mrSeam = mrSeam
        var bits = FixedBytes<8>()
        for index in 0..<8 { bits[index] = UInt8(truncatingIfNeeded: attributes.rawValue >> UInt64(8 * index)) }
        base.tdAttributes = bits
        base.xfam = xfam
        base.mrTd = mrTd
        base.mrConfigId = mrConfigId
        base.mrOwner = mrOwner
        base.mrOwnerConfig = mrOwnerConfig
        base.rtMr0 = registers[0]
        base.rtMr1 = registers[1]
        base.rtMr2 = registers[2]
        base.rtMr3 = registers[3]
        base.reportData = reportData
        guard reportForm != .td10 else { return .td10(base) }
        var report = TDReport15(base: base)
        report.teeTcbSvn2 = platform.configuration.teeTcbSvn
        report.mrServiceTd = mrServiceTd
        return reportForm == .td15 ? .td15(report) : .td15Extended(TDReport15Extended(base: report))
    }

    /// A quote over the current state.
    ///
    /// - Parameters:
    ///   - reportData: what the domain says with it.
    ///   - version: 4 or 5; by default 4 for TDX 1.0 reports and 5 for others.
    public func quote(reportData: FixedBytes<64>, version: UInt16? = nil) throws(MockTEEError) -> [UInt8] {
        try platform.quote(report(reportData: reportData), version: version)
    }

    /// A quote over the current state; shorter report data is filled up with zeros on the right, as the guest agent does.
    ///
    /// - Throws: ``MockTEEError`` with code `report_data` for more than 64 bytes.
    public func quote(reportData: [UInt8], version: UInt16? = nil) throws(MockTEEError) -> [UInt8] {
        let padding = [UInt8](repeating: 0, count: max(0, 64 - reportData.count))
        guard let data = FixedBytes<64>(reportData + padding) else {
            throw MockTEEError(.reportData, "report data", "\(reportData.count) bytes, at most 64 fit")
        }
        return try quote(reportData: data, version: version)
    }
}
