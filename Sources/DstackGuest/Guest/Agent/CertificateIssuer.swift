import DstackAttestation
import DstackCrypto
import DstackKeys
import DstackRPC
import DstackSystem

/// Has certificates issued: by the application's own CA, where the agent holds it, else by the KMS.
struct CertificateIssuer: Sendable {
    struct Issued: Sendable {
        /// PKCS#8, PEM; empty for a key of the caller's own.
        let key: RPCSecretText
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
        return Issued(key: RPCSecretText(), chain: try await local(order.configuration, callerKey))
    }

    /// A certificate for a key at hand.
    func issue(_ order: CertificateOrder, key: consuming TLSKey) async throws -> Issued {
        let pem = RPCSecretText(utf8: RPCSecret(key.withUnsafePEM { SecretBytes(copying: $0.bytes) }))
        guard let kms else {
            return Issued(key: pem, chain: try await local(order.configuration, key.key.publicKey))
        }
        let attested = try await AttestedKey(key) { try await attest($0) }
        let events = Self.byteCount(ofEventsIn: attested.attestation)
        let stripping = events > Self.manyEventBytes ? .upstream : EvidenceEncoding.standard.stripping
        let request = try Self.asked { () throws(KeysError) in
            try attested.signingRequest(order.configuration, stripping: stripping)
        }
        let chain = try await kms.chain(for: request)
        let certificates = try chain.flatMap { try CertificatePEM.decode(Array($0.utf8), subject: "the KMS's chain") }
        try checkSize(CertificateMessage.byteCount(certificates), events)
        return Issued(key: pem, chain: chain)
    }

    /// Beside more than these the digests and hashed bytes of events may make a chain larger than every TLS library takes.
    private static let manyEventBytes = 8 << 10

    private static func byteCount(ofEventsIn attestation: Attestation) -> Int {
        attestation.runtimeEvents.reduce(0) { $0 + $1.evidenceByteCount }
    }

    /// A certificate that nobody can be shown is refused here, where the reason is known: a handshake would only end.
    private func checkSize(_ byteCount: Int, _ events: Int) throws(RPCError) {
        guard byteCount > CertificateMessage.maximumBytes else { return }
        let legacy =
            settings.includesLegacyEvidence
            ? ", or without core.certificates.legacy_evidence, which has them twice" : ""
        throw RPCError(
            "a chain of \(byteCount) bytes, of which TLS libraries take \(CertificateMessage.maximumBytes): the measured events "
                + "have \(events) bytes in evidence, and stay until the next boot; a certificate without usage_ra_tls has no "
                + "evidence\(legacy)")
    }

    /// The application's own CA signs. Evidence is made only where the certificate is to have it.
    private func local(
        _ configuration: CertificateConfiguration, _ publicKey: P256.PublicKey
    ) async throws -> [String] {
        var claims = CertificateClaims()
        if configuration.includesAppInfo { claims.appInfo = try await appInfo() }
        guard configuration.includesEvidence else {
            return try issued(configuration, claims, publicKey).map { CertificatePEM.encode($0) }
        }
        let attestation = try await attest(ReportData(raTLSKey: publicKey.spki))
        var encoding = EvidenceEncoding(includesLegacyForm: settings.includesLegacyEvidence)
        claims.evidence = try encoding.extensions(for: attestation)
        var chain = try issued(configuration, claims, publicKey)
        if CertificateMessage.byteCount(chain) > CertificateMessage.widelyTakenBytes {
            // Digests and hashed bytes of events follow from names and payloads. Upstream's certificates are without them;
            // here they are left out where they are what makes the certificate too large.
            encoding.stripping = .upstream
            claims.evidence = try encoding.extensions(for: attestation)
            chain = try issued(configuration, claims, publicKey)
        }
        try checkSize(CertificateMessage.byteCount(chain), Self.byteCount(ofEventsIn: attestation))
        return chain.map { CertificatePEM.encode($0) }
    }

    private func issued(
        _ configuration: CertificateConfiguration, _ claims: CertificateClaims, _ publicKey: P256.PublicKey
    ) throws -> [[UInt8]] {
        let now = clock.unixSeconds
        return try Self.asked { () throws(KeysError) in
            let template = try CertificateTemplate.leaf(configuration, claims: claims, now: now)
            return try files.keys.provider.authority.issue(template, for: publicKey)
        }
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
