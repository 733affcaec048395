import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackHTTP
import DstackHTTPServer
import DstackKMS
import DstackKMSClient
import DstackKeys
import DstackMockTEE
import DstackNetwork
import DstackRPC
import DstackRPCServer
import Synchronization

/// A key management service that gives real keys over real connections, and answers as a test says.
final class ScriptedKMS: Sendable {
    /// What is changed of answers before they are given.
    struct Script: Sendable {
        var meta: @Sendable (inout KMSRPC.GetMetaResponse) throws -> Void = { _ in }
        var temporary: @Sendable (inout KMSRPC.GetTempCaCertResponse) throws -> Void = { _ in }
        var app: @Sendable (inout KMSRPC.AppKeyResponse) throws -> Void = { _ in }
        /// Told how root keys are asked for.
        var request: @Sendable (KMSRPC.GetKmsKeyRequest) -> Void = { _ in }
        var root: @Sendable (inout KMSRPC.KmsKeyResponse) throws -> Void = { _ in }
        /// The same after it was encrypted, if it was.
        var sealed: @Sendable (inout KMSRPC.KmsKeyResponse) throws -> Void = { _ in }
        var environment: @Sendable (inout KMSRPC.PublicKeyResponse) throws -> Void = { _ in }
        var chain: @Sendable (inout KMSRPC.SignCertResponse) throws -> Void = { _ in }
    }

    /// Of whom the server takes requests.
    enum Clients: Sendable {
        /// Of everybody; certificates that are shown must have evidence that is accepted.
        case anybody
        /// The same, and certificates must be the temporary CA's, as upstream's servers demand.
        case temporaryCA
        /// Of those who show a certificate with evidence.
        case attested
    }

    let world: KMSTestWorld
    let material: RootKeyMaterial
    let certificates: RootKeyCertificates
    let script: Mutex<Script>
    /// Every request that came, by its path.
    let seen = Noted()
    /// What the server noted beside answering.
    let events = Noted()
    private let server: Mutex<HTTPServer?> = Mutex(nil)
    private let port = Mutex<UInt32>(0)
    private let extra: (@Sendable (inout RPCRouter) -> Void)?
    private let seals: Bool

    /// - Parameters:
    ///   - label: names the keys.
    ///   - isAttested: whether its certificate has evidence.
    ///   - seals: whether it encrypts root keys for who asks for it, as upstream's services do not.
    init(
        _ world: KMSTestWorld, _ label: String = "kms", isAttested: Bool = true, seals: Bool = false,
        script: Script = Script(), extra: (@Sendable (inout RPCRouter) -> Void)? = nil
    ) throws {
        self.world = world
        self.extra = extra
        self.seals = seals
        material = RootKeyMaterial(random: PredictableBytesForTests(label))
        let evidence = isAttested ? try KMSTestWorld.evidence(world.kms, about: material.rpcKey.publicKey) : []
        certificates = try material.certificates(
            domain: KMSDomainName("localhost"), evidence: evidence, at: KMSTestWorld.now)
        self.script = Mutex(script)
    }

    var url: String { "https://localhost:\(port.withLock { $0 })" }
    var caPublicKey: [UInt8] { material.roots.caPublicKey }
    var statistics: HTTPServerStatistics? { server.withLock { $0 }?.statistics }

    /// A server's certificate that is not as it should be, with its key.
    func credentials(
        _ edit: (inout CertificateTemplate) throws -> Void, signedBy other: ScriptedKMS? = nil
    ) throws -> TLSCredentials {
        var template = CertificateTemplate.kmsServer(
            domain: "localhost", evidence: try KMSTestWorld.evidence(world.kms, about: material.rpcKey.publicKey),
            now: KMSTestWorld.now)
        try edit(&template)
        let issuer = other ?? self
        let authority = try CertificateAuthority(
            key: copy(issuer.material.roots.caKey), chain: [issuer.certificates.root])
        let leaf = try authority.issue(template, for: material.rpcKey.key.publicKey)[0]
        return credentials([leaf])
    }

    func credentials(_ chain: [[UInt8]]) -> TLSCredentials {
        let key = SharedSecret(material.rpcKey.withUnsafePEM { SecretBytes(copying: $0.bytes) })
        return TLSCredentials(chain: chain) { body in key.withUnsafeBytes { body($0) } }
    }

    /// Serves as long as `body` runs.
    func run<Result: Sendable>(
        _ clients: Clients = .anybody, presenting credentials: TLSCredentials? = nil,
        _ body: (ScriptedKMS) async throws -> Result
    ) async throws -> Result {
        try await start(clients, presenting: credentials)
        do {
            let result = try await body(self)
            await server.withLock { $0 }?.stop(within: .seconds(1))
            return result
        } catch {
            await server.withLock { $0 }?.stop(within: .zero)
            throw error
        }
    }

    /// Begins anew at the same address: nothing is left of the connections before.
    func restart(presenting credentials: TLSCredentials) async throws {
        await server.withLock { $0 }?.stop(within: .seconds(1))
        try await start(.anybody, presenting: credentials)
    }

