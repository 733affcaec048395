import DstackAttestation
import DstackCrypto
import DstackGuest
import DstackRPC
import Foundation
import TestKit
import Testing

@Suite("Guest agent: what of keys stays in memory")
struct AgentSecretMemoryTests {
    /// What to look for, masked as the search wants it, so that no unmasked copy is made here.
    private enum Mask {
        static let byte: UInt8 = 0x5A

        static func bytes(_ key: RawSpan) -> [UInt8] {
            (0..<key.byteCount).map { key.unsafeLoad(fromByteOffset: $0, as: UInt8.self) ^ byte }
        }

        static func digits(_ key: RawSpan) -> [UInt8] {
            bytes(key).flatMap { masked in
                [(masked ^ byte) >> 4, (masked ^ byte) & 15].map { ($0 < 10 ? $0 + 48 : $0 + 87) ^ byte }
            }
        }
    }

    private static func agent() async throws -> AgentFixture {
        var settings = AgentFixture.settings
        settings.keys.cachedAnswers = 0
        settings.certificates.makesDemoCertificate = false
        return try await AgentFixture(settings)
    }

    private static func masks(_ secret: RPCSecret) -> [[UInt8]] {
        secret.withBytes { [Mask.bytes($0), Mask.digits($0)] }
    }

    private static func count(_ masks: [[UInt8]]) throws -> [Int] {
        try masks.map { try MemoryScan.occurrences(ofMasked: $0) }
    }

    // Each in a process of its own: where other tests map and give back memory, a search of all of it misses some.

    @Test("nothing of a derived key is left by the agent, by its client or by what is between them")
    func derived() async throws {
        await #expect(processExitsWith: .success) {
            let agent = try await AgentSecretMemoryTests.agent()
            var all: [[UInt8]] = []
            for encoding in [RPCEncoding.json, .protobuf] {
                var (main, newer, older) = (agent.client(), agent.client(at: "/v1"), agent.client("tappd", at: "/prpc"))
                (main.encoding, newer.encoding, older.encoding) = (encoding, encoding, encoding)
                let path = "\(encoding) \(UUID())"
                for _ in 0..<2 {
                    let answer = try await main.call(
                        AgentRPC.DstackGuest.getKey, .with { ($0.path, $0.algorithm) = (path, "ed25519") })
                    all += AgentSecretMemoryTests.masks(answer.key)
                }
                let key = try await main.call(AgentRPC.DstackGuest.getKey, .with { $0.path = path + "k" })
                all += AgentSecretMemoryTests.masks(key.key)
                let domain = try await newer.call(
                    AgentRPCv1.DstackGuest.getKey, .with { ($0.domain, $0.algorithm) = (path, "secp256k1") })
                all += AgentSecretMemoryTests.masks(domain.key)
                let old = try await older.call(AgentRPC.Tappd.deriveK256Key, .with { $0.path = path + "o" })
                all += AgentSecretMemoryTests.masks(old.k256Key)
            }
            let left = try AgentSecretMemoryTests.count(all)
            #expect(left == [Int](repeating: 0, count: 20))
            // And the search finds what is there.
            let key = try await agent.client().call(AgentRPC.DstackGuest.getKey, .with { $0.path = "here" }).key
            let found = try AgentSecretMemoryTests.count(AgentSecretMemoryTests.masks(key))
            #expect(found == [1, 0])
            withExtendedLifetime(key) {}
        }
    }

    @Test("nothing is left of the key of a certificate")
    func certificate() async throws {
        await #expect(processExitsWith: .success) {
            let agent = try await AgentSecretMemoryTests.agent()
            func asked() async throws -> [[UInt8]] {
                let client = DstackClient(.unix(agent.path("dstack")))
                let identity = try await client.tlsIdentity(TLSIdentityRequest(subject: "wiped"))
                return identity.withUnsafePrivateKeyPEM { pem in
                    // Of the first line: the end, where the private number begins.
                    let line = "-----BEGIN PRIVATE KEY-----\n".utf8.count
                    return [Mask.bytes(UnsafeRawBufferPointer(rebasing: pem[line + 48..<line + 64]).bytes)]
                }
            }
            let left = try AgentSecretMemoryTests.count(try await asked())
            #expect(left == [0])
        }
    }

    @Test("an answer that is kept is kept once, and goes with the agent")
    func cached() async throws {
        await #expect(processExitsWith: .success) {
            func asked() async throws -> [[UInt8]] {
                let agent = try await AgentFixture()
                var client = agent.client()
                client.encoding = .protobuf
                let answer = try await client.call(AgentRPC.DstackGuest.getKey, .with { $0.path = "kept" })
                let all = AgentSecretMemoryTests.masks(answer.key)
                // The answer itself, and the agent's as bytes and as JSON.
                let found = try withExtendedLifetime(answer) { try AgentSecretMemoryTests.count(all) }
                #expect(found == [2, 1])
                await agent.service.server.stop()
                return all
            }
            let all = try await asked()
            #expect(try await eventually { try AgentSecretMemoryTests.count(all) == [0, 0] })
        }
    }
}
