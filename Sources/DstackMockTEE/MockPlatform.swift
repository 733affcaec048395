public import DstackAttestation
package import DstackCrypto
import DstackEncoding
import DstackSystem

/// A simulated machine with everything that stands behind a quote of a real one: a root authority, intermediate
/// authorities, a PCK certificate, a signer of TCB documents, revocation lists, and quoting enclaves for SGX and TDX.
///
/// ```swift
/// let platform = try MockPlatform()
/// let domain = MockTrustDomain(on: platform)
/// let quote = try domain.quote(reportData: challenge)
/// let collateral = try platform.collateral(for: .tdx, at: now)
/// ```
///
/// - Important: For tests and development. Whoever holds such a value can sign any quote, so its quotes prove nothing.
///   They chain to a root certificate that was made here (``rootCertificate``, whose name begins with "Simulated") and
///   never to Intel's: a verifier accepts them only if it was told to trust this very root, and its report says so.
public struct MockPlatform: Sendable {
    /// What the machine is.
    public let configuration: Configuration
    /// Identifier of the machine, as the PCK certificate has it.
    public let ppid: FixedBytes<16>
    /// The root certificate, DER: the trust anchor for a verifier that shall accept this platform.
    public let rootCertificate: [UInt8]

    /// All keys and serial numbers come from it.
    package let seed: FixedBytes<32>
    package let keys: MockKeys
    /// The certificates before they were issued.
    package let certificates: MockCertificates
    /// The certificates, DER.
    package let platformCACertificate: [UInt8]
    package let processorCACertificate: [UInt8]
    package let pckCertificate: [UInt8]
    package let tcbSigningCertificate: [UInt8]
    /// ``pckChain`` as PEM, as nearly every quote carries it.
    let pckChainPEM: [UInt8]
    /// What vouches for the attestation key. A real quoting enclave's report is signed once too, when its key is certified.
    let qeReportSignature = MockSignatureOfQEReport()

    /// Common name of the root.
    package static let rootCommonName = "Simulated TEE Root CA (not Intel)"
    /// Where the certificates say that the root's revocation list is; no such host exists (RFC 2606).
    package static let rootCRLAddress = "https://simulated.invalid/SimulatedTEERootCA.der"

    /// A platform whose keys nobody else has.
    public init(_ configuration: Configuration = Configuration()) throws(MockTEEError) {
        try self.init(seed: SystemRandom().fixed(), configuration)
    }

    /// The platform of a seed: the same keys, names and serial numbers every time. Signatures differ, as ECDSA's do; to
    /// have the very same certificates again, keep the platform with ``save(to:)``.
    public init(
        seed: FixedBytes<32>, _ configuration: Configuration = Configuration()
    ) throws(MockTEEError) {
        let keys = MockKeys(seed: seed)
        let ppid =
            configuration.ppid ?? FixedBytes(MockKey.derive("PPID", "", seed: seed).bytes.prefix(16)) ?? FixedBytes()
        let certificates = MockCertificates(configuration, seed: seed, keys: keys, ppid: ppid)
        try self.init(
            seed: seed, configuration: configuration, ppid: ppid, keys: keys, certificates: certificates,
            issued: Issued(certificates))
    }

    /// The five certificates, DER.
    struct Issued {
        let root: [UInt8]
        let platformCA: [UInt8]
        let processorCA: [UInt8]
        let pck: [UInt8]
        let tcbSigner: [UInt8]
    }

    init(
        seed: FixedBytes<32>, configuration: Configuration, ppid: FixedBytes<16>, keys: MockKeys,
        certificates: MockCertificates, issued: Issued
    ) {
        self.seed = seed
        self.configuration = configuration
        self.ppid = ppid
        self.keys = keys
        self.certificates = certificates
        rootCertificate = issued.root
        platformCACertificate = issued.platformCA
        processorCACertificate = issued.processorCA
        pckCertificate = issued.pck
        tcbSigningCertificate = issued.tcbSigner
        let authority = configuration.authority == .platform ? issued.platformCA : issued.processorCA
        pckChainPEM = Array(Self.pem([issued.pck, authority, issued.root]).utf8)
    }

    /// The same platform with other certificates: `edit` changes what is to be issued, then all five are signed anew.
    package func reissued(_ edit: (inout MockCertificates) -> Void) throws(MockTEEError) -> MockPlatform {
        var certificates = certificates
        edit(&certificates)
        return MockPlatform(
            seed: seed, configuration: configuration, ppid: ppid, keys: keys, certificates: certificates,
            issued: try Issued(certificates))
    }
}

extension MockPlatform.Issued {
    init(_ certificates: MockCertificates) throws(MockTEEError) {
        root = try certificates.root.issued()
        platformCA = try certificates.platformCA.issued()
        processorCA = try certificates.processorCA.issued()
        pck = try certificates.issuedPCK()
        tcbSigner = try certificates.tcbSigner.issued()
    }
}

extension MockPlatform {
    /// ``rootCertificate`` as PEM.
    public var rootCertificatePEM: String { PEM.encode("CERTIFICATE", rootCertificate) }

    /// The certificate of the authority that issued the PCK certificate, DER.
    package var pckAuthorityCertificate: [UInt8] {
        configuration.authority == .platform ? platformCACertificate : processorCACertificate
    }

    /// The key of the authority that issued the PCK certificate.
    package var pckAuthorityKey: MockKey {
        configuration.authority == .platform ? keys.platformCA : keys.processorCA
    }

    /// The name of the authority that issued the PCK certificate.
    package var pckAuthorityName: X509.Name {
        (configuration.authority == .platform ? certificates.platformCA : certificates.processorCA).builder.subject
    }

    /// PCK certificate, its authority, root; DER.
    package var pckChain: [[UInt8]] { [pckCertificate, pckAuthorityCertificate, rootCertificate] }

    /// TCB signing certificate, root; DER.
    package var tcbSigningChain: [[UInt8]] { [tcbSigningCertificate, rootCertificate] }

    /// Certificates as PEM, one after the other.
    package static func pem(_ chain: [[UInt8]]) -> String {
        chain.map { PEM.encode("CERTIFICATE", $0) }.joined()
    }
}
