public import DstackEncoding

/// The part of a quote behind its body: signatures, keys and certificates (appendix A.4 of Intel's quote library
/// documentation).
public struct QuoteSignature: Hashable, Sendable {
    /// Signature of the attestation key over header and body: r‖s, 32 bytes each, big-endian.
    public var isvSignature: FixedBytes<64>
    /// The attestation key: X‖Y of a P-256 point, 32 bytes each, big-endian.
    public var attestationKey: FixedBytes<64>
    /// Type of the outer certification data in versions 4 and 5, 6 in every valid quote; nil in version 3.
    public var outerType: UInt16?
    /// Report of the quoting enclave, whose report data binds the attestation key.
    public var qeReport: EnclaveReport
    /// Signature of the PCK over ``qeReport``: r‖s.
    public var qeReportSignature: FixedBytes<64>
    /// Data the quoting enclave hashed with the attestation key; 32 bytes in practice.
    public var qeAuthData: [UInt8]
    /// How to find the PCK certificate.
    public var certificationData: CertificationData
    /// Bytes left over inside the outer certification data; empty in every valid quote.
    public var certificationTrailing: [UInt8]
    /// Bytes left over inside the authentication data; empty in every valid quote.
    public var trailing: [UInt8]

    /// A signature part from its fields, with nothing left over.
    public init(
        isvSignature: FixedBytes<64>, attestationKey: FixedBytes<64>, outerType: UInt16?, qeReport: EnclaveReport,
        qeReportSignature: FixedBytes<64>, qeAuthData: [UInt8], certificationData: CertificationData
    ) {
        self.isvSignature = isvSignature
        self.attestationKey = attestationKey
        self.outerType = outerType
        self.qeReport = qeReport
        self.qeReportSignature = qeReportSignature
        self.qeAuthData = qeAuthData
        self.certificationData = certificationData
        self.certificationTrailing = []
        self.trailing = []
    }

    init(version: UInt16, _ reader: inout ByteReader) throws(DecodingFailure) {
        isvSignature = try reader.fixed("ISV signature")
        attestationKey = try reader.fixed("attestation key")
        if version == 3 {
            outerType = nil
            let inner = try Inner(&reader)
            (qeReport, qeReportSignature, qeAuthData) = (inner.qeReport, inner.qeReportSignature, inner.qeAuthData)
            certificationData = inner.certificationData
            certificationTrailing = []
        } else {
            outerType = try reader.littleEndian("outer certification data type")
            let offset = reader.offset
            let size: UInt32 = try reader.littleEndian("outer certification data size")
            guard size <= Quote.maximumDataLength else {
                throw DecodingFailure(
                    .tooLarge, "outer certification data size", at: offset,
                    "\(size) bytes, at most \(Quote.maximumDataLength) are read")
            }
            var outer = try reader.reader(Int(size), "outer certification data")
            let inner = try Inner(&outer)
            (qeReport, qeReportSignature, qeAuthData) = (inner.qeReport, inner.qeReportSignature, inner.qeAuthData)
            certificationData = inner.certificationData
            certificationTrailing = outer.rest()
        }
        trailing = reader.rest()
    }

    /// What version 3 has in line and later versions inside certification data of type 6.
    private struct Inner {
        let qeReport: EnclaveReport
        let qeReportSignature: FixedBytes<64>
        let qeAuthData: [UInt8]
        let certificationData: CertificationData

        init(_ reader: inout ByteReader) throws(DecodingFailure) {
            qeReport = try EnclaveReport(&reader)
            qeReportSignature = try reader.fixed("QE report signature")
            let authSize: UInt16 = try reader.littleEndian("QE auth data size")
            qeAuthData = try reader.bytes(Int(authSize), "QE auth data")
            certificationData = try CertificationData(&reader)
        }
    }

    func encode(to writer: inout ByteWriter) {
        writer.fixed(isvSignature)
        writer.fixed(attestationKey)
        var inner = ByteWriter(capacity: 1024 + certificationData.data.count)
        qeReport.encode(to: &inner)
        inner.fixed(qeReportSignature)
        inner.littleEndian(UInt16(truncatingIfNeeded: qeAuthData.count))
        inner.append(qeAuthData)
        certificationData.encode(to: &inner)
        inner.append(certificationTrailing)
        if let outerType {
            writer.littleEndian(outerType)
            writer.littleEndian(UInt32(truncatingIfNeeded: inner.bytes.count))
        }
        writer.append(inner.bytes)
        writer.append(trailing)
    }
}
