import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackKMS
import DstackKMSClient
import DstackKMSService
import DstackKeys
import DstackNetwork
import DstackRPC
import DstackSystem
import Synchronization
import TestKit
import Testing

@Suite("Root keys encrypted to their receiver", .timeLimit(.minutes(2)))
struct RootKeyHandoverTests {
    @Test("another service takes them over a real connection, and the audit log names the key that they went to")
    func endToEnd() async throws {
        try await ServedKMS.run({ $0.requiresSealedRootKeys = true }) { source in
            let second = try NewKMS()
            let store = try await second.store()
            let result = try await second.onboarding(
                requiresSealedRootKeys: true, source: second.source(), store: store
            ).onboard(from: source.url, domain: "second.example")
            guard case .onboarded(_, _, let publicKey, _) = result else { throw CancellationError() }
            #expect(source.node.parts.epochs.table.members.count == 2)
            let loaded = try second.files.load()
            let (ours, theirs) = (
                loaded.material.roots.publicKey, source.node.parts.keys.material.roots.publicKey
            )
            #expect(ours == theirs && publicKey == theirs)
            let (ca, expected) = (loaded.material.roots.caPublicKey, source.node.parts.keys.caPublicKey)
            #expect(ca == expected)
            let releases = try await source.releases()
            #expect(releases.count == 1 && releases.first?["keys"] == "root")
            #expect(releases.first?["sealed_to"]?.count == 64)
            #expect(releases.first?["receiver_key"]?.count == 182)
        }
    }

    @Test("a client of upstream, which names no key, gets them as ever")
    func plain() async throws {
        try await ServedKMS.run { source in
            let answer = try await source.client().call(KMSRPC.KMS.getKMSKey, .with { $0.vmConfig = "" })
            #expect(answer.sealed == nil && answer.keys.count == 1 && !answer.temporaryCAKey.isDefault)
            let releases = try await source.releases()
            #expect(releases.count == 1 && releases.first?["sealed_to"] == nil)
        }
    }

