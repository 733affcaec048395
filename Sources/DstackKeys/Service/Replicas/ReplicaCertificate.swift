package import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKMS
import DstackKMSClient
package import DstackKeys
package import DstackNetwork

/// By what one replica knows another that calls it.
///
/// Which replica it is, it says itself, in each message. That can be believed because of what its certificate proves: it is signed
/// by the root key, which nobody has but replicas, and it carries evidence that the code that made it is one that whoever decides
/// lets be a KMS. Such code has chosen its id at random, keeps it with its epochs, and names no other. A table of keys by id would
/// prove no more, would have to travel between replicas itself, and would be one more thing to lose. Neither alone would do:
/// evidence without the root key also has a service of foreign roots, whose epochs must not mix with these; the root key
/// without evidence has whatever it was copied to.
package enum ReplicaCertificate {
    /// Seconds that one holds; it is made anew after an hour.
    private static let lifetime: Int64 = 86_400

    /// A certificate for a fresh key, with evidence about it.
    ///
    /// - Parameters:
    ///   - root: the root CA.
    ///   - now: Unix seconds.
    package static func credentials(
        under root: borrowing CertificateAuthority, attest: (ReportData) async throws -> Attestation, at now: Int64
    ) async throws -> TLSCredentials {
        let attested = try await AttestedKey(quote: attest)
        var template = CertificateTemplate(.identified, commonName: "dstack KMS replica", now: now)
        template.notAfter = CertificateTemplate.end(now, lifetime: lifetime)
        template.isForClients = true
        template.usage = .kmsReplica
        template.evidence = try EvidenceEncoding.standard.extensions(for: attested.attestation)
        let chain = try root.issue(template, for: attested.key.key.publicKey)
        let key = SharedSecret(attested.key.withUnsafePEM { SecretBytes(copying: $0.bytes) })
        return TLSCredentials(chain: chain) { body in key.withUnsafeBytes { body($0) } }
    }

    /// Checks that a caller has the root key of this service. Its evidence is for others to judge.
    ///
    /// - Parameters:
    ///   - certificates: what the caller presented, leaf first, DER.
    ///   - caPublicKey: SubjectPublicKeyInfo of the root, DER.
    ///   - now: Unix seconds.
    /// - Throws: ``KMSServiceError/Code/denied``.
    package static func check(
        _ certificates: [[UInt8]], signedBy caPublicKey: [UInt8], at now: Int64
    ) throws(KMSServiceError) {
        guard let leaf = certificates.first else {
            throw KMSServiceError(.notAttested, "replica", "it presented no certificate")
        }
        do throws(KMSCertificate.Refusal) {
            try KMSCertificate(leaf, usage: RATLSCertificate.Usage(rawValue: RATLSUsage.kmsReplica.rawValue), at: now)
                .check(signedBy: caPublicKey)
        } catch {
            throw KMSServiceError(
                .denied, "replica", error.reason, hint: "only services with these root keys exchange epochs")
        }
    }
}
