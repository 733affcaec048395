import DstackCrypto
import DstackEncoding

/// The rules of RFC 5280 and of Intel's hierarchy for single certificates. Each returns what is wrong, or nil.
///
/// Intel's hierarchy has a fixed shape (root, one PCK CA, leaf; or root, leaf), so paths are checked against that shape
/// instead of being searched for.
enum CertificateRules {
    /// Extensions whose meaning is enforced here or does not restrict. Any other critical one rejects (RFC 5280, section
    /// 4.2). Name constraints are refused even where not critical, since they are not enforced here.
    private static let understood: [ObjectIdentifier] = [
        .basicConstraints, .keyUsage, .extendedKeyUsage, .subjectAlternativeName, .crlDistributionPoints,
    ]

    private static func issueCommon(_ certificate: Certificate, _ what: String) -> CheckIssue? {
        for item in certificate.extensions {
            if item.identifier == .nameConstraints {
                return CheckIssue(.unsupported, "\(what) has name constraints, which Intel's hierarchy does not use")
            }
            if item.isCritical, !understood.contains(item.identifier) {
                return CheckIssue(.unsupported, "\(what) has the unknown critical extension \(item.identifier)")
            }
        }
        guard certificate.isSignedWithP256SHA256Algorithm else {
            return CheckIssue(.unsupported, "\(what) is not signed with ecdsa-with-SHA256, or its two fields differ")
        }
        guard certificate.p256Point != nil else {
            return CheckIssue(.unsupported, "the key of \(what) is not P-256 with a named curve")
        }
        guard certificate.notBefore <= certificate.notAfter else {
            return CheckIssue(.malformed, "the validity of \(what) ends before it begins")
        }
        return nil
    }

    /// Whether a phrase stands in a name, byte for byte.
    static func contains(_ name: String, _ phrase: StaticString) -> Bool {
        var name = name
        return name.withUTF8 { name in
            phrase.withUTF8Buffer { phrase in
                var start = 0
                while start + phrase.count <= name.count {
                    if name[start..<start + phrase.count].elementsEqual(phrase) { return true }
                    start += 1
                }
                return false
            }
        }
    }

    /// For a certificate that issues certificates and revocation lists.
    static func issueAsAuthority(_ certificate: Certificate, _ what: String) -> CheckIssue? {
        if let issue = issueCommon(certificate, what) { return issue }
        guard certificate.basicConstraints?.isCA == true else {
            return CheckIssue(.wrongUsage, "\(what) is not a CA certificate")
        }
        if let usage = certificate.keyUsage, !usage.isSuperset(of: [.keyCertSign, .crlSign]) {
            return CheckIssue(.wrongUsage, "\(what) may not sign certificates and revocation lists")
        }
        return issueOfPurpose(certificate, what)
    }

    /// Intel's certificates have no extended key usage. One that has it is for that alone; serverAuth is let pass as other
    /// verifiers do, whose libraries demand it.
    private static func issueOfPurpose(_ certificate: Certificate, _ what: String) -> CheckIssue? {
        guard let purposes = certificate.extendedKeyUsage, !purposes.contains(.serverAuth) else { return nil }
        return CheckIssue(.wrongUsage, "\(what) is limited to another purpose by its extended key usage")
    }

    /// For a certificate that signs documents or reports. `phrase` must stand in its common name: under one root, what a
    /// certificate is for is told by name alone, and a PCK must not pass for the signer of TCB info.
    static func issueAsLeaf(_ certificate: Certificate, _ what: String, phrase: StaticString) -> CheckIssue? {
        if let issue = issueCommon(certificate, what) { return issue }
        guard certificate.basicConstraints?.isCA != true else {
            return CheckIssue(.wrongUsage, "\(what) is a CA certificate")
        }
        if let usage = certificate.keyUsage, !usage.contains(.digitalSignature) {
            return CheckIssue(.wrongUsage, "\(what) may not sign data")
        }
        if let issue = issueOfPurpose(certificate, what) { return issue }
        let name = certificate.subjectCommonName
        guard contains(name, phrase) else {
            return CheckIssue(
                .wrongUsage, "the common name of \(what) must contain \"\(phrase)\"", found: .text(name),
                expected: .literal(phrase))
        }
        return nil
    }

    /// Whether `issuer`'s name and key issued a certificate.
    static func issueOfSignature(
        _ certificate: Certificate, _ what: String, issuerName: ArraySlice<UInt8>, key: P256VerifyingKey,
        _ batch: SignatureBatch
    ) -> CheckIssue? {
        guard certificate.issuer == issuerName else {
            return CheckIssue(
                .unknownIssuer, "\(what) names another issuer", found: .text(certificate.issuerCommonName),
                expected: .text(DistinguishedName.commonName(issuerName)))
        }
        let isAuthority = certificate.basicConstraints?.isCA == true
        guard let signature = try? certificate.p256Signature() else {
            return CheckIssue(.malformed, "the signature of \(what) is not an ECDSA signature in DER")
        }
        guard batch.isValid(signature, digest: certificate.digest, by: key, isByAuthority: isAuthority) else {
            return CheckIssue(
                .badSignature, "\(what) is not signed by \(DistinguishedName.commonName(issuerName))")
        }
        return nil
    }

    /// Whether a revocation list is `issuer`'s.
    static func issueOfList(
        _ list: CertificateRevocationList, _ what: String, issuerName: ArraySlice<UInt8>, key: P256VerifyingKey,
        _ batch: SignatureBatch
    ) -> CheckIssue? {
        guard list.issuer == issuerName else {
            return CheckIssue(
                .unknownIssuer, "\(what) is of another issuer", found: .text(DistinguishedName.commonName(list.issuer)),
                expected: .text(DistinguishedName.commonName(issuerName)))
        }
        guard list.isSignedWithP256SHA256Algorithm, let signature = try? list.p256Signature() else {
            return CheckIssue(.unsupported, "\(what) is not signed with ecdsa-with-SHA256")
        }
        guard batch.isValid(signature, digest: list.digest, by: key, isByAuthority: true) else {
            return CheckIssue(
                .badSignature, "\(what) is not signed by \(DistinguishedName.commonName(issuerName))")
        }
        return nil
    }
}
