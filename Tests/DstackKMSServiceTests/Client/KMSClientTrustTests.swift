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
import Foundation
import Synchronization
import TestKit
import Testing

@Suite("Whom a client of a KMS talks to", .timeLimit(.minutes(2)))
struct KMSClientTrustTests {
    private func client(
        _ kms: ScriptedKMS, _ trust: KMSTrust, url: String? = nil, _ configuration: KMSClient.Configuration = .init()
    ) throws -> KMSClient {
        try KMSClient(
            url ?? kms.url, trust: trust, attest: KMSTestWorld.attest(kms.world.app), configuration,
            clock: kms.world.clock)
    }

    private func keys(_ kms: ScriptedKMS, _ trust: KMSTrust) async throws -> FixedBytes<33> {
        try await client(kms, trust).appKeys(of: kms.world.app.appID, vmConfiguration: "{}").rootKey.publicKey
    }

    @Test("a service of the pinned root gives keys over one connection, on which both sides are known")
    func pinned() async throws {
        let world = try KMSTestWorld.shared()
        try await ScriptedKMS(world).run(.attested) { kms in
            let key = try await keys(kms, .pinned(caPublicKey: kms.caPublicKey))
            #expect(try key == kms.material.roots.appRootKey(world.app.appID).publicKey)
            #expect(kms.seen.all == ["/prpc/GetTempCaCert", "/prpc/GetMeta", "/prpc/GetAppKey"])
            #expect(kms.statistics?.acceptedConnections == 1)
        }
    }

    @Test("evidence that is accepted is enough, by whichever name the service is called; so are both")
    func attested() async throws {
        let world = try KMSTestWorld.shared()
        try await ScriptedKMS(world).run(.attested) { kms in
            let verifier = try world.kmsVerifier()
            _ = try await keys(kms, .attested(verifier))
            let byAddress = kms.url.replacingOccurrences(of: "localhost", with: "127.0.0.1")
            let client = try client(kms, .attested(verifier), url: byAddress)
            #expect(try await client.meta().caPublicKey == kms.caPublicKey)
            #expect(client.server?.peer?.report.verdict == .accepted)
            _ = try await keys(kms, .pinnedAndAttested(caPublicKey: kms.caPublicKey, verifier))
        }
    }

    /// What is presented in place of the right certificate, and what is said of it.
    enum Impostor: String, CaseIterable, Sendable {
        case otherRoot, noUsage, applicationsUsage, authority, otherHost, expired, notYet, clientsOnly, noEvidence
        case otherCode, othersEvidence

        /// Which of pin and evidence notices it.
        var isNoticedBy: (pin: Bool, evidence: Bool) {
            switch self {
            case .otherRoot, .otherHost: (true, false)
            case .noEvidence, .otherCode, .othersEvidence: (false, true)
            default: (true, true)
            }
        }

        func credentials(_ kms: ScriptedKMS) throws -> TLSCredentials {
            switch self {
            case .otherRoot: try kms.credentials({ _ in }, signedBy: ScriptedKMS(kms.world, "other"))
            case .noUsage: try kms.credentials { $0.usage = nil }
            case .applicationsUsage: try kms.credentials { $0.usage = .appCustom }
            case .authority:
                try kms.credentials {
                    $0.usage = .appCA
                    $0.pathLength = 0
                }
            case .otherHost: try kms.credentials { $0.alternativeNames = ["kms.example"] }
            case .expired: try kms.credentials { $0.notAfter = KMSTestWorld.now - 1 }
            case .notYet: try kms.credentials { $0.notBefore = KMSTestWorld.now + 1 }
            case .clientsOnly: try kms.credentials { $0.isForClients = true }
            case .noEvidence: try kms.credentials { $0.evidence = [] }
            case .otherCode:
                try kms.credentials {
                    $0.evidence = try KMSTestWorld.evidence(kms.world.app, about: kms.material.rpcKey.publicKey)
                }
            case .othersEvidence:
                try kms.credentials { $0.evidence = try KMSTestWorld.evidence(kms.world.kms, about: [1, 2, 3]) }
            }
        }
    }

    @Test("no byte of a request reaches a server that is not the one", arguments: Impostor.allCases)
    func impostors(_ impostor: Impostor) async throws {
        let world = try KMSTestWorld.shared()
        let kms = try ScriptedKMS(world)
        let verifier = try world.kmsVerifier()
        let trusts: [(KMSTrust, Bool)] = [
            (.pinned(caPublicKey: kms.caPublicKey), impostor.isNoticedBy.pin),
            (.attested(verifier), impostor.isNoticedBy.evidence),
            (.pinnedAndAttested(caPublicKey: kms.caPublicKey, verifier), impostor != .otherHost),
        ]
        try await kms.run(presenting: impostor.credentials(kms)) { kms in
            for (trust, isNoticed) in trusts where isNoticed {
                for attest in [nil, KMSTestWorld.attest(world.app)] {
                    let client = try KMSClient(kms.url, trust: trust, attest: attest, clock: world.clock)
                    let error = await #expect(throws: KMSClientError.self) { _ = try await client.meta() }
                    #expect(error?.code == .notTrusted, "\(impostor) \(trust): \(error?.description ?? "")")
                    #expect(client.server == nil || impostor == .otherHost)
                }
            }
            #expect(kms.seen.all.isEmpty)
            #expect(kms.statistics?.answeredRequests == 0)
            #expect(kms.statistics?.refusedRequests == 0)
        }
    }

