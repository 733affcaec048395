import DstackAttestation
import DstackEncoding
import DstackKeys
import DstackMockTEE
import Foundation
import TestKit
import Testing

/// A guest with keys of a running service: what its applications show to others.
@Suite("A guest with keys of a service", .enabled(if: SimulatedHost.isThere, SimulatedHost.absence))
struct GuestKeysTests {
    private let host: SimulatedHost

    init() throws { host = try SimulatedHost.shared() }

    /// An agent as it runs in a guest that has just got its keys, in its own directory.
    private func agent(_ keys: borrowing AppKeys, in directory: ScratchDirectory) async throws -> StartedProgram {
        try host.platform.save(to: directory.path)
        try keys.write(to: directory.path("appkeys.json"))
        try directory.write(SimulatedHost.appCompose, "app-compose.json")
        let vmConfig = String(decoding: try JSONEncoder().encode(host.app.vmConfig), as: UTF8.self)
        try directory.write(
            #"{"kms_urls":[],"gateway_urls":[],"pccs_url":"","docker_registry":"","host_api_url":"","vm_config":\#(vmConfig)}"#,
            "sys-config.json")
        try directory.write(
            host.app.attestation(reportData: ReportData(padding: [])).encoded.bytes, "attestation.bin")
        let program = try StartedProgram("dstack-simulator", [directory.path])
        let client = DstackClient(.unix(directory.path("dstack.sock")), startupTime: .zero)
        let isThere = try await eventually {
            let isReachable = await client.isReachable(within: .seconds(5))
            return isReachable || !program.isRunning
        }
        try #require(isThere && program.isRunning, "\(program.errors)")
        return program
    }

    @Test("its keys' signature chains lead to the service's root, by our library and by Ethereum's")
    func chains() async throws {
        let service = try await KMSProcess().start()
        let directory = try ScratchDirectory()
        let agent = try await agent(service.appKeys(), in: directory)
        let client = DstackClient(.unix(directory.path("dstack.sock")))
        let root = try service.roots().publicKey
        let app = host.app.appID

        var proofs: [KeyProof] = []
        for (path, purpose, algorithm) in [
            ("", "", KeyAlgorithm.secp256k1), ("wallet/0", "ethereum", .secp256k1), ("sign", "audit:log", .ed25519),
        ] {
            let key = try await client.key(path: path, purpose: purpose, algorithm: algorithm)
            let appKey = try key.verifyChain(appID: app, kmsKey: root.bytes)
            #expect(try appKey == service.roots().appRootKey(app).key.publicKey.compressed)
            #expect(throws: DstackClientError.self) {
                try key.proof.verify(appID: self.host.kms.appID, kmsKey: root.bytes)
            }
            proofs.append(key.proof)
        }
        agent.signal(SIGTERM)
        await agent.expectEnd()
        guard let python = Self.python else { return }
        for proof in proofs {
            guard case .purpose(let purpose) = proof.claim else { continue }
            let words = [Hex.encode(proof.publicKey), purpose] + proof.signatureChain.map { Hex.encode($0) }
            let found = try await Program.run(python, ["-c", Self.script] + words + [app.bytes.hex])
            #expect(found.output.split(separator: "\n").map(String.init) == [root.hex, root.hex], "\(found)")
            var changed = words
            changed[1] += "x"
            let other = try await Program.run(python, ["-c", Self.script] + changed + [app.bytes.hex])
            #expect(!other.output.contains(root.hex), "\(other)")
        }
    }

    @Test(
        "Ethereum's libraries are there to compare with",
        .enabled(
            if: GuestKeysTests.python != nil, "needs eth-keys, coincurve and pycryptodome in .venv (Scripts/setup test)"
        ))
    func peers() { #expect(Self.python != nil) }

    /// An interpreter that has both libraries.
    private static let python: String? = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        let path = root.appendingPathComponent(".venv/bin/python3").path
        let packages = ["eth_keys", "coincurve", "Crypto"]
        let places = (try? FileManager.default.contentsOfDirectory(atPath: root.path + "/.venv/lib")) ?? []
        return places.contains { place in
            packages.allSatisfy {
                FileManager.default.fileExists(atPath: "\(root.path)/.venv/lib/\(place)/site-packages/\($0)")
            }
        } ? path : nil
    }()

    /// Says twice who signed the key that signed a key for a purpose.
    private static let script = """
        import sys
        from Crypto.Hash import keccak
        from coincurve import PublicKey
        from eth_keys.backends import NativeECCBackend
        from eth_keys import KeyAPI
        key, purpose, claim, issuance, app = sys.argv[1:]
        def digest(text): return keccak.new(digest_bits=256, data=text).digest()
        def by_eth_keys(signature, text):
            api = KeyAPI(NativeECCBackend())
            found = api.Signature(bytes.fromhex(signature)).recover_public_key_from_msg_hash(digest(text))
            return found.to_compressed_bytes()
        def by_coincurve(signature, text):
            return PublicKey.from_signature_and_message(bytes.fromhex(signature), digest(text), hasher=None).format()
        for recover in [by_eth_keys, by_coincurve]:
            root = recover(claim, (purpose + ":" + key).encode())
            print(recover(issuance, b"dstack-kms-issued:" + bytes.fromhex(app) + root).hex())
        """
}
