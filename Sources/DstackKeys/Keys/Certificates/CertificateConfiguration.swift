/// What a certificate is asked to have: its requester's choices.
///
/// ```swift
/// let configuration = CertificateConfiguration(
///     commonName: "api.example.com", alternativeNames: ["api.example.com", "10.0.0.7"], isForServers: true,
///     includesEvidence: true)
/// ```
public struct CertificateConfiguration: Sendable, Hashable {
    /// The subject's organization; nil for none.
    public var organization: String?
    /// The subject's common name; may be empty.
    public var commonName: String
    /// Names that the certificate is for. What parses as an IP address becomes one, anything else a DNS name, wildcards
    /// included.
    public var alternativeNames: [String]
    /// Whether it is for TLS servers.
    public var isForServers: Bool
    /// Whether it is for TLS clients. For neither, the certificate says nothing about it.
    public var isForClients: Bool
    /// Whether it carries the evidence that is bound to its key.
    public var includesEvidence: Bool
    /// Whether it carries what the issuer knows of the application.
    public var includesAppInfo: Bool
    /// First second of its validity, Unix seconds; nil for upstream's default, 1 January 1975.
    public var notBefore: UInt64?
    /// Last second of its validity, Unix seconds; nil for 3650 days from now.
    public var notAfter: UInt64?

    /// A configuration; by default for nothing in particular, without evidence.
    public init(
        commonName: String, organization: String? = nil, alternativeNames: [String] = [], isForServers: Bool = false,
        isForClients: Bool = false, includesEvidence: Bool = false, includesAppInfo: Bool = false,
        notBefore: UInt64? = nil, notAfter: UInt64? = nil
    ) {
        self.commonName = commonName
        self.organization = organization
        self.alternativeNames = alternativeNames
        self.isForServers = isForServers
        self.isForClients = isForClients
        self.includesEvidence = includesEvidence
        self.includesAppInfo = includesAppInfo
        self.notBefore = notBefore
        self.notAfter = notAfter
    }

    /// The same configuration for an issuer whose certificates end sooner than the default of ten years.
    ///
    /// - Parameters:
    ///   - lifetime: how many seconds from now a certificate may hold.
    ///   - now: Unix seconds.
    /// - Throws: ``KeysError/Code/invalidCertificateContent`` if a later end is asked for.
    public func limited(to lifetime: UInt64, at now: Int64) throws(KeysError) -> CertificateConfiguration {
        let (sum, overflow) = UInt64(clamping: now).addingReportingOverflow(lifetime)
        let latest = overflow ? .max : sum
        guard notAfter ?? 0 <= latest else {
            throw KeysError(
                .invalidCertificateContent, subject: "not_after",
                reason: "\(lifetime) s from now at most, which is \(latest) in Unix seconds")
        }
        var limited = self
        limited.notAfter = notAfter ?? min(latest, UInt64(clamping: CertificateTemplate.end(now)))
        return limited
    }
}
