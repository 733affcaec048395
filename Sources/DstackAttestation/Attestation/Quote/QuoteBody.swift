public import DstackEncoding

/// What a quote attests: an enclave or a trust domain.
public enum QuoteBody: Hashable, Sendable {
    /// An SGX enclave (body type 1).
    case sgxEnclave(EnclaveReport)
    /// A TDX 1.0 trust domain (body type 2).
    case td10(TDReport)
    /// A TDX 1.5 trust domain (body type 3).
    case td15(TDReport15)
    /// A TDX 1.5 trust domain, extended form (body type 4).
    case td15Extended(TDReport15Extended)

    /// The body type of version 5 quotes.
    public var typeValue: UInt16 {
        switch self {
        case .sgxEnclave: 1
        case .td10: 2
        case .td15: 3
        case .td15Extended: 4
        }
    }

    /// Size on the wire, bytes.
    public var byteCount: Int {
        switch self {
        case .sgxEnclave: EnclaveReport.byteCount
        case .td10: TDReport.byteCount
        case .td15: TDReport15.byteCount
        case .td15Extended: TDReport15Extended.byteCount
        }
    }

    /// The fields that every TDX body has; nil for an enclave.
    public var tdReport: TDReport? {
        switch self {
        case .sgxEnclave: nil
        case .td10(let report): report
        case .td15(let report): report.base
        case .td15Extended(let report): report.base.base
        }
    }

    /// The fields that TDX 1.5 added; nil for an enclave and for TDX 1.0.
    public var tdReport15: TDReport15? {
        switch self {
        case .sgxEnclave, .td10: nil
        case .td15(let report): report
        case .td15Extended(let report): report.base
        }
    }

    /// The enclave's report; nil for a trust domain.
    public var enclaveReport: EnclaveReport? {
        if case .sgxEnclave(let report) = self { report } else { nil }
    }

    /// The 64 bytes that the attested code had signed.
    public var reportData: FixedBytes<64> {
        switch self {
        case .sgxEnclave(let report): report.reportData
        case .td10(let report): report.reportData
        case .td15(let report): report.base.reportData
        case .td15Extended(let report): report.base.base.reportData
        }
    }

    static func byteCount(ofType type: UInt16) -> Int? {
        switch type {
        case 1: EnclaveReport.byteCount
        case 2: TDReport.byteCount
        case 3: TDReport15.byteCount
        case 4: TDReport15Extended.byteCount
        default: nil
        }
    }

    init(type: UInt16, _ reader: inout ByteReader) throws(DecodingFailure) {
        switch type {
        case 1: self = .sgxEnclave(try EnclaveReport(&reader))
        case 2: self = .td10(try TDReport(&reader))
        case 3: self = .td15(try TDReport15(&reader))
        case 4: self = .td15Extended(try TDReport15Extended(&reader))
        default:
            throw DecodingFailure(
                .unsupported, "quote body type", at: reader.offset, "1 to 4 expected, found \(type)")
        }
    }

    func encode(to writer: inout ByteWriter) {
        switch self {
        case .sgxEnclave(let report): report.encode(to: &writer)
        case .td10(let report): report.encode(to: &writer)
        case .td15(let report): report.encode(to: &writer)
        case .td15Extended(let report): report.encode(to: &writer)
        }
    }
}

/// Bits of TDREPORT.ATTRIBUTES (Intel TDX Module Base Architecture Specification, ATTRIBUTES table).
public struct TDAttributes: OptionSet, Hashable, Sendable {
    /// Little-endian value of the eight bytes.
    public let rawValue: UInt64

    /// All bits at once.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The bits of a report.
    public init(_ bytes: FixedBytes<8>) {
        var value: UInt64 = 0
        for index in 0..<8 { value |= UInt64(bytes[index]) << UInt64(8 * index) }
        rawValue = value
    }

    /// The host may read and change the domain.
    public static let debug = TDAttributes(rawValue: 1 << 0)
    /// The host may profile the domain (bits 4 to 6).
    public static let profiling = TDAttributes(rawValue: 0b111 << 4)
    /// Interrupts from service TDs.
    public static let icssd = TDAttributes(rawValue: 1 << 16)
    /// Service-TD extensions.
    public static let serviceTDExtension = TDAttributes(rawValue: 1 << 17)
    /// Linear address space separation.
    public static let lass = TDAttributes(rawValue: 1 << 27)
    /// No virtualisation exception on access to pages that the host withholds: without it the host can inject them.
    public static let septVEDisable = TDAttributes(rawValue: 1 << 28)
    /// The domain may be moved to another platform by a service TD.
    public static let migratable = TDAttributes(rawValue: 1 << 29)
    /// Supervisor protection keys.
    public static let pks = TDAttributes(rawValue: 1 << 30)
    /// Key locker.
    public static let keyLocker = TDAttributes(rawValue: 1 << 31)
    /// TDX performance analysis.
    public static let tpa = TDAttributes(rawValue: 1 << 62)
    /// Performance monitoring.
    public static let perfmon = TDAttributes(rawValue: 1 << 63)

    /// Bits 1–3, 7–15, 23–26 and 32–61, which must be zero.
    public static let reserved = TDAttributes(
        rawValue: 0b111 << 1 | 0x1FF << 7 | 0b1111 << 23 | ((1 << 30) - 1) << 32)
}
