import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackSystem

/// The certificate by which a KMS serves.
struct KMSServerCertificate {
    let publicKey: [UInt8]
    private let certificate: Certificate
    private let profile: RATLSProfile

    /// - Throws: the reason, where it is not one of a KMS.
    init(_ der: [UInt8], at now: Int64) throws(Refusal) {
        let parsed: RATLSCertificate
        do {
            parsed = try RATLSCertificate(parsing: der)
            certificate = try Certificate(der: der)
        } catch {
            throw Refusal("its certificate cannot be read: \(error)")
        }
        guard parsed.usage == .kmsRPC else {
            let found = parsed.usage.map { SafeText.quoted($0.rawValue, limit: 40) } ?? "none"
            throw Refusal("it is no KMS: its certificate is for the usage kms:rpc where it is one, found \(found)")
        }
        publicKey = parsed.publicKey
        profile = parsed.profile(at: now)
    }

    /// Checks that the holder of a root CA's key made it, and that it holds: the whole of its chain, which is one link long.
    ///
    /// - Parameter caPublicKey: SubjectPublicKeyInfo, DER.
    func check(signedBy caPublicKey: [UInt8]) throws(Refusal) {
        for finding in profile.findings where [.criticalExtensions, .validity, .keyUsage].contains(finding.rule) {
            if let failure = finding.failure { throw Refusal(failure) }
        }
        // Without an extended key usage it is for any (RFC 5280 section 4.2.1.12), and upstream's have none.
        guard certificate.extendedKeyUsage?.contains(.serverAuth) ?? true else {
            throw Refusal("its certificate is not for servers")
        }
        guard certificate.basicConstraints?.isCA != true else { throw Refusal("its certificate is a CA's") }
        guard Self.isSigned(certificate, by: caPublicKey) else {
            throw Refusal("its certificate is not signed by the root key that is expected")
        }
    }

    static func isSigned(_ certificate: Certificate, by publicKey: [UInt8]) -> Bool {
        guard certificate.signatureAlgorithm == certificate.signedSignatureAlgorithm,
            let key = try? CertificatePublicKey(spki: publicKey)
        else { return false }
        return key.isValidSignature(
            Array(certificate.signature), algorithm: X509.Algorithm(der: Array(certificate.signatureAlgorithm)),
            over: Array(certificate.toBeSigned))
    }

    /// Why a server is not the one.
    struct Refusal: Error {
        let reason: String

        init(_ reason: String) { self.reason = reason }
    }
}
