package import DstackAttestation
package import DstackKeys
import DstackSystem

/// Which certificates applications get: subject, names, uses, validity.
///
/// As they are they refuse what nobody should have and leave the rest to applications, as upstream's clients need it: a name
/// alone proves nothing under this CA, since any application may have any name. Whoever relies on names says here whose
/// they are.
package struct IssuancePolicy: Sendable, Equatable {
    /// The form of all certificates that are issued.
    package var profile: CertificateProfile = .upstream
    /// How evidence is put into certificates that are to have it.
    package var evidence: EvidenceEncoding = .standard
    /// Names that all applications may have.
    package var names: [CertificateNamePattern] = [.any]
    /// Names that some may have beside these. Of reserved names only these: what is another's to all others is theirs.
    package var namesByApp: [AppID: [CertificateNamePattern]] = [:]
    /// Names that nobody may have for whom they do not stand in ``namesByApp``: of other services of the same root, first of
    /// all. Those of this service itself are nobody's.
    package var reservedNames: [CertificateNamePattern] = []
    /// How many names one certificate may have.
    package var maximumNames = 100
    package var allowsWildcards = true
    package var allowsAddresses = true
    /// Whether certificates may be for TLS servers, and for clients.
    package var allowsServers = true
    package var allowsClients = true
    /// How many seconds a certificate holds for which nothing else is asked. Upstream's clients do not come back for another
    /// one, so that a shorter time ends what they do with it.
    package var defaultLifetime: UInt64 = 3650 * 86_400
    /// How many seconds it holds at most.
    package var maximumLifetime: UInt64 = 3650 * 86_400

    package init() {}

    /// What a requester gets of what it asks for.
    ///
    /// - Parameters:
    ///   - wanted: its request.
    ///   - caller: the requester.
    ///   - kmsDomain: the host name of this service; empty for one without.
    ///   - now: Unix seconds.
    ///   - end: the last second of the CA's validity.
    /// - Returns: the same, its end set, names in the spelling that clients compare.
    /// - Throws: ``KMSServiceError/Code/invalidRequest`` saying which part is refused, and why.
    package func check(
        _ wanted: CertificateConfiguration, for caller: AdmittedCaller, kmsDomain: String, at now: Int64,
        until end: Int64 = .max
    ) throws(KMSServiceError) -> CertificateConfiguration {
        try checkUses(wanted)
        let names = NameJudge(self, app: caller.appID, kmsDomain: kmsDomain)
        if let organization = wanted.organization { try checkText(organization, "organization") }
        try checkText(wanted.commonName, "subject")
        try names.checkCommonName(wanted.commonName)
        guard wanted.alternativeNames.count <= maximumNames else {
            throw KMSServiceError(
                .invalidRequest, "subject_alt_names",
                "\(wanted.alternativeNames.count) names, at most \(maximumNames) are issued")
        }
        var issued = wanted
        issued.alternativeNames = []
        for name in wanted.alternativeNames { issued.alternativeNames.append(try names.checked(name)) }
        issued.notAfter = try validityEnd(wanted, now, end)
        if profile == .identified, wanted.commonName.isEmpty, wanted.organization?.isEmpty ?? true,
            wanted.alternativeNames.isEmpty
        {
            // A certificate of this form names somebody; upstream's clients often name nobody.
            issued.commonName = caller.appID.bytes.hex
        }
        return issued
    }

    // MARK: Uses

    private func checkUses(_ wanted: CertificateConfiguration) throws(KMSServiceError) {
        // A certificate that says nothing about its use is good for every use.
        let isForAnything = !wanted.isForServers && !wanted.isForClients
        if !allowsServers, wanted.isForServers || isForAnything { throw Self.use("servers", "usage_client_auth") }
        if !allowsClients, wanted.isForClients || isForAnything { throw Self.use("clients", "usage_server_auth") }
    }

    private static func use(_ refused: String, _ allowed: String) -> KMSServiceError {
        KMSServiceError(
            .invalidRequest, "usages", "no certificates for TLS \(refused) are issued here",
            hint: "ask for \(allowed) alone")
    }

    // MARK: Validity

    private func validityEnd(
        _ wanted: CertificateConfiguration, _ now: Int64, _ authorityEnd: Int64
    ) throws(KMSServiceError) -> UInt64 {
        guard authorityEnd > now else {
            throw KMSServiceError(
                .internalFault, "root CA", "its certificate has ended", hint: "start the service again, which renews it"
            )
        }
        let present = UInt64(clamping: now)
        let latest = Self.sum(present, maximumLifetime)
        let end: UInt64
        if let asked = wanted.notAfter {
            guard asked > present else {
                throw KMSServiceError(.invalidRequest, "not_after", "\(asked) is past; give Unix seconds")
            }
            // Guests compute it by their own clocks.
            guard asked <= Self.sum(latest, UInt64(CertificateProfile.clockAllowance)) else {
                throw KMSServiceError(
                    .invalidRequest, "not_after",
                    "\(maximumLifetime) s from now at most, which is \(latest) in Unix seconds")
            }
            end = min(asked, latest)
        } else {
            end = min(Self.sum(present, defaultLifetime), latest)
        }
        // What holds longer than its CA only seems to.
        let limited = min(end, UInt64(authorityEnd))
        guard wanted.notBefore ?? 0 < limited else {
            throw KMSServiceError(
                .invalidRequest, "not_before",
                "it must be earlier than the certificate's end, \(limited) in Unix seconds")
        }
        return limited
    }

    private static func sum(_ left: UInt64, _ right: UInt64) -> UInt64 {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? .max : sum
    }

    // MARK: Texts

    /// The upper bounds of RFC 5280 (appendix A.1) in the form that follows it. Upstream has none, and its clients put host
    /// names here.
    private var maximumTextLength: Int { profile == .identified ? 64 : 253 }

    private func checkText(_ text: String, _ what: String) throws(KMSServiceError) {
        guard text.unicodeScalars.count <= maximumTextLength else {
            throw KMSServiceError(
                .invalidRequest, what,
                "\(text.unicodeScalars.count) characters, at most \(maximumTextLength) are issued",
                hint: "long host names are alternative names")
        }
        // What cannot be seen makes one text look like another, or end where a client reads C strings.
        guard text.unicodeScalars.allSatisfy(\.isVisible) else {
            throw KMSServiceError(
                .invalidRequest, "\(what) \(SafeText.line(text, limit: 80))",
                "it has characters that cannot be seen; visible ones and spaces are allowed")
        }
    }
}

extension Unicode.Scalar {
    fileprivate var isVisible: Bool {
        switch properties.generalCategory {
        case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
        default: true
        }
    }
}