    @Test("a server that answers with evidence and another root's certificate is not believed what root it has")
    func otherRootNamed() async throws {
        let world = try KMSTestWorld.shared()
        let kms = try ScriptedKMS(world)
        try await kms.run(presenting: kms.credentials({ _ in }, signedBy: ScriptedKMS(world, "other"))) { kms in
            let client = try client(kms, .attested(world.kmsVerifier()))
            await #expect(throws: KMSClientError(.invalidAnswer, "", "")) { _ = try await client.meta() }
        }
    }

    @Test("who trusts whoever answers first is bound to that root from then on")
    func firstAnswer() async throws {
        let world = try KMSTestWorld.shared()
        let kms = try ScriptedKMS(world)
        try await kms.run { kms in
            let client = try client(kms, .whoeverAnswersFirst)
            let keys = try await client.appKeys(of: world.app.appID, vmConfiguration: "{}")
            #expect(keys.provider.info.id == kms.caPublicKey)
            #expect(kms.seen.all.first == "/prpc/GetTempCaCert")
            #expect(client.caPublicKey == kms.caPublicKey)
            let count = kms.seen.all.count
            try await kms.present(kms.credentials({ _ in }, signedBy: ScriptedKMS(world, "other")))
            await #expect(throws: KMSClientError(.notTrusted, "", "")) {
                _ = try await client.call(Self.metaOverNewConnection, RPCEmpty())
            }
            #expect(kms.seen.all.count == count)
        }
    }

    /// A call that must not be repeated has a connection of its own.
    private static let metaOverNewConnection = RPCMethod<RPCEmpty, KMSRPC.GetMetaResponse>("KMS", "GetMeta", .once)

    @Test("a server that wants certificates of its temporary CA is given one")
    func upstreamsServer() async throws {
        let world = try KMSTestWorld.shared()
        try await ScriptedKMS(world).run(.temporaryCA) { kms in
            let client = try client(kms, .pinned(caPublicKey: kms.caPublicKey))
            for _ in 0..<2 {
                let keys = try await client.appKeys(of: world.app.appID, vmConfiguration: "{}")
                let expected = try kms.material.roots.appRootKey(world.app.appID).publicKey
                #expect(keys.rootKey.publicKey == expected)
            }
            // One that was refused, one that asked for the CA, one that all the rest went over.
            #expect(kms.statistics?.acceptedConnections == 3)
            var configuration = KMSClient.Configuration()
            configuration.introduction = .selfSigned
            let stubborn = try self.client(kms, .pinned(caPublicKey: kms.caPublicKey), configuration)
            await #expect(throws: KMSClientError(.unreachable, "", "")) { _ = try await stubborn.meta() }
        }
    }

    @Test("who decided about the first server is connected to no other one, not even of the same root")
    func staysWithFirst() async throws {
        let world = try KMSTestWorld.shared()
        let kms = try ScriptedKMS(world)
        try await kms.run { kms in
            var configuration = KMSClient.Configuration()
            configuration.staysWithFirstServer = true
            let client = try client(kms, .attested(world.kmsVerifier()), configuration)
            _ = try await client.meta()
            let first = client.server?.certificates
            // As genuine as the first.
            try await kms.present(kms.credentials { _ in })
            await #expect(throws: KMSClientError(.notTrusted, "", "")) {
                _ = try await client.call(Self.metaOverNewConnection, RPCEmpty())
            }
            #expect(client.server?.certificates == first)
        }
    }

    @Test("collateral that is missing is fetched before a second try")
    func collateral() async throws {
        let world = try KMSTestWorld.shared()
        try await ScriptedKMS(world).run { kms in
            let provider = GivenCollateral(try world.collateral())
            let verifier = try world.kmsVerifier(ReadyCollateral(provider, verifier: world.quotes))
            _ = try await client(kms, .attested(verifier)).meta()
            #expect(provider.asked.all.count == 1)
        }
    }

    private final class GivenCollateral: CollateralProvider {
        private let collateral: QuoteCollateral
        let asked = Noted()

        init(_ collateral: QuoteCollateral) { self.collateral = collateral }

        func collateral(for quote: Quote) async throws -> QuoteCollateral {
            asked.add("once")
            return collateral
        }
    }

    @Test("what is no address of a service is refused at once", arguments: ["http://localhost", "https://", "x", ""])
    func addresses(_ url: String) throws {
        #expect(throws: KMSClientError(.invalidConfiguration, "", "")) {
            _ = try KMSClient(url, trust: .whoeverAnswersFirst)
        }
    }

    @Test("the path of the methods is added where it is missing")
    func paths() throws {
        for url in ["https://a", "https://a/", "https://a/prpc", "https://a/prpc//"] {
            #expect(try KMSClient(url, trust: .whoeverAnswersFirst).url == "https://a/prpc")
        }
    }
}
