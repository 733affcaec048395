import DstackAttestation
import DstackCrypto
import DstackEncoding
import DstackGuest
import DstackHTTP
import DstackHTTPServer
import DstackKeys
import DstackNetwork
import DstackRPC
import DstackRPCServer
import DstackSimulation
import Foundation
import Synchronization
import Testing

/// A KMS as far as an agent asks one: issues certificates over mutual TLS.
final class TestKMS: Sendable {
    /// How it behaves.
    enum Mode: Sendable {
        case issuing
        case refusing
        case hanging
        /// It issues for a key of its own in place of the one that was asked for.
        case substituting
    }

    struct Call: Sendable {
        let request: SigningRequest
        /// Evidence in the certificate by which the guest introduced itself.
        let introduction: Attestation?
        let vmConfig: String
    }

    private let root: CertificateAuthority
    private let temporary: CertificateAuthority
    private let application: CertificateAuthority
    private let keys = KMSRootKeys()
    private let server: Mutex<HTTPServer?> = Mutex(nil)
    let calls = Mutex<[Call]>([])
    let mode: Mutex<Mode>
    let url: Mutex<String> = Mutex("")
    static let now = Int64(Date().timeIntervalSince1970)
    let appID = AppID(FixedBytes())

    /// - Parameter isApplication: whether the server is an application of this KMS, which had its certificate issued for the
    ///   KMS's name, and not the KMS.
    init(_ mode: Mode = .issuing, isApplication: Bool = false) async throws {
        self.mode = Mutex(mode)
        root = try CertificateAuthority(selfSigned: .kmsRoot(now: Self.now), key: P256.PrivateKey())
        temporary = try CertificateAuthority(
            selfSigned: .temporaryClientCA(now: Self.now), key: P256.PrivateKey())
        application = try root.authority(.appCA(appID, now: Self.now), key: P256.PrivateKey())
        let key = TLSKey()
        let chain: [[UInt8]]
        if isApplication {
            let wanted = CertificateConfiguration(
                commonName: "127.0.0.1", alternativeNames: ["127.0.0.1"], isForServers: true)
            chain = try application.issue(
                .leaf(wanted, claims: CertificateClaims(appID: appID), now: Self.now), for: key.key.publicKey)
        } else {
            chain = try root.issue(
                .kmsServer(domain: "127.0.0.1", evidence: [], now: Self.now), for: key.key.publicKey)
        }
        var service = RPCService(KMSRPC.KMS.name)
        service.on(KMSRPC.KMS.signCert, limits: .init(timeout: nil)) { [unowned self] request, call in
            try await issue(request, call)
        }
        var router = RPCRouter()
        router.mount(service, at: "/prpc")
        let listener = HTTPListener(
            "kms", .tcp(host: "127.0.0.1", port: 0),
            tls: HTTPServerTLS(
                certificateChain: Self.pem(chain), privateKey: key.withUnsafePEM { [UInt8]($0) },
                clientCertificates: .init(isRequired: true, authorities: Self.pem(temporary.chain))))
        var limits = HTTPServerLimits()
        limits.maximumBodyBytes = router.maximumBodyBytes
        let http = HTTPServer(.init(listeners: [listener], limits: limits), handler: router.respond)
        let port = try #require(try await http.start().first?.port)
        server.withLock { $0 = http }
        url.withLock { $0 = "https://127.0.0.1:\(port)" }
    }

    private static func pem(_ chain: [[UInt8]]) -> [UInt8] {
        Array(chain.map { CertificatePEM.encode($0) }.joined().utf8)
    }

    var rootPEM: String { CertificatePEM.encode(root.chain[0]) }
    var address: String { url.withLock { $0 } }

    private func issue(_ message: KMSRPC.SignCertRequest, _ call: RPCCall) async throws -> KMSRPC.SignCertResponse {
        switch mode.withLock({ $0 }) {
        case .refusing: throw RPCError("the operator says no")
        case .hanging: try await Task.sleep(for: .seconds(600))
        case .issuing, .substituting: break
        }
        let request = try SigningRequest(decoding: message.csr, version: .v2).verified(signature: message.signature)
        let evidence = try request.attestation()
        let introduction = try call.peer.tls?.certificates.first.map { try RATLSCertificate(parsing: $0).attestation }
        calls.withLock {
            $0.append(Call(request: request.request, introduction: introduction ?? nil, vmConfig: message.vmConfig))
        }
        let claims = CertificateClaims(
            appID: appID, evidence: try EvidenceEncoding.standard.extensions(for: evidence))
        let template = try CertificateTemplate.leaf(request.request.configuration, claims: claims, now: Self.now)
        var publicKey = try P256.PublicKey(spki: request.request.publicKey)
        if mode.withLock({ $0 == .substituting }) { publicKey = P256.PrivateKey().publicKey }
        let chain = try application.issue(template, for: publicKey)
        return .with { $0.certificateChain = chain.map { CertificatePEM.encode($0) } }
    }

    /// The files of a guest whose keys are from here.
    ///
    /// - Parameters:
    ///   - first: the address in the key file.
    ///   - others: addresses in the system configuration.
    func files(_ simulation: SimulationDirectory, first: String? = nil, others: [String] = []) throws -> GuestFiles {
        let keys = AppKeys(
            diskKey: SecretBytes(random: 32), environmentKey: nil, rootKey: try keys.appRootKey(appID),
            gatewayAppID: "", caCertificates: root.chain,
            provider: AppKeyProvider(
                kms: first ?? address, publicKey: root.publicKey,
                temporaryAuthority: try CertificateAuthority(
                    key: P256.PrivateKey(scalar: temporary.key.scalar.duplicate()), chain: temporary.chain)))
        let system = try JSONSerialization.data(withJSONObject: ["vm_config": "{\"cpu\":1}", "kms_urls": others])
        return try GuestFiles(keys: keys, compose: simulation.appCompose, systemConfiguration: [UInt8](system))
    }
}
