public import DstackEncoding

/// The body of a TDX 1.0 quote, 584 bytes (Intel TDX DCAP Quoting Library API, appendix A.3.2).
public struct TDReport: Hashable, Sendable {
    /// Security versions of the TDX module (bytes 0 and 1) and of what it runs on.
    public var teeTcbSvn: FixedBytes<16>
    /// Measurement of the TDX module.
    public var mrSeam: Measurement384
    /// Signer of the TDX module; zeros for Intel's.
    public var mrSignerSeam: Measurement384
    /// Attributes of the TDX module.
    public var seamAttributes: FixedBytes<8>
    /// Attributes of the trust domain, little endian; ``TDAttributes`` names the bits.
    public var tdAttributes: FixedBytes<8>
    /// Extended features that are enabled.
    public var xfam: FixedBytes<8>
    /// Measurement of the initial memory: the virtual firmware.
    public var mrTd: Measurement384
    /// Set by the host at creation; dstack puts the application's identity here.
    public var mrConfigId: Measurement384
    /// Set by the host at creation.
    public var mrOwner: Measurement384
    /// Set by the host at creation.
    public var mrOwnerConfig: Measurement384
    /// Firmware configuration and ACPI tables.
    public var rtMr0: Measurement384
    /// Boot loader and kernel.
    public var rtMr1: Measurement384
    /// Kernel command line and initial RAM disk.
    public var rtMr2: Measurement384
    /// Application events: identity, compose hash, keys.
    public var rtMr3: Measurement384
    /// What the trust domain had signed.
    public var reportData: FixedBytes<64>

    /// Size on the wire, bytes.
    public static let byteCount = 584

    /// A report of zeros.
    public init() {
        teeTcbSvn = FixedBytes()
        mrSeam = FixedBytes()
        mrSignerSeam = FixedBytes()
        seamAttributes = FixedBytes()
        tdAttributes = FixedBytes()
        xfam = FixedBytes()
        mrTd = FixedBytes()
        mrConfigId = FixedBytes()
        mrOwner = FixedBytes()
        mrOwnerConfig = FixedBytes()
        rtMr0 = FixedBytes()
        rtMr1 = FixedBytes()
        rtMr2 = FixedBytes()
        rtMr3 = FixedBytes()
        reportData = FixedBytes()
    }

    /// RTMR0 to RTMR3, in order.
    public var runtimeRegisters: [Measurement384] { [rtMr0, rtMr1, rtMr2, rtMr3] }

    init(_ reader: inout ByteReader) throws(DecodingFailure) {
        teeTcbSvn = try reader.fixed("TD report.tee_tcb_svn")
        mrSeam = try reader.fixed("TD report.mr_seam")
        mrSignerSeam = try reader.fixed("TD report.mr_signer_seam")
        seamAttributes = try reader.fixed("TD report.seam_attributes")
        tdAttributes = try reader.fixed("TD report.td_attributes")
        xfam = try reader.fixed("TD report.xfam")
        mrTd = try reader.fixed("TD report.mr_td")
        mrConfigId = try reader.fixed("TD report.mr_config_id")
        mrOwner = try reader.fixed("TD report.mr_owner")
        mrOwnerConfig = try reader.fixed("TD report.mr_owner_config")
        rtMr0 = try reader.fixed("TD report.rt_mr0")
        rtMr1 = try reader.fixed("TD report.rt_mr1")
        rtMr2 = try reader.fixed("TD report.rt_mr2")
        rtMr3 = try reader.fixed("TD report.rt_mr3")
        reportData = try reader.fixed("TD report.report_data")
    }

    func encode(to writer: inout ByteWriter) {
        writer.fixed(teeTcbSvn)
        writer.fixed(mrSeam)
        writer.fixed(mrSignerSeam)
        writer.fixed(seamAttributes)
        writer.fixed(tdAttributes)
        writer.fixed(xfam)
        writer.fixed(mrTd)
        writer.fixed(mrConfigId)
        writer.fixed(mrOwner)
        writer.fixed(mrOwnerConfig)
        writer.fixed(rtMr0)
        writer.fixed(rtMr1)
        writer.fixed(rtMr2)
        writer.fixed(rtMr3)
        writer.fixed(reportData)
    }
}

