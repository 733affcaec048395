import DstackCrypto
import DstackEncoding

/// What collateral depends on: a platform family, the authority of its certificates, and the kind of TEE.
public struct CollateralRequest: Hashable, Sendable {
    /// Which of Intel's authorities issued the platform's PCK certificate.
    public enum PCKAuthority: String, Hashable, Sendable {
        /// Machines that register themselves, with several packages.
        case platform
        /// Machines with one package.
        case processor
    }

    /// SGX or TDX.
    public let tee: TEEType
    /// The platform family.
    public let fmspc: FixedBytes<6>
    /// Whose revocation list covers the platform.
    public let authority: PCKAuthority
    /// Which generation of TCB data.
    public let selector: TCBDataSelector

    /// A request from its parts, where there is no quote yet.
    public init(
        tee: TEEType, fmspc: FixedBytes<6>, authority: PCKAuthority, selector: TCBDataSelector = .standard
    ) {
        self.tee = tee
        self.fmspc = fmspc
        self.authority = authority
        self.selector = selector
    }

    /// What a platform with this PCK certificate needs. The certificate is believed for the time being: if it lies, the
    /// collateral will not fit when it is verified.
    init(
        tee: TEEType, pckChain: [UInt8], selector: TCBDataSelector
    ) throws(DecodingFailure) {
        guard let leaf = try PEM.decode(pckChain, label: "CERTIFICATE").first else {
            throw DecodingFailure(.malformed, "PCK certificate chain", "it has no certificate")
        }
        let certificate = try Certificate(der: leaf)
        guard let value = certificate.value(of: PCKExtension.identifier) else {
            throw DecodingFailure(.malformed, "PCK certificate", "it has no SGX extension")
        }
        let facts = try PCKExtension(parsing: Array(value))
        let isPlatform =
            certificate.issuerCommonName.contains("Platform") && !certificate.issuerCommonName.contains("Processor")
        self.init(
            tee: tee, fmspc: facts.fmspc, authority: isPlatform ? .platform : .processor, selector: selector)
    }

    /// `TDX platform B0C06F000000`, for messages.
    var subject: String { "\(tee.name) platform \(Hex.encodeUppercase(fmspc.bytes))" }

    /// Names the request in the cache.
    var cacheName: String { "\(tee.name.lowercased())-\(fmspc.hex)-\(authority.rawValue)-\(selector)" }
}

/// Asks for a platform's PCK certificate where its quote has only an encrypted identifier (certification data of type 2
/// or 3).
struct PCKCertificateRequest: Hashable, Sendable {
    let qeID: [UInt8]
    let encryptedPPID: [UInt8]
    let selector: CertificationData.PCKSelector

    init(_ quote: Quote, encryptedPPID: [UInt8], _ selector: CertificationData.PCKSelector) {
        qeID = Array(quote.header.userData.bytes.prefix(16))
        self.encryptedPPID = encryptedPPID
        self.selector = selector
    }

    /// CPUSVN and PCESVN as they go over the wire, which is also how `SGX-TCBm` has them.
    var tcbBytes: [UInt8] {
        var writer = ByteWriter(capacity: 18)
        writer.fixed(selector.cpuSvn)
        writer.littleEndian(selector.pceSvn)
        return writer.bytes
    }

    var query: String {
        let hex = { (bytes: [UInt8]) in Hex.encodeUppercase(bytes) }
        return "qeid=\(hex(qeID))&encrypted_ppid=\(hex(encryptedPPID))&cpusvn=\(hex(selector.cpuSvn.bytes))"
            + "&pcesvn=\(hex(Array(tcbBytes.suffix(2))))&pceid=\(hex(selector.pceId.bytes))"
    }

    /// Names the request in the cache, without telling which platform it is.
    var cacheName: String {
        "pck-" + SHA256.hash(qeID + encryptedPPID + tcbBytes + selector.pceId.bytes).hex
    }
}
