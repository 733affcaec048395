public import DstackEncoding

/// An SGX enclave report body, 384 bytes (Intel SDM volume 3D, table 38-21): of the attested enclave in an SGX quote, and of
/// the quoting enclave in every quote.
public struct EnclaveReport: Hashable, Sendable {
    /// Security versions of the CPU as the enclave saw them.
    public var cpuSvn: FixedBytes<16>
    /// SSA extensions, a bit mask.
    public var miscSelect: UInt32
    /// Reserved.
    public var reserved1: FixedBytes<28>
    /// FLAGS (8 bytes, bit 1 is DEBUG) and XFRM (8 bytes).
    public var attributes: FixedBytes<16>
    /// Hash of the enclave's code and initial data.
    public var mrEnclave: FixedBytes<32>
    /// Reserved.
    public var reserved2: FixedBytes<32>
    /// Hash of the key that signed the enclave.
    public var mrSigner: FixedBytes<32>
    /// Reserved.
    public var reserved3: FixedBytes<96>
    /// Product of the signer.
    public var isvProdId: UInt16
    /// Security version of the product.
    public var isvSvn: UInt16
    /// Reserved.
    public var reserved4: FixedBytes<60>
    /// What the enclave had signed.
    public var reportData: FixedBytes<64>

    /// Size on the wire, bytes.
    public static let byteCount = 384

    /// A report of zeros.
    public init() {
        cpuSvn = FixedBytes()
        miscSelect = 0
        reserved1 = FixedBytes()
        attributes = FixedBytes()
        mrEnclave = FixedBytes()
        reserved2 = FixedBytes()
        mrSigner = FixedBytes()
        reserved3 = FixedBytes()
        isvProdId = 0
        isvSvn = 0
        reserved4 = FixedBytes()
        reportData = FixedBytes()
    }

    /// Whether the enclave can be read by a debugger (attributes bit 1), in which case it protects nothing.
    public var isDebug: Bool { attributes[0] & 2 != 0 }

    /// Whether every byte is zero to which the architecture gives no meaning (Intel SDM volume 3D, table 38-21). The fields
    /// that are called reserved here also hold what later processors added: CET attributes (byte 20), the extended product
    /// ID (32–47), CONFIGID (192–255), CONFIGSVN (260–261) and the family ID (304–319); those may have any value.
    var areReservedBytesZero: Bool {
        reserved1.bytes[1..<12].allSatisfy { $0 == 0 } && reserved2.isZero
            && reserved3.bytes[..<32].allSatisfy { $0 == 0 } && reserved4.bytes[2..<44].allSatisfy { $0 == 0 }
    }

    init(_ reader: inout ByteReader) throws(DecodingFailure) {
        cpuSvn = try reader.fixed("enclave report.cpu_svn")
        miscSelect = try reader.littleEndian("enclave report.misc_select")
        reserved1 = try reader.fixed("enclave report.reserved1")
        attributes = try reader.fixed("enclave report.attributes")
        mrEnclave = try reader.fixed("enclave report.mr_enclave")
        reserved2 = try reader.fixed("enclave report.reserved2")
        mrSigner = try reader.fixed("enclave report.mr_signer")
        reserved3 = try reader.fixed("enclave report.reserved3")
        isvProdId = try reader.littleEndian("enclave report.isv_prod_id")
        isvSvn = try reader.littleEndian("enclave report.isv_svn")
        reserved4 = try reader.fixed("enclave report.reserved4")
        reportData = try reader.fixed("enclave report.report_data")
    }

    package func encode(to writer: inout ByteWriter) {
        writer.fixed(cpuSvn)
        writer.littleEndian(miscSelect)
        writer.fixed(reserved1)
        writer.fixed(attributes)
        writer.fixed(mrEnclave)
        writer.fixed(reserved2)
        writer.fixed(mrSigner)
        writer.fixed(reserved3)
        writer.littleEndian(isvProdId)
        writer.littleEndian(isvSvn)
        writer.fixed(reserved4)
        writer.fixed(reportData)
    }

    /// The 384 bytes.
    public var encoded: [UInt8] {
        var writer = ByteWriter(capacity: Self.byteCount)
        encode(to: &writer)
        return writer.bytes
    }
}
