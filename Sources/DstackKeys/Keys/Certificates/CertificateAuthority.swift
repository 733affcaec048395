package import DstackCrypto
import DstackEncoding

/// A CA: a key, its certificate, and those above it.
public struct CertificateAuthority: ~Copyable, Sendable {
    package let key: P256.PrivateKey
    /// Its certificate, then those above it up to the root; DER.
    public let chain: [[UInt8]]
    private let certificate: Certificate
    private let issuer: CertificateTemplate.Issuer

    /// - Parameters:
    ///   - key: the CA's key.
    ///   - chain: its certificate, then those above it; DER. Those above are passed on and not looked at.
    /// - Throws: ``KeysError/Code/invalidCertificate`` if the first is not a CA's certificate, or for another key.
    package init(key: consuming P256.PrivateKey, chain: [[UInt8]]) throws(KeysError) {
        let certificate = try Self.read(chain.first ?? [])
        guard certificate.subjectPublicKeyInfo.elementsEqual(key.publicKey.spki) else {
            throw KeysError(
                .invalidCertificate, subject: "CA certificate", reason: "it is for another key than the CA's")
        }
        let identifier = try Self.keyIdentifier(certificate) ?? CertificateTemplate.keyIdentifier(of: key.publicKey)
        let issuer = CertificateTemplate.Issuer(
            name: X509.Name(der: Array(certificate.subject)), keyIdentifier: identifier)
        self.init(key: key, chain: chain, certificate, issuer)
    }

    /// A CA from its key and certificates.
    ///
    /// - Throws: ``KeysError/Code/invalidCertificate`` if the first certificate is not a CA's, or for another key.
    public init(key: borrowing TLSKey, certificates: [[UInt8]]) throws(KeysError) {
        let copy: P256.PrivateKey
        do {
            copy = try P256.PrivateKey(scalar: key.key.scalar.duplicate())
        } catch {
            throw KeysError(.invalidKey, error)
        }
        try self.init(key: copy, chain: certificates)
    }

    private init(
        key: consuming P256.PrivateKey, chain: [[UInt8]], _ certificate: Certificate,
        _ issuer: CertificateTemplate.Issuer
    ) {
        self.key = key
        self.chain = chain
        self.certificate = certificate
        self.issuer = issuer
    }

    /// What the certificate calls its key, by which verifiers find it; nil if it calls it nothing.
    private static func keyIdentifier(_ certificate: Certificate) throws(KeysError) -> [UInt8]? {
        guard let value = certificate.value(of: .subjectKeyIdentifier) else { return nil }
        return try KeysError.decoding(.invalidCertificate) { () throws(DecodingFailure) in
            let bytes = Array(value)
            var reader = DERReader(bytes.span.bytes)
            let identifier = try reader.content(.octetString, "subject key identifier").bytes
            try reader.expectEnd(of: "subject key identifier")
            return identifier
        }
    }

    private static func read(_ der: [UInt8]) throws(KeysError) -> Certificate {
        let certificate = try KeysError.decoding(.invalidCertificate) { () throws(DecodingFailure) in
            try Certificate(der: der)
        }
        guard certificate.basicConstraints?.isCA == true else {
            throw KeysError(.invalidCertificate, subject: "CA certificate", reason: "it is not a CA's")
        }
        return certificate
    }

    /// A CA that signs its own certificate.
    package init(selfSigned template: CertificateTemplate, key: consuming P256.PrivateKey) throws(KeysError) {
        let der = try template.selfSigned(by: key)
        try self.init(key: key, chain: [der])
    }

    /// A CA under this one.
    package borrowing func authority(
        _ template: CertificateTemplate, key: consuming P256.PrivateKey
    ) throws(KeysError) -> CertificateAuthority {
        let chain = try issue(template, for: key.publicKey)
        return try CertificateAuthority(key: key, chain: chain)
    }

    /// Issues a certificate.
    ///
    /// - Returns: it and this CA's chain, DER.
    package borrowing func issue(
        _ template: CertificateTemplate, for publicKey: P256.PublicKey
    ) throws(KeysError) -> [[UInt8]] {
        var template = template
        if template.profile == .identified {
            // Whatever holds longer than its issuer's certificate only seems to.
            template.notAfter = min(template.notAfter, certificate.notAfter)
        }
        let builder = try template.builder(for: publicKey, issuer: issuer)
        do {
            return [try builder.signed(by: key)] + chain
        } catch {
            throw KeysError(.invalidCertificateContent, error)
        }
    }

    /// SubjectPublicKeyInfo of the CA's key, DER. A guest knows its KMS by that of the root.
    public var publicKey: [UInt8] { key.publicKey.spki }

    /// Last second of the CA's validity, Unix seconds.
    public var notAfter: Int64 { certificate.notAfter }

    /// Whether the certificate should be issued again: it ends within a year, or it is one of the older ones without the
    /// right to sign certificates, through which strict verifiers build no chain.
    public func isRenewalDue(at now: Int64) -> Bool {
        guard let usage = certificate.keyUsage, usage.contains(.keyCertSign) else { return true }
        return certificate.notAfter <= CertificateTemplate.end(now, lifetime: 365 * 86_400)
    }
}

extension CertificateTemplate {
    /// The certificate, signed by its own key.
    package func selfSigned(by key: borrowing P256.PrivateKey) throws(KeysError) -> [UInt8] {
        let builder = try builder(for: key.publicKey, issuer: nil)
        do {
            return try builder.signed(by: key)
        } catch {
            throw KeysError(.invalidCertificateContent, error)
        }
    }
}

/// Certificates as text.
package enum CertificatePEM {
    /// One `CERTIFICATE` block.
    package static func encode(_ der: [UInt8]) -> String { PEM.encode("CERTIFICATE", der) }

    /// The certificates of a PEM text, DER, in order.
    ///
    /// - Throws: ``KeysError/Code/invalidCertificate`` if there is none, or where the text is malformed.
    package static func decode(_ text: [UInt8], subject: String) throws(KeysError) -> [[UInt8]] {
        let found = try KeysError.decoding(.invalidCertificate) { () throws(DecodingFailure) in
            try PEM.decode(text, label: "CERTIFICATE")
        }
        guard !found.isEmpty else {
            throw KeysError(.invalidCertificate, subject: subject, reason: "no PEM block \"CERTIFICATE\"")
        }
        return found
    }
}
