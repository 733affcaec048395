import DstackAttestation
import DstackHTTPClient
import DstackKeys

extension KMSSettings {
    /// What certificates are judged by. The names of other services of the same root go to no application, without being named a
    /// second time.
    ///
    /// - Throws: ``KMSServiceError/Code/invalidConfiguration``.
    var certificateRules: CertificateRules {
        get throws(KMSServiceError) {
            var rules = try certificates.rules
            for url in replicas.urls {
                guard let host = try? HTTPOrigin(of: url).host, let name = try? CertificateNamePattern(host) else {
                    continue
                }
                rules.reservedNames.append(name)
            }
            return rules
        }
    }
}

extension CertificateSettings {
    /// The same as what certificates are judged by.
    ///
    /// - Throws: ``KMSServiceError/Code/invalidConfiguration`` for a pattern that is none.
    var rules: CertificateRules {
        get throws(KMSServiceError) {
            var rules = CertificateRules()
            rules.profile = keysProfile
            rules.evidence = EvidenceEncoding(includesLegacyForm: includesLegacyEvidence)
            if let names { rules.names = try Self.patterns(names) }
            for application in applications {
                rules.namesByApp[AppID(application.id)] = try Self.patterns(application.names)
            }
            rules.reservedNames = try Self.patterns(reservedNames)
            rules.maximumNames = maximumNames ?? rules.maximumNames
            rules.allowsWildcards = allowsWildcards
            rules.allowsAddresses = allowsAddresses
            rules.allowsServers = allowsServers
            rules.allowsClients = allowsClients
            if let maximumLifetime { rules.maximumLifetime = UInt64(clamping: maximumLifetime.components.seconds) }
            rules.defaultLifetime = min(
                defaultLifetime.map { UInt64(clamping: $0.components.seconds) } ?? rules.defaultLifetime,
                rules.maximumLifetime)
            return rules
        }
    }

    private static func patterns(_ texts: [String]) throws(KMSServiceError) -> [CertificateNamePattern] {
        try texts.map { text throws(KMSServiceError) in try CertificateNamePattern(text) }
    }
}
