public import DstackEncoding

/// A SHA-384 measurement or another 48-byte register.
public typealias Measurement384 = FixedBytes<48>

/// Which kind of trusted execution environment a quote is from.
public enum TEEType: UInt32, Hashable, Sendable, CaseIterable {
    /// An SGX enclave (0x00000000).
    case sgx = 0x0000_0000
    /// A TDX trust domain (0x00000081).
    case tdx = 0x0000_0081

    /// "SGX" or "TDX", as Intel's documents write it.
    public var name: String {
        switch self {
        case .sgx: "SGX"
        case .tdx: "TDX"
        }
    }
}

/// The first 48 bytes of a DCAP quote (Intel SGX DCAP ECDSA Quote Library API, appendix A.3).
public struct QuoteHeader: Hashable, Sendable {
    /// 3 (SGX), 4 (SGX and TDX) or 5.
    public var version: UInt16
    /// 2 is ECDSA-256 with P-256; 3 (P-384) is defined but never verifies.
    public var attestationKeyType: UInt16
    /// The raw TEE type; ``teeType`` is its meaning.
    public var teeTypeValue: UInt32
    /// Security version of the quoting enclave; informational, 0 in most version 4 and 5 quotes.
    public var qeSvn: UInt16
    /// Security version of the provisioning certification enclave; informational.
    public var pceSvn: UInt16
    /// Who made the quoting enclave.
    public var qeVendorId: FixedBytes<16>
    /// 16 bytes of QE ID, then four zeros.
    public var userData: FixedBytes<20>

    /// Intel's vendor identifier, the only one in use (appendix A.3).
    public static let intelVendorID: FixedBytes<16> =
        FixedBytes(hex: "939a7233f79c4ca9940a0db3957f0607") ?? FixedBytes()
    /// ECDSA with P-256 and SHA-256.
    public static let ecdsaP256KeyType: UInt16 = 2

    /// A header of ECDSA-P256 and Intel's vendor ID.
    public init(
        version: UInt16, teeType: TEEType, qeSvn: UInt16 = 0, pceSvn: UInt16 = 0,
        userData: FixedBytes<20> = FixedBytes()
    ) {
        self.version = version
        self.attestationKeyType = Self.ecdsaP256KeyType
        self.teeTypeValue = teeType.rawValue
        self.qeSvn = qeSvn
        self.pceSvn = pceSvn
        self.qeVendorId = Self.intelVendorID
        self.userData = userData
    }

    /// The TEE type, or nil if the value is none that Intel defines.
    public var teeType: TEEType? { TEEType(rawValue: teeTypeValue) }

    init(_ reader: inout ByteReader) throws(DecodingFailure) {
        version = try reader.littleEndian("header.version")
        attestationKeyType = try reader.littleEndian("header.attestation_key_type")
        teeTypeValue = try reader.littleEndian("header.tee_type")
        qeSvn = try reader.littleEndian("header.qe_svn")
        pceSvn = try reader.littleEndian("header.pce_svn")
        qeVendorId = try reader.fixed("header.qe_vendor_id")
        userData = try reader.fixed("header.user_data")
    }

    func encode(to writer: inout ByteWriter) {
        writer.littleEndian(version)
        writer.littleEndian(attestationKeyType)
        writer.littleEndian(teeTypeValue)
        writer.littleEndian(qeSvn)
        writer.littleEndian(pceSvn)
        writer.fixed(qeVendorId)
        writer.fixed(userData)
    }
}
