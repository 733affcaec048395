import DstackAttestation
import DstackEncoding
import Foundation
import TestKit
import Testing

@Suite("Vectors of the guest agent, through the client", .needsVectors("guest-agent/derived-vectors.json"))
struct ClientVectorTests {
    @Test("keys of paths, purposes and algorithms are the published ones, and their chains lead to the KMS")
    func keys() async throws {
        let vectors = try Vectors.object("guest-agent/derived-vectors.json")
        let agent = try await FakeAgent()
        defer { agent.end() }
        let client = agent.client()
        let appID = try #require(AppID(hex: vectors.text("fixture_app_id")))
        for row in try vectors.rows("v0_get_key") {
            let algorithm = try #require(KeyAlgorithm(label: row.text("algorithm")))
            let key = try await client.key(
                path: row.text("path"), purpose: row.text("purpose"), algorithm: algorithm)
            #expect(try key.hexForTest() == row.text("key"))
            #expect(try Hex.encode(key.publicKey) == row.text("public_key"))
            #expect(try key.signatureChain.map { Hex.encode($0) } == row.texts("signature_chain"))
            let appKey = try key.verifyChain(appID: appID, kmsKey: vectors.bytes("fixture_kms_k256_pubkey"))
            #expect(try appKey.hex == vectors.text("fixture_app_k256_pubkey"))
        }
    }

    @Test("signatures are the published ones")
    func signatures() async throws {
        let vectors = try Vectors.object("guest-agent/derived-vectors.json")
        let agent = try await FakeAgent()
        defer { agent.end() }
        for row in try vectors.rows("v0_sign") {
            let algorithm = try #require(MessageSignatureAlgorithm(label: row.text("algorithm")))
            let signed = try await agent.client().sign(row.bytes("data"), using: algorithm)
            #expect(try Hex.encode(signed.signature) == row.text("signature"))
            #expect(try Hex.encode(signed.publicKey) == row.text("public_key"))
            try signed.proof.verify(appID: FakeAgent.appID, kmsKey: FakeAgent.kmsKey)
        }
    }

    @Test("verification says here what it says there: true, false, or that it makes no sense")
    func verification() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let client = agent.client()
        for row in try Vectors.object("guest-agent/derived-vectors.json").rows("v0_verify") {
            let algorithm = try #require(MessageSignatureAlgorithm(label: row.text("algorithm")))
            let (signature, data) = (try row.bytes("signature"), try row.bytes("data"))
            let publicKey = try row.bytes("public_key")
            let expected = row["valid"] as? Bool
            for isLocal in [true, false] {
                let result: Bool?
                do throws(DstackClientError) {
                    result =
                        isLocal
                        ? try DstackClient.verify(signature, of: data, publicKey: publicKey, algorithm: algorithm)
                        : try await client.verifyRemotely(
                            signature, of: data, publicKey: publicKey, algorithm: algorithm)
                } catch {
                    #expect(error.code == (isLocal ? .invalidRequest : .refused))
                    result = nil
                }
                #expect(result == expected, "\(row["name"] ?? ""), here: \(isLocal)")
            }
        }
    }

    @Test("an environment key is taken from the KMS alone, in time, and the older form too")
    func environmentKey() async throws {
        let vector = try Vectors.object("guest-agent/derived-vectors.json").row("env_encrypt_pubkey_signature")
        let key = try #require(FixedBytes32(vector.bytes("public_key")))
        let appID = try #require(AppID(hex: vector.text("app_id")))
        let kms = hex(String(try vector.text("signer").dropFirst(2)))
        let time = try #require((vector["timestamp"] as? NSNumber)?.uint64Value)
        let (older, newer) = (try vector.bytes("signature"), try vector.bytes("signature_v1"))
        func check(
            _ signature: [UInt8], _ timestamp: UInt64?, app: AppID = appID, kms: [UInt8] = kms, at now: Int64
        ) async -> DstackClientError.Code? {
            await clientError { () throws(DstackClientError) in
                try EnvironmentEncryptionKey(
                    key.bytes, timestamp: timestamp, signature: signature, appID: app, kmsKey: kms, now: now)
            }?.code
        }
        let now = Int64(time)
        #expect(await check(newer, time, at: now) == nil)
        #expect(await check(newer, time, at: now + 300) == nil)
        #expect(await check(newer, time, at: now - 60) == nil)
        #expect(await check(older, nil, at: now + 1_000_000) == nil)
        #expect(await check(newer, time, at: now + 301) == .notAuthentic)
        #expect(await check(newer, time, at: now - 61) == .notAuthentic)
        #expect(await check(newer, time + 1, at: now) == .notAuthentic)
        #expect(await check(older, time, at: now) == .notAuthentic)
        #expect(await check(newer, nil, at: now) == .notAuthentic)
        #expect(await check(newer, time, app: AppID(.init()), at: now) == .notAuthentic)
        #expect(await check(newer, time, kms: FakeAgent.kmsKey, at: now) == .notAuthentic)
        #expect(await check([1], time, at: now) == .notAuthentic)
        #expect(await check(newer, time, kms: [1], at: now) == .invalidRequest)
        // With the recovery id as Ethereum often writes it.
        var offset = newer
        offset[64] += 27
        #expect(await check(offset, time, at: now) == nil)
    }
}

/// 32 bytes, beside which `#require` does not crash the compiler (Swift 6.3).
struct FixedBytes32 {
    let bytes: FixedBytes<32>

    init?(_ array: [UInt8]) {
        guard let bytes = FixedBytes<32>(array) else { return nil }
        self.bytes = bytes
    }
}
