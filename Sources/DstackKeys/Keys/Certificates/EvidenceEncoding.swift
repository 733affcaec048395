public import DstackAttestation

/// How evidence is put into certificates.
public struct EvidenceEncoding: Sendable, Hashable {
    /// Whether quote and event log have extensions of their own, as readers before 0.5.9 want them. Only a platform with a
    /// DCAP quote has these.
    public var includesLegacyForm: Bool
    /// Whether the attestation envelope is there.
    public var includesEnvelope: Bool
    /// What the event log leaves out; nil for nothing.
    public var stripping: EventLog.Stripping?

    /// An encoding. By default the envelope, its log without the data of boot events. Every event keeps its digest: it can
    /// be computed, but the older clients do not.
    public init(
        includesEnvelope: Bool = true, includesLegacyForm: Bool = false,
        stripping: EventLog.Stripping? = EventLog.Stripping(bootEvents: .withoutData, keepsRuntimeDigests: true)
    ) {
        self.includesEnvelope = includesEnvelope
        self.includesLegacyForm = includesLegacyForm
        self.stripping = stripping
    }

    /// The evidence as certificates for readers of today have it.
    public static let standard = EvidenceEncoding()

    /// An attestation as it leaves the machine. Events of version 2 that keep their digests get the bytes that were hashed
    /// beside them, which upstream's verifier demands.
    static func prepared(_ attestation: Attestation, _ stripping: EventLog.Stripping?) -> Attestation {
        (stripping.map { attestation.stripped($0) } ?? attestation).withPreimages()
    }

    /// The extensions, in order.
    ///
    /// - Throws: ``KeysError/Code/invalidCertificateContent`` where the older form is asked for and the platform has no
    ///   quote.
    package func extensions(
        for attestation: Attestation
    ) throws(KeysError) -> [CertificateTemplate.EvidenceExtension] {
        let attestation = Self.prepared(attestation, stripping)
        var extensions: [CertificateTemplate.EvidenceExtension] = []
        if includesLegacyForm {
            guard let evidence = attestation.tdxEvidence else {
                throw KeysError(
                    .invalidCertificateContent, subject: "evidence",
                    reason: "a platform of kind \(attestation.platform.kind) has no quote for the older form")
            }
            extensions.append(.init(.quote, evidence.quote))
            extensions.append(.init(.eventLog, Array(evidence.eventLog.json.utf8)))
        }
        if includesEnvelope { extensions.append(.init(.attestation, attestation.encoded.bytes)) }
        return extensions
    }
}
