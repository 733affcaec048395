public import DstackEncoding

/// What a quote carries about its PCK certificate (Intel SGX DCAP ECDSA Quote Library API, appendix A.4.11).
public struct CertificationData: Hashable, Sendable {
    /// 1 to 7; ``content`` is its meaning.
    public var type: UInt16
    /// The data as it stands in the quote.
    public var data: [UInt8]

    /// Data of a type.
    public init(type: UInt16, data: [UInt8]) {
        self.type = type
        self.data = data
    }

    /// What the types mean.
    public enum Content: Hashable, Sendable {
        /// Type 1: the platform's identifier in clear, and the versions that select its PCK certificate.
        case ppidClearText(ppid: [UInt8], PCKSelector)
        /// Type 2: the identifier encrypted under RSA-2048 (256 bytes).
        case ppidEncryptedRSA2048(encryptedPPID: [UInt8], PCKSelector)
        /// Type 3: the identifier encrypted under RSA-3072 (384 bytes).
        case ppidEncryptedRSA3072(encryptedPPID: [UInt8], PCKSelector)
        /// Type 4: the PCK certificate, DER.
        case pckLeafCertificate([UInt8])
        /// Type 5: PCK certificate, CA and root, PEM.
        case pckCertificateChain([UInt8])
        /// Type 6: a QE report with nested certification data.
        case qeReport([UInt8])
        /// Type 7: the manifest of a multi-package platform.
        case platformManifest([UInt8])
        /// Any other type, or data too short for its type.
        case unknown(type: UInt16, [UInt8])
    }

    /// The versions that select a platform's PCK certificate.
    public struct PCKSelector: Hashable, Sendable {
        /// CPU security versions.
        public var cpuSvn: FixedBytes<16>
        /// Security version of the PCE, a little-endian integer on the wire.
        public var pceSvn: UInt16
        /// Identity of the PCE, two bytes as on the wire.
        public var pceId: FixedBytes<2>
    }

    /// The data by its type.
    public var content: Content {
        switch type {
        case 1:
            if let (ppid, selector) = selected(ppidCount: data.count - 20), !ppid.isEmpty {
                return .ppidClearText(ppid: ppid, selector)
            }
        case 2:
            if let (ppid, selector) = selected(ppidCount: 256) {
                return .ppidEncryptedRSA2048(encryptedPPID: ppid, selector)
            }
        case 3:
            if let (ppid, selector) = selected(ppidCount: 384) {
                return .ppidEncryptedRSA3072(encryptedPPID: ppid, selector)
            }
        case 4: return .pckLeafCertificate(data)
        case 5: return .pckCertificateChain(data)
        case 6: return .qeReport(data)
        case 7: return .platformManifest(data)
        default: break
        }
        return .unknown(type: type, data)
    }

    private func selected(ppidCount: Int) -> (ppid: [UInt8], selector: PCKSelector)? {
        var reader = ByteReader(data.span.bytes)
        guard let ppid = try? reader.bytes(ppidCount, "encrypted PPID"),
            let cpuSvn: FixedBytes<16> = try? reader.fixed("CPUSVN"),
            let pceSvn: UInt16 = try? reader.littleEndian("PCESVN"),
            let pceId: FixedBytes<2> = try? reader.fixed("PCEID"), reader.isAtEnd
        else { return nil }
        return (ppid, PCKSelector(cpuSvn: cpuSvn, pceSvn: pceSvn, pceId: pceId))
    }

    init(_ reader: inout ByteReader) throws(DecodingFailure) {
        type = try reader.littleEndian("certification data type")
        let offset = reader.offset
        let size: UInt32 = try reader.littleEndian("certification data size")
        guard size <= Quote.maximumDataLength else {
            throw DecodingFailure(
                .tooLarge, "certification data size", at: offset,
                "\(size) bytes, at most \(Quote.maximumDataLength) are read")
        }
        data = try reader.bytes(Int(size), "certification data")
    }

    func encode(to writer: inout ByteWriter) {
        writer.littleEndian(type)
        writer.littleEndian(UInt32(truncatingIfNeeded: data.count))
        writer.append(data)
    }
}