/// The body of a TDX 1.5 quote, 648 bytes: that of TDX 1.0 and what the platform runs now.
public struct TDReport15: Hashable, Sendable {
    /// The fields of TDX 1.0.
    public var base: TDReport
    /// Security versions of the TDX module that is loaded now; ``TDReport/teeTcbSvn`` is of the launch.
    public var teeTcbSvn2: FixedBytes<16>
    /// Measurement of the service TD bound to this TD; zeros if none is.
    public var mrServiceTd: Measurement384

    /// Size on the wire, bytes.
    public static let byteCount = 648

    /// A report of zeros over a TDX 1.0 one.
    public init(base: TDReport = TDReport()) {
        self.base = base
        teeTcbSvn2 = FixedBytes()
        mrServiceTd = FixedBytes()
    }

    init(_ reader: inout ByteReader) throws(DecodingFailure) {
        base = try TDReport(&reader)
        teeTcbSvn2 = try reader.fixed("TD report.tee_tcb_svn2")
        mrServiceTd = try reader.fixed("TD report.mr_service_td")
    }

    func encode(to writer: inout ByteWriter) {
        base.encode(to: &writer)
        writer.fixed(teeTcbSvn2)
        writer.fixed(mrServiceTd)
    }
}

/// The extended body of a TDX 1.5 quote, 885 bytes: that of TDX 1.5 and where a migrated TD comes from.
public struct TDReport15Extended: Hashable, Sendable {
    /// The fields of TDX 1.5.
    public var base: TDReport15
    /// Virtual machine identifier within the TD (partitioning).
    public var vmid: UInt8
    /// Identifier of the TD.
    public var tdId: FixedBytes<32>
    /// Device information.
    public var devInfo: FixedBytes<48>
    /// Service TD at initialisation: its hash, attributes, and the platform it was on.
    public var initServiceTdHash: FixedBytes<48>
    /// Attributes of the service TD at initialisation.
    public var initServiceTdAttributes: FixedBytes<8>
    /// CPU security versions at initialisation.
    public var initCpuSvn: FixedBytes<16>
    /// TEE security versions at initialisation.
    public var initTeeTcbSvn: FixedBytes<16>
    /// Platform family at initialisation.
    public var initTeeFmspc: FixedBytes<12>
    /// Hash of the service TD bound now.
    public var curServiceTdHash: FixedBytes<48>
    /// Attributes of the service TD bound now.
    public var curServiceTdAttributes: FixedBytes<8>

    /// Size on the wire, bytes.
    public static let byteCount = 885

    /// A report of zeros over a TDX 1.5 one.
    public init(base: TDReport15 = TDReport15()) {
        self.base = base
        vmid = 0
        tdId = FixedBytes()
        devInfo = FixedBytes()
        initServiceTdHash = FixedBytes()
        initServiceTdAttributes = FixedBytes()
        initCpuSvn = FixedBytes()
        initTeeTcbSvn = FixedBytes()
        initTeeFmspc = FixedBytes()
        curServiceTdHash = FixedBytes()
        curServiceTdAttributes = FixedBytes()
    }

    init(_ reader: inout ByteReader) throws(DecodingFailure) {
        base = try TDReport15(&reader)
        vmid = try reader.u8("TD report.vmid")
        tdId = try reader.fixed("TD report.td_id")
        devInfo = try reader.fixed("TD report.dev_info")
        initServiceTdHash = try reader.fixed("TD report.init_service_td_hash")
        initServiceTdAttributes = try reader.fixed("TD report.init_service_td_attributes")
        initCpuSvn = try reader.fixed("TD report.init_cpu_svn")
        initTeeTcbSvn = try reader.fixed("TD report.init_tee_tcb_svn")
        initTeeFmspc = try reader.fixed("TD report.init_tee_fmspc")
        curServiceTdHash = try reader.fixed("TD report.cur_service_td_hash")
        curServiceTdAttributes = try reader.fixed("TD report.cur_service_td_attributes")
    }

    func encode(to writer: inout ByteWriter) {
        base.encode(to: &writer)
        writer.u8(vmid)
        writer.fixed(tdId)
        writer.fixed(devInfo)
        writer.fixed(initServiceTdHash)
        writer.fixed(initServiceTdAttributes)
        writer.fixed(initCpuSvn)
        writer.fixed(initTeeTcbSvn)
        writer.fixed(initTeeFmspc)
        writer.fixed(curServiceTdHash)
        writer.fixed(curServiceTdAttributes)
    }
}
