import DstackAttestation
import DstackSystem

/// Whether an application may have names, by the policy of the service.
struct NameJudge {
    let policy: IssuancePolicy
    private let own: [CertificateNamePattern]
    private let granted: [CertificateNamePattern]

    init(_ policy: IssuancePolicy, app: AppID, kmsDomain: String) {
        self.policy = policy
        own = kmsDomain.isEmpty ? [] : [CertificateNamePattern(ownName: kmsDomain)]
        granted = policy.namesByApp[app] ?? []
    }

    /// The common names of the CAs around here: an application's certificate must not look like one of theirs.
    private static let authorities: Set<String> = [
        "dstack kms ca", "dstack app ca", "dstack client temp ca", "app root cert",
    ]

    /// - Returns: the name as it is issued.
    /// - Throws: ``KMSServiceError/Code/invalidRequest`` for what is no name, or not this application's.
    func checked(_ text: String) throws(KMSServiceError) -> String {
        let plain = CertifiedName.plainSpelling(text)
        let name: CertifiedName
        do throws(CertifiedName.Malformed) {
            name = try CertifiedName(plain)
        } catch {
            throw refusal(text, error.reason)
        }
        try check(name, text)
        return plain
    }

    /// A common name is any text. Clients that find no alternative names take it for a host's name, though, so that what looks
    /// like one is judged as one.
    func checkCommonName(_ text: String) throws(KMSServiceError) {
        let bare = text.lowercased().trimming { $0 == " " || $0 == "." || $0 == "\u{A0}" }
        guard !Self.authorities.contains(bare) else {
            throw refusal(text, "it is the name of a certificate authority of this service")
        }
        guard let name = try? CertifiedName(bare) else {
            guard !text.unicodeScalars.contains("*") else {
                throw refusal(text, "an asterisk stands before a dot and a host's name, or nowhere")
            }
            return
        }
        guard case .host(let host) = name, !host.contains(".") else { return try check(name, text) }
        // One word is what most are; rules about who may have which names are not meant.
        try checkReserved(name, text)
    }

    private func check(_ name: CertifiedName, _ text: String) throws(KMSServiceError) {
        switch name {
        case .wildcard:
            guard policy.allowsWildcards else { throw refusal(text, "no certificates for wildcards are issued here") }
        case .address:
            guard policy.allowsAddresses else { throw refusal(text, "no certificates for addresses are issued here") }
        case .host: break
        }
        try checkReserved(name, text)
        guard (granted + policy.names).contains(where: { $0.contains(name) }) else {
            throw refusal(
                text, "it is not among the names that the application may have",
                hint: "the operator of the KMS allows names, for all applications or for one")
        }
    }

    private func checkReserved(_ name: CertifiedName, _ text: String) throws(KMSServiceError) {
        // A guest that looks for its KMS by the host name alone would take the application for it.
        if let found = own.first(where: { $0.overlaps(name) }) {
            throw refusal(text, "it stands for \(found), the name of the KMS itself")
        }
        guard let found = policy.reservedNames.first(where: { $0.overlaps(name) }) else { return }
        guard granted.contains(where: { $0.contains(name) }) else { throw refusal(text, "\(found) is reserved") }
    }

    private func refusal(_ text: String, _ reason: String, hint: String = "") -> KMSServiceError {
        KMSServiceError(.invalidRequest, "certificate name \"\(SafeText.line(text, limit: 80))\"", reason, hint: hint)
    }
}

extension String {
    fileprivate func trimming(_ isLeftOut: (Unicode.Scalar) -> Bool) -> String {
        let scalars = Array(unicodeScalars)
        guard let first = scalars.firstIndex(where: { !isLeftOut($0) }),
            let last = scalars.lastIndex(where: { !isLeftOut($0) })
        else { return "" }
        var text = ""
        text.unicodeScalars.append(contentsOf: scalars[first...last])
        return text
    }
}
