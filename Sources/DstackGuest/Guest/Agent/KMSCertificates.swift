import DstackAttestation
import DstackCrypto
import DstackHTTPClient
import DstackKeys
import DstackNetwork
import DstackRPC
import DstackSystem
import Synchronization

/// Certificates from the KMS that gave the application its keys (`SignCert`).
///
/// The KMS is known by its root CA, which came with the keys, and by its certificate's usage; the guest introduces itself
/// with a certificate that carries evidence about its key. Addresses are tried one after the other: any KMS under that root will do.
final class KMSCertificates: Sendable {
    private let files: GuestFiles
    private let settings: GuestSettings.Certificates
    private let clock: any WallClock
    private let attest: @Sendable (ReportData) async throws -> Attestation
    private let urls: [String]
    private let log = Log("guest.kms")

    private struct State {
        var http: (client: HTTPClient, madeAt: ContinuousClock.Instant)?
        /// The address that answered last, which is asked first.
        var preferred = 0
    }

    private let state = Mutex(State())

    /// How long the guest's own certificate is used. Its evidence is of the moment when it was made.
    private static let identityLifetime = Duration.seconds(3_600)

    /// Nil where keys come from elsewhere.
    init?(
        _ files: GuestFiles, _ settings: GuestSettings.Certificates, clock: any WallClock,
        attest: @escaping @Sendable (ReportData) async throws -> Attestation
    ) {
        guard let own = files.keys.provider.url else { return nil }
        self.files = files
        self.settings = settings
        self.clock = clock
        self.attest = attest
        urls = Self.addresses([own] + files.system.kmsURLs)
    }

    /// Each once, with the path of the methods, which configurations leave out.
    private static func addresses(_ urls: [String]) -> [String] {
        var result: [String] = []
        for url in urls where !url.isEmpty {
            let trimmed = url.last == "/" ? String(url.dropLast()) : url
            let full = trimmed.hasSuffix("/prpc") ? trimmed : "\(trimmed)/prpc"
            if !result.contains(full) { result.append(full) }
        }
        return result
    }

    /// The chain for a request: leaf, the application's CA, root; PEM.
    ///
    /// - Throws: an `RPCError` with the reason of each address that was tried.
    func chain(for request: SignedSigningRequest) async throws -> [String] {
        let message = KMSRPC.SignCertRequest.with {
            $0.apiVersion = request.request.version.rawValue
            $0.csr = request.request.bytes
            $0.signature = request.signature
            $0.vmConfig = files.system.vmConfig
        }
        let deadline = ContinuousClock.now + settings.kmsTotalTimeout
        let http = try await client()
        let first = state.withLock { $0.preferred }
        var failures: [String] = []
        for step in urls.indices {
            let index = (first + step) % urls.count
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else {
                failures.append("no time left for \(urls.count - step) more")
                break
            }
            do {
                let answer = try await RPCClient(http, at: urls[index]).call(
                    KMSRPC.KMS.signCert, message, timeout: min(left, settings.kmsTimeout))
                guard answer.certificateChain.count >= 2 else {
                    failures.append("\(urls[index]): a chain of \(answer.certificateChain.count) certificates")
                    continue
                }
                guard Self.isCertificate(answer.certificateChain[0], for: request.request.publicKey) else {
                    failures.append("\(urls[index]): a certificate for another key than the one it was asked for")
                    continue
                }
                state.withLock { $0.preferred = index }
                return answer.certificateChain
            } catch {
                log.warn("the KMS issued no certificate", ["url": urls[index], "error": "\(error)"])
                failures.append("\(urls[index]): \(error)")
                // What it refused for a reason, another one refuses too.
                if error.code == .refused, let status = error.status, (400..<500).contains(status) { break }
                state.withLock { $0.http = nil }
            }
        }
        throw RPCError(
            "Failed to sign the CSR: no KMS issued the certificate: \(failures.joined(separator: "; "))", status: 503)
    }

    private static func isCertificate(_ pem: String, for publicKey: [UInt8]) -> Bool {
        guard let der = try? CertificatePEM.decode(Array(pem.utf8), subject: "certificate").first,
            let certificate = try? RATLSCertificate(parsing: der)
        else { return false }
        return certificate.publicKey == publicKey
    }

    /// The root also stands above the certificates of applications, which choose their names themselves. What tells the KMS
    /// from these is the usage, which it gives to nobody else.
    private static func verdict(_ peer: ServerTrust.Peer) -> ServerTrust.Verdict {
        do {
            let usage = try RATLSCertificate(parsing: peer.certificates.first ?? []).usage
            guard usage != .kmsRPC else { return .accepted }
            let found = usage.map { "\"\(SafeText.line($0.rawValue, limit: 40))\"" } ?? "none"
            return .refused("it is no KMS: its certificate is for the usage kms:rpc where it is one, found \(found)")
        } catch {
            return .refused("its certificate cannot be read: \(error)")
        }
    }

    /// A client that introduces itself; made when it is first needed, so that an agent starts without its KMS.
    private func client() async throws -> HTTPClient {
        if let http = state.withLock({ $0.http }), http.madeAt.duration(to: .now) < Self.identityLifetime {
            return http.client
        }
        let attested = try await AttestedKey { try await attest($0) }
        let evidence = try EvidenceEncoding.standard.extensions(for: attested.attestation)
        let chain = try files.keys.provider.authority.issue(
            .temporaryClient(evidence: evidence, now: clock.unixSeconds), for: attested.key.key.publicKey)
        let pem = Array(chain.map { CertificatePEM.encode($0) }.joined().utf8)
        let key = SharedSecret(attested.key.withUnsafePEM { SecretBytes(copying: $0.bytes) })
        var configuration = HTTPClientConfiguration(
            trust: .chain(
                to: .pem(Array(files.keys.caCertificates.map { CertificatePEM.encode($0) }.joined().utf8)),
                and: Self.verdict))
        configuration.clientIdentity = TLSCredentials(
            certificateChain: pem, withPrivateKey: { body in key.withUnsafeBytes { body($0) } })
        // A guest reaches its KMS directly; what a proxy variable of some container image says is not meant for it.
        configuration.proxy = .none
        configuration.limits.maximumBodyBytes = 1 << 20
        let client = HTTPClient(configuration)
        state.withLock { $0.http = (client, .now) }
        return client
    }
}
