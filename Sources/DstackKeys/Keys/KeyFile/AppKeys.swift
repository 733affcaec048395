public import DstackAttestation
package import DstackCrypto
import DstackEncoding
import DstackSystem

/// The keys of an application in a running guest: what the boot program stores and the guest agent reads.
///
/// All secrets are in memory that is wiped when the value goes. It cannot be copied or printed; its file form
/// (``encoded``) is a secret too.
public struct AppKeys: ~Copyable, Sendable {
    /// What the disk is encrypted with, 32 bytes. The encryption tool takes its hexadecimal digits for the passphrase.
    package let diskKey: SecretBytes
    /// What the environment was encrypted to; nil without a KMS.
    package let environmentKey: X25519.PrivateKey?
    /// Parent of the keys for containers.
    public let rootKey: AppRootKey
    /// The gateway to register with: 40 hexadecimal digits, `any`, or empty for none.
    public let gatewayAppID: String
    /// With a KMS its root CA, which is trusted for everything about keys; else the application's own CA. DER.
    public let caCertificates: [[UInt8]]
    /// Where the keys come from.
    public let provider: AppKeyProvider

    /// - Parameter diskKey: 32 bytes.
    package init(
        diskKey: consuming SecretBytes, environmentKey: consuming X25519.PrivateKey?, rootKey: consuming AppRootKey,
        gatewayAppID: String, caCertificates: [[UInt8]], provider: consuming AppKeyProvider
    ) {
        self.diskKey = diskKey
        self.environmentKey = environmentKey
        self.rootKey = rootKey
        self.gatewayAppID = gatewayAppID
        self.caCertificates = caCertificates
        self.provider = provider
    }

    /// The keys that follow from a seed, where there is no KMS. The application gets a CA of its own, whose certificate
    /// has evidence that the CA's key is the application's.
    ///
    /// - Parameters:
    ///   - seed: where all keys come from.
    ///   - provider: where the seed comes from. Not a KMS.
    ///   - encoding: how the evidence is put into the CA's certificate.
    ///   - now: Unix seconds.
    ///   - quote: gives an attestation with this report data.
    public init(
        seed: borrowing AppKeySeed, provider: KeyProviderInfo, encoding: EvidenceEncoding = .standard, at now: Int64,
        quote: (ReportData) async throws -> Attestation
    ) async throws {
        guard provider.kind != .kms else {
            throw KeysError(
                .invalidKey, subject: "key provider", reason: "a KMS gives keys and no seed")
        }
        let attested = try await AttestedKey(TLSKey(seed.caKey()), quote: quote)
        let template = CertificateTemplate.appRoot(
            evidence: try encoding.extensions(for: attested.attestation), now: now)
        let authority = try CertificateAuthority(selfSigned: template, key: seed.caKey())
        let certificates = authority.chain
        self.init(
            diskKey: try seed.diskKey(), environmentKey: nil, rootKey: try seed.rootKey(), gatewayAppID: "",
            caCertificates: certificates, provider: AppKeyProvider(provider, authority: authority))
    }

    // MARK: File

    /// The largest file that is read, 256 KiB; the certificates with evidence are most of it.
    public static let maximumByteCount = 256 << 10

    /// Reads a file of keys (`.appkeys.json`).
    ///
    /// - Throws: ``KeysError/Code/storage`` if it cannot be read, else as ``init(decoding:)``.
    public init(contentsOf path: String) throws(KeysError) {
        let text: SecretBytes
        do {
            text = try SecretFile.read(path, limit: Self.maximumByteCount)
        } catch {
            throw KeysError(error, path)
        }
        try self.init(decoding: text.bytes)
    }

    /// Writes the file in one step, for its owner alone (mode 0600).
    public borrowing func write(to path: String) throws(KeysError) {
        let text = encoded
        do {
            try AtomicFile.write(text.bytes, to: path, mode: .secret)
        } catch {
            throw KeysError(error, path)
        }
    }
}
