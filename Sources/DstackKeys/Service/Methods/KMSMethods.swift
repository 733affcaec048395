package import DstackAttestation
import DstackAuthorization
import DstackConcurrency
import DstackCrypto
import DstackEncoding
import DstackHTTPServer
package import DstackKMS
import DstackKeys
import DstackRPC
package import DstackRPCServer
package import DstackSystem

/// What a KMS answers: who asks, whether they may, and only then keys.
///
/// The order is the same in every method that gives something out: this service itself is still allowed to run; the caller's
/// evidence was accepted as being about the key of this connection, or of this request; whoever decides says yes; the image is
/// what it claims; an epoch is found that may be given; the audit log has it on the disk. Only then is a key derived.
package struct KMSMethods: Sendable {
    /// What methods rest on.
    package struct Parts: Sendable {
        package let keys: ServiceKeys
        package let epochs: Epochs
        package let audit: AuditLog
        package let judge: BootJudge
        package let selfAuthorization: SelfAuthorization
        /// Of evidence in requests.
        package let verifier: AttestedPeerVerifier
        package let certificates: IssuancePolicy
        package let metrics: KMSMetrics
        package let isDevelopment: Bool
        /// Whether other services only get root keys that are encrypted to their attested keys.
        package let requiresSealedRootKeys: Bool
        package let clock: any WallClock

        package init(
            keys: ServiceKeys, epochs: Epochs, audit: AuditLog, judge: BootJudge, selfAuthorization: SelfAuthorization,
            verifier: AttestedPeerVerifier, certificates: IssuancePolicy, metrics: KMSMetrics, isDevelopment: Bool,
            requiresSealedRootKeys: Bool = false, clock: any WallClock = .system
        ) {
            self.keys = keys
            self.epochs = epochs
            self.audit = audit
            self.judge = judge
            self.selfAuthorization = selfAuthorization
            self.verifier = verifier
            self.certificates = certificates
            self.metrics = metrics
            self.isDevelopment = isDevelopment
            self.requiresSealedRootKeys = requiresSealedRootKeys
            self.clock = clock
        }
    }

    let parts: Parts
    let refusals = RefusalLimit()
    /// What whoever decides says of itself, for GetMeta, which many ask to see whether the service lives.
    let authorizer = RecentValue<Result<AuthorizerInfo, AuthorizationError>>(maximumAge: .seconds(10))
    let log = LimitedLog(Log("kms"))

    package init(_ parts: Parts) { self.parts = parts }

    // How long a request may take is the listener's limit (`core.limits.request_timeout`).

    /// Requests with a VM configuration, which has some kilobytes.
    private static let boot = RPCMethodLimits(maximumBodyBytes: 256 << 10, timeout: nil)
    /// Requests for certificates bring evidence; the limit is upstream's.
    private static let signing = RPCMethodLimits(maximumBodyBytes: 10 << 20, timeout: nil)
    private static let question = RPCMethodLimits(maximumBodyBytes: 16 << 10, timeout: nil)
    /// How long who asks what everybody may know waits for what only whoever decides knows.
    private static let patience = Duration.seconds(3)

    package var service: RPCService {
        var service = RPCService(KMSRPC.KMS.name)
        service.on(KMSRPC.KMS.getAppKey, limits: Self.boot) { request, call in
            try await answering { () async throws(KMSServiceError) in try await appKeys(request, call) }
        }
        service.on(KMSRPC.KMS.getKMSKey, limits: Self.boot) { request, call in
            try await answering { () async throws(KMSServiceError) in try await rootKeys(request, call) }
        }
        service.on(KMSRPC.KMS.getAppEnvEncryptPubKey, limits: Self.question) { request, _ in
            try await answering { () async throws(KMSServiceError) in try await environmentKey(request) }
        }
        service.on(KMSRPC.KMS.getMeta, limits: Self.question) { _, _ in await meta() }
        service.on(KMSRPC.KMS.getTempCACert, limits: Self.question) { _, _ in
            try await answering { () async throws(KMSServiceError) in try await temporaryAuthority() }
        }
        service.on(KMSRPC.KMS.signCert, limits: Self.signing) { request, call in
            try await answering { () async throws(KMSServiceError) in try await certificate(request, call) }
        }
        return service
    }

    /// Has an error in the form that callers read. Faults of this service's own are for its log, too.
    func answering<Answer: Sendable>(
        _ body: () async throws(KMSServiceError) -> Answer
    ) async throws -> Answer {
        do throws(KMSServiceError) {
            return try await body()
        } catch {
            if error.code == .internalFault { log.error("a request failed", ["error": error.explanation]) }
            throw error.rpcError
        }
    }

    // MARK: Keys of applications

    private func appKeys(
        _ request: KMSRPC.GetAppKeyRequest, _ call: RPCCall
    ) async throws(KMSServiceError) -> KMSRPC.AppKeyResponse {
        guard request.apiVersion <= 1 else {
            throw KMSServiceError(
                .invalidRequest, "api_version", "Unsupported API version: \(request.apiVersion)")
        }
        let peer = try call.peer.attestedCaller()
        try await parts.selfAuthorization.check()
        let caller = try await admit(.app) { () throws(KMSServiceError) in
            try parts.judge.examine(peer, vmConfiguration: request.vmConfig)
        }
        let epoch = try epoch(of: caller.appID, request.epoch)
        try await record([
            .bootDecided(caller.auditSubject, isAllowed: true, reason: ""),
            .keysReleased(.app, epoch: epoch, caller.auditSubject, receiver: Self.publicKey(of: peer)),
        ])
        let roots = parts.keys
        var answer = KMSRPC.AppKeyResponse()
        do throws(KeysError) {
            let root = try roots.material.roots.appRootKey(caller.appID, epoch: epoch)
            answer.diskCryptKey = RPCSecret(
                try roots.material.roots.diskKey(caller.appID, instance: caller.instanceID, epoch: epoch))
            answer.envCryptKey = RPCSecret(
                try roots.material.roots.environmentKey(caller.appID, epoch: epoch).secret.duplicate())
            answer.k256Key = RPCSecret(root.key.scalar.duplicate())
            answer.k256Signature = root.issuance
        } catch {
            throw KMSServiceError(error)
        }
        answer.caCertificate = roots.rootCertificate
        answer.tproxyAppID = caller.gatewayAppID
        answer.gatewayAppID = caller.gatewayAppID
        answer.osImageHash = caller.boot.osImageHash?.bytes ?? []
        answer.epoch = epoch.number
        parts.metrics.applicationKeys.add()
        return answer
    }

    private func environmentKey(_ request: KMSRPC.AppId) async throws(KMSServiceError) -> KMSRPC.PublicKeyResponse {
        guard let app = FixedBytes<20>(request.appID).map(AppID.init) else {
            throw KMSServiceError(.invalidRequest, "app_id", "app_id must be 20 bytes")
        }
        try await parts.selfAuthorization.check()
        let epoch = try epoch(of: app, request.epoch)
        var answer = KMSRPC.PublicKeyResponse()
        do throws(KeysError) {
            let roots = parts.keys
            let undated = try roots.material.roots.signedEnvironmentKey(app, epoch: epoch, timestamp: nil)
            answer.timestamp = UInt64(clamping: parts.clock.unixSeconds)
            answer.publicKey = undated.key.bytes
            answer.signature = undated.signature.bytes.bytes
            answer.signatureV1 =
                try roots.material.roots.signedEnvironmentKey(app, epoch: epoch, timestamp: answer.timestamp)
                .signature.bytes.bytes
        } catch {
            throw KMSServiceError(error)
        }
        answer.epoch = epoch.number
        return answer
    }

    // MARK: Root keys

    private func rootKeys(
        _ request: KMSRPC.GetKmsKeyRequest, _ call: RPCCall
    ) async throws(KMSServiceError) -> KMSRPC.KmsKeyResponse {
        let peer = try call.peer.attestedCaller()
        let certificateKey = Self.publicKey(of: peer)
        let receiver = try receiver(of: request, certificateKey)
        try await parts.selfAuthorization.check()
        let caller = try await admit(.kms) { () throws(KMSServiceError) in
            try parts.judge.examine(peer, vmConfiguration: request.vmConfig)
        }
        // One that may not give applications their keys gives them to no other service either.
        do throws(KMSStateError) { try parts.epochs.expectMember() } catch { throw KMSServiceError(error) }
        try await record([
            .bootDecided(caller.auditSubject, isAllowed: true, reason: ""),
            .keysReleased(
                .root, epoch: nil, caller.auditSubject, receiver: certificateKey, sealedTo: receiver?.bytes),
        ])
        let roots = parts.keys
        var keys = KMSRPC.KmsKeys()
        keys.caKey = RPCSecretText(utf8: RPCSecret(roots.material.roots.caKey.pkcs8PEM))
        keys.k256Key = RPCSecret(roots.material.roots.key.scalar.duplicate())
        var answer = KMSRPC.KmsKeyResponse()
        answer.temporaryCAKey = roots.temporaryKey
        answer.keys = [keys]
        if let receiver { answer = try sealed(answer, to: receiver) }
        parts.metrics.rootKeys.add()
        log.warn(
            "root keys were given to another service",
            ["device": caller.boot.deviceID.hex, "sealed_to": receiver?.bytes.hex ?? "nobody"])
        return answer
    }

    private func temporaryAuthority() async throws(KMSServiceError) -> KMSRPC.GetTempCaCertResponse {
        try await parts.selfAuthorization.check()
        return .with {
            $0.temporaryCACertificate = parts.keys.temporaryCertificate
            $0.temporaryCAKey = parts.keys.temporaryKey
            $0.caCertificate = parts.keys.rootCertificate
        }
    }

    // MARK: Certificates

    private func certificate(
        _ request: KMSRPC.SignCertRequest, _ call: RPCCall
    ) async throws(KMSServiceError) -> KMSRPC.SignCertResponse {
        guard let version = SigningRequest.Version(rawValue: request.apiVersion) else {
            throw KMSServiceError(
                .invalidRequest, "api_version", "Unsupported API version: \(request.apiVersion)", hint: "1 or 2")
        }
        let verified: VerifiedSigningRequest
        let attestation: Attestation
        do throws(KeysError) {
            verified = try SigningRequest(decoding: request.csr, version: version)
                .verified(signature: request.signature)
            attestation = try verified.attestation()
        } catch {
            throw KMSServiceError(error, error.code == .notAuthentic ? .notAttested : .invalidRequest)
        }
        try await parts.selfAuthorization.check()
        let accepted: AcceptedAttestation
        switch await parts.verifier.verify(
            attestation, expecting: ReportData(raTLSKey: verified.request.publicKey),
            askedBy: "\(call.peer.address.identity)")
        {
        case .success(let found): accepted = found
        case .failure(let error):
            log.warn(
                "a caller's evidence was refused", ["peer": "\(call.peer.address)", "reason": error.description])
            throw KMSServiceError(error)
        }
        // What the machine measured up to the end of its boot: what it records later must not cost it its certificates.
        let caller = try await admit(.app) { () throws(KMSServiceError) in
            try parts.judge.examine(
                accepted.report, at: .bootTime, vmConfiguration: request.vmConfig,
                ownConfiguration: { attestation.ownVMConfiguration })
        }
        let epoch = try epoch(of: caller.appID, request.epoch)
        let keys = parts.keys
        let issued = try parts.certificates.issue(
            verified, for: caller, from: keys.material.roots, epoch: epoch, under: keys.root,
            kmsDomain: keys.domain.name, at: parts.clock.unixSeconds)
        try await record([
            .bootDecided(caller.auditSubject, isAllowed: true, reason: ""), .certificateIssued(issued.audit),
        ])
        parts.metrics.certificates.add()
        return .with { $0.certificateChain = issued.pem }
    }

    // MARK: What everybody may know

    private func meta() async -> KMSRPC.GetMetaResponse {
        var answer = KMSRPC.GetMetaResponse()
        answer.caCertificate = parts.keys.rootCertificate
        answer.k256PublicKey = parts.keys.material.roots.publicKey.bytes
        answer.bootstrapInfo = parts.keys.bootstrapInfo
        answer.isDevelopment = parts.isDevelopment
        answer.allowsAnyUpgrade = parts.isDevelopment
        answer.auditHead = (try? await parts.audit.signedHead()).map { String(decoding: $0.json, as: UTF8.self) }
        let (authorizer, judge) = (authorizer, parts.judge)
        // Nobody waits for long: the answer that comes later is for whoever asks next.
        let found = try? await Deadline.run(within: Self.patience, orThrow: CancellationError()) {
            await authorizer.value {
                do throws(AuthorizationError) {
                    return .success(try await judge.authorizer.info())
                } catch {
                    return .failure(error)
                }
            }
        }
        switch found {
        case .success(let info)?:
            answer.gatewayAppID = info.gatewayAppID
            // As upstream: in development there is no contract.
            if !parts.isDevelopment {
                answer.kmsContractAddress = info.kmsContractAddress
                answer.chainID = info.chainID
                answer.appAuthImplementation = info.appImplementation
            }
        case .failure(let error)?:
            // The service lives, whoever decides does not: what is known without them is answered.
            log.warn("whoever decides gives no answer", ["error": error.description])
        case nil: log.warn("whoever decides gives no answer", ["error": "none came within \(Self.patience)"])
        }
        return answer
    }

    // MARK: Replicas

    /// Lets another service with these keys, or one that is about to get them, say what replicas tell each other.
    ///
    /// - Throws: an ``RPCError`` for a caller without accepted evidence, or whom whoever decides does not let be a KMS.
    package func admitReplica(_ call: RPCCall) async throws {
        _ = try await answering { () async throws(KMSServiceError) in
            let peer = try call.peer.attestedCaller()
            try await parts.selfAuthorization.check()
            _ = try await admit(.kms) { () throws(KMSServiceError) in
                try parts.judge.examine(peer)
            }
        }
    }

    // MARK: What the methods have in common

    /// Has a caller examined and decided about. A no is in the audit log before the caller hears it, unless there are so many of
    /// the machine that they are only counted.
    private func admit(
        _ subject: BootSubject, _ examine: () throws(KMSServiceError) -> ExaminedCaller
    ) async throws(KMSServiceError) -> AdmittedCaller {
        let examined = try examine()
        do throws(KMSServiceError) {
            return try await parts.judge.admit(examined, as: subject)
        } catch  where error.code == .denied || error.code == .imageNotVerified {
            log.warn(
                "a caller was refused",
                [
                    "kind": subject.rawValue, "device": examined.boot.deviceID.hex, "app": examined.boot.appID.hex,
                    "compose_hash": examined.boot.composeHash.hex, "reason": error.explanation,
                ])
            guard let leftOut = refusals.note(examined.boot, as: subject) else { throw error }
            try await record([
                .bootDecided(
                    examined.auditSubject(as: subject), isAllowed: false, reason: error.explanation, leftOut: leftOut)
            ])
            throw error
        }
    }

    private func epoch(of app: AppID, _ named: UInt64?) throws(KMSServiceError) -> KeyEpoch {
        do throws(KMSStateError) {
            return try parts.epochs.epoch(of: app, named: named.map { KeyEpoch($0) })
        } catch {
            throw KMSServiceError(error)
        }
    }

    private func record(_ events: [AuditEvent]) async throws(KMSServiceError) {
        do throws(KMSStateError) {
            try await parts.audit.record(events)
        } catch {
            throw KMSServiceError(error)
        }
    }

    private static func publicKey(of peer: AttestedPeer) -> [UInt8] {
        guard let leaf = peer.certificates.first else { return [] }
        return (try? RATLSCertificate(parsing: leaf))?.publicKey ?? []
    }
}
