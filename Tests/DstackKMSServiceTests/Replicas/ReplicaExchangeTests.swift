import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackHTTPServer
import DstackKMS
import DstackKMSClient
import DstackKMSService
import DstackKeys
import DstackMockTEE
import DstackNetwork
import DstackRPC
import DstackRPCServer
import DstackStore
import DstackSystem
import Foundation
import Synchronization
import TestKit
import Testing

/// One of several services with the same root keys.
private final class TestReplica: Sendable {
    let kms: ScriptedKMS
    let epochs: Epochs
    let exchange: ReplicaExchange
    /// What the address "own" stands for.
    let ownURL = Shared("")

    init(
        _ world: KMSTestWorld, _ store: any Store, _ beginning: Epochs.Beginning, calls urls: [String] = [],
        root label: String = "kms"
    ) async throws {
        let keys = try ScriptedKMS(world, label)
        var pace = ReplicaExchange.Pace()
        pace.interval = .milliseconds(20)
        pace.firstPause = .milliseconds(5)
        pace.longestPause = .milliseconds(50)
        let verifier = try world.kmsVerifier()
        let ownURL = ownURL
        let exchange = ReplicaExchange(
            urls: urls, pace: pace, log: LimitedLog(Log("kms.replicas", to: LogOutput(sink: Nowhere())))
        ) { url in
            var configuration = KMSClient.Configuration()
            configuration.introduction = .issued { attest, now in
                try await ReplicaCertificate.credentials(under: keys.root(), attest: attest, at: now)
            }
            return try KMSClient(
                url == "own" ? ownURL.value : url,
                trust: .pinnedAndAttested(caPublicKey: keys.caPublicKey, verifier),
                attest: KMSTestWorld.attest(world.kms), configuration, clock: world.clock)
        }
        let epochs = try await Epochs.open(store, beginning, send: exchange.send)
        let root = keys.caPublicKey
        kms = try ScriptedKMS(world, label) { router in
            let service = ReplicaService(epochs, exchange, caPublicKey: root, clock: world.clock) { call in
                guard let peer = (call.peer.verdict as? AttestedClientVerdict)?.peer else {
                    throw RPCError("No attestation provided")
                }
                guard peer.report.quote?.body.tdReport?.mrConfigId == world.kms.domain.mrConfigId else {
                    throw RPCError("KMS not allowed")
                }
            }
            router.mount(service.service, at: "/prpc")
        }
        self.epochs = epochs
        self.exchange = exchange
    }

    /// Counts another one among the replicas, as joining does.
    func meet(_ other: TestReplica) async throws {
        try await epochs.add(other.epochs.replica)
        try await other.epochs.receive(EpochMessage(epochs.table, isQuestion: false).encoded, from: epochs.replica)
    }

    func running<Result: Sendable>(_ body: () async throws -> Result) async throws -> Result {
        let task = Task { await exchange.run(epochs) }
        defer { task.cancel() }
        return try await body()
    }
}

private struct Nowhere: ByteSink {
    func write(_ bytes: [UInt8]) {}
}

extension ScriptedKMS {
    fileprivate func root() throws -> CertificateAuthority {
        try CertificateAuthority(key: copy(material.roots.caKey), chain: [certificates.root])
    }
}

@Suite("Epochs between replicas", .timeLimit(.minutes(2)))
struct ReplicaExchangeTests {
    private let app: AppID

    init() throws { app = try KMSTestWorld.shared().app.appID }

    private func expect(
        _ replica: TestReplica, comesTo number: KeyEpoch, _ location: SourceLocation = #_sourceLocation
    ) async throws {
        let came = try await eventually { try replica.epochs.epoch(of: app) == number }
        #expect(came, sourceLocation: location)
    }

