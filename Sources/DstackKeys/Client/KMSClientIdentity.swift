package import DstackAttestation
import DstackCrypto
import DstackKeys
package import DstackNetwork

/// Gives evidence about whoever asks a KMS: an attestation with this report data.
package typealias KMSAttest = @Sendable (ReportData) async throws -> Attestation

/// Whom a KMS is shown.
package enum KMSIntroduction: Sendable {
    /// By a certificate that signs itself, which is enough for this project's service and newer ones of upstream; by one of the
    /// temporary CA as soon as a server wants that.
    case automatic
    /// By one that signs itself, whatever the server wants.
    case selfSigned
    /// By one of the temporary CA, which the server is asked for over a connection of its own.
    case temporaryAuthority
    /// By one that somebody else makes, with evidence, at a time in Unix seconds: a replica's.
    case issued(@Sendable (_ attest: @escaping KMSAttest, _ now: Int64) async throws -> TLSCredentials)
}

/// Who this side is on a connection: a certificate for a fresh key, with evidence about it.
struct KMSClientIdentity: Sendable {
    let credentials: TLSCredentials
    /// PEM.
    private let key: SharedSecret

    private init(_ chain: [[UInt8]], _ key: SharedSecret) {
        credentials = TLSCredentials(chain: chain) { body in key.withUnsafeBytes { body($0) } }
        self.key = key
    }

    /// Signs by the key of the certificate (P-256); DER.
    func signature(for text: [UInt8]) throws(CryptoFailure) -> [UInt8] {
        try key.withBytes { (pem) throws(CryptoFailure) in try P256.PrivateKey(pem: pem).signature(for: text).der }
    }

    /// Seconds that one holds which signs itself. It is used for an hour; the rest is for clocks that differ.
    private static let lifetime: Int64 = 86_400

    /// What upstream's guests call themselves.
    private static let name = "RA-TLS TEMP Cert"

    static func selfSigned(_ attest: KMSAttest, at now: Int64) async throws -> KMSClientIdentity {
        let attested = try await AttestedKey(quote: attest)
        var template = CertificateTemplate.temporaryClient(
            evidence: try EvidenceEncoding.standard.extensions(for: attested.attestation), now: now)
        // Rules for certificates that stand for themselves want to know for whom and what they are.
        template.alternativeNames = ["ra-tls-client.invalid"]
        template.isForClients = true
        template.notAfter = CertificateTemplate.end(now, lifetime: lifetime)
        return KMSClientIdentity([try template.selfSigned(by: attested.key.key)], attested.key.credentialKey)
    }

    static func issued(
        by authority: borrowing CertificateAuthority, _ attest: KMSAttest, at now: Int64
    ) async throws -> KMSClientIdentity {
        let attested = try await AttestedKey(quote: attest)
        let evidence = try EvidenceEncoding.standard.extensions(for: attested.attestation)
        let chain = try authority.issue(
            .temporaryClient(evidence: evidence, now: now), for: attested.key.key.publicKey)
        return KMSClientIdentity(chain, attested.key.credentialKey)
    }
}

extension TLSKey {
    /// PEM, in memory that is wiped.
    fileprivate var credentialKey: SharedSecret {
        SharedSecret(withUnsafePEM { SecretBytes(copying: $0.bytes) })
    }
}
