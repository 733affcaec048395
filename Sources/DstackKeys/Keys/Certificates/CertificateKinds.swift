package import DstackAttestation

// Every kind of certificate that dstack's services issue. The names are part of the formats: clients look for some.

extension CertificateTemplate {
    /// The root CA of a KMS; signs itself.
    package static func kmsRoot(_ profile: CertificateProfile = .upstream, now: Int64) -> Self {
        authority("Dstack KMS CA", "Dstack", pathLength: 1, profile, now)
    }

    /// The CA for certificates by which guests introduce themselves to a KMS; signs itself. Its private key is given to
    /// anyone, so that it vouches for nothing: what is under it counts by its evidence.
    package static func temporaryClientCA(_ profile: CertificateProfile = .upstream, now: Int64) -> Self {
        authority("Dstack Client Temp CA", "Dstack", pathLength: 0, profile, now)
    }

    /// The CA of an application, under the root CA of a KMS.
    package static func appCA(_ app: AppID, _ profile: CertificateProfile = .upstream, now: Int64) -> Self {
        var template = authority("Dstack App CA", "Dstack", pathLength: 0, profile, now)
        template.appID = app
        template.usage = .appCA
        return template
    }

    /// The CA of an application without a KMS; signs itself, and has evidence that its key is the application's.
    package static func appRoot(
        _ profile: CertificateProfile = .upstream, evidence: [EvidenceExtension], now: Int64
    ) -> Self {
        var template = authority("App Root Cert", nil, pathLength: 1, profile, now)
        template.evidence = evidence
        return template
    }

    /// The RPC server of a KMS, under its root CA.
    package static func kmsServer(
        _ profile: CertificateProfile = .upstream, domain: String, evidence: [EvidenceExtension], now: Int64
    ) -> Self {
        var template = Self(profile, commonName: domain, now: now)
        template.alternativeNames = [domain]
        template.usage = .kmsRPC
        template.evidence = evidence
        return template
    }

    /// What a guest introduces itself with, under the temporary CA.
    package static func temporaryClient(
        _ profile: CertificateProfile = .upstream, evidence: [EvidenceExtension], now: Int64
    ) -> Self {
        var template = Self(profile, commonName: "RA-TLS TEMP Cert", now: now)
        template.evidence = evidence
        return template
    }

    /// A certificate that an application asked for.
    ///
    /// - Parameters:
    ///   - claims: what the issuer says of the application. Of these, the configuration chooses.
    /// - Throws: ``KeysError/Code/invalidCertificateContent`` for a time that does not fit, or where what is asked for is
    ///   not there.
    package static func leaf(
        _ configuration: CertificateConfiguration, _ profile: CertificateProfile = .upstream, claims: CertificateClaims,
        now: Int64
    ) throws(KeysError) -> Self {
        var template = Self(
            profile, commonName: configuration.commonName, organization: configuration.organization, now: now)
        template.alternativeNames = configuration.alternativeNames
        template.isForServers = configuration.isForServers
        template.isForClients = configuration.isForClients
        if let time = configuration.notBefore { template.notBefore = try seconds(time, "not_before") }
        if let time = configuration.notAfter { template.notAfter = try seconds(time, "not_after") }
        template.appID = claims.appID
        template.usage = .appCustom
        if configuration.includesAppInfo {
            guard let info = claims.appInfo else { throw missing("app info") }
            template.appInfo = info
        }
        if configuration.includesEvidence {
            guard !claims.evidence.isEmpty else { throw missing("evidence") }
            template.evidence = claims.evidence
        }
        return template
    }

    private static func authority(
        _ commonName: String, _ organization: String?, pathLength: UInt, _ profile: CertificateProfile, _ now: Int64
    ) -> Self {
        var template = Self(profile, commonName: commonName, organization: organization, now: now)
        template.pathLength = pathLength
        return template
    }

    private static func seconds(_ time: UInt64, _ name: String) throws(KeysError) -> Int64 {
        // 31 December 9999, 23:59:59 UTC: the last second that a certificate can name (RFC 5280 section 4.1.2.5.2).
        guard time <= 253_402_300_799 else {
            throw KeysError(
                .invalidCertificateContent, subject: name, reason: "\(time) is after the year 9999; give Unix seconds")
        }
        return Int64(time)
    }

    private static func missing(_ what: String) -> KeysError {
        KeysError(
            .invalidCertificateContent, subject: what, reason: "the certificate is to have it, and the issuer has none")
    }
}

/// What an issuer can say of the application for which it issues a certificate.
package struct CertificateClaims: Sendable {
    /// The application; only a KMS says it.
    package var appID: AppID?
    package var appInfo: AppInfo?
    package var evidence: [CertificateTemplate.EvidenceExtension]

    package init(
        appID: AppID? = nil, appInfo: AppInfo? = nil, evidence: [CertificateTemplate.EvidenceExtension] = []
    ) {
        self.appID = appID
        self.appInfo = appInfo
        self.evidence = evidence
    }
}
