package import DstackAttestation
package import DstackCrypto
import DstackEncoding

/// A certificate as it will be encoded, whoever signs it: byte for byte like upstream's.
///
/// Serial number and key identifier follow from the key, so that a certificate that is issued again for the same key has
/// the same ones. Verifiers that keep certificates by issuer and serial number must expect that.
package struct CertificateTemplate: Sendable {
    package var organization: String?
    package var commonName: String
    package var alternativeNames: [String] = []
    /// How many CAs may follow below; nil for a certificate that is no CA's.
    package var pathLength: UInt?
    package var isForServers = false
    package var isForClients = false
    /// Unix seconds.
    package var notBefore: Int64 = Self.defaultStart
    /// Unix seconds.
    package var notAfter: Int64
    package var appID: AppID?
    package var appInfo: AppInfo?
    package var usage: RATLSUsage?
    /// Extensions with evidence, in order.
    package var evidence: [EvidenceExtension] = []

    package init(commonName: String, organization: String? = nil, notAfter: Int64) {
        self.commonName = commonName
        self.organization = organization
        self.notAfter = notAfter
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
        organization.map { X509.Name(.organization($0), .commonName(commonName)) } ?? X509.Name(.commonName(commonName))
    }

    /// The certificate for a key, ready to be signed.
    ///
    /// - Parameters:
    ///   - publicKey: whose certificate it is.
    ///   - issuer: the subject of the issuer's certificate; nil for one that signs itself.
    /// - Throws: ``KeysError/Code/invalidCertificateContent`` for names, times or information that no certificate can
    ///   have.
    package func builder(for publicKey: P256.PublicKey, issuer: X509.Name?) throws(KeysError) -> CertificateBuilder {
        guard notBefore < notAfter else {
            throw KeysError(
                .invalidCertificateContent, subject: "validity", reason: "not_before must be earlier than not_after")
        }
        return CertificateBuilder(
            subject: subject, issuer: issuer, publicKey: publicKey.spki, notBefore: .seconds(notBefore),
            notAfter: .seconds(notAfter), serialNumber: Self.serialNumber(of: publicKey),
            extensions: try extensions(for: publicKey))
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

    private func extensions(for publicKey: P256.PublicKey) throws(KeysError) -> [X509.Extension] {
        var extensions: [X509.Extension] = []
        if !alternativeNames.isEmpty {
            var names: [X509.GeneralName] = []
            for name in alternativeNames { names.append(try AlternativeName.parse(name)) }
            extensions.append(.subjectAltName(names))
        }
        // Two octets where DER asks for the shortest form (X.690 section 11.2.2): what upstream's library writes.
        let isAuthority = pathLength != nil
        extensions.append(.keyUsage(bits: [isAuthority ? 0x86 : 0x80, 0], unusedBits: 7))
        let purposes: [ObjectIdentifier] = (isForServers ? [.serverAuth] : []) + (isForClients ? [.clientAuth] : [])
        if !purposes.isEmpty { extensions.append(.extendedKeyUsage(purposes)) }
        if let pathLength {
            extensions.append(.subjectKeyIdentifier(Self.keyIdentifier(of: publicKey)))
            extensions.append(.basicConstraints(isAuthority: true, pathLength: pathLength))
        }
        if let appID { extensions.append(.raTLS(.appID, appID.bytes.bytes)) }
        if let appInfo { extensions.append(.raTLS(.appInfo, appInfo.messagePack)) }
        if let usage { extensions.append(.raTLS(.usage, Array(usage.rawValue.utf8))) }
        return extensions + evidence.map { .raTLS($0.kind, $0.content) }
    }
}

/// What upstream's certificates say that they are for.
package enum RATLSUsage: String, Sendable {
    case kmsRPC = "kms:rpc"
    case appCA = "app:ca"
    case appCustom = "app:custom"
}

extension X509.Extension {
    /// One of dstack's extensions.
    static func raTLS(_ kind: RATLSExtension, _ content: [UInt8]) -> Self {
        Self(kind.identifier, value: RATLSExtension.value(for: content))
    }
}
