internal import DstackCrypto
internal import DstackEncoding

/// Whether a certificate stands for itself: the rules for a certificate that nobody else vouches for.
///
/// It says nothing about the evidence inside, and the evidence nothing about this.
public struct RATLSProfile: Sendable {
    /// The rules, in the order in which they are checked.
    public enum Rule: String, Sendable, CaseIterable {
        /// No critical extension is unknown (RFC 5280, section 4.2).
        case criticalExtensions = "critical_extensions"
        /// It is signed by its own key, so that nobody changed a name in it. Certificates from an authority fail here.
        case selfSignature = "self_signature"
        /// The time is within its validity, inclusive at both ends.
        case validity
        /// Its key may make digital signatures.
        case keyUsage = "key_usage"
        /// It is for a TLS server or client.
        case extendedKeyUsage = "extended_key_usage"
        /// It names whom it is for.
        case subjectAlternativeName = "subject_alternative_name"
    }

    /// How one rule came out.
    public struct Finding: Sendable, Hashable {
        /// The rule.
        public let rule: Rule
        /// Why it does not hold, lower-case; nil if it holds.
        public let failure: String?
    }

    /// All rules, in order.
    public let findings: [Finding]

    /// The first rule that does not hold; nil if all do.
    public var failure: Finding? { findings.first { $0.failure != nil } }

    init(_ certificate: Certificate, at time: Int64) {
        findings = Rule.allCases.map { rule in
            let failure =
                switch rule {
                case .criticalExtensions: Self.unknownCriticalExtension(certificate)
                case .selfSignature: Self.signatureProblem(certificate)
                case .validity: Self.validityProblem(certificate, at: time)
                case .keyUsage: Self.keyUsageProblem(certificate)
                case .extendedKeyUsage: Self.extendedKeyUsageProblem(certificate)
                case .subjectAlternativeName: Self.alternativeNameProblem(certificate)
                }
            return Finding(rule: rule, failure: failure)
        }
    }

    private static let understood: Set<ObjectIdentifier> = [
        .basicConstraints, .keyUsage, .extendedKeyUsage, .subjectAlternativeName, .subjectKeyIdentifier,
        .authorityKeyIdentifier,
    ]

    private static func unknownCriticalExtension(_ certificate: Certificate) -> String? {
        certificate.extensions.first { $0.isCritical && !understood.contains($0.identifier) }
            .map { "certificate has the unknown critical extension \($0.identifier)" }
    }

    private static func signatureProblem(_ certificate: Certificate) -> String? {
        let key: CertificatePublicKey
        do throws(CryptoFailure) {
            key = try CertificatePublicKey(spki: Array(certificate.subjectPublicKeyInfo))
        } catch {
            return "certificate self-signature verification failed: \(error.reason)"
        }
        guard certificate.hasOneAlgorithm,
            key.isValidSignature(
                Array(certificate.signature), algorithm: X509.Algorithm(der: Array(certificate.signatureAlgorithm)),
                over: Array(certificate.toBeSigned))
        else { return "certificate self-signature verification failed" }
        return nil
    }

    private static func validityProblem(_ certificate: Certificate, at time: Int64) -> String? {
        guard certificate.notBefore <= time, time <= certificate.notAfter else {
            return "certificate is outside its validity period (\(RFC3339.format(certificate.notBefore)) to "
                + "\(RFC3339.format(certificate.notAfter)))"
        }
        return nil
    }

    private static func keyUsageProblem(_ certificate: Certificate) -> String? {
        guard let usage = certificate.keyUsage else { return "certificate key usage extension missing" }
        return usage.contains(.digitalSignature)
            ? nil : "certificate key usage does not permit digital signatures"
    }

    private static func extendedKeyUsageProblem(_ certificate: Certificate) -> String? {
        guard let purposes = certificate.extendedKeyUsage else {
            return "certificate extended key usage extension missing"
        }
        return purposes.contains(.serverAuth) || purposes.contains(.clientAuth)
            ? nil : "certificate extended key usage permits neither server nor client authentication"
    }

    private static func alternativeNameProblem(_ certificate: Certificate) -> String? {
        guard let value = certificate.value(of: .subjectAlternativeName) else {
            return "certificate SAN extension missing"
        }
        do throws(DecodingFailure) {
            let bytes = Array(value)
            var reader = DERReader(bytes.span.bytes, base: value.startIndex)
            var names = try reader.constructed(.sequence, "certificate SAN")
            try reader.expectEnd(of: "certificate SAN")
            if names.isAtEnd { return "certificate SAN extension is empty" }
            while !names.isAtEnd {
                // GeneralName is a choice of context-specific tags, 0 to 8 (RFC 5280, section 4.2.1.6).
                let name = try names.any("certificate SAN")
                guard name.tag.octet & 0xC0 == 0x80, name.tag.octet & 0x1F <= 8 else {
                    return "certificate SAN has an entry that is no name (\(name.tag))"
                }
            }
            return nil
        } catch {
            return "failed to decode certificate SAN: \(error)"
        }
    }
}

extension Certificate {
    /// Whether the signature's algorithm is named alike inside and outside of what is signed (RFC 5280, 4.1.1.2).
    fileprivate var hasOneAlgorithm: Bool { signatureAlgorithm == signedSignatureAlgorithm }
}
extension RATLSCertificate {
    /// Checks the certificate as one that nobody else vouches for.
    ///
    /// - Parameter time: Unix seconds.
    public func profile(at time: Int64) -> RATLSProfile { RATLSProfile(certificate, at: time) }
}
