import COpenSSL
import DstackAttestation
import DstackCrypto
import DstackEncoding
import Foundation
import TestKit
import Testing

@Suite("What applications do with keys")
struct ClientKeyTests {
    /// A key with these bytes, as if the agent had derived them.
    private func key(_ bytes: String, _ algorithm: KeyAlgorithm, _ agent: FakeAgent) async throws -> AgentKey {
        agent.edit { $0["key"] = bytes }
        return try await agent.client().key(path: "a", algorithm: algorithm)
    }

    @Test("addresses are those that other wallets show")
    func addresses() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        // Computed with eth-keys and solders; the first is the well-known address of the scalar 1.
        let ethereum = [
            (1, "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf"), (2, "0x2B5AD5c4795c026514f8317c7a215E218DcCD6cF"),
        ]
        for (scalar, address) in ethereum {
            let key = try await key(String(repeating: "00", count: 31) + "0\(scalar)", .secp256k1, agent)
            #expect(key.ethereumAddress == address && key.solanaAddress == nil)
        }
        let solana = try await key(String(repeating: "00", count: 32), .ed25519, agent)
        #expect(solana.solanaAddress == "4zvwRjXUKGfvwnParsHAS3HuSVzV5cA4McphgmoCtajS")
        #expect(solana.ethereumAddress == nil)
    }

    @Test(
        "base 58 keeps leading zeros",
        arguments: [
            ("", ""), ("00", "1"), ("0000", "11"), ("61", "2g"), ("626262", "a3gV"),
            ("00eb15231dfceb60925886b67d065299925915aeb172c06647", "1NS17iag9jJgTHD1VXjvLCEnZuQ3rJDE9L"),
            ("ffffffff", "7YXq9G"),
        ])
    func base58(_ bytes: String, _ text: String) {
        #expect(WalletAddress.base58(hex(bytes)) == text)
    }

    @Test("a digest's signature leads back to the key")
    func recoverable() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let key = try await agent.client().key(path: "wallet")
        let digest = Keccak.hash256([1, 2, 3])
        let bytes = try key.recoverableSignature(forDigest: digest).bytes
        let signer = try Secp256k1.Signature(bytes).recoveredPublicKey(forDigest: digest)
        #expect(signer.compressed.bytes == key.publicKey)
    }

    // MARK: TLS

    @Test("an identity is installed in an SSL_CTX, whole or not at all")
    func install() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        let identity = try await agent.client().tlsIdentity(TLSIdentityRequest(subject: "app.test"))
        let context = try #require(SSL_CTX_new(TLS_server_method()))
        defer { SSL_CTX_free(context) }
        #expect(SSL_CTX_get0_certificate(context) == nil)
        try identity.install(in: context)
        #expect(SSL_CTX_check_private_key(context) == 1)
        #expect(leaf(context) == identity.certificateChain[0])
        // A renewed one takes its place.
        let renewed = try await agent.client().v1.issueCert(TLSIdentityRequest(subject: "app.test"))
        try renewed.install(in: context)
        #expect(SSL_CTX_check_private_key(context) == 1)
        #expect(leaf(context) == renewed.certificateChain[0] && renewed.publicKey != identity.publicKey)
        // One whose chain has something in it that is no certificate leaves the context as it was.
        let pem = identity.withUnsafePrivateKeyPEM { Array($0) }
        let broken = try TLSIdentity(
            privateKeyPEM: pem.span.bytes, certificateChain: [identity.certificateChain[0], [0x30, 0x00]])
        let error = #expect(throws: AttestationError.self) { try broken.install(in: context) }
        #expect(error?.code == .invalidTLSIdentity && leaf(context) == renewed.certificateChain[0])
    }

    private func leaf(_ context: OpaquePointer) -> [UInt8] {
        guard let certificate = SSL_CTX_get0_certificate(context) else { return [] }
        var bytes = [UInt8](repeating: 0, count: Int(i2d_X509(certificate, nil)))
        bytes.withUnsafeMutableBufferPointer { buffer in
            var start = buffer.baseAddress
            _ = i2d_X509(certificate, &start)
        }
        return bytes
    }

    @Test("a certificate has what was asked for")
    func certificate() async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        var request = TLSIdentityRequest(subject: "app.test", alternativeNames: ["app.test", "10.0.0.7"])
        request.usages = [.server, .client]
        request.validity = FakeAgent.now...(FakeAgent.now + 3_600)
        let identity = try await agent.client().tlsIdentity(request)
        #expect(identity.notBefore == FakeAgent.now && identity.notAfter == FakeAgent.now + 3_600)
        let certificate = try RATLSCertificate(parsing: identity.certificateChain[0])
        #expect(certificate.commonName == "app.test" && certificate.attestation != nil)
        #expect(certificate.publicKey == identity.publicKey)
        #expect(TLSIdentityRequest(subject: "a").alternativeNames == ["a"])
        #expect(TLSIdentityRequest(subject: "").alternativeNames.isEmpty)
    }

    @Test("a validity before 1970, or of no second, is not sent", arguments: [-1...5, 5...5] as [ClosedRange<Int64>])
    func validity(_ range: ClosedRange<Int64>) async throws {
        let agent = try await FakeAgent()
        defer { agent.end() }
        var request = TLSIdentityRequest(subject: "a")
        request.validity = range
        let asked = request
        let error = await clientError { () async throws(DstackClientError) in
            try await agent.client().tlsIdentity(asked)
        }
        #expect(error?.code == .invalidRequest && agent.paths.isEmpty)
    }

    @Test("a purpose that is built like the newer interface's claim proves no key for a domain")
    func forgedDomain() throws {
        let kms = Secp256k1.PrivateKey()
        let app = Secp256k1.PrivateKey()
        let root = kms.publicKey.compressed.bytes
        let issuance = try kms.signature(
            on: .issuedAppKey(appID: FakeAgent.appID.bytes, key: app.publicKey.compressed))
        func verify(_ proof: KeyProof) throws(DstackClientError) {
            try proof.verify(appID: FakeAgent.appID, kmsKey: root)
        }
        func frame(_ part: String) -> [UInt8] { [0, 0, 0, UInt8(part.utf8.count)] + Array(part.utf8) }
        for (algorithm, key) in [
            (KeyAlgorithm.ed25519, [UInt8](repeating: 7, count: 32)),
            (.secp256k1, Secp256k1.PrivateKey().publicKey.compressed.bytes),
        ] {
            // The purpose is any text that a container likes, and the agent signs it with ":" and the key's digits.
            let rest = 1 + 2 * key.count
            let text = frame("dstack-guest-v1-key-claim") + frame(algorithm.rawValue) + frame("victim")
            let purpose = String(decoding: text + [0, 0, 0, UInt8(rest)], as: UTF8.self)
            let statement = KeyStatement.derivedKey(purpose: purpose, publicKey: key)
            let chain = [try app.signature(on: statement).bytes.bytes, issuance.bytes.bytes]
            try verify(
                KeyProof(
                    algorithm: algorithm, publicKey: key, claim: .purpose(purpose), signatureChain: chain))
            let forged = KeyProof(
                algorithm: algorithm, publicKey: Array(":\(Hex.encode(key))".utf8), claim: .domain("victim"),
                signatureChain: chain)
            let error = #expect(throws: DstackClientError.self) { try verify(forged) }
            #expect(error?.code == .notAuthentic)
            // Nor is a key of one kind one of the other.
            let other = KeyProof(
                algorithm: algorithm == .ed25519 ? .secp256k1 : .ed25519, publicKey: key, claim: .purpose(purpose),
                signatureChain: chain)
            #expect(throws: DstackClientError.self) { try verify(other) }
        }
    }

    // MARK: Environments

    /// A key that passed the check, with its secret half.
    private func environmentKey() throws -> (EnvironmentEncryptionKey, [UInt8]) {
        let owner = X25519.PrivateKey()
        let kms = Secp256k1.PrivateKey()
        let signed = try SignedEnvironmentKey(
            appID: FakeAgent.appID.bytes, key: owner.publicKey.bytes, timestamp: 1_000, by: kms)
        let key = try EnvironmentEncryptionKey(
            signed.key, timestamp: 1_000, signature: signed.signature.bytes.bytes, appID: FakeAgent.appID,
            kmsKey: kms.publicKey.compressed.bytes, now: 1_000)
        return (key, owner.secret.withUnsafeBytes { Array($0) })
    }

    @Test("an encrypted environment opens with the application's key, and no two are alike")
    func environment() throws {
        let (key, secret) = try environmentKey()
        let variables = [("PASSWORD", "q\"\\\n\u{1}é水"), ("_X9", "")]
        let sealed = try key.encrypt(variables)
        #expect(try sealed != key.encrypt(variables))
        let owner = try X25519.PrivateKey(SecretBytes(copying: secret))
        let ephemeral = try #require(FixedBytes32(Array(sealed.prefix(32))))
        let shared = try owner.sharedSecret(with: X25519.PublicKey(ephemeral.bytes))
        let text = try AES256GCM.open(SealedText(combined: sealed.dropFirst(32)), key: shared)
        let json = try JSONSerialization.jsonObject(with: Data(text.withUnsafeBytes { Array($0) })) as? [String: Any]
        let rows = try #require(json?["env"] as? [[String: String]])
        #expect(rows == variables.map { ["key": $0.0, "value": $0.1] })
    }

    @Test(
        "variables that a guest would not take are refused, without their values in the error",
        arguments: [
            [("", "secret")], [("1A", "secret")], [("A-B", "secret")], [("É", "secret")],
            [("A", "secret"), ("A", "x")],
            [(String(repeating: "A", count: 256), "secret")],
            [("A", "secret" + String(repeating: "x", count: 128 << 10))],
            (0..<9).map { ("A\($0)", String(repeating: "x", count: 120 << 10)) },
            (0...1_024).map { ("A\($0)", "secret") },
        ] as [[(name: String, value: String)]])
    func refusedEnvironment(_ variables: [(name: String, value: String)]) throws {
        let (key, _) = try environmentKey()
        let error = #expect(throws: DstackClientError.self) { try key.encrypt(variables) }
        #expect(error?.code == .invalidRequest && error?.description.contains("secret") == false)
    }

    @Test("a key of small order is refused: everybody would know the secret")
    func smallOrder() throws {
        let kms = Secp256k1.PrivateKey()
        let signed = try SignedEnvironmentKey(appID: FakeAgent.appID.bytes, key: FixedBytes(), timestamp: nil, by: kms)
        let key = try EnvironmentEncryptionKey(
            signed.key, timestamp: nil, signature: signed.signature.bytes.bytes, appID: FakeAgent.appID,
            kmsKey: kms.publicKey.compressed.bytes, now: 0)
        #expect(throws: DstackClientError.self) { try key.encrypt([("A", "b")]) }
    }
}