    @Test("a service that is set to encrypt them gives none to a client that names no key")
    func required() async throws {
        try await ServedKMS.run({ $0.requiresSealedRootKeys = true }) { source in
            let client = try source.client()
            let error = await #expect(throws: KMSClientError(.refused, "", "")) {
                _ = try await client.call(KMSRPC.KMS.getKMSKey, .with { $0.vmConfig = "" })
            }
            #expect(error?.reason.contains("core.require_sealed_root_keys") == true, "\(error?.reason ?? "")")
            #expect(try await source.releases().isEmpty)
            // The same client gets them as soon as it names one.
            _ = try await client.rootKeys(vmConfiguration: "", mustBeSealed: true)
            #expect(try await source.releases().count == 1)
        }
    }

    // MARK: Requests that are not the receiver's

    /// A client that shows a certificate for this key, and does not sign by itself.
    private func client(_ source: ServedKMS, _ key: borrowing TLSKey) throws -> KMSClient {
        let pem = SharedSecret(key.withUnsafePEM { SecretBytes(copying: $0.bytes) })
        return try source.client(
            .issued { attest, now in
                let attested = try await AttestedKey(pem.withBytes { try TLSKey(pem: $0) }, quote: attest)
                var configuration = CertificateConfiguration(
                    commonName: "receiver", alternativeNames: ["receiver.invalid"], isForClients: true,
                    includesEvidence: true)
                configuration.notAfter = UInt64(now + 86_400)
                let certificate = try attested.selfSigned(configuration, at: now)
                return TLSCredentials(chain: [certificate]) { body in pem.withUnsafeBytes { body($0) } }
            })
    }

    @Test("no key is given to where the attested key has not sent it")
    func wrongRequests() async throws {
        try await ServedKMS.run { source in
            let key = TLSKey()
            let other = TLSKey()
            let secret = X25519.PrivateKey()
            let (receiver, stranger) = (secret.publicKey, X25519.PrivateKey().publicKey)
            let client = try client(source, key)
            func text(_ receiver: X25519.PublicKey, _ server: [UInt8]) -> [UInt8] {
                RootKeyHandover.signedText(receiver: receiver, server: server)
            }
            let good = try key.key.signature(for: text(receiver, source.serverKey))
            let bytes = receiver.bytes.bytes
            let small = X25519.PublicKey(FixedBytes())
            let one = X25519.PublicKey(try #require(FixedBytes<32>([1] + [UInt8](repeating: 0, count: 31))))
            let requests: [(String, key: [UInt8]?, signature: [UInt8]?)] = [
                ("no signature", bytes, nil),
                ("no key", nil, good.der),
                ("nothing, twice", [], []),
                ("an empty signature", bytes, []),
                ("a short key", Array(bytes.dropLast()), good.der),
                ("a long key", bytes + [0], good.der),
                ("another receiver's key in its place", stranger.bytes.bytes, good.der),
                (
                    "somebody else's signature", bytes,
                    try other.key.signature(for: text(receiver, source.serverKey)).der
                ),
                ("for another service", bytes, try key.key.signature(for: text(receiver, other.publicKey)).der),
                ("for no service", bytes, try key.key.signature(for: text(receiver, [])).der),
                ("over the key alone", bytes, try key.key.signature(for: bytes).der),
                ("not DER", bytes, good.raw),
                ("with something behind it", bytes, good.der + [0]),
                (
                    "to zero, which all can open", small.bytes.bytes,
                    try key.key.signature(for: text(small, source.serverKey)).der
                ),
                (
                    "to one, which all can open", one.bytes.bytes,
                    try key.key.signature(for: text(one, source.serverKey)).der
                ),
            ]
            for (name, key, signature) in requests {
                let error = await #expect(throws: KMSClientError(.refused, "", ""), "\(name)") {
                    _ = try await client.call(
                        KMSRPC.KMS.getKMSKey,
                        .with {
                            $0.receiverKey = key
                            $0.receiverSignature = signature
                        })
                }
                #expect(error?.reason.contains("receiver_") == true, "\(name): \(error?.reason ?? "")")
            }
            for index in stride(from: 0, to: good.der.count, by: 7) {
                var signature = good.der
                signature[index] ^= 1
                for changed in [signature, Array(good.der.prefix(index))] {
                    await #expect(throws: KMSClientError(.refused, "", ""), "byte \(index)") {
                        _ = try await client.call(
                            KMSRPC.KMS.getKMSKey,
                            .with {
                                $0.receiverKey = bytes
                                $0.receiverSignature = changed
                            })
                    }
                }
            }
            #expect(try await source.releases().isEmpty)
            // What is as it should be is answered, by a box that the receiver alone opens, and nothing beside it.
            let answer = try await client.call(
                KMSRPC.KMS.getKMSKey,
                .with {
                    $0.receiverKey = bytes
                    $0.receiverSignature = good.der
                })
            let box = try #require(answer.sealed)
            #expect(answer.keys.isEmpty && answer.temporaryCAKey.isDefault)
            let opened = SharedSecret(try SealedBox.open(box, with: secret))
            let keys = try KMSRPC.KmsKeyResponse(decoding: opened, as: .protobuf)
            #expect(keys.keys.count == 1 && keys.keys[0].k256Key.count == 32)
            #expect(throws: CryptoFailure.self) { _ = try SealedBox.open(box, with: X25519.PrivateKey()) }
            let scalar = source.node.parts.keys.material.roots.key.scalar.copiedToUnprotectedMemory()
            #expect(!Hex.encode(answer.protobuf).contains(Hex.encode(scalar)))
            #expect(try await source.releases().first?["sealed_to"] == receiver.bytes.hex)
        }
    }

    @Test("who ends a receiver's connection, attested himself, cannot have its request answered by another service")
    func relayed() async throws {
        try await ServedKMS.run { source in
            let world = source.kms.world
            let caught = Mutex<KMSRPC.GetKmsKeyRequest?>(nil)
            // A genuine service of the same kind, which passes on what it was sent.
            var script = ScriptedKMS.Script()
            script.request = { request in caught.withLock { $0 = request } }
            try await ScriptedKMS(world, "relay", script: script).run { relay in
                let victim = try KMSClient(
                    relay.url, trust: .pinned(caPublicKey: relay.caPublicKey), attest: KMSTestWorld.attest(world.kms),
                    clock: world.clock)
                await #expect(throws: KMSClientError(.invalidAnswer, "", "")) {
                    _ = try await victim.rootKeys(vmConfiguration: "", mustBeSealed: true)
                }
            }
            let request = try #require(caught.withLock { $0 })
            #expect(request.receiverKey?.count == 32 && request.receiverSignature != nil)
            await #expect(throws: KMSClientError(.refused, "", "")) {
                _ = try await source.client().call(KMSRPC.KMS.getKMSKey, request)
            }
            #expect(try await source.releases().isEmpty)
        }
    }

    // MARK: Answers that are not the service's

    @Test("boxes that were changed, cut, swapped or filled with something else are not opened")
    func wrongBoxes() async throws {
        let world = try KMSTestWorld.shared()
        let others = X25519.PrivateKey().publicKey
        let readable = KMSRPC.KmsKeys.with { $0.k256Key = RPCSecret(copying: [1]) }
        try await ScriptedKMS(world, seals: true).run { kms in
            let client = try KMSClient(
                kms.url, trust: .pinned(caPublicKey: kms.caPublicKey), attest: KMSTestWorld.attest(world.app),
                clock: world.clock)
            let good = Shared<[UInt8]>([])
            kms.script.withLock { $0.sealed = { answer in good.edit { $0 = answer.sealed ?? [] } } }
            _ = try await client.rootKeys(vmConfiguration: "", mustBeSealed: true)
            let earlier = good.value
            #expect(earlier.count > 300)
            var scripts: [(String, @Sendable (inout KMSRPC.KmsKeyResponse) throws -> Void)] = [
                ("of an earlier handover", { $0.sealed = earlier }),
                ("empty", { $0.sealed = [] }),
                ("missing", { $0.sealed = nil }),
                ("with readable keys beside it", { $0.keys = [readable] }),
                ("with a readable key of the temporary CA", { $0.temporaryCAKey = RPCSecretText(copying: "x") }),
                ("with something behind it", { $0.sealed? += [0] }),
                ("for somebody else", { $0.sealed = try SealedBox.seal([1, 2, 3], to: others) }),
            ]
            for index in stride(from: 0, to: earlier.count, by: 23) {
                scripts.append(("changed at \(index)", { $0.sealed?[index] ^= 0x20 }))
                scripts.append(("cut at \(index)", { $0.sealed = $0.sealed.map { Array($0.prefix(index)) } }))
            }
            for (name, script) in scripts {
                kms.script.withLock { $0.sealed = script }
                let error = await #expect(throws: KMSClientError(.invalidAnswer, "", ""), "\(name)") {
                    _ = try await client.rootKeys(vmConfiguration: "", mustBeSealed: true)
                }
                #expect(error?.subject == "sealed", "\(name)")
            }
            kms.script.withLock { $0 = ScriptedKMS.Script() }
            _ = try await client.rootKeys(vmConfiguration: "", mustBeSealed: true)
        }
    }

    @Test("what a box holds is judged as if it had come readable")
    func wrongContents() async throws {
        let world = try KMSTestWorld.shared()
        let contents: [[UInt8]] = [
            [], [0xFF], Array("no message".utf8), KMSRPC.KmsKeyResponse.with { $0.sealed = [1] }.protobuf,
            KMSRPC.KmsKeyResponse.with { $0.keys = [.init(), .init()] }.protobuf,
        ]
        let named = Shared<[UInt8]>([])
        try await ScriptedKMS(world, seals: true).run { kms in
            let client = try KMSClient(
                kms.url, trust: .pinned(caPublicKey: kms.caPublicKey), attest: KMSTestWorld.attest(world.app),
                clock: world.clock)
            for content in contents {
                kms.script.withLock {
                    $0.request = { request in named.edit { $0 = request.receiverKey ?? [] } }
                    $0.sealed = { answer in
                        let key = X25519.PublicKey(FixedBytes<32>(named.value) ?? FixedBytes())
                        answer.sealed = try SealedBox.seal(content, to: key)
                    }
                }
                await #expect(throws: KMSClientError(.invalidAnswer, "", ""), "\(content)") {
                    _ = try await client.rootKeys(vmConfiguration: "", mustBeSealed: true)
                }
            }
        }
    }

    @Test("a client whose server wants certificates of its temporary CA signs by the key of the second connection")
    func signsAnew() async throws {
        let world = try KMSTestWorld.shared()
        try await ScriptedKMS(world, seals: true).run(.temporaryCA) { kms in
            let client = try KMSClient(
                kms.url, trust: .pinned(caPublicKey: kms.caPublicKey), attest: KMSTestWorld.attest(world.app),
                clock: world.clock)
            _ = try await client.rootKeys(vmConfiguration: "", mustBeSealed: true)
        }
    }

    @Test("a client without a key to sign by does not have keys sent that it would refuse")
    func noIdentity() async throws {
        let world = try KMSTestWorld.shared()
        try await ScriptedKMS(world, seals: true).run { kms in
            let client = try KMSClient(
                kms.url, trust: .pinned(caPublicKey: kms.caPublicKey), clock: world.clock)
            await #expect(throws: KMSClientError(.noEvidence, "", "")) {
                _ = try await client.rootKeys(vmConfiguration: "", mustBeSealed: true)
            }
            #expect(!kms.seen.all.contains("/prpc/GetKmsKey"))
        }
    }
}