    @Test("two of which only one can reach the other agree on a new epoch")
    func oneWay() async throws {
        let kms = try NewKMS()
        let first = try await TestReplica(kms.world, kms.store("a"), .founding)
        try await first.kms.run { server in
            let second = try await TestReplica(kms.world, kms.store("b"), .joining, calls: [server.url])
            try await first.meet(second)
            let number = try await first.epochs.advance(.all)
            #expect(try first.epochs.epoch(of: app) == .first)
            try await first.running {
                try await second.running {
                    try await expect(second, comesTo: number)
                    try await expect(first, comesTo: number)
                    // And the other way round.
                    let next = try await second.epochs.advance(.app(app))
                    try await expect(first, comesTo: next)
                    try await expect(second, comesTo: next)
                }
            }
        }
    }

    @Test("an epoch waits for a replica that is cut off, which refuses it by name and comes to it afterwards")
    func cutOff() async throws {
        let kms = try NewKMS()
        let first = try await TestReplica(kms.world, kms.store("a"), .founding)
        try await first.kms.run { server in
            let second = try await TestReplica(kms.world, kms.store("b"), .joining, calls: [server.url])
            let third = try await TestReplica(kms.world, kms.store("c"), .joining, calls: [server.url])
            try await first.meet(second)
            try await first.meet(third)
            try await first.running {
                try await second.running {
                    let number = try await second.epochs.advance(.app(app))
                    #expect(try await eventually { first.epochs.table.epochs[number.number] != nil })
                    let answers = server.seen.all.count
                    #expect(try await eventually { server.seen.all.count > answers + 4 })
                    #expect(throws: KMSStateError(.unknownEpoch, "", "")) {
                        _ = try third.epochs.epoch(of: app, named: number)
                    }
                    for replica in [first, second] {
                        #expect(try replica.epochs.epoch(of: app) == .first)
                        #expect(throws: KMSStateError(.epochNotInForce, "", "")) {
                            _ = try replica.epochs.epoch(of: app, named: number)
                        }
                    }
                    try await third.running {
                        for replica in [first, second, third] {
                            try await expect(replica, comesTo: number)
                        }
                    }
                }
            }
        }
    }

    @Test("whoever cannot be reached holds nothing up, and is reached once it is there")
    func unreachable() async throws {
        let kms = try NewKMS()
        let first = try await TestReplica(
            kms.world, kms.store("a"), .founding, calls: ["https://localhost:1", "no address"])
        try await first.kms.run { server in
            let second = try await TestReplica(
                kms.world, kms.store("b"), .joining, calls: ["https://localhost:1", server.url])
            try await first.meet(second)
            try await first.running {
                let number = try await first.epochs.advance(.all)
                try await second.running {
                    try await expect(first, comesTo: number)
                }
            }
        }
    }

    @Test("replicas that all have one list of addresses pass over their own")
    func ownAddress() async throws {
        let kms = try NewKMS()
        let first = try await TestReplica(kms.world, kms.store("a"), .founding)
        try await first.kms.run { server in
            let again = try await TestReplica(kms.world, kms.store("b"), .joining, calls: [server.url, server.url])
            try await first.meet(again)
            try await again.kms.run { other in
                let both = try await TestReplica(kms.world, kms.store("c"), .joining, calls: [server.url, other.url])
                try await first.meet(both)
                try await first.running {
                    try await again.running {
                        try await both.running {
                            let number = try await both.epochs.advance(.all)
                            for replica in [first, again, both] {
                                try await expect(replica, comesTo: number)
                            }
                        }
                    }
                }
            }
        }
    }

    @Test("one that names itself in its list passes over its own address")
    func namesItself() async throws {
        let kms = try NewKMS()
        let first = try await TestReplica(kms.world, kms.store("a"), .founding, calls: ["own"])
        try await first.kms.run { server in
            first.ownURL.edit { $0 = server.url }
            let second = try await TestReplica(kms.world, kms.store("b"), .joining, calls: [server.url])
            try await first.meet(second)
            try await first.running {
                try await second.running {
                    #expect(try await eventually { server.seen.all.contains { $0.contains("Identify") } })
                    let number = try await first.epochs.advance(.all)
                    for replica in [first, second] { try await expect(replica, comesTo: number) }
                }
            }
            #expect(first.epochs.isMember && second.epochs.isMember)
        }
    }

    @Test("no keys are given by either of two services whose stores are copies of one")
    func copies() async throws {
        let kms = try NewKMS()
        let original = try await kms.store("a")
        _ = try await Epochs.open(original, .founding) { _, _ in }
        await original.close()
        try FileManager.default.copyItem(atPath: kms.scratch.path("a"), toPath: kms.scratch.path("b"))
        let first = try await TestReplica(kms.world, kms.store("a"), .founding)
        try await first.kms.run { server in
            let second = try await TestReplica(kms.world, kms.store("b"), .founding, calls: [server.url])
            #expect(first.epochs.replica == second.epochs.replica)
            #expect(first.epochs.isMember && second.epochs.isMember)
            // The one that is called and calls nobody, too.
            let areStopped = try await second.running {
                try await eventually { !first.epochs.isMember && !second.epochs.isMember }
            }
            #expect(areStopped)
            for replica in [first, second] {
                #expect(throws: KMSStateError(.notAReplica, "", "")) { _ = try replica.epochs.epoch(of: app) }
                #expect(throws: KMSStateError(.notAReplica, "", "")) { try replica.epochs.expectMember() }
            }
            // Somebody else is at that address again.
            second.epochs.note(copyAt: server.url, isThere: false)
            #expect(second.epochs.isMember)
        }
    }

    // MARK: Attacks

    /// A foreign service's epochs, which say that it is a replica.
    private func foreignTable(_ id: ReplicaID) -> [UInt8] {
        EpochMessage(EpochTable(replicas: [id]), isQuestion: true).encoded
    }

    @Test("nobody without the root keys has a say about epochs, however genuine")
    func strangers() async throws {
        let kms = try NewKMS()
        let world = kms.world
        let first = try await TestReplica(world, kms.store("a"), .founding)
        let before = first.epochs.table
        let foreign = try ScriptedKMS(world, "foreign")
        let id = ReplicaID(FixedBytes(repeating: 7))
        try await first.kms.run { server in
            func introduction(
                _ root: ScriptedKMS, _ edit: @escaping @Sendable (inout CertificateTemplate) -> Void
            ) -> KMSIntroduction {
                .issued { attest, now in
                    let attested = try await AttestedKey(quote: attest)
                    var template = CertificateTemplate(.upstream, commonName: "x", now: now)
                    template.evidence = try EvidenceEncoding.standard.extensions(for: attested.attestation)
                    template.usage = .kmsReplica
                    edit(&template)
                    let chain = try root.root().issue(template, for: attested.key.key.publicKey)
                    let key = SharedSecret(attested.key.withUnsafePEM { SecretBytes(copying: $0.bytes) })
                    return TLSCredentials(chain: chain) { body in key.withUnsafeBytes { body($0) } }
                }
            }
            let attempts: [(String, KMSIntroduction, MockBoot)] = [
                ("evidence alone", .selfSigned, world.kms),
                ("a foreign root", introduction(foreign) { _ in }, world.kms),
                ("a server's certificate", introduction(server) { $0.usage = .kmsRPC }, world.kms),
                ("an application's certificate", introduction(server) { $0.usage = .appCustom }, world.kms),
                ("a CA", introduction(server) { $0.pathLength = 0 }, world.kms),
                ("a certificate for servers", introduction(server) { $0.isForServers = true }, world.kms),
                ("other code", introduction(server) { _ in }, world.app),
            ]
            for (name, introduction, boot) in attempts {
                var configuration = KMSClient.Configuration()
                configuration.introduction = introduction
                let client = try KMSClient(
                    server.url, trust: .pinned(caPublicKey: server.caPublicKey), attest: KMSTestWorld.attest(boot),
                    configuration, clock: world.clock)
                let error = await #expect(throws: KMSClientError.self, "\(name)") {
                    _ = try await client.exchange(id, foreignTable(id))
                }
                #expect(error?.code == .refused || error?.code == .unreachable, "\(name): \(error?.description ?? "")")
                #expect(first.epochs.table == before, "\(name)")
            }
            let anonymous = try KMSClient(
                server.url, trust: .pinned(caPublicKey: server.caPublicKey), clock: world.clock)
            for ask in [
                { _ = try await anonymous.exchange(id, foreignTable(id)) },
                { _ = try await anonymous.join(id, foreignTable(id)) }, { _ = try await anonymous.replica() },
            ] {
                await #expect(throws: KMSClientError(.refused, "", "")) { try await ask() }
            }
            #expect(first.epochs.table == before)
        }
    }

    @Test("who joins is counted, and what it says about epochs is not looked at")
    func joins() async throws {
        let kms = try NewKMS()
        let first = try await TestReplica(kms.world, kms.store("a"), .founding)
        let (id, other) = (ReplicaID(FixedBytes(repeating: 7)), ReplicaID(FixedBytes(repeating: 8)))
        try await first.kms.run { server in
            let client = try KMSClient(
                server.url, trust: .pinned(caPublicKey: server.caPublicKey),
                attest: KMSTestWorld.attest(kms.world.kms), clock: kms.world.clock)
            let table = EpochMessage(EpochTable(replicas: [id, other]), isQuestion: true).encoded
            for message in [table, [], [9, 9]] {
                let (replica, answer) = try await client.join(id, message)
                #expect(replica == first.epochs.replica)
                #expect(try EpochMessage(decoding: answer).table == first.epochs.table)
            }
            #expect(first.epochs.table.members == [id, first.epochs.replica])
            await #expect(throws: KMSClientError(.refused, "", "")) {
                _ = try await client.join(first.epochs.replica, [])
            }
            // Given up once, it has to begin with a new id.
            try await first.epochs.forget(id)
            await #expect(throws: KMSClientError.self) { _ = try await client.join(id, []) }
        }
    }

    @Test("messages with changed or missing bytes change nothing but what they say in order")
    func mutated() async throws {
        let kms = try NewKMS()
        let first = try await TestReplica(kms.world, kms.store("a"), .founding)
        try await first.kms.run { server in
            let second = try await TestReplica(kms.world, kms.store("b"), .joining, calls: [server.url])
            try await first.meet(second)
            var configuration = KMSClient.Configuration()
            configuration.introduction = .issued { attest, now in
                try await ReplicaCertificate.credentials(under: server.root(), attest: attest, at: now)
            }
            let client = try KMSClient(
                server.url, trust: .pinned(caPublicKey: server.caPublicKey),
                attest: KMSTestWorld.attest(kms.world.kms), configuration, clock: kms.world.clock)
            let message = EpochMessage(second.epochs.table, isQuestion: true).encoded
            let me = second.epochs.replica
            for count in message.indices {
                await #expect(throws: KMSClientError(.refused, "", ""), "\(count) bytes") {
                    _ = try await client.exchange(me, Array(message.prefix(count)))
                }
            }
            for method in [KMSRPC.Replica.exchange, KMSRPC.Replica.join] {
                for id in [[], [1], [UInt8](repeating: 1, count: 17)] {
                    await #expect(throws: KMSClientError(.refused, "", "")) {
                        _ = try await client.call(method, .with { ($0.replicaID, $0.epochs) = (id, message) })
                    }
                }
            }
            let (replica, answer) = try await client.exchange(me, message)
            #expect(replica == first.epochs.replica)
            #expect(try EpochMessage(decoding: answer).table == first.epochs.table)
        }
    }
}
