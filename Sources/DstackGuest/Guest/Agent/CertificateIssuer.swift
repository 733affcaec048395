import DstackAttestation
import DstackCrypto
import DstackKeys
import DstackRPC
import DstackSystem

/// Has certificates issued: by the application's own CA, where the agent holds it, else by the KMS.
struct CertificateIssuer: Sendable {
    struct Issued: Sendable {
        /// PKCS#8, PEM; empty for a key of the caller's own.
        let key: String
        /// PEM, leaf first, root last.
        let chain: [String]
    }

    let files: GuestFiles
    let settings: GuestSettings.Certificates
    let clock: any WallClock
    let kms: KMSCertificates?
    /// Evidence with report data that this type chose: it is always over a key.
    let attest: @Sendable (ReportData) async throws -> Attestation
    /// What certificates say of the instance.
    let appInfo: @Sendable () async throws -> AppInfo

    /// A certificate for a new key.
    func issue(_ order: CertificateOrder) async throws -> Issued {
        guard let callerKey = order.callerKey else { return try await issue(order, key: TLSKey()) }
        guard kms == nil else {
            throw RPCError(
                "the KMS issues certificates only for keys that the agent makes; leave out csr and public_key")
        }
        return Issued(key: "", chain: try await local(order.configuration, callerKey))
    }

    /// A certificate for a key at hand.
    func issue(_ order: CertificateOrder, key: consuming TLSKey) async throws -> Issued {
        let pem = key.withUnsafePEM { String(decoding: $0, as: UTF8.self) }
        guard let kms else {
            return Issued(key: pem, chain: try await local(order.configuration, key.key.publicKey))
        }
        let attested = try await AttestedKey(key) { try await attest($0) }
        let request = try Self.asked { () throws(KeysError) in try attested.signingRequest(order.configuration) }
        return Issued(key: pem, chain: try await kms.chain(for: request))
    }

    /// The application's own CA signs. Evidence is made only where the certificate is to have it.
    private func local(
        _ configuration: CertificateConfiguration, _ publicKey: P256.PublicKey
    ) async throws -> [String] {
        let encoding = EvidenceEncoding(includesLegacyForm: settings.includesLegacyEvidence)
        var claims = CertificateClaims()
        if configuration.includesEvidence {
            let attestation = try await attest(ReportData(raTLSKey: publicKey.spki))
            claims.evidence = try encoding.extensions(for: attestation)
        }
        if configuration.includesAppInfo { claims.appInfo = try await appInfo() }
        let now = clock.unixSeconds
        return try Self.asked { () throws(KeysError) in
            let template = try CertificateTemplate.leaf(configuration, claims: claims, now: now)
            return try files.keys.provider.authority.issue(template, for: publicKey)
        }.map { CertificatePEM.encode($0) }
    }

    /// What a certificate cannot have, the caller asked for.
    private static func asked<Value: ~Copyable>(_ body: () throws(KeysError) -> Value) throws -> Value {
        do {
            return try body()
        } catch {
            let isCallers = error.code == .invalidCertificateContent || error.code == .invalidRequest
            throw RPCError("\(error)", status: isCallers ? 400 : 500)
        }
    }
}
