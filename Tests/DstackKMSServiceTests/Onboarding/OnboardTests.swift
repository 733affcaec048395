import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackHTTPServer
import DstackKMS
import DstackKMSClient
import DstackKMSService
import DstackKeys
import DstackMockTEE
import DstackRPC
import DstackRPCServer
import DstackStore
import DstackSystem
import Synchronization
import TestKit
import Testing

@Suite("Onboarding from a running service", .timeLimit(.minutes(2)))
struct OnboardTests {
    @Test("a service of another kind gives its keys over one connection, after it was decided about")
    func upstream() async throws {
        let kms = try NewKMS()
        let store = try await kms.store()
        try await ScriptedKMS(kms.world).run { source in
            let order = source.seen
            let onboarding = kms.onboarding(
                source: try kms.source { peer in
                    #expect(peer.report.verdict == .accepted)
                    #expect(peer.certificates.first == source.certificates.rpc)
                    order.add("authorized")
                    return AuditSubject(.kms, appID: [1])
                }, store: store)
            let result = try await onboarding.onboard(from: source.url, domain: "second.example")
            #expect(
                source.seen.all == [
                    "/prpc/GetMeta", "authorized", "/prpc/Replica.Identify", "/prpc/GetTempCaCert", "/prpc/GetKmsKey",
                ])
            #expect(source.statistics?.acceptedConnections == 1)
            let loaded = try kms.files.load()
            let (ca, k256) = (loaded.material.roots.caPublicKey, loaded.material.roots.publicKey)
            #expect(ca == source.caPublicKey)
            let expected = source.material.roots.publicKey
            #expect(k256 == expected)
            let temporary = loaded.material.temporaryCAKey.publicKey.spki
            let theirs = source.material.temporaryCAKey.publicKey.spki
            #expect(temporary == theirs)
            let (own, other) = (loaded.material.rpcKey.publicKey, source.material.rpcKey.publicKey)
            #expect(own != other)
            #expect(loaded.bootstrapInfo == nil)
            #expect(loaded.domain?.name == "second.example")
            #expect(
                result.auditEvent
                    == .onboarded(
                        from: AuditSubject(.kms, appID: [1]), url: source.url + "/prpc", publicKey: expected))
            // Alone with its epochs, as the source has none.
            #expect(try await Epochs.open(store, .joining) { _, _ in }.isMember)
            // It serves by a certificate of its own, under the same root.
            let certificate = try RATLSCertificate(parsing: kms.files.read("rpc.crt"))
            #expect(certificate.attestation != nil)
            #expect(certificate.publicKey == own)
        }
    }

    @Test("a source that is not allowed is asked for no key")
    func denied() async throws {
        let kms = try NewKMS()
        try await ScriptedKMS(kms.world).run { source in
            let onboarding = kms.onboarding(
                source: try kms.source { _ in throw KMSServiceError(.denied, "KMS not allowed", "Boot denied: old") })
            let error = await #expect(throws: KMSServiceError(.denied, "", "")) {
                _ = try await onboarding.onboard(from: source.url, domain: "a")
            }
            #expect(
                error?.rpcError.message
                    == "Source KMS is not allowed for onboarding: KMS not allowed: Boot denied: old")
            #expect(source.seen.all == ["/prpc/GetMeta"])
            #expect(kms.names.isEmpty)
        }
    }

    @Test("a source without evidence, or with another's, is sent nothing at all")
    func notAttested() async throws {
        let kms = try NewKMS()
        let plain = try ScriptedKMS(kms.world, isAttested: false)
        let stolen = try ScriptedKMS(kms.world)
        let others = try stolen.credentials { $0.evidence = try KMSTestWorld.evidence(kms.world.kms, about: [1]) }
        for (source, credentials) in [(plain, nil), (stolen, others)] {
            try await source.run(presenting: credentials) { source in
                let onboarding = kms.onboarding(
                    source: try kms.source { _ in
                        Issue.record("nothing was verified")
                        return AuditSubject(.kms)
                    })
                await #expect(throws: KMSServiceError(.notAttested, "", "")) {
                    _ = try await onboarding.onboard(from: source.url, domain: "a")
                }
                #expect(source.seen.all.isEmpty)
            }
        }
        #expect(kms.names.isEmpty)
    }

    @Test("keys are never taken from another server than the one that was decided about")
    func exchanged() async throws {
        let kms = try NewKMS()
        try await ScriptedKMS(kms.world).run { source in
            // As genuine as the first, under the same root; the connection is gone meanwhile.
            let other = try source.credentials { _ in }
            let onboarding = kms.onboarding(
                source: try kms.source { _ in
                    try await source.restart(presenting: other)
                    return AuditSubject(.kms)
                })
            await #expect(throws: KMSServiceError(.notAttested, "", "")) {
                _ = try await onboarding.onboard(from: source.url, domain: "a")
            }
            #expect(source.seen.all == ["/prpc/GetMeta"])
            #expect(kms.names.isEmpty)
        }
    }

    @Test("keys that are not those of the source are not stored")
    func wrongKeys() async throws {
        let kms = try NewKMS()
        let other = try ScriptedKMS(kms.world, "other")
        let otherKey = RPCSecretText(utf8: RPCSecret(other.material.roots.caKey.pkcs8PEM))
        let scripts: [@Sendable (inout KMSRPC.KmsKeyResponse) throws -> Void] = [
            { $0.keys = [] }, { $0.keys += $0.keys }, { $0.keys[0].caKey = otherKey }, { $0.temporaryCAKey = otherKey },
            { _ in throw RPCError("KMS not allowed: Boot denied: unknown device") },
        ]
        try await ScriptedKMS(kms.world).run { source in
            for script in scripts {
                source.script.withLock { $0.root = script }
                await #expect(throws: KMSServiceError.self) {
                    _ = try await kms.onboarding(source: kms.source()).onboard(from: source.url, domain: "a")
                }
                #expect(kms.names.isEmpty)
            }
            source.script.withLock { $0.root = { _ in } }
            await #expect(throws: KMSServiceError(.notAttested, "", "")) {
                _ = try await kms.onboarding(source: kms.source()).onboard(
                    from: source.url, domain: "a", caPublicKey: other.caPublicKey)
            }
            await #expect(throws: KMSServiceError(.invalidRequest, "", "")) {
                _ = try await kms.onboarding(source: kms.source()).onboard(
                    from: source.url, domain: "a", caPublicKey: Array(source.caPublicKey.dropLast()))
            }
            _ = try await kms.onboarding(source: kms.source()).onboard(
                from: source.url, domain: "a", caPublicKey: source.caPublicKey)
        }
    }

    @Test("who has no evidence of its own, or no such source, hears why")
    func impossible() async throws {
        let kms = try NewKMS()
        let attempts: [(Onboarding, String, KMSServiceError.Code)] = [
            (kms.onboarding(), "https://localhost:1", .invalidConfiguration),
            (kms.onboarding(attest: .some(nil), source: try kms.source()), "https://a", .invalidConfiguration),
            (kms.onboarding(source: try kms.source()), "https://localhost:1", .unavailable),
            (kms.onboarding(source: try kms.source()), "http://localhost:1", .invalidRequest),
            (kms.onboarding(source: try kms.source()), "", .invalidRequest),
        ]
        for (onboarding, url, code) in attempts {
            await #expect(throws: KMSServiceError(code, "", ""), "\(url)") {
                _ = try await onboarding.onboard(from: url, domain: "a")
            }
        }
        #expect(kms.names.isEmpty)
    }

    // MARK: Replicas

    /// A source with epochs.
    private func source(_ world: KMSTestWorld, _ epochs: Epochs, seals: Bool = true) throws -> ScriptedKMS {
        let kms = try ScriptedKMS(world, seals: seals) { [root = try ScriptedKMS(world).caPublicKey] router in
            let replicas = ReplicaService(
                epochs, ReplicaExchange(urls: []) { _ in throw CancellationError() }, caPublicKey: root,
                clock: world.clock
            ) { call in
                guard call.peer.verdict is AttestedClientVerdict else { throw RPCError("No attestation provided") }
            }
            router.mount(replicas.service, at: "/prpc")
        }
        return kms
    }

    @Test("a replica is counted, and knows all epochs, before it has a key")
    func joins() async throws {
        let kms = try NewKMS()
        let (theirs, ours) = (try await kms.store("theirs"), try await kms.store("ours"))
        let epochs = try await Epochs.open(theirs, .founding) { _, _ in }
        _ = try await epochs.advance(.all)
        let attempt = try kms.source()
        let asked = Mutex(0)
        let source = try source(kms.world, epochs)
        source.script.withLock {
            $0.root = { _ in
                asked.withLock { $0 += 1 }
                #expect(epochs.table.members.count == 2)
                throw RPCError("not yet")
            }
        }
        try await source.run { source in
            await #expect(throws: KMSServiceError(.denied, "", "")) {
                _ = try await kms.onboarding(source: attempt, store: ours).onboard(
                    from: source.url, domain: "a")
            }
            #expect(kms.names.isEmpty)
            #expect(asked.withLock { $0 } == 1)
            #expect(try await Epochs.open(ours, .founding) { _, _ in }.table == epochs.table)
            source.script.withLock { $0.root = { _ in } }
            _ = try await kms.onboarding(source: attempt, store: ours).onboard(from: source.url, domain: "a")
            // The same one as at the first attempt.
            #expect(epochs.table.members.count == 2)
        }
        let later = try await Epochs.open(ours, .founding) { _, _ in }
        #expect(later.table == epochs.table)
        #expect(try later.epoch(of: kms.world.app.appID) == epochs.epoch(of: kms.world.app.appID))
    }

    @Test("keys that anyone in between could read are not taken from a service that can encrypt them")
    func stripped() async throws {
        let kms = try NewKMS()
        let epochs = try await Epochs.open(kms.store("theirs"), .founding) { _, _ in }
        let attempt = try kms.source()
        // What somebody who ends the connection makes of it: the request without its key, the answer as it came.
        try await source(kms.world, epochs, seals: false).run { source in
            let ours = try await kms.store("ours")
            let error = await #expect(throws: KMSServiceError(.notAttested, "", "")) {
                _ = try await kms.onboarding(source: attempt, store: ours).onboard(from: source.url, domain: "a")
            }
            #expect(error?.subject == "sealed")
            #expect(source.seen.all.last == "/prpc/GetKmsKey")
            #expect(kms.names.isEmpty)
        }
    }

    @Test(
        "where settings want it, keys are taken encrypted or not at all, whatever service claims to be of another kind")
    func alwaysSealed() async throws {
        let kms = try NewKMS()
        for seals in [false, true] {
            try await ScriptedKMS(kms.world, seals: seals).run { source in
                let onboarding = kms.onboarding(requiresSealedRootKeys: true, source: try kms.source())
                if seals {
                    _ = try await onboarding.onboard(from: source.url, domain: "a")
                } else {
                    await #expect(throws: KMSServiceError(.notAttested, "", "")) {
                        _ = try await onboarding.onboard(from: source.url, domain: "a")
                    }
                }
                #expect(kms.names.isEmpty == !seals)
            }
        }
    }

    @Test("epochs of a service whose keys never came are not carried to other keys")
    func startedAnew() async throws {
        let kms = try NewKMS()
        let ours = try await kms.store("ours")
        for (name, goesOn) in [("one", false), ("two", true)] {
            let theirs = try await Epochs.open(kms.store(name), .founding) { _, _ in }
            _ = try await theirs.advance(.all)
            let source = try source(kms.world, theirs)
            if !goesOn { source.script.withLock { $0.root = { _ in throw RPCError("no") } } }
            try await source.run { source in
                let onboarding = kms.onboarding(source: try kms.source(), store: ours)
                _ = try? await onboarding.onboard(from: source.url, domain: "a")
            }
            #expect(theirs.table.members.count == 2)
            #expect(theirs.table.epochs.count == 1)
            #expect(try await Epochs.open(ours, .joining) { _, _ in }.table == theirs.table)
        }
        #expect(try kms.files.state() == .complete)
        // The same before new keys.
        let other = try NewKMS()
        let theirs = try await Epochs.open(kms.store("three"), .founding) { _, _ in }
        let source = try source(kms.world, theirs)
        source.script.withLock { $0.root = { _ in throw RPCError("no") } }
        let store = try await other.store()
        try await source.run { source in
            let onboarding = other.onboarding(source: try other.source(), store: store)
            _ = try? await onboarding.onboard(from: source.url, domain: "a")
            _ = try await onboarding.bootstrap(domain: "b")
        }
        let own = try await Epochs.open(store, .joining) { _, _ in }
        #expect(own.table.members == [own.replica])
        #expect(try own.epoch(of: kms.world.app.appID) == .first)
    }

    @Test("a crash at any step of onboarding leaves the whole or nothing, and it can be done again")
    func crashes() async throws {
        let kms = try NewKMS()
        let (theirs, ours) = (try await kms.store("theirs"), try await kms.store("ours"))
        let epochs = try await Epochs.open(theirs, .founding) { _, _ in }
        let attempt = try kms.source()
        try await source(kms.world, epochs).run { source in
            let (files, taken) = kms.snapshots()
            _ = try await kms.onboarding(files, source: attempt, store: ours).onboard(from: source.url, domain: "a")
            let expected = source.material.roots.publicKey
            for index in taken.all.indices {
                let left = RootKeyFiles(kms.scratch.path("crash-\(index)"))
                if try left.state() == .absent {
                    _ = try await kms.onboarding(left, source: attempt, store: ours).onboard(
                        from: source.url, domain: "a")
                }
                let key = try left.load().material.roots.publicKey
                #expect(key == expected, "\(taken.all[index])")
            }
        }
        #expect(epochs.table.members.count == 2)
    }
}
