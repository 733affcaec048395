package import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackSystem

/// A certificate that a KMS has made for itself: by it a KMS is known as a server, and to its replicas.
package struct KMSCertificate: Sendable {
    /// SubjectPublicKeyInfo, DER.
    package let publicKey: [UInt8]
    private let usage: RATLSCertificate.Usage
    private let certificate: Certificate
    private let profile: RATLSProfile

    /// - Parameters:
    ///   - der: the leaf that was presented.
    ///   - usage: what it must say that it is for: `kms:rpc` of a server. The same root stands above the certificates of
    ///     applications, which choose their names themselves; the usages of a KMS it gives to nobody else.
    ///   - now: Unix seconds.
    /// - Throws: where it is for something else.
    package init(_ der: [UInt8], usage: RATLSCertificate.Usage, at now: Int64) throws(Refusal) {
        let parsed: RATLSCertificate
        do {
            parsed = try RATLSCertificate(parsing: der)
            certificate = try Certificate(der: der)
        } catch {
            throw Refusal("its certificate cannot be read: \(error)")
        }
        guard parsed.usage == usage else {
            let found = parsed.usage.map { SafeText.quoted($0.rawValue, limit: 40) } ?? "none"
            throw Refusal(
                "it is no KMS: its certificate is for the usage \(usage.rawValue) where it is one, found \(found)")
        }
        publicKey = parsed.publicKey
        profile = parsed.profile(at: now)
        self.usage = usage
    }

    /// Checks that the holder of a root CA's key made it, and that it holds: the whole of its chain, which is one link long.
    ///
    /// - Parameter caPublicKey: SubjectPublicKeyInfo, DER.
    package func check(signedBy caPublicKey: [UInt8]) throws(Refusal) {
        for finding in profile.findings where [.criticalExtensions, .validity, .keyUsage].contains(finding.rule) {
            if let failure = finding.failure { throw Refusal(failure) }
        }
        // Without an extended key usage it is for any (RFC 5280 section 4.2.1.12), and upstream's have none.
        let side: ObjectIdentifier = usage == .kmsRPC ? .serverAuth : .clientAuth
        guard certificate.extendedKeyUsage?.contains(side) ?? true else {
            throw Refusal("its certificate is not for this side of a connection")
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

    /// Why somebody is not who was expected.
    package struct Refusal: Error, Sendable {
        package let reason: String

        init(_ reason: String) { self.reason = reason }
    }
}