    private func start(_ clients: Clients, presenting credentials: TLSCredentials?) async throws {
        var rules = TLSServerSettings.ClientCertificates(
            isRequired: false, judge: AttestedClientJudge(try world.anyVerifier()))
        switch clients {
        case .anybody: break
        case .attested: rules.isRequired = true
        case .temporaryCA: rules.authorities = Array(CertificatePEM.encode(certificates.temporary).utf8)
        }
        let tls = HTTPServerTLS(
            http: credentials ?? self.credentials([certificates.rpc]), clientCertificates: rules)
        let place = UInt16(port.withLock { $0 })
        var listener = HTTPListener("rpc", .tcp(host: "127.0.0.1", port: place), tls: tls)
        listener.receivesSecrets = true
        var router = RPCRouter()
        router.mount(service, at: "/prpc")
        extra?(&router)
        let (events, seen, finished) = (events, seen, router)
        let server = HTTPServer(
            HTTPServerConfiguration(listeners: [listener], observer: { events.add("\($0)") }),
            handler: { request in
                seen.add(request.path)
                return await finished.respond(to: request)
            })
        let bound = try await server.start()
        port.withLock { $0 = bound[0].port ?? 0 }
        self.server.withLock { $0 = server }
    }

    /// Presents something else from now on, to those who come.
    func present(_ credentials: TLSCredentials) async throws {
        try await server.withLock { $0 }?.changeTLS(of: "rpc") { $0.credentials = credentials }
    }

    private var service: RPCService {
        var service = RPCService(KMSRPC.KMS.name)
        service.on(KMSRPC.KMS.getMeta) { [self] _, _ in
            var answer = KMSRPC.GetMetaResponse()
            answer.caCertificate = CertificatePEM.encode(certificates.root)
            answer.k256PublicKey = material.roots.publicKey.bytes
            try script.withLock { $0 }.meta(&answer)
            return answer
        }
        service.on(KMSRPC.KMS.getTempCACert) { [self] _, _ in
            var answer = KMSRPC.GetTempCaCertResponse()
            answer.caCertificate = CertificatePEM.encode(certificates.root)
            answer.temporaryCACertificate = CertificatePEM.encode(certificates.temporary)
            answer.temporaryCAKey = RPCSecretText(utf8: RPCSecret(material.temporaryCAKey.pkcs8PEM))
            try script.withLock { $0 }.temporary(&answer)
            return answer
        }
        service.on(KMSRPC.KMS.getAppKey) { [self] request, call in
            _ = try requireEvidence(call)
            let app = world.app.appID
            var answer = KMSRPC.AppKeyResponse()
            answer.caCertificate = CertificatePEM.encode(certificates.root)
            answer.diskCryptKey = RPCSecret(try material.roots.diskKey(app, instance: world.app.instanceID))
            answer.envCryptKey = RPCSecret(try material.roots.environmentKey(app).secret.duplicate())
            let key = try material.roots.appRootKey(app)
            answer.k256Key = RPCSecret(key.key.scalar.duplicate())
            answer.k256Signature = key.issuance
            answer.gatewayAppID = "any"
            try script.withLock { $0 }.app(&answer)
            return answer
        }
        service.on(KMSRPC.KMS.getKMSKey) { [self] request, call in
            let peer = try requireEvidence(call)
            script.withLock { $0 }.request(request)
            var keys = KMSRPC.KmsKeys()
            keys.caKey = RPCSecretText(utf8: RPCSecret(material.roots.caKey.pkcs8PEM))
            keys.k256Key = RPCSecret(material.roots.key.scalar.duplicate())
            var answer = KMSRPC.KmsKeyResponse()
            answer.temporaryCAKey = RPCSecretText(utf8: RPCSecret(material.temporaryCAKey.pkcs8PEM))
            answer.keys = [keys]
            try script.withLock { $0 }.root(&answer)
            if seals,
                let receiver = try RootKeyHandover.receiver(
                    of: request, certificateKey: RATLSCertificate(parsing: peer.certificates[0]).publicKey,
                    server: material.rpcKey.publicKey)
            {
                answer = try RootKeyHandover.sealed(answer, to: receiver)
            }
            try script.withLock { $0 }.sealed(&answer)
            return answer
        }
        service.on(KMSRPC.KMS.getAppEnvEncryptPubKey) { [self] request, _ in
            let app = AppID(FixedBytes<20>(request.appID) ?? FixedBytes())
            let now = UInt64(KMSTestWorld.now)
            let signed = try material.roots.signedEnvironmentKey(app, timestamp: now)
            var answer = KMSRPC.PublicKeyResponse()
            answer.publicKey = signed.key.bytes
            answer.signature = try material.roots.signedEnvironmentKey(app, timestamp: nil).signature.bytes.bytes
            answer.timestamp = now
            answer.signatureV1 = signed.signature.bytes.bytes
            try script.withLock { $0 }.environment(&answer)
            return answer
        }
        service.on(KMSRPC.KMS.signCert) { [self] request, _ in
            let version = SigningRequest.Version(rawValue: request.apiVersion) ?? .v1
            let wanted = try SigningRequest(decoding: request.csr, version: version)
                .verified(signature: request.signature).request
            let root = try CertificateAuthority(key: copy(material.roots.caKey), chain: [certificates.root])
            let app = world.app.appID
            let authority = try root.authority(
                .appCA(app, now: KMSTestWorld.now), key: material.roots.appCAKey(app))
            let chain = try authority.issue(
                .leaf(wanted.configuration, claims: CertificateClaims(appID: app), now: KMSTestWorld.now),
                for: P256.PublicKey(spki: wanted.publicKey))
            var answer = KMSRPC.SignCertResponse()
            answer.certificateChain = chain.map { CertificatePEM.encode($0) }
            try script.withLock { $0 }.chain(&answer)
            return answer
        }
        return service
    }

    private func requireEvidence(_ call: RPCCall) throws -> AttestedPeer {
        guard let verdict = call.peer.verdict as? AttestedClientVerdict else {
            throw RPCError("No attestation provided")
        }
        return verdict.peer
    }
}
