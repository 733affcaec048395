import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackHTTPServer
import DstackKMS
import DstackKMSClient
import DstackKeys
import DstackMockTEE
import DstackNetwork
import DstackRPC
import DstackSystem
import Synchronization
import TestKit
import Testing

@Suite("What a client of a KMS believes of its answers", .timeLimit(.minutes(2)))
struct KMSClientAnswerTests {
    private func client(_ kms: ScriptedKMS, attests: Bool = true) throws -> KMSClient {
        try KMSClient(
            kms.url, trust: .pinned(caPublicKey: kms.caPublicKey),
            attest: attests ? KMSTestWorld.attest(kms.world.app) : nil, clock: kms.world.clock)
    }

    @Test("an application's keys are the derived ones, in the form of the guest's file")
    func appKeys() async throws {
        let world = try KMSTestWorld.shared()
        try await ScriptedKMS(world).run { kms in
            let keys = try await client(kms).appKeys(of: world.app.appID, vmConfiguration: "{}")
            let file = String(decoding: keys.encoded.copiedToUnprotectedMemory(), as: UTF8.self)
            let disk = try kms.material.roots.diskKey(world.app.appID, instance: world.app.instanceID)
            let environment = try kms.material.roots.environmentKey(world.app.appID)
            for secret in [
                disk.copiedToUnprotectedMemory(), environment.secret.copiedToUnprotectedMemory(),
            ] { #expect(file.contains(Hex.encode(secret))) }
            #expect(keys.gatewayAppID == "any")
            #expect(keys.caCertificates == [kms.certificates.root])
            #expect(keys.provider.url == kms.url + "/prpc")
            #expect(keys.provider.info == KeyProviderInfo(kind: .kms, id: kms.caPublicKey))
            let files = try ScratchDirectory()
            try keys.write(to: files.path(".appkeys.json"))
            let again = try AppKeys(contentsOf: files.path(".appkeys.json"))
            #expect(again.rootKey.issuance == keys.rootKey.issuance)
            let temporary = kms.material.temporaryCAKey.publicKey.spki
            #expect(again.provider.authority.publicKey == temporary)
        }
    }

    @Test("root keys are those by which the service is known")
    func rootKeys() async throws {
        let world = try KMSTestWorld.shared()
        try await ScriptedKMS(world).run { kms in
            let keys = try await client(kms).rootKeys(vmConfiguration: "{}", mustBeSealed: false)
            let (ca, k256) = (keys.roots.caPublicKey, keys.roots.publicKey)
            #expect(ca == kms.caPublicKey)
            #expect(k256 == kms.material.roots.publicKey)
            let (one, other) = (keys.temporaryCAKey.publicKey.spki, kms.material.temporaryCAKey.publicKey.spki)
            #expect(one == other)
        }
    }

    /// What is wrong with an answer, and what is asked then.
    private struct Wrong: Sendable {
        let name: String
        let asks: @Sendable (KMSClient) async throws -> Void
        let script: @Sendable (inout ScriptedKMS.Script) -> Void

        init(
            _ name: String, _ asks: @escaping @Sendable (KMSClient) async throws -> Void,
            _ script: @escaping @Sendable (inout ScriptedKMS.Script) -> Void
        ) {
            self.name = name
            self.asks = asks
            self.script = script
        }
    }

    private static let askForAppKeys: @Sendable (KMSClient) async throws -> Void = { client in
        _ = try await client.appKeys(of: KMSTestWorld.shared().app.appID, vmConfiguration: "")
    }
    private static let askForRootKeys: @Sendable (KMSClient) async throws -> Void = { client in
        _ = try await client.rootKeys(vmConfiguration: "", mustBeSealed: false)
    }
    private static let askForEnvironmentKey: @Sendable (KMSClient) async throws -> Void = { client in
        _ = try await client.environmentKey(of: KMSTestWorld.shared().app.appID)
    }
    private static let askForCertificate: @Sendable (KMSClient) async throws -> Void = { client in
        _ = try await client.signCertificate(request(), vmConfiguration: "")
    }

    private static func request() async throws -> SignedSigningRequest {
        let boot = try KMSTestWorld.shared().app
        let attested = try await AttestedKey { try KMSTestWorld.attestation(boot, $0) }
        return try attested.signingRequest(
            CertificateConfiguration(commonName: "app", alternativeNames: ["app.example"], isForServers: true))
    }

    private static var allWrong: [Wrong] {
        get throws {
            let other = try ScriptedKMS(KMSTestWorld.shared(), "other")
            let otherRoot = CertificatePEM.encode(other.certificates.root)
            let otherKey = RPCSecretText(utf8: RPCSecret(other.material.roots.caKey.pkcs8PEM))
            let otherScalar = RPCSecret(other.material.roots.key.scalar.duplicate())
            let otherSignature = try other.material.roots.appRootKey(KMSTestWorld.shared().app.appID).issuance
            let otherPublic = other.material.roots.publicKey.bytes
            @Sendable func secret(_ count: Int) -> RPCSecret { RPCSecret(copying: [UInt8](repeating: 7, count: count)) }
            return [
                Wrong("other root", askForAppKeys) { $0.app = { $0.caCertificate = otherRoot } },
                Wrong("no root", askForAppKeys) { $0.app = { $0.caCertificate = "" } },
                Wrong("two roots", askForAppKeys) { $0.app = { $0.caCertificate += otherRoot } },
                Wrong("short disk key", askForAppKeys) { $0.app = { $0.diskCryptKey = secret(31) } },
                Wrong("no environment key", askForAppKeys) { $0.app = { $0.envCryptKey = RPCSecret() } },
                Wrong("long key", askForAppKeys) { $0.app = { $0.k256Key = secret(33) } },
                Wrong("zero key", askForAppKeys) {
                    $0.app = { $0.k256Key = RPCSecret(copying: [UInt8](repeating: 0, count: 32)) }
                },
                Wrong("another key", askForAppKeys) { $0.app = { $0.k256Key = secret(32) } },
                Wrong("another service's signature", askForAppKeys) { $0.app = { $0.k256Signature = otherSignature } },
                Wrong("no signature", askForAppKeys) { $0.app = { $0.k256Signature = [] } },
                Wrong("other temporary root", askForAppKeys) { $0.temporary = { $0.caCertificate = otherRoot } },
                Wrong("temporary key of another", askForAppKeys) { $0.temporary = { $0.temporaryCAKey = otherKey } },
                Wrong("no temporary key", askForAppKeys) { $0.temporary = { $0.temporaryCAKey = RPCSecretText() } },
                Wrong("other root in meta", askForAppKeys) { $0.meta = { $0.caCertificate = otherRoot } },
                Wrong("other key in meta", askForAppKeys) { $0.meta = { $0.k256PublicKey = otherPublic } },
                Wrong("no key in meta", askForAppKeys) { $0.meta = { $0.k256PublicKey = [] } },
                Wrong("no keys", askForRootKeys) { $0.root = { $0.keys = [] } },
                Wrong("two sets of keys", askForRootKeys) { $0.root = { $0.keys += $0.keys } },
                Wrong("another CA key", askForRootKeys) { $0.root = { $0.keys[0].caKey = otherKey } },
                Wrong("another root key", askForRootKeys) { $0.root = { $0.keys[0].k256Key = otherScalar } },
                Wrong("another temporary CA", askForRootKeys) { $0.root = { $0.temporaryCAKey = otherKey } },
                Wrong("no CA key", askForRootKeys) { $0.root = { $0.keys[0].caKey = RPCSecretText() } },
                Wrong("another environment key", askForEnvironmentKey) { $0.environment = { $0.publicKey[0] ^= 1 } },
                Wrong("short environment key", askForEnvironmentKey) { $0.environment = { $0.publicKey = [1] } },
                Wrong("older time", askForEnvironmentKey) { $0.environment = { $0.timestamp -= 1 } },
                Wrong("no dated signature", askForEnvironmentKey) {
                    $0.environment = {
                        $0.signatureV1 = []
                        $0.timestamp = 0
                    }
                },
                Wrong("no chain", askForCertificate) { $0.chain = { $0.certificateChain = [] } },
                Wrong("leaf alone", askForCertificate) { $0.chain = { $0.certificateChain.removeLast(2) } },
                Wrong("other root above", askForCertificate) { $0.chain = { $0.certificateChain[2] = otherRoot } },
                Wrong("no CA between", askForCertificate) { $0.chain = { $0.certificateChain.remove(at: 1) } },
                Wrong("another leaf", askForCertificate) { $0.chain = { $0.certificateChain.remove(at: 0) } },
            ]
        }
    }

    @Test("an answer that does not fit to what is known of the service is used for nothing")
    func wrong() async throws {
        let world = try KMSTestWorld.shared()
        try await ScriptedKMS(world).run { kms in
            for wrong in try Self.allWrong {
                var script = ScriptedKMS.Script()
                wrong.script(&script)
                let now = script
                kms.script.withLock { $0 = now }
                let error = await #expect(throws: KMSClientError.self, "\(wrong.name)") {
                    try await wrong.asks(client(kms))
                }
                #expect(error?.code == .invalidAnswer, "\(wrong.name): \(error?.description ?? "")")
            }
            kms.script.withLock { $0 = ScriptedKMS.Script() }
            for ask in [
                Self.askForAppKeys, Self.askForRootKeys, Self.askForEnvironmentKey, Self.askForCertificate,
            ] { try await ask(client(kms)) }
        }
    }

