package import DstackAttestation
package import DstackCrypto
import DstackEncoding

/// A certificate as it will be encoded, whoever signs it.
///
/// In upstream's form the serial number follows from the key, so that a certificate that is issued again for the same key
/// has the same one. Verifiers that keep certificates by issuer and serial number must expect that.
package struct CertificateTemplate: Sendable {
    package let profile: CertificateProfile
    package var organization: String?
    package var commonName: String
    package var alternativeNames: [String] = []
    /// How many CAs may follow below; nil for a certificate that is no CA's.
    package var pathLength: UInt?
    package var isForServers = false
    package var isForClients = false
    /// Unix seconds.
    package var notBefore: Int64
    /// Unix seconds.
    package var notAfter: Int64
    package var appID: AppID?
    package var appInfo: AppInfo?
    package var usage: RATLSUsage?
    /// Extensions with evidence, in order.
    package var evidence: [EvidenceExtension] = []

    package init(_ profile: CertificateProfile, commonName: String, organization: String? = nil, now: Int64) {
        self.profile = profile
        self.commonName = commonName
        self.organization = organization
        notBefore = profile.start(now)
        notAfter = Self.end(now)
    }

    /// The issuer as certificates name it.
    package struct Issuer: Sendable {
        package let name: X509.Name
        package let keyIdentifier: [UInt8]

        package init(name: X509.Name, keyIdentifier: [UInt8]) {
            self.name = name
            self.keyIdentifier = keyIdentifier
        }
    }

    /// One extension with evidence, whose content is not looked at here.
    package struct EvidenceExtension: Sendable, Hashable {
        package let kind: RATLSExtension
        package let content: [UInt8]

        package init(_ kind: RATLSExtension, _ content: [UInt8]) {
            self.kind = kind
            self.content = content
        }
    }

    /// 1 January 1975, 00:00:00 UTC: where upstream's certificates begin.
    package static let defaultStart: Int64 = 157_766_400
    /// 3650 days in seconds: how long upstream's certificates hold, and more than any key should be used.
    package static let defaultLifetime: Int64 = 3650 * 86_400

    /// `now` and a lifetime, without overflow.
    package static func end(_ now: Int64, lifetime: Int64 = defaultLifetime) -> Int64 {
        let (end, overflow) = now.addingReportingOverflow(lifetime)
        return overflow ? .max : end
    }

    package var subject: X509.Name {
        var attributes: [X509.Name.Attribute] = []
        // Upstream writes an empty common name, where RFC 5280 has none that is empty.
        let keepsEmpty = profile == .upstream
        if let organization, keepsEmpty || !organization.isEmpty { attributes.append(.organization(organization)) }
        if keepsEmpty || !commonName.isEmpty { attributes.append(.commonName(commonName)) }
        return X509.Name(relativeNames: attributes.map { [$0] })
    }

    /// The certificate for a key, ready to be signed.
    ///
    /// - Parameters:
    ///   - publicKey: whose certificate it is.
    ///   - issuer: who signs it; nil for one that signs itself.
    /// - Throws: ``KeysError/Code/invalidCertificateContent`` for names, times or information that no certificate can
    ///   have.
    package func builder(for publicKey: P256.PublicKey, issuer: Issuer?) throws(KeysError) -> CertificateBuilder {
        guard notBefore < notAfter else {
            throw KeysError(
                .invalidCertificateContent, subject: "validity", reason: "not_before must be earlier than not_after")
        }
        return CertificateBuilder(
            subject: subject, issuer: issuer?.name, publicKey: publicKey.spki, notBefore: .seconds(notBefore),
            notAfter: .seconds(notAfter), serialNumber: profile == .upstream ? Self.serialNumber(of: publicKey) : nil,
            extensions: try extensions(for: publicKey, issuer))
    }

    /// 20 bytes of which the top bit is clear, from the key alone.
    package static func serialNumber(of publicKey: P256.PublicKey) -> [UInt8] {
        var serial = [UInt8](SHA256.hash(publicKey.uncompressed).bytes.prefix(20))
        serial[0] &= 0x7F
        return serial
    }

    /// The beginning of the key's hash.
    package static func keyIdentifier(of publicKey: P256.PublicKey) -> [UInt8] {
        [UInt8](SHA256.hash(publicKey.spki).bytes.prefix(20))
    }

    private func extensions(
        for publicKey: P256.PublicKey, _ issuer: Issuer?
    ) throws(KeysError) -> [X509.Extension] {
        var extensions: [X509.Extension] = []
        if let names = try alternativeNamesExtension() { extensions.append(names) }
        extensions.append(keyUsage)
        let purposes: [ObjectIdentifier] = (isForServers ? [.serverAuth] : []) + (isForClients ? [.clientAuth] : [])
        if !purposes.isEmpty { extensions.append(.extendedKeyUsage(purposes)) }
        if pathLength != nil || profile == .identified {
            extensions.append(.subjectKeyIdentifier(Self.keyIdentifier(of: publicKey)))
        }
        if profile == .identified {
            // By the key alone: an issuer's certificate that is made anew has another serial number.
            extensions.append(
                .authorityKeyIdentifier(issuer?.keyIdentifier ?? Self.keyIdentifier(of: publicKey)))
        }
        if let pathLength { extensions.append(.basicConstraints(isAuthority: true, pathLength: pathLength)) }
        if let appID { extensions.append(.raTLS(.appID, appID.bytes.bytes)) }
        if let appInfo { extensions.append(.raTLS(.appInfo, appInfo.messagePack)) }
        if let usage { extensions.append(.raTLS(.usage, Array(usage.rawValue.utf8))) }
        return extensions + evidence.map { .raTLS($0.kind, $0.content) }
    }

    /// Critical where the subject says nothing (RFC 5280 section 4.2.1.6).
    private func alternativeNamesExtension() throws(KeysError) -> X509.Extension? {
        let isOnlyName = subject == .empty
        guard !alternativeNames.isEmpty else {
            guard !isOnlyName else {
                throw KeysError(
                    .invalidCertificateContent, subject: "subject",
                    reason: "a certificate of this form has a subject or an alternative name")
            }
            return nil
        }
        var names: [X509.GeneralName] = []
        for name in alternativeNames { names.append(try AlternativeName.parse(name)) }
        return .subjectAltName(names).marked(critical: isOnlyName)
    }

    private var keyUsage: X509.Extension {
        let isAuthority = pathLength != nil
        return switch profile {
        // Two octets where DER asks for the shortest form (X.690 section 11.2.2): what upstream's library writes.
        case .upstream: .keyUsage(bits: [isAuthority ? 0x86 : 0x80, 0], unusedBits: 7)
        case .identified: .keyUsage(isAuthority ? [.digitalSignature, .keyCertSign, .cRLSign] : [.digitalSignature])
        }
    }
}

/// What certificates say that they are for.
package enum RATLSUsage: String, Sendable {
    case kmsRPC = "kms:rpc"
    /// A KMS as another one's client; upstream has no such thing.
    case kmsReplica = "kms:replica"
    case appCA = "app:ca"
    case appCustom = "app:custom"
}

extension X509.Extension {
    /// One of dstack's extensions.
    static func raTLS(_ kind: RATLSExtension, _ content: [UInt8]) -> Self {
        Self(kind.identifier, value: RATLSExtension.value(for: content))
    }
}
