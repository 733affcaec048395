public import DstackAttestation
import DstackEncoding

/// A TLS key with evidence about it: what an attested certificate is made of.
///
/// ```swift
/// let attested = try await AttestedKey { try await source.attestation(reportData: $0) }
/// let certificate = try attested.selfSigned(configuration, at: now)
/// ```
///
/// The evidence is bound to the key alone. Who gets hold of the key gets the evidence with it, so that the key stays in
/// the trust domain and the certificate is made anew rather than copied.
public struct AttestedKey: ~Copyable, Sendable {
    /// The key.
    public let key: TLSKey
    /// Evidence whose report data is the key's. Not verified here: it was made a moment ago, by ourselves.
    public let attestation: Attestation

    /// Has evidence made for a key.
    ///
    /// - Parameters:
    ///   - key: a new one, unless it is derived.
    ///   - quote: gives an attestation with this report data.
    /// - Throws: what `quote` throws, and ``KeysError/Code/notAuthentic`` if its answer has other report data: nobody
    ///   would accept the certificate.
    public init(
        _ key: consuming TLSKey = TLSKey(), quote: (ReportData) async throws -> Attestation
    ) async throws {
        let expected = key.reportData
        let attestation = try await quote(expected)
        try Self.check(attestation, expected)
        self.key = key
        self.attestation = attestation
    }

    /// A key with evidence that was made for it before.
    ///
    /// - Throws: ``KeysError/Code/notAuthentic`` if the evidence has other report data.
    public init(_ key: consuming TLSKey, attestation: Attestation) throws(KeysError) {
        try Self.check(attestation, key.reportData)
        self.key = key
        self.attestation = attestation
    }

    private static func check(_ attestation: Attestation, _ expected: ReportData) throws(KeysError) {
        guard attestation.reportData == expected else {
            throw KeysError(.notAuthentic, subject: "evidence", reason: "its report data is not that of the key")
        }
        guard attestation.quote != nil else { return }
        let quoted: FixedBytes<64>
        do {
            quoted = try attestation.parsedQuote().body.reportData
        } catch {
            throw KeysError(.notAuthentic, error)
        }
        guard quoted == expected.bytes else {
            throw KeysError(
                .notAuthentic, subject: "evidence", reason: "the report data in the quote is not that of the key")
        }
    }

    /// A certificate that the key itself signs: it says nothing but what its evidence proves.
    ///
    /// - Parameters:
    ///   - configuration: what it is to have. Verifiers of self-signed certificates want names, a usage and the evidence.
    ///   - appInfo: needed if the configuration asks for it.
    ///   - encoding: how the evidence is put in.
    ///   - now: Unix seconds.
    /// - Returns: the certificate, DER.
    public borrowing func selfSigned(
        _ configuration: CertificateConfiguration, appInfo: AppInfo? = nil, encoding: EvidenceEncoding = .standard,
        at now: Int64
    ) throws(KeysError) -> [UInt8] {
        let claims = CertificateClaims(
            appInfo: appInfo, evidence: try evidence(configuration, encoding))
        return try CertificateTemplate.leaf(configuration, claims: claims, now: now).selfSigned(by: key.key)
    }

    /// A certificate from a CA at hand.
    ///
    /// - Parameters:
    ///   - authority: the CA.
    ///   - configuration: what the certificate is to have.
    ///   - appID: the application, where the CA is one of a KMS.
    ///   - appInfo: needed if the configuration asks for it.
    ///   - encoding: how the evidence is put in.
    ///   - now: Unix seconds.
    /// - Returns: the certificate, then the CA's chain up to the root; DER.
    public borrowing func issued(
        by authority: borrowing CertificateAuthority, _ configuration: CertificateConfiguration, appID: AppID? = nil,
        appInfo: AppInfo? = nil, encoding: EvidenceEncoding = .standard, at now: Int64
    ) throws(KeysError) -> [[UInt8]] {
        let claims = CertificateClaims(
            appID: appID, appInfo: appInfo, evidence: try evidence(configuration, encoding))
        return try authority.issue(
            CertificateTemplate.leaf(configuration, claims: claims, now: now), for: key.key.publicKey)
    }

    /// A request for a certificate, to be sent to a KMS.
    public borrowing func signingRequest(
        _ configuration: CertificateConfiguration, stripping: EventLog.Stripping? = EvidenceEncoding.standard.stripping
    ) throws(KeysError) -> SignedSigningRequest {
        let evidence = EvidenceEncoding.prepared(attestation, stripping)
        return try SigningRequest(
            publicKey: key.publicKey, configuration: configuration, evidence: .attestation(evidence)
        ).signed(by: key)
    }

    private borrowing func evidence(
        _ configuration: CertificateConfiguration, _ encoding: EvidenceEncoding
    ) throws(KeysError) -> [CertificateTemplate.EvidenceExtension] {
        configuration.includesEvidence ? try encoding.extensions(for: attestation) : []
    }
}
