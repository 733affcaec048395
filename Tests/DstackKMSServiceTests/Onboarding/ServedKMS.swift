import DstackAttestation
import DstackEncoding
import DstackHTTPServer
import DstackKMS
import DstackKMSClient
import DstackKMSService
import DstackKeys
import DstackMockTEE
import DstackNetwork
import DstackStore
import TestKit

/// A service as it runs, with keys of its own and a real listener, to which everybody genuine is a KMS.
final class ServedKMS: Sendable {
    let kms: NewKMS
    let node: KMSNode
    let url: String

    private init(_ kms: NewKMS, _ node: KMSNode, _ url: String) {
        self.kms = kms
        self.node = node
        self.url = url
    }

    /// Serves as long as `body` runs.
    static func run(
        _ edit: (inout KMSSettings) -> Void = { _ in }, _ body: (ServedKMS) async throws -> Void
    ) async throws {
        let kms = try NewKMS()
        var settings = KMSSettings()
        settings.rpc.address = "127.0.0.1"
        settings.rpc.port = 0
        settings.files.certificateDirectory = kms.directory
        settings.attestation.offlineCollateral = try kms.scratch.write(kms.world.collateral().json, "collateral.json")
        settings.attestation.trustRoot = try kms.scratch.write(kms.world.platform.rootCertificatePEM, "root.pem")
        settings.authorization = .development(gatewayAppID: "any")
        settings.image.verifies = false
        edit(&settings)
        let arrival = try await kms.onboarding().bootstrap(domain: "localhost")
        let foundation = try KMSNode.Foundation(
            settings, agent: KMSTestWorld.attest(kms.world.kms), version: KMSVersion("0", commit: nil),
            clock: kms.world.clock)
        let node = try await KMSNode.open(foundation, kms.store(), arrival: arrival)
        let server = try KMSServer(node)
        let bound = try await server.start()
        let result: Result<Void, any Error>
        do {
            result = .success(
                try await body(ServedKMS(kms, node, "https://localhost:\(bound.first?.port ?? 0)")))
        } catch {
            result = .failure(error)
        }
        await server.stop(within: .seconds(1))
        await node.close(reason: "the test is over")
        try result.get()
    }

    /// SubjectPublicKeyInfo of the key of its certificate, DER.
    var serverKey: [UInt8] { node.parts.keys.material.rpcKey.publicKey }

    /// A genuine machine that asks it.
    func client(_ introduction: KMSIntroduction = .automatic) throws -> KMSClient {
        var configuration = KMSClient.Configuration()
        configuration.introduction = introduction
        return try KMSClient(
            url, trust: .pinned(caPublicKey: node.parts.keys.caPublicKey), attest: KMSTestWorld.attest(kms.world.kms),
            configuration, clock: kms.world.clock)
    }

    /// Facts of the entries of the audit log that tell of released keys.
    func releases() async throws -> [[String: String]] {
        let bytes = Shared<[UInt8]>([])
        try await node.parts.audit.export { piece in bytes.edit { $0 += piece } }
        return try bytes.value.split(separator: UInt8(ascii: "\n")).compactMap { line in
            let entry = try JSONDocument(parsing: Array(line), subject: "entry").root
            guard try entry.optionalMember("event")?.string() == "keys_released" else { return nil }
            var facts: [String: String] = [:]
            for name in ["keys", "receiver_key", "sealed_to"] {
                facts[name] = try entry.member("facts").member(named: name)?.string()
            }
            return facts
        }
    }
}
