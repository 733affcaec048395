package import DstackAttestation
import DstackConcurrency
package import DstackCrypto
package import DstackEncoding
package import DstackKMS
package import DstackKeys
package import DstackRPC
package import DstackSystem

/// How a service without root keys comes to some: it makes them, or takes them from another service.
///
/// ```swift
/// let onboarding = Onboarding(files, evidence: OwnEvidence(of: agent), authorizeSelf: selfCheck.check, source: source)
/// let result = try await onboarding.bootstrap(domain: "kms.example")
/// ```
///
/// One attempt at a time. Whatever happens to it, there is a whole set of keys afterwards or none, so that it can be made again
/// (``RootKeyFiles``); keys that are there are never replaced.
package struct Onboarding: Sendable {
    /// Where keys can be taken from.
    package struct Source: Sendable {
        /// Accepts the evidence of a service's certificate in the handshake: that it is genuine and current. Whether that very
        /// service may give keys is ``authorize``'s to say. Made with `demands: .consistent`.
        package let verifier: AttestedPeerVerifier
        /// Decides about the source, outside of the handshake; throws its reason. Nothing is asked for before.
        package let authorize: @Sendable (AttestedPeer) async throws -> AuditSubject

        package init(
            verifier: AttestedPeerVerifier, authorize: @escaping @Sendable (AttestedPeer) async throws -> AuditSubject
        ) {
            self.verifier = verifier
            self.authorize = authorize
        }
    }

    package let files: RootKeyFiles
    let evidence: OwnEvidence
    /// Throws the reason why this service must not have keys; nil where nobody is asked, in development.
    let authorizeSelf: (@Sendable () async throws -> Void)?
    let attestsRPCCertificate: Bool
    let profile: CertificateProfile
    let requiresSealedRootKeys: Bool
    let source: Source?
    let openEpochs: (@Sendable (Epochs.Beginning) async throws -> Epochs)?
    let clock: any WallClock
    let random: any RandomBytes
    private let turns = Gate(permits: 1)

    /// - Parameters:
    ///   - files: where the keys are to be.
    ///   - evidence: of this machine.
    ///   - authorizeSelf: the self check.
    ///   - attestsRPCCertificate: `core.attest_rpc_cert`.
    ///   - profile: of the certificates.
    ///   - requiresSealedRootKeys: `core.require_sealed_root_keys`: whether keys are taken from no service that does not encrypt
    ///     them. Those that epochs are shared with must in any case.
    ///   - source: how another service is judged; nil to take keys from none.
    ///   - openEpochs: opens this service's epochs anew (``Epochs/open(_:_:anew:audit:random:send:)``), before keys come: what an
    ///     attempt has left that came to nothing must not become part of the next. Nil for a service without epochs.
    package init(
        _ files: RootKeyFiles, evidence: OwnEvidence, authorizeSelf: (@Sendable () async throws -> Void)?,
        attestsRPCCertificate: Bool = true, profile: CertificateProfile = .upstream,
        requiresSealedRootKeys: Bool = false, source: Source? = nil,
        openEpochs: (@Sendable (Epochs.Beginning) async throws -> Epochs)? = nil, clock: any WallClock = .system,
        random: any RandomBytes = SystemRandom()
    ) {
        self.files = files
        self.evidence = evidence
        self.authorizeSelf = authorizeSelf
        self.attestsRPCCertificate = attestsRPCCertificate
        self.profile = profile
        self.requiresSealedRootKeys = requiresSealedRootKeys
        self.source = source
        self.openEpochs = openEpochs
        self.clock = clock
        self.random = random
    }

    /// Runs one attempt, when none is under way any more.
    ///
    /// - Parameter refusal: upstream's words where there are keys already.
    func attempt<Value: Sendable>(
        refusal: String, _ body: () async throws(KMSServiceError) -> Value
    ) async throws(KMSServiceError) -> Value {
        guard await turns.enter() == .admitted else {
            throw KMSServiceError(.unavailable, "onboarding", "the request was given up before its turn came")
        }
        defer { turns.leave() }
        try requireNoKeys(refusal)
        return try await body()
    }

    private func requireNoKeys(_ refusal: String) throws(KMSServiceError) {
        do throws(KMSStateError) {
            guard try files.state() == .complete else { return }
        } catch {
            throw KMSServiceError(error)
        }
        throw Self.keysExist(refusal)
    }

    private static func keysExist(_ refusal: String) -> KMSServiceError {
        KMSServiceError(.wrongState, refusal, "there are root keys, and they are never replaced")
    }

    /// The name in upstream's words where it is none.
    static func domain(_ name: String) throws(KMSServiceError) -> KMSDomainName {
        do throws(KMSStateError) {
            return try KMSDomainName(name)
        } catch {
            throw KMSServiceError(.invalidRequest, error.reason, "found \(SafeText.quoted(name, limit: 80))")
        }
    }

    /// Nil for a service without epochs.
    func epochs(_ beginning: Epochs.Beginning) async throws(KMSServiceError) -> Epochs? {
        do {
            return try await openEpochs?(beginning)
        } catch let error as KMSStateError {
            throw KMSServiceError(error)
        } catch {
            throw KMSServiceError(.internalFault, "epochs", "\(error)")
        }
    }

    /// Makes the certificates, and stores everything in one step.
    func store(
        _ material: consuming RootKeyMaterial, _ domain: KMSDomainName, refusal: String,
        bootstrapInfo: (borrowing KMSRootKeys) async throws(KMSServiceError) -> KMSRPC.BootstrapResponse?
    ) async throws(KMSServiceError) -> KMSRPC.BootstrapResponse? {
        let extensions =
            attestsRPCCertificate ? try await evidence.certificateExtensions(for: material.rpcKey.publicKey) : []
        let info = try await bootstrapInfo(material.roots)
        do throws(KMSStateError) {
            let certificates = try material.certificates(
                domain: domain, evidence: extensions, profile, at: clock.unixSeconds)
            try files.create(
                material, certificates: certificates, domain: domain, bootstrapInfo: info.map { $0.json })
        } catch {
            // Another process was faster.
            throw error.code == .keysExist ? Self.keysExist(refusal) : KMSServiceError(error)
        }
        return info
    }
}

/// How a service came to its keys.
package enum OnboardingResult: Sendable {
    /// New ones.
    case bootstrapped(KMSRPC.BootstrapResponse, KMSDomainName)
    /// Another service's.
    case onboarded(from: AuditSubject, url: String, publicKey: FixedBytes<33>, KMSDomainName)

    /// For the audit log, which begins when there are keys.
    package var auditEvent: AuditEvent {
        switch self {
        case .bootstrapped(let answer, let domain):
            .bootstrapped(
                caPublicKey: answer.caPublicKey, publicKey: FixedBytes(answer.k256PublicKey) ?? FixedBytes(),
                domain: domain.name)
        case .onboarded(let source, let url, let publicKey, _):
            .onboarded(from: source, url: url, publicKey: publicKey)
        }
    }
}
