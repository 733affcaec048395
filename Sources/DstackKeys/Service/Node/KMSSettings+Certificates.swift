import DstackAttestation
import DstackHTTPClient
import DstackKeys

extension KMSSettings {
    /// What certificates are judged by. The names of other services of the same root go to no application, without being named a
    /// second time.
    ///
    /// - Throws: ``KMSServiceError/Code/invalidConfiguration``.
    var issuancePolicy: IssuancePolicy {
        get throws(KMSServiceError) {
            var policy = try certificates.policy
            for url in replicas.urls {
                guard let host = try? HTTPOrigin(of: url).host, let name = try? CertificateNamePattern(host) else {
                    continue
                }
                policy.reservedNames.append(name)
            }
            return policy
        }
    }
}

extension CertificateSettings {
    /// The same as what certificates are judged by.
    ///
    /// - Throws: ``KMSServiceError/Code/invalidConfiguration`` for a pattern that is none.
    var policy: IssuancePolicy {
        get throws(KMSServiceError) {
            var policy = IssuancePolicy()
            policy.profile = keysProfile
            policy.evidence = EvidenceEncoding(includesLegacyForm: includesLegacyEvidence)
            if let names { policy.names = try Self.patterns(names) }
            for application in applications {
                policy.namesByApp[AppID(application.id)] = try Self.patterns(application.names)
            }
            policy.reservedNames = try Self.patterns(reservedNames)
            policy.maximumNames = maximumNames ?? policy.maximumNames
            policy.allowsWildcards = allowsWildcards
            policy.allowsAddresses = allowsAddresses
            policy.allowsServers = allowsServers
            policy.allowsClients = allowsClients
            if let maximumLifetime { policy.maximumLifetime = UInt64(clamping: maximumLifetime.components.seconds) }
            policy.defaultLifetime = min(
                defaultLifetime.map { UInt64(clamping: $0.components.seconds) } ?? policy.defaultLifetime,
                policy.maximumLifetime)
            return policy
        }
    }

    private static func patterns(_ texts: [String]) throws(KMSServiceError) -> [CertificateNamePattern] {
        try texts.map { text throws(KMSServiceError) in try CertificateNamePattern(text) }
    }
}
