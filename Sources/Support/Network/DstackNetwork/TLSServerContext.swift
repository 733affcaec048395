import COpenSSL
import Synchronization

/// The TLS side of a listener. Nothing here knows what the connections carry, or which loop serves them.
package struct TLSServerSettings: Sendable {
    package typealias Verdict = TLSVerifier.Verdict

    /// Decides on a client's certificates (leaf first, DER) in the middle of the handshake, on the thread that does it, so
    /// anything slow belongs behind it.
    package typealias Verifier = @Sendable ([[UInt8]]) -> Verdict

    /// Whether clients are asked who they are, and what is checked during the handshake. Sessions are then not resumed, so that
    /// every connection passes this check.
    package struct ClientCertificates: Sendable {
        package var isRequired: Bool
        /// PEM. If there are any, a certificate must lead to one of them.
        package var authorities: [UInt8]
        package var verifier: Verifier?
        /// Asked after the handshake, before the first request is taken; for whoever serves the connections to do. Nil to
        /// accept what the handshake did.
        package var judge: (any TLSPeerJudge)?

        package init(
            isRequired: Bool, authorities: [UInt8] = [], judge: (any TLSPeerJudge)? = nil, verifier: Verifier? = nil
        ) {
            self.isRequired = isRequired
            self.authorities = authorities
            self.judge = judge
            self.verifier = verifier
        }
    }

    /// An identity for clients who ask for certain names.
    package struct Named: Sendable {
        /// Host names (SNI, RFC 6066 section 3), without regard to case; `*.example.org` is every name with one label in place
        /// of the star. What comes first counts.
        package var names: [String]
        package var credentials: TLSCredentials

        package init(_ names: [String], _ credentials: TLSCredentials) {
            self.names = names
            self.credentials = credentials
        }
    }

    /// For clients who ask for no name, or another than ``named`` has.
    package var credentials: TLSCredentials
    package var named: [Named] = []
    /// What is selected of that which clients offer by ALPN, the preferred one first; none to select nothing.
    package var applicationProtocols: [String]
    /// Whether clients who offer other protocols only are refused (RFC 7301 section 3.2), or served without one.
    package var requiresApplicationProtocol = false
    /// Nil to ask nobody.
    package var clientCertificates: ClientCertificates?
    package var minimumVersion = TLSVersion.tls12
    /// Whether sessions are resumed, by tickets whose keys are this context's own; never where clients are asked for
    /// certificates.
    package var resumesSessions = true

    package init(
        _ credentials: TLSCredentials, applicationProtocols: [String] = [],
        clientCertificates: ClientCertificates? = nil
    ) {
        self.credentials = credentials
        self.applicationProtocols = applicationProtocols
        self.clientCertificates = clientCertificates
    }
}

/// A server's `SSL_CTX`. Connections that were made with it hold what they need of it: a new identity gets a new context.
package final class TLSServerContext: Sendable {
    /// Set up once; OpenSSL counts its references and locks what handshakes share.
    private nonisolated(unsafe) let context: OpaquePointer
    private let refusals: Refusals

    /// Why the verifier refused, until it was asked for.
    private final class Refusals: Sendable {
        let last = Mutex<String?>(nil)
    }

    /// - Throws: for what cannot be read or does not go together.
    package init(_ settings: TLSServerSettings) throws(TLSFailure) {
        let identity = try settings.credentials.load()
        var named: [(String, TLSIdentityHandle)] = []
        for entry in settings.named {
            let handle = try entry.credentials.load()
            for name in entry.names { named.append((Self.canonical(name), handle)) }
        }
        let refusals = Refusals()
        let made = try Self.make(settings)
        self.refusals = refusals
        context = made
        try identity.install(in: made)
        for (name, handle) in named {
            guard dstack_tls_add_identity(made, handle.pointer, name) else { throw TLSFailure("memory is short") }
        }
        guard let clients = settings.clientCertificates else { return }
        let asked = clients.authorities.withUnsafeBytes {
            dstack_tls_ask_client(made, clients.isRequired, $0.baseAddress, $0.count)
        }
        guard asked else { throw TLSFailure("the authorities for client certificates cannot be read") }
        var hook = TLSVerifier(checksChain: !clients.authorities.isEmpty, decision: nil)
        if let verifier = clients.verifier {
            hook.decision = { _, certificates in
                switch verifier(certificates) {
                case .accepted: return true
                case .refused(let reason):
                    refusals.last.withLock { $0 = reason }
                    return false
                }
            }
        }
        guard hook.install(in: made) else { throw TLSFailure("memory is short") }
    }

    deinit { SSL_CTX_free(context) }

    private static func make(_ settings: TLSServerSettings) throws(TLSFailure) -> OpaquePointer {
        var protocols: [UInt8] = []
        for name in settings.applicationProtocols {
            guard (1...255).contains(name.utf8.count) else { throw TLSFailure("\"\(name)\" is no protocol's name") }
            protocols.append(UInt8(name.utf8.count))
            protocols += Array(name.utf8)
        }
        let made = protocols.withUnsafeBufferPointer { protocols in
            var given = dstack_tls_server_settings(
                minimum_version: settings.minimumVersion.number, protocols: protocols.baseAddress,
                protocols_count: protocols.count, requires_protocol: settings.requiresApplicationProtocol,
                resumes: settings.resumesSessions)
            return dstack_tls_server_new(&given)
        }
        guard let made else { throw TLSFailure("memory is short") }
        return made
    }

    private static func canonical(_ name: String) -> String {
        let lower = String(decoding: name.utf8.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }, as: UTF8.self)
        return lower.hasSuffix(".") ? String(lower.dropLast()) : lower
    }

    /// The server side of a connection that was just accepted (`SSL *`, the caller's); nil if memory is short.
    func accept(_ descriptor: Int32) -> OpaquePointer? { dstack_tls_accept(context, descriptor) }

    /// Why the handshake that just failed on this thread did. Where several threads do handshakes of one context, each has its
    /// own context: the verifier's reason is the context's.
    package func takeFailure() -> String {
        var reason = [CChar](repeating: 0, count: 256)
        dstack_tls_last_error(&reason, reason.count)
        return refusals.last.withLock { $0.take() } ?? TLSFailure(characters: reason).reason
    }
}
