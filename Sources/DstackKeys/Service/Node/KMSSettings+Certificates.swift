import DstackHTTPClient

extension KMSSettings {
    /// What certificates are judged by. The names of other services of the same root go to no application, without being named a
    /// second time.
    var issuancePolicy: IssuancePolicy {
        var policy = certificates
        for url in replicas.urls {
            guard let host = try? HTTPOrigin(of: url).host, let name = try? CertificateNamePattern(host) else {
                continue
            }
            policy.reservedNames.append(name)
        }
        return policy
    }
}
