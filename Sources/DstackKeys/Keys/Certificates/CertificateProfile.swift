/// What issuers write into certificates beside what these are asked to have.
///
/// Both forms are for the same keys and names, and key identifiers are computed alike: certificates of one form are valid
/// under a CA's certificate of the other.
package enum CertificateProfile: String, Sendable, CaseIterable {
    /// Upstream's, byte for byte: begins in 1975, the serial number follows from the key, and only CAs have a key
    /// identifier. Verifiers that hold issuers to RFC 5280 (`openssl verify -x509_strict`) refuse it.
    case upstream
    /// As RFC 5280 asks of issuers: identifiers of the certificate's own key and of the issuer's (sections 4.2.1.1 and
    /// 4.2.1.2), a random serial number (4.1.2.2), no empty names (4.1.2.6), begins shortly before it is issued, ends no
    /// later than its issuer's.
    case identified

    /// Seconds by which a certificate begins before it is issued, for verifiers whose clocks are slow.
    package static let clockAllowance: Int64 = 3600

    /// When a certificate begins, unless something else is asked for.
    func start(_ now: Int64) -> Int64 {
        switch self {
        case .upstream: CertificateTemplate.defaultStart
        case .identified: max(0, now - min(now, Self.clockAllowance))
        }
    }
}
