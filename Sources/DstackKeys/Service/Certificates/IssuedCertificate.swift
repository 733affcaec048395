import DstackAttestation
import DstackCrypto
import DstackEncoding
package import DstackKMS
package import DstackKeys

/// A certificate that an application asked for, with those above it.
package struct IssuedCertificate: Sendable {
    /// It, the application's CA, the root CA; DER.
    package let chain: [[UInt8]]
    /// As the audit log has it.
    package let audit: AuditCertificate

    /// The chain as it is answered, each certificate a text of its own.
    package var pem: [String] { chain.map { CertificatePEM.encode($0) } }
}

extension IssuancePolicy {
    /// The largest certificate that is issued. Most of one is evidence, and TLS libraries take less than this.
    static let maximumByteCount = 256 << 10

    /// Issues what a requester may have of what it asks for.
    ///
    /// - Parameters:
    ///   - request: the holder of its key made it.
    ///   - caller: who that is, by the evidence in this very request.
    ///   - roots: the service's root keys.
    ///   - epoch: of the application's CA.
    ///   - root: the root CA.
    ///   - kmsDomain: the host name of this service; empty for one without.
    ///   - now: Unix seconds.
    /// - Throws: ``KMSServiceError/Code/invalidRequest`` for what nobody or not this application gets;
    ///   ``KMSServiceError/Code/notAttested`` where the evidence is about another key.
    package func issue(
        _ request: VerifiedSigningRequest, for caller: AdmittedCaller, from roots: borrowing KMSRootKeys,
        epoch: KeyEpoch,
        under root: borrowing CertificateAuthority, kmsDomain: String, at now: Int64
    ) throws(KMSServiceError) -> IssuedCertificate {
        let configuration = try check(
            request.request.configuration, for: caller, kmsDomain: kmsDomain, at: now, until: root.notAfter)
        guard root.publicKey == roots.caPublicKey, caller.appInfo.appID == caller.appID else {
            throw KMSServiceError(.internalFault, "certificate", "what it is to be made of does not belong together")
        }
        var claims = CertificateClaims(appID: caller.appID, appInfo: caller.appInfo)
        let chain: [[UInt8]]
        let leaf: Certificate
        do throws(KeysError) {
            // Also where the certificate has no evidence: the caller is who the evidence about this key says.
            let attestation = try request.attestation()
            if configuration.includesEvidence { claims.evidence = try evidence.extensions(for: attestation) }
            let authority = try roots.certificateAuthority(
                for: caller.appID, epoch: epoch, profile, under: root, at: now)
            let template = try CertificateTemplate.leaf(configuration, profile, claims: claims, now: now)
            chain = try authority.issue(template, for: request.publicKey)
            leaf = try KeysError.reading(chain)
        } catch {
            switch error.code {
            case .invalidCertificateContent, .invalidRequest: throw KMSServiceError(error, .invalidRequest)
            case .notAuthentic: throw KMSServiceError(error, .notAttested)
            default: throw KMSServiceError(error)
            }
        }
        guard leaf.der.count <= Self.maximumByteCount else {
            throw KMSServiceError(
                .invalidRequest, "certificate",
                "it would have \(leaf.der.count) bytes, at most \(Self.maximumByteCount) are issued",
                hint: "most of it is evidence; ask for a certificate without, or measure less")
        }
        return IssuedCertificate(
            chain: chain,
            audit: AuditCertificate(
                app: caller.appID, serial: leaf.serialNumber, commonName: configuration.commonName,
                alternativeNames: configuration.alternativeNames, fingerprint: leaf.fingerprint, notAfter: leaf.notAfter
            ))
    }
}

extension KeysError {
    fileprivate static func reading(_ chain: [[UInt8]]) throws(KeysError) -> Certificate {
        do throws(DecodingFailure) {
            return try Certificate(der: chain.first ?? [])
        } catch {
            throw KeysError(.invalidCertificate, error)
        }
    }
}