    @Test("certificates with changed or missing bytes are no root")
    func mutated() async throws {
        let world = try KMSTestWorld.shared()
        try await ScriptedKMS(world).run { kms in
            let client = try client(kms, attests: false)
            let root = kms.certificates.root
            for index in stride(from: 0, to: root.count, by: 9) {
                for change in [{ $0[index] ^= 0x41 }, { $0.removeLast($0.count - index) }] as [(inout [UInt8]) -> Void]
                {
                    var bytes = root
                    change(&bytes)
                    let pem = CertificatePEM.encode(bytes)
                    kms.script.withLock { $0.meta = { $0.caCertificate = pem } }
                    await #expect(throws: KMSClientError(.invalidAnswer, "", ""), "byte \(index)") {
                        _ = try await client.meta()
                    }
                }
            }
        }
    }

    @Test("keys of another epoch than the one that was asked for are not taken for it")
    func epochs() async throws {
        let world = try KMSTestWorld.shared()
        try await ScriptedKMS(world).run { kms in
            let app = world.app.appID
            // It knows of no epochs, as upstream's.
            _ = try await client(kms).appKeys(of: app, epoch: .first, vmConfiguration: "")
            await #expect(throws: KMSClientError(.invalidAnswer, "", "")) {
                _ = try await client(kms).appKeys(of: app, epoch: KeyEpoch(1), vmConfiguration: "")
            }
            await #expect(throws: KMSClientError(.invalidAnswer, "", "")) {
                _ = try await client(kms).environmentKey(of: app, epoch: KeyEpoch(1))
            }
            kms.script.withLock { $0.app = { $0.epoch = 1 } }
            _ = try await client(kms).appKeys(of: app, epoch: KeyEpoch(1), vmConfiguration: "")
            _ = try await client(kms).appKeys(of: app, vmConfiguration: "")
            await #expect(throws: KMSClientError(.invalidAnswer, "", "")) {
                _ = try await client(kms).appKeys(of: app, epoch: .first, vmConfiguration: "")
            }
        }
    }

    @Test("a certificate leads from the requested key to the root")
    func certificate() async throws {
        let world = try KMSTestWorld.shared()
        try await ScriptedKMS(world).run { kms in
            let request = try await Self.request()
            let chain = try await client(kms, attests: false).signCertificate(request, vmConfiguration: "")
            #expect(chain.count == 3)
            #expect(try RATLSCertificate(parsing: chain[0]).publicKey == request.request.publicKey)
            #expect(chain[2] == kms.certificates.root)
        }
    }

    @Test("a signature without a time is taken from older services, where that is wanted")
    func undated() async throws {
        let world = try KMSTestWorld.shared()
        try await ScriptedKMS(world).run { kms in
            let expected = try kms.material.roots.environmentKey(world.app.appID).publicKey
            let client = try client(kms, attests: false)
            #expect(try await client.environmentKey(of: world.app.appID) == expected)
            kms.script.withLock {
                $0.environment = {
                    $0.signatureV1 = []
                    $0.timestamp = 0
                }
            }
            let undated = try await client.environmentKey(of: world.app.appID, acceptsUndated: true)
            #expect(undated == expected)
        }
    }

    @Test("who says no is told from who has a fault, and from who does not know the question")
    func failures() async throws {
        let world = try KMSTestWorld.shared()
        try await ScriptedKMS(world).run { kms in
            let client = try client(kms, attests: false)
            let refused = await #expect(throws: KMSClientError(.refused, "", "")) {
                _ = try await client.appKeys(of: world.app.appID, vmConfiguration: "")
            }
            #expect(refused?.reason.contains("No attestation provided") == true)
            kms.script.withLock { $0.meta = { _ in throw RPCError("the disk is full", status: 500) } }
            let fault = try self.client(kms, attests: false)
            await #expect(throws: KMSClientError(.failed, "", "")) { _ = try await fault.meta() }
            await #expect(throws: KMSClientError(.unsupported, "", "")) {
                let method = RPCMethod<RPCEmpty, RPCEmpty>("KMS", "Unknown", .repeatable)
                _ = try await fault.call(method, RPCEmpty())
            }
        }
        let gone = try KMSClient("https://localhost:1", trust: .whoeverAnswersFirst)
        await #expect(throws: KMSClientError(.unreachable, "", "")) { _ = try await gone.meta() }
    }

    @Test("a service that is silent is given up, and so is an agent")
    func silent() async throws {
        let world = try KMSTestWorld.shared()
        let socket = try ListeningSocket(.tcp(host: "127.0.0.1", port: 0))
        guard case .internet(_, let port)? = socket.address?.remote else { throw CancellationError() }
        for limit in [\KMSClient.Configuration.connectTimeout, \.timeout] {
            var configuration = KMSClient.Configuration()
            configuration[keyPath: limit] = .milliseconds(100)
            let client = try KMSClient("https://127.0.0.1:\(port)", trust: .whoeverAnswersFirst, configuration)
            await #expect(throws: KMSClientError(.unreachable, "", "")) { _ = try await client.meta() }
        }
        var configuration = KMSClient.Configuration()
        configuration.timeout = .milliseconds(100)
        let client = try KMSClient(
            "https://127.0.0.1:\(port)", trust: .attested(world.kmsVerifier()),
            attest: { reportData in
                try await Task.sleep(for: .seconds(60))
                return try KMSTestWorld.attestation(world.kms, reportData)
            }, configuration)
        await #expect(throws: KMSClientError(.noEvidence, "", "")) { _ = try await client.meta() }
        _ = socket
    }

    @Test("a side that gets no evidence about itself says so, and calls nobody")
    func noEvidence() async throws {
        let world = try KMSTestWorld.shared()
        try await ScriptedKMS(world).run { kms in
            let client = try KMSClient(
                kms.url, trust: .pinned(caPublicKey: kms.caPublicKey),
                attest: { _ in throw AttestationError(.quoteUnavailable, subject: "quote", reason: "none") },
                clock: world.clock)
            await #expect(throws: KMSClientError(.noEvidence, "", "")) { _ = try await client.meta() }
            // Evidence about another key than the one it was asked for.
            let mixed = try KMSClient(
                kms.url, trust: .pinned(caPublicKey: kms.caPublicKey),
                attest: { _ in try KMSTestWorld.attestation(world.app, ReportData(FixedBytes())) }, clock: world.clock)
            await #expect(throws: KMSClientError(.noEvidence, "", "")) { _ = try await mixed.meta() }
            #expect(kms.seen.all.isEmpty)
        }
    }
}
