public import DstackAttestation
import DstackCrypto

/// Where an application's keys come from, with what the guest needs to get certificates there.
public struct AppKeyProvider: ~Copyable, Sendable {
    /// Kind and identity of the provider, as the guest measures them.
    public let info: KeyProviderInfo
    /// The address of the KMS; nil for all others.
    public let url: String?
    /// With a KMS the temporary CA, under which the guest introduces itself; else the application's own CA, which issues
    /// its certificates.
    public let authority: CertificateAuthority

    /// A provider other than a KMS.
    ///
    /// - Parameters:
    ///   - info: its kind, and the measurement of the enclave or the public key of the TPM.
    ///   - authority: the application's CA.
    package init(_ info: KeyProviderInfo, authority: consuming CertificateAuthority) {
        self.info = info
        url = nil
        self.authority = authority
    }

    /// A KMS.
    ///
    /// - Parameters:
    ///   - url: its address, ending in `/prpc`.
    ///   - publicKey: SubjectPublicKeyInfo of its root CA, DER.
    ///   - temporaryAuthority: its temporary CA.
    package init(kms url: String, publicKey: [UInt8], temporaryAuthority: consuming CertificateAuthority) {
        info = KeyProviderInfo(kind: .kms, id: publicKey)
        self.url = url
        authority = temporaryAuthority
    }

    /// Whether certificates come from a KMS.
    public var isKMS: Bool { info.kind == .kms }
}
